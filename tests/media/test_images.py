import io
from fractions import Fraction

import av
import numpy as np
import pytest

from tests.media.media_files import Sound, damage, tone, write_media
from yivideo_pipeline.media.audio import write_wav
from yivideo_pipeline.media.images import peaks, poster_jpeg


def look(jpeg):
    with av.open(io.BytesIO(jpeg), "r", format="jpeg_pipe") as container:
        return next(container.decode(video=0)).to_ndarray(format="gray")


def frame_of(value):
    return np.broadcast_to(np.asarray(value, np.uint8), (48, 64)).copy()


def write_video(path, brightness, pixel_aspect=None, rotation=0):
    """A video of 64 x 48 whose frames have these values, for all or for each column, each a key frame."""
    with av.open(str(path), "w") as output:
        track = output.add_stream("mpeg4", rate=10)
        track.width, track.height, track.pix_fmt, track.codec_context.gop_size = 64, 48, "yuv420p", 1
        if pixel_aspect:
            track.sample_aspect_ratio = pixel_aspect
        if rotation:
            track.set_display_rotation(rotation)
        for number, value in enumerate(brightness):
            frame = av.VideoFrame.from_ndarray(frame_of(value), format="gray")
            frame = frame.reformat(format="yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, 10)
            output.mux(track.encode(frame))
        output.mux(track.encode(None))
    return path


def test_a_poster_shows_the_frame_at_a_tenth_of_the_video_in_the_wanted_width(tmp_path):
    path = write_video(tmp_path / "a.mp4", [60] * 9 + [180] * 11 + [90] * 80)
    picture = look(poster_jpeg(path, width=160))
    assert picture.shape == (120, 160)
    assert picture.mean() == pytest.approx(180, abs=12)


def test_a_poster_skips_a_black_beginning(tmp_path):
    path = write_video(tmp_path / "a.mp4", [0] * 25 + [150] * 75)
    assert look(poster_jpeg(path)).mean() > 120


def test_a_video_that_is_black_throughout_has_a_black_poster(tmp_path):
    assert look(poster_jpeg(write_video(tmp_path / "a.mp4", [0] * 20))).mean() < 20


def test_a_poster_has_the_shape_that_a_player_shows(tmp_path):
    path = write_video(tmp_path / "a.mkv", [120] * 10, pixel_aspect=Fraction(2))
    assert look(poster_jpeg(path, width=320)).shape == (120, 320)


@pytest.mark.parametrize("rotation", [90, -90])
def test_a_portrait_video_of_a_phone_has_an_upright_poster(tmp_path, rotation):
    path = write_video(tmp_path / "a.mp4", [np.linspace(40, 220, 64)] * 10, rotation=rotation)
    picture = look(poster_jpeg(path, width=120))
    assert picture.shape == (160, 120)
    left_of_frame_is_at_the_bottom = picture[-20:].mean() < picture[:20].mean()
    assert left_of_frame_is_at_the_bottom == (rotation == 90)


def test_sound_alone_has_no_poster(tmp_path):
    assert poster_jpeg(write_media(tmp_path / "a.wav", [Sound(tone(1))], video_s=None)) is None


def test_a_video_that_cannot_be_decoded_has_no_poster(tmp_path):
    path = write_media(tmp_path / "a.mp4", [Sound(tone(1), codec="aac")], video_s=1.0)
    content = path.read_bytes()
    start, end = content.index(b"mdat") + 4, content.index(b"moov") - 4
    path.write_bytes(content[:start] + bytes(end - start) + content[end:])
    assert poster_jpeg(path) is None


def test_a_damaged_video_still_has_a_poster(tmp_path):
    path = write_video(tmp_path / "a.mp4", [150] * 100)
    damage(path, 0.05, 0.2)
    assert poster_jpeg(path) is not None


def test_peaks_are_the_lowest_and_highest_sample_of_each_part(tmp_path):
    samples = np.zeros(4000, np.int16)
    samples[500], samples[1500], samples[1501] = 16384, -8192, 8192
    found = peaks(write_wav(tmp_path / "a.wav", samples), 4)
    assert found.dtype == np.float32
    assert found.tolist() == [[0, 0.5], [-0.25, 0.25], [0, 0], [0, 0]]


def test_peaks_cover_every_sample_whatever_the_number_of_parts(tmp_path):
    samples = np.random.default_rng(1).integers(-32768, 32767, 3_000_001).astype(np.int16)
    audio = write_wav(tmp_path / "a.wav", samples)
    for bins in (1, 7, 1000):
        found = peaks(audio, bins)
        assert found.shape == (bins, 2)
        assert (found[:, 0].min() * 32768, found[:, 1].max() * 32768) == (samples.min(), samples.max())


def test_peaks_of_less_sound_than_parts_are_padded_with_zeros(tmp_path):
    found = peaks(write_wav(tmp_path / "a.wav", np.array([100, -100], np.int16)), 8)
    assert found.shape == (8, 2)
    assert np.count_nonzero(found.any(axis=1)) == 2
    assert not peaks(write_wav(tmp_path / "b.wav", np.zeros(0, np.int16)), 8).any()
