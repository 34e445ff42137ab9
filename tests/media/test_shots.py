"""Frame rate and shot changes, found from key frames and sizes of packets."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from tests.media.media_files import Sound, tone, write_media
from yivideo_pipeline.media.shots import look_at_picture

WIDTH, HEIGHT, RATE = 192, 108, 25


def write_shots(path: Path, cuts: list[int], frames: int, options: dict[str, str], stretch: int = 1) -> Path:
    """Write moving pictures that change at the cuts; with `stretch` every tenth frame is shown longer."""
    shots = np.random.default_rng(7).integers(0, 255, (len(cuts) + 1, 40, 60), np.uint8)
    with av.open(path, "w") as file:
        stream = file.add_stream("libx264", rate=RATE)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.options = {"preset": "veryfast", **options}
        stream.codec_context.time_base = Fraction(1, RATE * 10)
        pts = 0
        for number in range(frames):
            shot = np.kron(shots[sum(number >= cut for cut in cuts)], np.ones((8, 8), np.uint8))
            grey = np.roll(shot, number, axis=1)[:HEIGHT, :WIDTH]
            frame = av.VideoFrame.from_ndarray(np.stack([grey] * 3, axis=2), format="rgb24")
            frame.pts, frame.time_base = pts, Fraction(1, RATE * 10)
            pts += 10 * (stretch if number % 10 == 0 else 1)
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return path


@pytest.mark.parametrize(
    "options",
    [
        {},  # key frames where the picture changes
        {"g": "25", "sc_threshold": "0", "bf": "0"},  # key frames at fixed distances
        {"g": "25", "sc_threshold": "0"},  # with pictures that refer to later ones
    ],
    ids=["free", "fixed", "fixed, B-frames"],
)
def test_shot_changes_are_found_to_the_frame_or_two(tmp_path, options):
    cuts = [37, 90, 141, 190]
    picture = look_at_picture(write_shots(tmp_path / "shots.mp4", cuts, 240, options))
    assert picture.frame_rate == RATE
    found = [round(second * RATE) for second in picture.shots_s]
    assert len(found) == len(cuts)
    assert all(0 <= place - cut <= 2 for place, cut in zip(found, cuts, strict=True))


def test_movement_alone_is_no_shot_change(tmp_path):
    video = write_shots(tmp_path / "still.mp4", [], 120, {"g": "25", "sc_threshold": "0"})
    assert look_at_picture(video).shots_s == ()


def test_frames_at_various_distances_have_no_rate_and_no_shots(tmp_path):
    picture = look_at_picture(write_shots(tmp_path / "phone.mp4", [40], 80, {}, stretch=3))
    assert (picture.frame_rate, picture.shots_s) == (None, ())


def test_sound_alone_has_no_picture(tmp_path):
    assert look_at_picture(write_media(tmp_path / "talk.mp4", [Sound(tone(1), codec="aac")], None)) is None
