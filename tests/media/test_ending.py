import struct

import numpy as np
import pytest

from tests.media.media_files import Sound, tone, write_media
from yivideo_pipeline.errors.tree import TruncatedMedia
from yivideo_pipeline.media.decode import decode_audio
from yivideo_pipeline.media.ending import declares_frames, missing_bytes
from yivideo_pipeline.media.probe import probe

ID3V1 = b"TAG" + b"A title".ljust(125, b"\0")


def decode(path):
    return decode_audio(path, path.with_name("sound.wav"), probe(path).audio_streams[0])


def noise(seconds, rate_hz=16_000):
    samples = np.random.default_rng(3).uniform(-0.3, 0.3, (1, seconds * rate_hz))
    return Sound(samples.astype(np.float32), rate_hz)


def without_xing(mp3):
    """The frames of an MP3 file but the first, which says how many there are."""
    tag = max(mp3.find(b"Info"), mp3.find(b"Xing"))
    return mp3[mp3.index(b"\xff\xfb", tag) :]


@pytest.fixture(scope="module")
def mp3(tmp_path_factory):
    sound = Sound(noise(4, 48_000).samples, 48_000, codec="libmp3lame")
    return write_media(tmp_path_factory.mktemp("mp3") / "a.mp3", [sound], None).read_bytes()


@pytest.mark.parametrize(
    ("riff", "data"),
    [(0xFFFFFFFF, 0xFFFFFFFF), (0, 0), (0x7FFFF024, 0x7FFFF000), (None, None)],
    ids=["ffmpeg", "nothing", "sox", "a little off"],
)
def test_a_wav_file_that_was_written_into_a_pipe_is_not_called_cut(tmp_path, riff, data):
    path = write_media(tmp_path / "a.wav", [noise(2)], video_s=None)
    content = bytearray(path.read_bytes())
    at = content.index(b"data") + 4
    content[4:8] = struct.pack("<I", len(content) + 36 if riff is None else riff)
    content[at : at + 4] = struct.pack("<I", len(content) if data is None else data)
    path.write_bytes(content)
    assert decode(path).warnings == ()


def test_an_avi_file_that_lacks_only_its_index_has_all_its_sound(tmp_path):
    path = write_media(tmp_path / "a.avi", [noise(4)], video_s=4.0)
    content = path.read_bytes()
    path.write_bytes(content[: content.rindex(b"idx1") + 100])
    assert decode(path).truncated_at_s is None


def test_an_mp3_file_without_a_count_of_its_frames_is_known_by_its_last_one(tmp_path, mp3):
    path = tmp_path / "a.mp3"
    frames = without_xing(mp3)
    path.write_bytes(frames[: len(frames) // 2 + 7])
    assert decode(path).truncated_at_s == pytest.approx(2, abs=0.1)
    for whole in (frames, frames + ID3V1, mp3, mp3 + ID3V1):
        path.write_bytes(whole)
        assert decode(path).truncated_at_s is None


def test_the_count_of_frames_is_found_behind_a_picture_of_the_cover(tmp_path, mp3):
    path = tmp_path / "a.mp3"
    cover = 300_000
    size = bytes(cover >> shift & 0x7F for shift in (21, 14, 7, 0))
    path.write_bytes(b"ID3\x03\0\0" + size + b"\0" * cover + mp3[mp3.index(b"\xff\xfb") :])
    assert declares_frames(path)
    path.write_bytes(without_xing(mp3))
    assert not declares_frames(path)


@pytest.mark.parametrize("suffix", [".ts", ".mpg", ".ogg"])
def test_what_stands_behind_the_last_packet_is_no_part_of_one(tmp_path, suffix):
    codec = "flac" if suffix == ".ogg" else "mp2"
    sound = Sound(noise(2, 48_000).samples, 48_000, codec=codec)
    path = write_media(tmp_path / f"a{suffix}", [sound], None if suffix == ".ogg" else 2.0)
    whole = path.read_bytes()
    assert missing_bytes(path) == 0
    path.write_bytes(whole + b"\0" * 1000)
    assert missing_bytes(path) == 0
    path.write_bytes(whole[: len(whole) // 2 + 5])
    assert 0 < missing_bytes(path) < 70_000


def test_a_fragmented_mp4_file_is_cut_where_its_last_box_does_not_end(tmp_path):
    path = write_media(tmp_path / "a.mp4", [Sound(tone(4), codec="aac")], video_s=4.0)
    content = path.read_bytes()
    path.write_bytes(content + struct.pack(">I4s", 50_000, b"moof") + b"\0" * 100)
    assert missing_bytes(path) == 50_000 - 108
    path.write_bytes(content + b"\0" * 100)
    assert missing_bytes(path) == 0


def test_a_file_whose_index_is_in_the_missing_end_is_said_to_break_off(tmp_path):
    sound = Sound(noise(4, 48_000).samples, 48_000, codec="alac")
    path = write_media(tmp_path / "a.caf", [sound], video_s=None)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(TruncatedMedia, match="breaks off before anything can be read"):
        probe(path)
