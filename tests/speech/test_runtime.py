"""A model falls back when memory runs out, once for all threads, and frees the previous model."""

import threading
import weakref

import pytest

from yivideo_pipeline.errors.tree import MemoryExhausted, SystemFault
from yivideo_pipeline.speech.runtime import DeviceConfig, ModelRuntime, smaller_config

GPU = DeviceConfig("cuda", "float16", 2, 2)
OUT_OF_MEMORY = "CUDA failed with error out of memory"


class Weights:
    """Stands for a loaded model; a weak reference shows when it is gone."""


def make_runtime(config=GPU):
    """A runtime, and the configurations it loads with."""
    loads = []

    def load(config):
        loads.append(str(config))
        return Weights()

    return ModelRuntime(config, load, smaller_config), loads


def fail_unless(fits):
    def work(weights, config):
        if not fits(config):
            raise RuntimeError(OUT_OF_MEMORY)
        return str(config)

    return work


def test_a_smaller_batch_needs_no_load():
    runtime, loads = make_runtime()

    assert runtime.run(fail_unless(lambda config: config.batch_size == 1)) == "cuda, float16, batch 1"

    assert loads == ["cuda, float16, batch 2"]
    assert runtime.steps == (
        "memory ran out with cuda, float16, batch 2; going on with cuda, float16, batch 1",
    )


def test_a_smaller_compute_type_and_the_cpu_are_loads_of_their_own():
    runtime, loads = make_runtime()

    runtime.run(fail_unless(lambda config: config.device == "cpu"))

    assert loads == ["cuda, float16, batch 2", "cuda, int8_float16, batch 1", "cpu, int8, batch 4"]


def test_the_larger_model_is_gone_before_the_smaller_one_is_loaded():
    alive = []
    seen = []

    def load(config):
        seen.append([reference() for reference in alive])
        weights = Weights()
        alive.append(weakref.ref(weights))
        return weights

    ModelRuntime(GPU, load, smaller_config).run(fail_unless(lambda config: config.device == "cpu"))

    assert seen == [[], [None], [None, None]]


def test_threads_that_run_out_of_memory_together_fall_back_once():
    runtime, _ = make_runtime(DeviceConfig("cuda", "float16", 8, 2))
    both = threading.Barrier(2)
    results = []

    def work(weights, config):
        if config.batch_size == 8:
            both.wait(timeout=10)
            raise RuntimeError(OUT_OF_MEMORY)
        return config.batch_size

    threads = [threading.Thread(target=lambda: results.append(runtime.run(work))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert results == [4, 4]
    assert len(runtime.steps) == 1


def test_nothing_smaller_is_the_end():
    runtime, _ = make_runtime(DeviceConfig("cpu", "int8", 1, 2))
    with pytest.raises(MemoryExhausted):
        runtime.run(fail_unless(lambda config: False))


def test_any_other_error_comes_out_classified_and_changes_nothing():
    runtime, loads = make_runtime()

    def work(weights, config):
        raise KeyError("a defect")

    with pytest.raises(SystemFault) as caught:
        runtime.run(work)
    assert isinstance(caught.value.__cause__, KeyError)
    assert (runtime.config, runtime.steps, len(loads)) == (GPU, (), 1)


def test_a_configuration_takes_a_calls_batch_but_no_more_than_memory_has_left_it():
    config = DeviceConfig("cuda", "float16", batch_size=4, threads=4)
    assert config.with_batch(16, has_fallen_back=False).batch_size == 16
    assert config.with_batch(16, has_fallen_back=True).batch_size == 4
    assert config.with_batch(2, has_fallen_back=True).batch_size == 2
