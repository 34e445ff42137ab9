"""A held model gives way when memory runs out, once for all who use it, and lets go of what it was."""

import threading
import weakref

import pytest

from yivideo_pipeline.errors.tree import MemoryExhausted, SystemFault
from yivideo_pipeline.speech.runtime import HeldModel, Placement, next_smaller

GPU = Placement("cuda", "float16", 2, 2)
OUT_OF_MEMORY = "CUDA failed with error out of memory"


class Weights:
    """Something that is loaded; it knows where."""

    def __init__(self, place):
        self.place = place


def hold(place=GPU):
    loads = []

    def load(place):
        loads.append(str(place))
        return Weights(place)

    return HeldModel(place, load, next_smaller), loads


def fail_unless(fits):
    def work(weights, place):
        if not fits(place):
            raise RuntimeError(OUT_OF_MEMORY)
        return str(place)

    return work


def test_a_smaller_batch_needs_no_load():
    held, loads = hold()

    assert held.run(fail_unless(lambda place: place.batch_size == 1)) == "cuda, float16, batch 1"

    assert loads == ["cuda, float16, batch 2"]
    assert held.steps == ("memory ran out with cuda, float16, batch 2; going on with cuda, float16, batch 1",)


def test_a_smaller_compute_type_and_the_cpu_are_loads_of_their_own():
    held, loads = hold()

    held.run(fail_unless(lambda place: place.device == "cpu"))

    assert loads == ["cuda, float16, batch 2", "cuda, int8_float16, batch 1", "cpu, int8, batch 4"]


def test_the_larger_model_is_gone_before_the_smaller_one_is_loaded():
    alive = []
    seen = []

    def load(place):
        seen.append([reference() for reference in alive])
        weights = Weights(place)
        alive.append(weakref.ref(weights))
        return weights

    HeldModel(GPU, load, next_smaller).run(fail_unless(lambda place: place.device == "cpu"))

    assert seen == [[], [None], [None, None]]


def test_threads_that_run_out_of_memory_together_give_way_once():
    held, _ = hold(Placement("cuda", "float16", 8, 2))
    both = threading.Barrier(2)
    results = []

    def work(weights, place):
        if place.batch_size == 8:
            both.wait(timeout=10)
            raise RuntimeError(OUT_OF_MEMORY)
        return place.batch_size

    threads = [threading.Thread(target=lambda: results.append(held.run(work))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert results == [4, 4]
    assert len(held.steps) == 1


def test_nothing_smaller_is_the_end():
    held, _ = hold(Placement("cpu", "int8", 1, 2))
    with pytest.raises(MemoryExhausted):
        held.run(fail_unless(lambda place: False))


def test_any_other_error_comes_out_classified_and_changes_nothing():
    held, loads = hold()

    def work(weights, place):
        raise KeyError("a defect")

    with pytest.raises(SystemFault) as caught:
        held.run(work)
    assert isinstance(caught.value.__cause__, KeyError)
    assert (held.place, held.steps, len(loads)) == (GPU, (), 1)
