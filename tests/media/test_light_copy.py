"""A light copy plays where its source does not: H.264 and AAC, upright, and in time with the transcript."""

from fractions import Fraction

import av
import numpy as np
import pytest

from yivideo_pipeline.errors.tree import UnreadableMedia
from yivideo_pipeline.media.audio import write_wav
from yivideo_pipeline.media.light_copy import write_light_copy
from yivideo_pipeline.media.probe import probe


def make_video(path, width: int, height: int, turned: int = 0) -> None:
    """Frames whose left half is white and whose right half is black, ten a second, as MPEG-4 part 2."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[:, : width // 2] = 255
    with av.open(str(path), "w") as target:
        stream = target.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        if turned:
            stream.set_display_rotation(turned)
        for number in range(20):
            frame = av.VideoFrame.from_ndarray(pixels, "rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 10)
            target.mux(stream.encode(frame))
        target.mux(stream.encode(None))


@pytest.fixture
def sound(tmp_path):
    return write_wav(tmp_path / "audio.wav", np.zeros(2 * 16_000, np.int16), 0.5)


def test_the_copy_is_small_and_in_time(tmp_path, sound):
    make_video(tmp_path / "odd.mkv", 1280, 720)
    told = []
    write_light_copy(tmp_path / "odd.mkv", sound, tmp_path / "copy.mp4", told.append)
    info = probe(tmp_path / "copy.mp4")
    picture, voice = (next(s for s in info.streams if s.kind == kind) for kind in ("video", "audio"))
    assert (picture.codec, picture.height, picture.width) == ("h264", 480, 852)
    assert (voice.codec, voice.start_s) == ("aac", pytest.approx(0.5, abs=0.1))
    assert (picture.start_s, picture.duration_s) == (pytest.approx(0, abs=0.05), pytest.approx(2, abs=0.2))
    assert told == sorted(told)
    assert told[-1] > 0.8


def test_what_a_phone_has_turned_is_upright(tmp_path, sound):
    make_video(tmp_path / "phone.mp4", 320, 180, turned=90)
    write_light_copy(tmp_path / "phone.mp4", sound, tmp_path / "copy.mp4")
    with av.open(str(tmp_path / "phone.mp4")) as source, av.open(str(tmp_path / "copy.mp4")) as copy:
        degrees = next(source.decode(video=0)).rotation  # counter-clockwise
        pixels = next(copy.decode(video=0)).to_ndarray(format="gray")
    assert (abs(degrees), pixels.shape) == (90, (320, 180))
    top_is_white = pixels[:100].mean() > 200
    assert top_is_white == (degrees == -90)  # the white half was left


def test_a_file_without_a_picture_is_refused(tmp_path, sound):
    with pytest.raises(UnreadableMedia):
        write_light_copy(sound.path, sound, tmp_path / "copy.mp4")
