import hashlib
from pathlib import Path

import numpy as np
import pytest
from av.stream import Disposition

from tests.media.media_files import Sound, tone, write_media
from yivideo_pipeline.errors.tree import ConfigValidationError, NoAudioStream
from yivideo_pipeline.media.probe import (
    SIDE_FLAGS,
    MediaInfo,
    StreamInfo,
    choose_audio_stream,
    content_hash,
    describe_tracks,
    plausible_duration_s,
    probe,
)

SAMPLES = Path(__file__).parents[2] / "data" / "samples"


def audio(index, **fields):
    return StreamInfo(index=index, kind="audio", codec=fields.pop("codec", "aac"), **fields)


def choose(streams, language="auto", track="auto"):
    info = MediaInfo(container="mkv", duration_s=1, size_bytes=1, bit_rate=None, streams=tuple(streams))
    return choose_audio_stream(info, language, track).index


def test_the_streams_of_a_video_are_described(tmp_path):
    sounds = [
        Sound(tone(2, rate_hz=48_000).repeat(6, axis=0), 48_000, "5.1", "ac3", language="eng"),
        Sound(tone(2), language="fra", title="Director", disposition=Disposition.comment, start_s=0.5),
    ]
    path = write_media(tmp_path / "a.mkv", sounds, video_s=3.0)
    info = probe(path)
    assert info.container == "matroska,webm"
    assert info.duration_s == pytest.approx(3.0, abs=0.1)
    assert info.size_bytes == path.stat().st_size
    assert info.warnings == ()
    picture, first, second = info.streams
    assert info.video_stream == picture
    assert (picture.codec, picture.width, picture.height, picture.frame_rate) == ("mpeg4", 64, 48, 10.0)
    assert info.audio_streams == (first, second)
    assert (first.codec, first.channels, first.channel_layout) == ("ac3", 6, "5.1(side)")
    assert (first.sample_rate_hz, first.language) == (48_000, "eng")
    assert (first.default, first.comment) == (True, False)
    assert (second.title, second.comment, second.default) == ("Director", True, False)
    assert second.start_s == pytest.approx(0.5, abs=0.01)


def test_a_description_for_the_blind_counts_as_a_comment(tmp_path):
    path = write_media(tmp_path / "a.mkv", [Sound(tone(1), disposition=Disposition.visual_impaired)])
    assert probe(path).audio_streams[0].comment


def test_an_audio_file_has_no_video_stream(tmp_path):
    info = probe(write_media(tmp_path / "a.wav", [Sound(tone(1))], video_s=None))
    assert info.video_stream is None
    assert len(info.audio_streams) == 1


def test_stream_times_count_from_the_start_of_the_presentation(tmp_path):
    """An MPEG transport stream's clock starts at 1.4 s or anywhere else."""
    info = probe(write_media(tmp_path / "a.ts", [Sound(tone(2, rate_hz=48_000), 48_000, codec="mp2")]))
    assert min(stream.start_s for stream in info.streams) == pytest.approx(0, abs=1e-3)


@pytest.mark.parametrize(
    ("name", "container", "duration_s"),
    [("harbour-15s.mp4", "mov,mp4,m4a,3gp,3g2,mj2", 16.8), ("lighthouse-60s.mkv", "matroska,webm", 62.0)],
)
def test_the_samples_are_whole_and_say_their_language(name, container, duration_s):
    info = probe(SAMPLES / name)
    assert info.container == container
    assert info.duration_s == pytest.approx(duration_s, abs=0.1)
    assert [stream.language for stream in info.audio_streams] == ["eng"]
    assert info.warnings == ()


def test_the_wanted_language_goes_before_the_default_flag():
    assert choose([audio(0, language="eng", default=True), audio(1, language="chi")], "zh") == 1


def test_the_default_flag_goes_before_the_number_of_channels():
    assert choose([audio(0, channels=6), audio(1, channels=2, default=True)]) == 1


def test_the_number_of_channels_goes_before_the_order():
    assert choose([audio(0, channels=2), audio(1, channels=6), audio(2, channels=6)]) == 1


def test_a_language_that_no_stream_has_leaves_the_choice_to_the_flags():
    assert choose([audio(0, language="eng"), audio(1, language="fra", default=True)], "de") == 1


def test_no_preference_ignores_languages():
    assert choose([audio(0, language="auto"), audio(1, default=True)], "auto") == 1


def test_a_commentary_comes_last_even_in_the_wanted_language():
    by_flag = audio(0, language="eng", comment=True, default=True, channels=6)
    by_title = audio(1, language="eng", title="Director's Commentary", default=True)
    assert choose([by_flag, by_title, audio(2, language="fra")], "en") == 2


def test_a_commentary_alone_is_chosen():
    assert choose([audio(3, comment=True)]) == 3


@pytest.mark.parametrize("title", ["Audio Description", "Director's Comments", "Audiodeskription"])
def test_a_side_track_that_comes_first_without_a_flag_is_not_taken(tmp_path, title):
    sounds = [Sound(tone(1), title=title, disposition=Disposition(0)), Sound(tone(1), title="Stereo")]
    info = probe(write_media(tmp_path / "a.mkv", sounds))
    assert choose_audio_stream(info, "auto").title == "Stereo"


@pytest.mark.parametrize(
    "flag",
    [Disposition.visual_impaired, Disposition.comment, Disposition.descriptions],
)
def test_a_flag_that_tells_of_other_sound_counts_as_a_title_does(flag):
    assert flag & SIDE_FLAGS
    assert choose([audio(0, comment=True), audio(1)]) == 1


def test_the_handlers_name_is_the_title_of_a_track_of_mp4(tmp_path):
    path = write_media(tmp_path / "a.mp4", [Sound(tone(1), codec="aac"), Sound(tone(1), codec="aac")])
    content = path.read_bytes()
    path.write_bytes(content.replace(b"SoundHandler\0", b"Commentaire\0\0", 1))
    info = probe(path)
    assert [stream.title for stream in info.audio_streams] == ["Commentaire", None]
    assert choose_audio_stream(info, "auto").index == info.audio_streams[1].index


TRACKS = [
    audio(1, language="eng"),
    audio(2, language="jpn", title="Main"),
    audio(4, language="jpn", comment=True),
]


@pytest.mark.parametrize(("asked", "index"), [("1", 1), ("3", 4), ("ja", 2), ("en", 1), ("auto", 1)])
def test_the_track_that_is_asked_for_is_taken(asked, index):
    assert choose(TRACKS, "auto", asked) == index


@pytest.mark.parametrize(("asked", "said"), [("4", "no audio track 4"), ("de", "no audio track in de")])
def test_a_track_that_is_asked_for_and_missing_is_reported_with_those_that_there_are(asked, said):
    with pytest.raises(ConfigValidationError, match=said) as raised:
        choose(TRACKS, "auto", asked)
    assert raised.value.hint == (
        "The file has 1 (eng); 2 (jpn, 'Main'); 3 (jpn, flagged as a commentary or description)"
    )


def test_which_of_several_tracks_was_taken_is_told():
    info = MediaInfo(container="mkv", duration_s=1, size_bytes=1, bit_rate=None, streams=tuple(TRACKS))
    assert describe_tracks(info, TRACKS[1]) == (
        "Audio track 2 (jpn, 'Main') is taken; there is also 1 (eng);"
        " 3 (jpn, flagged as a commentary or description)"
    )
    alone = MediaInfo(container="mkv", duration_s=1, size_bytes=1, bit_rate=None, streams=(TRACKS[0],))
    assert describe_tracks(alone, TRACKS[0]) is None


def test_a_length_that_no_file_of_its_size_can_have_is_ignored_and_said(tmp_path):
    path = write_media(tmp_path / "a.flac", [Sound(tone(1), codec="flac")], video_s=None)
    content = bytearray(path.read_bytes())
    content[21] |= 0x0F  # the 36 bits of the number of samples, in STREAMINFO
    content[22:26] = b"\xff" * 4
    path.write_bytes(content)
    info = probe(path)
    assert info.duration_s is None
    assert info.warnings == (
        f"The header says 1,193 hours, which {len(content):,} bytes can't hold: that is ignored",
    )
    assert plausible_duration_s(40 * 3600, 5_000_000) == 40 * 3600


def test_a_stream_without_a_decoder_is_chosen_only_if_there_is_no_other():
    assert choose([audio(0, codec="unknown", default=True), audio(1)]) == 1
    assert choose([audio(0, codec="unknown")]) == 0


def test_a_video_without_sound_is_reported():
    with pytest.raises(NoAudioStream, match="no audio track"):
        choose([StreamInfo(index=0, kind="video", codec="h264")])


@pytest.mark.parametrize("size", [0, 1, 4 * 1024 * 1024, 9_000_001])
def test_the_content_hash_is_sha_256_of_the_whole_file(tmp_path, size):
    content = np.random.default_rng(5).integers(0, 256, size, np.uint8).tobytes()
    path = tmp_path / "a.bin"
    path.write_bytes(content)
    reported = []
    assert content_hash(path, reported.append) == hashlib.sha256(content).hexdigest()
    assert reported == sorted(reported)
    assert reported[-1:] == ([1.0] if size else [])
