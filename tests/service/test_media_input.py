"""WAV files as clients send them: nothing but their samples is heard."""

import struct

import numpy as np
import pytest

from yivideo_pipeline.media.audio import wav_header
from yivideo_pipeline.service.dependencies import MediaInput
from yivideo_pipeline.settings.options import SpeechOptions

SAMPLES = (8000 * np.sin(np.arange(16_000) / 20)).astype("<i2")
TEXT = struct.pack("<4sI8sI", b"LIST", 800, b"INFOISFT", 788) + bytes(range(197)) * 4
UNKNOWN_SIZES = (0xFFFFFFFF, 0x7FFFFFFF)


def with_sizes(riff: int, data: int) -> bytes:
    header = bytearray(wav_header(0))
    header[4:8], header[40:44] = struct.pack("<I", riff), struct.pack("<I", data)
    return bytes(header)


def open_file(folder, content: bytes) -> tuple[np.ndarray, bool]:
    """The samples that are heard, and whether they are read from the file itself."""
    path = folder / "sent"
    path.write_bytes(content)
    with MediaInput(folder / "tmp", max_duration_s=60).open_audio(path, 0.0, SpeechOptions()) as audio:
        return np.array(audio.samples), audio.path == path


def test_a_file_as_the_pipeline_writes_it_is_read_in_place(tmp_path):
    heard, is_in_place = open_file(tmp_path, wav_header(len(SAMPLES)) + SAMPLES.tobytes())
    assert is_in_place
    assert np.array_equal(heard, SAMPLES)


@pytest.mark.parametrize("end", [b"\x01", b"\x01\x00"], ids=["odd", "odd and padded"])
def test_a_file_that_ends_within_a_sample_is_heard_up_to_there(tmp_path, end):
    size = SAMPLES.nbytes + 1
    heard, _ = open_file(tmp_path, with_sizes(size + 36, size) + SAMPLES.tobytes() + end)
    assert np.array_equal(heard, SAMPLES)


def test_a_chunk_behind_the_samples_is_not_heard(tmp_path):
    header = with_sizes(SAMPLES.nbytes + 36 + len(TEXT), SAMPLES.nbytes)
    heard, _ = open_file(tmp_path, header + SAMPLES.tobytes() + TEXT)
    assert np.array_equal(heard, SAMPLES)


@pytest.mark.parametrize("size", UNKNOWN_SIZES)
def test_a_file_from_a_pipe_whose_header_does_not_know_its_size_is_heard_whole(tmp_path, size):
    heard, _ = open_file(tmp_path, with_sizes(size, size) + SAMPLES.tobytes())
    assert np.array_equal(heard, SAMPLES)
