"""Faults of the machine, caused for real wherever that needs no GPU."""

import errno
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import ctranslate2
import numpy as np
import pytest

from yivideo_pipeline.errors.classify import classify
from yivideo_pipeline.errors.tree import (
    ConfigValidationError,
    DeviceLost,
    DiskError,
    DiskFull,
    MemoryExhausted,
    ModelInferenceError,
    ModelLoadError,
    SystemFault,
)


def caught(action, *args, **kwargs) -> BaseException:
    with pytest.raises(BaseException) as info:
        action(*args, **kwargs)
    return info.value


@pytest.mark.parametrize(
    "message",
    [
        "CUDA failed with error out of memory",
        "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 11.76 GiB",
        "CUDA error: out of memory",
        "cuBLAS failed with status CUBLAS_STATUS_ALLOC_FAILED",
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
        "cuDNN failed with status CUDNN_STATUS_ALLOC_FAILED",
    ],
)
def test_exhausted_gpu_memory_is_recognized_by_the_libraries_messages(message):
    """No GPU here: the texts are those that CTranslate2 and torch raise."""
    found = classify(RuntimeError(message))
    assert isinstance(found, MemoryExhausted)
    assert (found.device, found.retryable) == ("gpu", True)
    assert "batch_size" in found.hint


def test_torchs_own_class_is_enough_whatever_it_says():
    """torch is not installed in every environment: a class of its name stands in."""
    stand_in = type("OutOfMemoryError", (RuntimeError,), {"__module__": "torch.cuda"})
    found = classify(stand_in("Allocation on device"))
    assert isinstance(found, MemoryExhausted)
    assert found.device == "gpu"


@pytest.mark.parametrize(
    "message",
    [
        "CUDA failed with error uncorrectable ECC error encountered",
        "CUDA error: device-side assert triggered",
        "CUDA failed with error unspecified launch failure",
        "GPU is lost",
        "CUDA error: an illegal memory access was encountered",
    ],
)
def test_a_lost_gpu_is_worth_a_fresh_process(message):
    found = classify(RuntimeError(message))
    assert isinstance(found, DeviceLost)
    assert found.retryable


def test_host_memory_that_numpy_can_not_get():
    found = classify(caught(np.zeros, 10**15))
    assert isinstance(found, MemoryExhausted)
    assert found.device == "host"


@pytest.mark.parametrize(
    "error",
    [MemoryError("std::bad_alloc"), RuntimeError("std::bad_alloc"), OSError(errno.ENOMEM, "no memory")],
)
def test_host_memory_in_the_words_of_cpp_and_the_kernel(error):
    found = classify(error)
    assert isinstance(found, MemoryExhausted)
    assert found.device == "host"


@pytest.mark.parametrize(
    "message",
    [
        "mkl_malloc: failed to allocate memory",
        "OpenBLAS error: Memory allocation still failed after 10 retries, giving up.",
        "OpenBLAS : malloc failed in gemm_driver",
        "[ONNXRuntimeError] : 6 : Available memory of 512 is smaller than requested bytes of 9",
        "[ONNXRuntimeError] : 1 : FAIL : bad allocation",
        "Failed to allocate memory for requested buffer of size 4096",
        "could not create a memory object",
        "Unable to allocate 1.2 GiB for an array with shape (8, 1500, 512)",
        "can't start new thread",
    ],
)
def test_host_memory_in_the_words_of_the_libraries(message):
    assert isinstance(classify(RuntimeError(message)), MemoryExhausted)


def write_to_a_full_disk():
    Path("/dev/full").write_text("x")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux's /dev/full")
def test_a_full_disk_is_recognized_and_retryable():
    found = classify(caught(write_to_a_full_disk), video="a.mp4")
    assert isinstance(found, DiskFull)
    assert found.retryable
    assert found.context.video == "a.mp4"


@pytest.mark.parametrize(
    "message", ["disk I/O error", "unable to open database file", "attempt to write a readonly database"]
)
def test_a_database_that_can_t_be_written_is_an_error_of_the_disk(message):
    found = classify(sqlite3.OperationalError(message))
    assert type(found) is DiskError and message in found.message
    assert "full" in found.hint


def test_a_limit_on_file_sizes_is_an_error_of_the_disk():
    found = classify(OSError(errno.EFBIG, os.strerror(errno.EFBIG)))
    assert type(found) is DiskError and "ulimit -f" in found.hint


def test_a_damaged_database_is_no_unforeseen_error(tmp_path):
    (tmp_path / "runs.db").write_text("this is no database, only text")
    with pytest.raises(sqlite3.DatabaseError) as raised, sqlite3.connect(tmp_path / "runs.db") as database:
        database.execute("SELECT * FROM runs")
    found = classify(raised.value)
    assert (type(found), found.retryable) == (DiskError, False)
    assert "file is not a database" in found.message and "yivideo doctor" in found.hint


def test_a_full_database_is_a_full_disk(tmp_path):
    def fill():
        with sqlite3.connect(tmp_path / "runs.db") as database:
            database.execute("pragma max_page_count = 2")
            database.execute("create table t (x)")
            database.execute("insert into t values (zeroblob(100000))")

    error = caught(fill)
    assert isinstance(classify(error), DiskFull)


@pytest.mark.parametrize("code", [errno.EDQUOT, errno.EROFS, errno.EIO, errno.EMFILE])
def test_what_a_disk_says_is_kept_with_the_path(code):
    found = classify(OSError(code, os.strerror(code), "/videos/x.mp4"))
    assert isinstance(found, DiskError)
    assert "/videos/x.mp4" in found.message
    assert found.hint


def test_a_missing_file_and_a_folder_in_its_place(tmp_path):
    for path in (tmp_path / "missing.mp4", tmp_path):
        found = classify(caught(path.read_bytes))
        assert type(found) is DiskError
        assert not found.retryable
        assert str(path) in found.message


def test_a_folder_without_permission(tmp_path):
    """As root nothing is forbidden, so root becomes somebody else for the moment."""
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o000)
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        error = caught((locked / "x.srt").write_text, "x")
    finally:
        os.seteuid(user)
    found = classify(error)
    assert type(found) is DiskError
    assert "permission" in found.hint


class TestWeights:
    """CTranslate2's own errors, from broken models that it is really given."""

    def test_a_folder_without_weights(self, tmp_path):
        found = classify(caught(ctranslate2.models.Whisper, str(tmp_path)))
        assert isinstance(found, ModelLoadError)
        assert "model.bin" in found.message

    def test_weights_that_are_cut_off(self, tmp_path):
        (tmp_path / "model.bin").write_bytes(b"\x06\0\0\0\x0c\0WhisperSpec\0")
        found = classify(caught(ctranslate2.models.Whisper, str(tmp_path)))
        assert isinstance(found, ModelLoadError)
        assert "cut off" in found.message

    def test_weights_of_a_newer_format(self, tmp_path):
        (tmp_path / "model.bin").write_bytes((999).to_bytes(4, "little") + b"x" * 100)
        found = classify(caught(ctranslate2.models.Whisper, str(tmp_path)))
        assert isinstance(found, ModelLoadError)
        assert "ctranslate2" in found.hint

    def test_a_device_that_the_library_does_not_know(self, tmp_path):
        found = classify(caught(ctranslate2.models.Whisper, str(tmp_path), device="mps"))
        assert isinstance(found, ConfigValidationError)
        assert "device" in found.hint

    def test_a_precision_that_the_library_does_not_know(self, tmp_path):
        found = classify(caught(ctranslate2.models.Whisper, str(tmp_path), compute_type="float12"))
        assert isinstance(found, ConfigValidationError)

    @pytest.mark.skipif(ctranslate2.get_cuda_device_count() > 0, reason="there is a GPU")
    def test_cuda_without_a_gpu_or_driver(self, tmp_path):
        found = classify(caught(ctranslate2.models.Whisper, str(tmp_path), device="cuda"))
        assert isinstance(found, ModelLoadError)
        assert "device to cpu" in found.hint


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (
            ValueError(
                "Requested int8_float16 compute type, but the target device or backend do not support "
                "efficient int8_float16 computation."
            ),
            ConfigValidationError,
        ),
        (RuntimeError("Library libcublas.so.12 is not found or cannot be loaded"), ModelLoadError),
        (
            OSError("libcudnn_ops.so.9: cannot open shared object file: No such file or directory"),
            ModelLoadError,
        ),
        (RuntimeError("Could not load library libcudnn_ops_infer.so.8. Error: ..."), ModelLoadError),
        (RuntimeError("Unable to load any of {libcudnn_ops.so.9.1.0, libcudnn_ops.so}"), ModelLoadError),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_what_can_not_run_on_this_device_says_what_to_change(error, kind):
    """Needs a GPU or a broken CUDA to cause for real: the texts are the libraries'."""
    found = classify(error)
    assert type(found) is kind
    assert not found.retryable
    assert found.hint


def test_an_unknown_error_keeps_its_type_and_words_and_is_not_retried():
    original = KeyError("surprise")
    found = classify(original, video="a.mp4", stage="alignment", second=3.0)
    assert type(found) is SystemFault
    assert not found.retryable
    assert "KeyError" in found.message
    assert "surprise" in found.message
    assert found.__cause__ is original
    assert (found.context.video, found.context.stage, found.context.second) == ("a.mp4", "alignment", 3.0)


def test_an_error_of_the_tree_comes_back_itself_with_its_context():
    original = ModelInferenceError("The model failed")
    assert classify(original, stage="transcript") is original
    assert original.context.stage == "transcript"


def test_a_wrapper_is_judged_by_what_it_was_raised_from():
    def wrapped():
        try:
            np.zeros(10**15)
        except MemoryError as error:
            raise LookupError("step failed") from error

    error = caught(wrapped)
    found = classify(error)
    assert isinstance(found, MemoryExhausted)
    assert found.__cause__ is error


def test_a_wrapped_error_of_the_tree_is_found():
    inner = ModelLoadError("No weights")

    def wrapped():
        raise RuntimeError("step failed") from inner

    assert classify(caught(wrapped)) is inner


def test_no_secret_of_a_library_reaches_the_message():
    found = classify(ValueError("401 for hf_AbCdEfGhIjKlMnOp with Authorization: Bearer xyz.123"))
    assert "hf_AbC" not in str(found)
    assert "xyz.123" not in str(found)


def test_classifying_imports_no_heavy_library():
    script = (
        "import sys; from yivideo_pipeline.errors.classify import classify; classify(ValueError('x'));"
        "heavy = {'torch', 'ctranslate2', 'av', 'huggingface_hub', 'pydantic', 'requests', 'httpx', 'numpy'};"
        "print(*(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
