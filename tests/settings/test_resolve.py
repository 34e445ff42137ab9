"""Options against machines: the owner's, smaller ones, ones without a GPU."""

from dataclasses import replace

import pytest

from yivideo_pipeline.errors.tree import ConfigValidationError
from yivideo_pipeline.machine.gpu import Gpu
from yivideo_pipeline.settings.options import SpeechOptions
from yivideo_pipeline.settings.resolve import Hardware, check_machine, resolve

GB = 10**9
CPU_TYPES = frozenset({"int8", "int8_float32", "float32"})
CUDA_TYPES = frozenset({"float32", "float16", "bfloat16", "int8", "int8_float16", "int8_float32"})


def laptop(cores: int = 8, memory_gb: float = 16) -> Hardware:
    why = "no NVIDIA driver answers (NVML Shared Library Not Found)"
    return Hardware(cores, int(memory_gb * GB), 32 * GB, (), CPU_TYPES, frozenset(), why)


def gpu_machine(free_gb: float = 11.5, types: frozenset[str] = CUDA_TYPES) -> Hardware:
    gpu = Gpu("NVIDIA GeForce RTX 3060", 12 * GB, int(free_gb * GB))
    return Hardware(8, 24 * GB, 32 * GB, (gpu,), CPU_TYPES, types)


def speech(**values: object) -> SpeechOptions:
    return SpeechOptions.model_validate(values)


def only_error(options: SpeechOptions, hardware: Hardware) -> str:
    (finding,) = check_machine(options, hardware)
    assert finding.level == "error"
    with pytest.raises(ConfigValidationError) as caught:
        resolve(options, hardware)
    assert str(caught.value) == str(finding)
    return str(finding)


PRODUCTION = {"model_name": "large-v2", "language": "zh", "device": "cuda", "compute_type": "float16",
              "batch_size": 4, "faster_whisper_threads": 4}  # fmt: skip


@pytest.mark.parametrize(
    ("values", "hardware"),
    [
        (PRODUCTION, gpu_machine()),
        ({**PRODUCTION, "batch_size": 8, "faster_whisper_threads": 8}, gpu_machine()),
        ({**PRODUCTION, "batch_size": 2, "compute_type": "int8"}, gpu_machine(free_gb=4)),
        ({"device": "cpu", "batch_size": 1}, laptop(cores=2, memory_gb=4)),
        ({}, laptop(cores=2, memory_gb=4)),
    ],
    ids=["production", "strong GPU", "little memory", "CPU", "defaults"],
)
def test_the_owners_recipes_and_the_defaults_pass_without_a_warning(values, hardware):
    assert check_machine(speech(**values), hardware) == []


def test_auto_means_the_gpu_in_float16_where_there_is_one():
    used = resolve(speech(), gpu_machine())
    assert (used.device, used.compute_type, used.threads) == ("cuda", "float16", 8)


def test_auto_means_the_cpu_in_int8_where_there_is_none():
    used = resolve(speech(), laptop(cores=4))
    assert (used.device, used.compute_type, used.batch_size, used.threads) == ("cpu", "int8", 8, 4)


def test_auto_takes_a_smaller_type_where_float16_does_not_fit():
    assert resolve(speech(model_name="large-v2"), gpu_machine(free_gb=6)).compute_type == "int8_float16"


def test_auto_takes_what_an_old_gpu_computes_in():
    old = gpu_machine(types=frozenset({"float32", "int8", "int8_float32"}))
    assert resolve(speech(), old).compute_type == "int8"


def test_threads_default_to_the_cores_but_no_more_than_32():
    assert resolve(speech(), laptop(cores=64)).threads == 32


@pytest.mark.parametrize(
    ("asked", "used"), [("float16", "float32"), ("bfloat16", "float32"), ("int8_float16", "int8")]
)
def test_a_gpus_type_on_a_cpu_is_warned_of_and_replaced(asked, used):
    resolved = resolve(speech(device="cpu", compute_type=asked), laptop())
    assert resolved.compute_type == used
    assert resolved.warnings == (
        f"compute_type: a CPU does not compute in {asked}, so {used} is used: choose {used} or auto",
    )


def test_a_type_that_the_cpu_has_is_used_without_a_warning():
    modern = Hardware(8, 16 * GB, 32 * GB, (), CPU_TYPES | {"bfloat16"}, frozenset(), "none")
    resolved = resolve(speech(compute_type="bfloat16"), modern)
    assert (resolved.compute_type, resolved.warnings) == ("bfloat16", ())


def test_a_type_that_the_device_lacks_is_refused_with_those_it_has():
    assert only_error(speech(compute_type="int16"), laptop()) == (
        "compute_type: this cpu does not compute in int16: choose float32, int8 or auto"
    )
    assert "choose float32, float16, bfloat16, int8, int8_float16 or auto" in only_error(
        speech(compute_type="int16"), gpu_machine()
    )


def test_mps_runs_on_the_cpu_with_a_warning():
    resolved = resolve(speech(device="mps"), laptop())
    assert resolved.device == "cpu"
    assert "no backend for mps, so the CPU is used" in resolved.warnings[0]


def test_cuda_without_a_gpu_is_refused_with_the_reason():
    assert only_error(speech(device="cuda", compute_type="float16"), laptop()) == (
        "device: no GPU can be used: no NVIDIA driver answers (NVML Shared Library Not Found):"
        " repair that, or choose cpu or auto"
    )


def test_a_cpu_batch_over_8_is_refused_but_not_a_gpus():
    assert (
        only_error(speech(batch_size=9), laptop()) == "batch_size: 9 is over 8, the most on a CPU: lower it"
    )
    assert check_machine(speech(batch_size=16), gpu_machine()) == []


def test_a_batch_over_the_memory_is_refused_with_the_estimate_and_one_that_fits():
    line = only_error(speech(model_name="small"), laptop(memory_gb=2))
    assert line == (
        "batch_size: model small in int8 with batch_size 8 needs about 2.3 GB, this machine has 2.0 GB free:"
        " lower batch_size to 6"
    )
    assert check_machine(speech(model_name="small", batch_size=3), laptop(memory_gb=2)) == []


def test_a_model_over_the_gpus_memory_is_refused_with_a_type_or_a_model_that_fits():
    line = only_error(speech(model_name="large-v2", compute_type="float16"), gpu_machine(free_gb=3))
    assert "needs about 7.1 GB, this GPU has 3.0 GB free" in line
    assert line.endswith("choose compute_type int8_float16 and batch_size 1")
    line = only_error(speech(model_name="large-v2", compute_type="int8"), gpu_machine(free_gb=2))
    assert line.endswith("choose model_name large-v3-turbo and batch_size 1")


@pytest.mark.parametrize("threads", [4, 6, 8])
def test_threads_over_the_cores_work_with_a_warning(threads):
    resolved = resolve(speech(faster_whisper_threads=threads), laptop(cores=2))
    assert resolved.threads == threads
    assert resolved.warnings == (
        f"faster_whisper_threads: {threads} is over the 2 cores that may be used here, which gains nothing:"
        " lower it or leave it out",
    )


def test_what_needs_whisperx_is_refused_where_it_is_not_installed():
    assert only_error(speech(use_faster_whisper=False), laptop()) == (
        "use_faster_whisper: WhisperX is not installed here: run `make install-whisperx`, or set it to true"
    )
    assert only_error(speech(aligner="wav2vec2"), laptop()) == (
        "aligner: WhisperX is not installed here: run `make install-whisperx`, or set it to auto or attention"
    )
    equipped = replace(laptop(), has_whisperx=True)
    assert check_machine(speech(use_faster_whisper=False, aligner="wav2vec2"), equipped) == []
    assert check_machine(speech(model_name="medium", task="translate", aligner="wav2vec2"), laptop()) == []


def test_all_that_is_wrong_is_reported_at_once_and_errors_come_first():
    options = speech(device="mps", compute_type="int16", batch_size=20, faster_whisper_threads=32)
    findings = check_machine(options, laptop())
    assert [finding.level for finding in findings] == ["error", "error", "warning", "warning"]
    with pytest.raises(ConfigValidationError) as caught:
        resolve(options, laptop())
    assert len(str(caught.value).splitlines()) == 2


def test_a_model_of_unknown_size_is_not_judged_by_memory():
    assert check_machine(speech(model_name="owner/model"), laptop(memory_gb=0.1)) == []


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        ("tiny.en", "supports English only"),
        ("distil-large-v3", "supports English only"),
        ("turbo", "never learned"),
    ],
)
def test_a_model_that_does_not_translate_is_warned_of(model, reason):
    (warning,) = resolve(speech(model_name=model, task="translate"), laptop(memory_gb=64)).warnings
    assert reason in warning
    assert resolve(speech(model_name="medium", task="translate"), laptop(memory_gb=64)).warnings == ()
