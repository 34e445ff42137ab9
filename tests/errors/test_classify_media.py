"""Errors of PyAV on broken files, of pydantic and YAML on settings, and the ends of work."""

import asyncio
import concurrent.futures
import signal
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest
import yaml
from dagster import DagsterExecutionInterruptedError

from yivideo_pipeline.errors.classify import classify
from yivideo_pipeline.errors.tree import (
    ConfigError,
    ConfigValidationError,
    DiskError,
    DiskFull,
    RefusedMedia,
    Severity,
    TaskCancelled,
    TaskTimeout,
    TruncatedMedia,
    UnreadableMedia,
)
from yivideo_pipeline.settings.options import SpeechOptions


def caught(action, *args, **kwargs) -> BaseException:
    with pytest.raises(BaseException) as info:
        action(*args, **kwargs)
    return info.value


def open_media(path) -> None:
    with av.open(str(path)):
        pass


@pytest.mark.parametrize("content", [b"", b"these are words, not a video\n" * 20], ids=["empty", "text"])
def test_a_file_that_is_no_video(tmp_path, content):
    path = tmp_path / "clip.mp4"
    path.write_bytes(content)
    found = classify(caught(open_media, path), video="clip.mp4")
    assert type(found) is UnreadableMedia
    assert not found.retryable
    assert found.context.video == "clip.mp4"


def test_reading_past_the_end():
    assert type(classify(av.error.EOFError(-541478725, "End of file"))) is TruncatedMedia


def test_a_protocol_that_is_not_allowed():
    assert type(classify(caught(open_media, "nonsense://x"))) is RefusedMedia


def test_a_missing_video_is_the_disks_error_not_the_videos(tmp_path):
    assert type(classify(caught(open_media, tmp_path / "missing.mp4"))) is DiskError


def test_an_input_output_error_of_a_demuxer_is_the_videos():
    error = av.error.OSError(5, "Input/output error", "a.wav")
    assert type(classify(error)) is UnreadableMedia


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux's /dev/full")
def test_a_disk_that_fills_while_ffmpeg_writes():
    def write():
        with av.open("/dev/full", "w", format="wav") as container:
            stream = container.add_stream("pcm_s16le", rate=16000)
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 160_000), np.int16), layout="mono")
            frame.sample_rate = 16000
            for packet in stream.encode(frame):
                container.mux(packet)

    assert type(classify(caught(write))) is DiskFull


def test_wrong_settings_get_one_line_a_field():
    error = caught(SpeechOptions, batch_size=99, device="tpu", speed="fast")
    found = classify(error)
    assert type(found) is ConfigValidationError
    lines = found.message.splitlines()
    assert [line.partition(":")[0] for line in lines] == ["device", "batch_size", "speed"]
    assert lines[0] == "device: choose auto, cpu, cuda or mps (given: 'tpu')"
    assert lines[1] == "batch_size: must be at most 64 (given: 99)"
    assert lines[2] == "speed: there is no such setting"


def test_a_secret_setting_is_never_shown():
    class Settings(SpeechOptions):
        hf_token: int

    found = classify(caught(Settings, hf_token="very-private"))
    assert "very-private" not in str(found)
    assert "hf_token" in found.message


def test_broken_yaml_says_where_but_not_what():
    found = classify(caught(yaml.safe_load, "model_name: base\nhf_token: 'hf_Abc123Def456Ghi"))
    assert type(found) is ConfigError
    assert "line 2" in found.message
    assert "hf_Abc" not in str(found)


def test_ctrl_c_is_a_cancellation():
    found = classify(caught(signal.raise_signal, signal.SIGINT))
    assert type(found) is TaskCancelled
    assert (found.retryable, found.severity) == (False, Severity.LOW)


def test_a_cancelled_coroutine_future_and_run_are_cancellations():
    async def cancelled():
        task = asyncio.ensure_future(asyncio.sleep(60))
        task.cancel()
        await task

    future: concurrent.futures.Future = concurrent.futures.Future()
    future.cancel()
    errors = [
        caught(asyncio.run, cancelled()),
        caught(future.result),
        DagsterExecutionInterruptedError(),
    ]
    assert [type(classify(error)) for error in errors] == [TaskCancelled] * 3


def test_a_result_that_does_not_come_in_time_is_a_timeout():
    errors = [
        caught(concurrent.futures.Future().result, timeout=0),
        caught(asyncio.run, asyncio.wait_for(asyncio.sleep(60), 0)),
        caught(subprocess.run, [sys.executable, "-c", "import time; time.sleep(60)"], timeout=0.01),
    ]
    found = [classify(error) for error in errors]
    assert [type(error) for error in found] == [TaskTimeout] * 3
    assert all(error.retryable for error in found)
