import subprocess
import sys
import textwrap
import wave

import av
import numpy as np
import pytest

from tests.media.media_files import (
    Sound,
    beeps,
    cut,
    damage,
    declare_flv_duration,
    onsets_s,
    set_bit_of_mkv_stamp,
    set_bit_of_ts_stamp,
    tone,
    write_media,
    write_silence,
)
from yivideo_pipeline.errors.tree import TruncatedMedia, UnreadableMedia
from yivideo_pipeline.media.decode import decode_audio
from yivideo_pipeline.media.probe import probe


def decode(path, **options):
    return decode_audio(path, path.with_name("sound.wav"), probe(path).audio_streams[0], **options)


def loudness(samples):
    return float(np.sqrt(np.mean((samples.astype(np.float64) / 32768) ** 2)))


@pytest.mark.parametrize(
    ("suffix", "codec", "rate_hz", "layout", "channels"),
    [
        (".wav", "pcm_u8", 8_000, "mono", 1),
        (".mkv", "pcm_f32le", 48_000, "stereo", 2),
        (".mp4", "aac", 44_100, "stereo", 2),
        (".mkv", "flac", 48_000, "5.1", 6),
        (".ts", "mp2", 48_000, "stereo", 2),
        (".avi", "pcm_mulaw", 22_050, "mono", 1),
        (".flv", "aac", 44_100, "stereo", 2),
        (".webm", "libopus", 48_000, "7.1", 8),
    ],
)
def test_any_container_codec_rate_and_layout_becomes_16_khz_mono(
    tmp_path, suffix, codec, rate_hz, layout, channels
):
    samples = np.repeat(beeps(3, [0.5, 2.0], rate_hz), channels, axis=0)
    with_picture = suffix not in (".wav", ".webm")
    path = write_media(
        tmp_path / f"clip{suffix}",
        [Sound(samples, rate_hz, layout, codec)],
        video_s=3.0 if with_picture else None,
    )
    decoded = decode(path)
    with wave.open(str(decoded.audio.path)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (16_000, 1, 2)
        assert file.getnframes() == len(decoded.audio.samples)
    assert decoded.audio.duration_s == pytest.approx(3, abs=0.1)
    onsets = [decoded.audio.offset_s + second for second in onsets_s(decoded.audio.samples)]
    assert onsets == pytest.approx([0.5, 2.0], abs=0.03)
    assert decoded.warnings == ()


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts"])
def test_sound_that_starts_two_seconds_late_is_placed_late(tmp_path, suffix):
    codec = "aac" if suffix == ".mp4" else "mp2"
    sound = Sound(beeps(3, [1.0], 48_000), 48_000, codec=codec, start_s=2.0)
    decoded = decode(write_media(tmp_path / f"late{suffix}", [sound], video_s=5.0))
    assert decoded.audio.offset_s == pytest.approx(2.0, abs=0.03)
    assert decoded.audio.offset_s + onsets_s(decoded.audio.samples)[0] == pytest.approx(3.0, abs=0.03)


def test_sound_of_an_mp4_without_delay_starts_at_zero_despite_the_priming_of_aac(tmp_path):
    path = write_media(tmp_path / "a.mp4", [Sound(beeps(2, [1.0], 48_000), 48_000, codec="aac")], video_s=2.0)
    decoded = decode(path)
    assert decoded.audio.offset_s == pytest.approx(0, abs=1e-6)
    assert onsets_s(decoded.audio.samples) == pytest.approx([1.0], abs=0.005)


def test_missing_packets_become_silence_so_that_later_sound_stays_in_time(tmp_path):
    sound = Sound(beeps(4, [0.5, 3.0]), gaps=((1.0, 2.5), (2.0, 0.75)))
    decoded = decode(write_media(tmp_path / "gap.mkv", [sound], video_s=8.0))
    assert onsets_s(decoded.audio.samples) == pytest.approx([0.5, 3.0 + 2.5 + 0.75], abs=0.002)
    assert decoded.audio.duration_s == pytest.approx(4 + 2.5 + 0.75, abs=0.01)
    assert decoded.warnings == (
        "The sound is damaged or missing in places from 1.0 s on and replaced by silence",
    )


def test_overlapping_packets_are_written_over_each_other(tmp_path):
    sound = Sound(beeps(4, [0.5, 3.0]), gaps=((1.0, -0.5),))
    decoded = decode(write_media(tmp_path / "overlap.nut", [sound], video_s=None))
    assert onsets_s(decoded.audio.samples) == pytest.approx([0.5, 2.5], abs=0.002)


def test_a_clock_that_was_reset_leaves_no_hole_and_is_reported(tmp_path):
    sound = Sound(beeps(4, [0.5, 3.0], 48_000), 48_000, gaps=((2.0, 20_000.0),), codec="mp2")
    path = write_media(tmp_path / "reset.mpg", [sound], video_s=None)
    decoded = decode(path)
    assert onsets_s(decoded.audio.samples) == pytest.approx([0.5, 3.0], abs=0.03)
    assert decoded.audio.duration_s == pytest.approx(4, abs=0.1)
    assert "clock of the audio jumps at 2.0 s" in decoded.warnings[0]


@pytest.mark.parametrize("packet", [0, 60, -1])
@pytest.mark.parametrize("bit", [13, 16, 24, 31])
def test_one_wrong_bit_in_one_timestamp_of_a_transport_stream_moves_nothing(tmp_path, packet, bit):
    sound = Sound(beeps(4, [0.5, 3.0], 48_000), 48_000, codec="mp2")
    path = write_media(tmp_path / "a.ts", [sound], video_s=4.0)
    set_bit_of_ts_stamp(path, packet, bit)
    decoded = decode(path)
    onsets = [decoded.audio.offset_s + second for second in onsets_s(decoded.audio.samples)]
    assert onsets == pytest.approx([0.5, 3.0], abs=0.1)
    assert decoded.audio.duration_s < 4.2
    assert decoded.silence_s == 0


@pytest.mark.parametrize("packets", [slice(1), slice(60, 61), slice(-2, -1)])
@pytest.mark.parametrize("bit", [10, 12, 15])
def test_one_wrong_bit_in_one_timestamp_of_matroska_moves_nothing(tmp_path, packets, bit):
    sound = Sound(beeps(4, [0.5, 3.0], 48_000), 48_000, codec="libopus")
    path = write_media(tmp_path / "a.mkv", [sound], video_s=4.0)
    set_bit_of_mkv_stamp(path, packets, bit)
    decoded = decode(path)
    onsets = [decoded.audio.offset_s + second for second in onsets_s(decoded.audio.samples)]
    assert onsets == pytest.approx([0.5, 3.0], abs=0.1)
    assert decoded.audio.duration_s < 4.2


def test_a_wrong_timestamp_is_told_with_its_second(tmp_path):
    path = write_media(tmp_path / "a.mkv", [Sound(tone(4))], video_s=4.0)
    set_bit_of_mkv_stamp(path, slice(30, 31), 12)
    decoded = decode(path)
    assert decoded.warnings == ("Wrong timestamps were ignored, the first at 1.9 s",)
    assert [(one.action, round(one.jump_s, 2)) for one in decoded.repairs] == [("ignored", 4.1)]


def test_a_header_that_is_too_short_does_not_close_a_gap(tmp_path):
    sound = Sound(beeps(4, [0.5, 3.0], 44_100), 44_100, codec="aac", gaps=((1.5, 10.0),))
    path = write_media(tmp_path / "a.flv", [sound], video_s=None)
    declare_flv_duration(path, 1.2)
    decoded = decode(path)
    onsets = [decoded.audio.offset_s + second for second in onsets_s(decoded.audio.samples)]
    assert onsets == pytest.approx([0.5, 13.0], abs=0.05)
    assert decoded.silence_s == pytest.approx(10, abs=0.05)


def test_a_jump_of_the_sound_alone_is_not_believed_against_the_picture(tmp_path):
    path = write_media(tmp_path / "a.mkv", [Sound(beeps(8, [0.5, 7.0]))], video_s=8.0)
    set_bit_of_mkv_stamp(path, slice(63, None), 13)
    decoded = decode(path)
    assert onsets_s(decoded.audio.samples) == pytest.approx([0.5, 7.0], abs=0.05)
    assert decoded.warnings == ("The clock of the audio jumps at 4.0 s: later times may be off",)


@pytest.mark.parametrize(
    ("suffix", "codec", "parts"),
    [
        (".aac", "aac", [(44_100, 2), (22_050, 1), (48_000, 1)]),
        (".mp3", "libmp3lame", [(22_050, 1), (48_000, 2)]),
        (".ts", "aac", [(48_000, 2), (24_000, 1)]),
        (".ogg", "flac", [(44_100, 1), (22_050, 2)]),
    ],
)
def test_rate_and_channels_may_change_in_the_middle_of_a_file(tmp_path, suffix, codec, parts):
    content = b""
    for rate_hz, channels in parts:
        samples = beeps(3, [0.5, 2.5], rate_hz).repeat(channels, axis=0)
        sound = Sound(samples, rate_hz, ("mono", "stereo")[channels - 1], codec)
        content += write_media(tmp_path / f"part{suffix}", [sound], video_s=None).read_bytes()
    path = tmp_path / f"a{suffix}"
    path.write_bytes(content)
    decoded = decode(path)
    expected = [3 * part + second for part in range(len(parts)) for second in (0.5, 2.5)]
    assert onsets_s(decoded.audio.samples) == pytest.approx(expected, abs=0.2)


def test_a_voice_in_the_centre_of_5_1_keeps_its_level(tmp_path):
    samples = np.zeros((6, 48_000), np.float32)
    samples[2] = tone(1, rate_hz=48_000, level=0.5)
    decoded = decode(write_media(tmp_path / "a.mkv", [Sound(samples, 48_000, "5.1", "flac")]))
    assert loudness(decoded.audio.samples) == pytest.approx(0.5 / np.sqrt(2), rel=0.02)


def test_sound_in_the_left_and_right_of_5_1_alone_is_audible_as_well(tmp_path):
    samples = np.zeros((6, 48_000), np.float32)
    samples[:2] = tone(1, rate_hz=48_000, level=0.5)
    decoded = decode(write_media(tmp_path / "a.mkv", [Sound(samples, 48_000, "5.1", "flac")]))
    assert loudness(decoded.audio.samples) == pytest.approx(0.5 / np.sqrt(2), rel=0.02)


def test_5_1_at_full_level_does_not_clip(tmp_path):
    samples = np.repeat(tone(1, rate_hz=48_000, level=1.0), 6, axis=0)
    decoded = decode(write_media(tmp_path / "a.mkv", [Sound(samples, 48_000, "5.1", "flac")]))
    samples_out = decoded.audio.samples[1600:-1600].astype(np.int32)
    assert np.abs(samples_out).max() < 32_700
    spectrum = np.abs(np.fft.rfft(samples_out * np.hanning(len(samples_out))))
    tone_bin = round(440 * len(samples_out) / 16_000)
    distortion = np.linalg.norm(np.delete(spectrum, np.arange(tone_bin - 5, tone_bin + 6)))
    assert distortion / np.linalg.norm(spectrum) < 0.05


def test_an_audio_track_without_a_sample_gives_an_empty_sound_and_a_warning(tmp_path):
    path = write_media(tmp_path / "a.mkv", [Sound(np.zeros((1, 0), np.float32))], video_s=2.0)
    decoded = decode(path)
    assert len(decoded.audio.samples) == 0
    assert decoded.warnings == ("The audio track has no sound in it: its length is zero",)


def test_damage_in_the_middle_is_skipped_with_one_warning_and_the_rest_stays_in_time(tmp_path):
    sound = Sound(beeps(20, [1.0, 18.0], 48_000), 48_000, codec="flac")
    path = write_media(tmp_path / "a.mkv", [sound], video_s=20.0)
    damage(path, 0.4, 0.5)
    decoded = decode(path)
    assert onsets_s(decoded.audio.samples)[-1] == pytest.approx(18.0, abs=0.05)
    assert onsets_s(decoded.audio.samples)[0] == pytest.approx(1.0, abs=0.05)
    assert len(decoded.warnings) == 1
    assert decoded.warnings[0].startswith("The sound is damaged or missing in places from ")


CONTAINERS = {
    ".mkv": "pcm_s16le",
    ".flac": "flac",
    ".flv": "aac",
    ".wmv": "pcm_s16le",
    ".avi": "pcm_s16le",
    ".wav": "pcm_s16le",
    ".w64": "pcm_s16le",
    ".aiff": "pcm_s16be",
    ".caf": "pcm_s16be",
    ".au": "pcm_s16be",
    ".mp3": "libmp3lame",
    ".ts": "mp2",
    ".m2ts": "ac3",
    ".ogg": "flac",
    ".aac": "aac",
}
SOUND_ALONE = {".flac", ".wav", ".w64", ".aiff", ".caf", ".au", ".mp3", ".ogg", ".aac"}


@pytest.fixture(scope="module", params=CONTAINERS)
def recording(tmp_path_factory, request):
    """Twenty seconds of noise."""
    suffix, codec = request.param, CONTAINERS[request.param]
    rate_hz = 16_000 if codec.startswith(("pcm", "flac")) else 48_000
    noise = np.random.default_rng(3).uniform(-0.5, 0.5, (1, 20 * rate_hz)).astype(np.float32)
    path = tmp_path_factory.mktemp("recording") / f"a{suffix}"
    return write_media(path, [Sound(noise, rate_hz, codec=codec)], None if suffix in SOUND_ALONE else 20.0)


def test_a_whole_file_of_any_container_gives_no_warning(recording):
    decoded = decode(recording)
    assert decoded.audio.duration_s == pytest.approx(20, abs=0.1)
    assert decoded.warnings == ()


def test_of_a_file_that_breaks_off_the_readable_part_is_used_and_the_second_is_reported(recording, tmp_path):
    path = tmp_path / recording.name
    path.write_bytes(recording.read_bytes())
    cut(path, 0.5001)
    decoded = decode(path)
    assert decoded.audio.duration_s == pytest.approx(10, abs=1.0)
    assert decoded.truncated_at_s == pytest.approx(decoded.audio.duration_s, abs=0.5)
    assert decoded.warnings == (
        f"The file breaks off: the sound is missing from {decoded.truncated_at_s:.1f} s on",
    )


def remux(source, target, movflags):
    with av.open(source) as whole, av.open(target, "w", options={"movflags": movflags}) as copy:
        tracks = {stream.index: copy.add_stream_from_template(stream) for stream in whole.streams}
        for packet in whole.demux():
            if packet.dts is not None:
                packet.stream = tracks[packet.stream_index]
                copy.mux(packet)
    return target


def test_an_mp4_whose_index_comes_first_is_used_up_to_where_it_breaks_off(tmp_path):
    whole = write_media(tmp_path / "whole.mp4", [Sound(tone(20), codec="aac")], video_s=20.0)
    path = remux(whole, tmp_path / "a.mp4", "faststart")
    cut(path, 0.6)
    decoded = decode(path)
    assert 5 < decoded.truncated_at_s < 15
    assert decoded.audio.duration_s == pytest.approx(decoded.truncated_at_s, abs=1.5)


@pytest.mark.parametrize("movflags", ["faststart", "frag_keyframe+empty_moov"])
def test_a_whole_mp4_of_any_layout_gives_no_warning(tmp_path, movflags):
    whole = write_media(tmp_path / "whole.mp4", [Sound(tone(20), codec="aac")], video_s=20.0)
    assert decode(remux(whole, tmp_path / "a.mp4", movflags)).warnings == ()


def test_channels_without_a_meaning_are_mixed_or_refused_in_a_clear_line(tmp_path):
    for channels in (3, 32):
        with wave.open(str(tmp_path / f"{channels}.wav"), "wb") as file:
            file.setnchannels(channels)
            file.setsampwidth(2)
            file.setframerate(16_000)
            file.writeframes(np.full((16_000, channels), 1000, np.int16).tobytes())
    assert decode(tmp_path / "3.wav").audio.duration_s == 1
    with pytest.raises(UnreadableMedia, match="can't be mixed to mono: 32 channels at 16000 Hz"):
        decode(tmp_path / "32.wav")


def test_sound_that_ends_before_the_picture_is_no_truncation(tmp_path):
    decoded = decode(write_media(tmp_path / "a.mkv", [Sound(tone(2))], video_s=10.0))
    assert decoded.warnings == ()
    assert decoded.truncated_at_s is None


def test_an_mp4_without_its_index_is_reported_to_break_off(tmp_path):
    path = write_media(tmp_path / "a.mp4", [Sound(tone(5), codec="aac")], video_s=5.0)
    cut(path, 0.7)
    with pytest.raises(TruncatedMedia, match="breaks off before anything can be read"):
        probe(path)


@pytest.mark.parametrize("codec", ["aac", "alac"])
def test_sound_of_which_nothing_can_be_decoded_is_unreadable(tmp_path, codec):
    path = write_media(tmp_path / "a.mov", [Sound(tone(5), codec=codec)], video_s=None)
    stream = probe(path).audio_streams[0]
    content = path.read_bytes()
    start, end = content.index(b"mdat") + 4, content.index(b"moov") - 4
    path.write_bytes(content[:start] + b"\xff" * (end - start) + content[end:])
    with pytest.raises(UnreadableMedia, match="Nothing in the audio can be decoded"):
        decode_audio(path, tmp_path / "sound.wav", stream)


def test_a_file_that_breaks_off_before_its_first_sound_is_truncated(tmp_path):
    late = Sound(tone(2), start_s=18.0)
    path = write_media(tmp_path / "a.mkv", [late], video_s=20.0)
    cut(path, 0.05)
    with pytest.raises(TruncatedMedia, match="before its first sound"):
        decode(path)


def test_progress_rises_to_the_end(tmp_path):
    reported = []
    decode(write_media(tmp_path / "a.mkv", [Sound(tone(30))], video_s=30.0), progress=reported.append)
    assert reported == sorted(reported)
    assert 0 < reported[0] < 0.1
    assert reported[-1] > 0.95
    assert len(reported) <= 200


def test_the_chosen_track_of_several_is_decoded(tmp_path):
    tracks = [Sound(beeps(3, [1.0]), language="eng"), Sound(beeps(3, [2.0]), language="fra")]
    path = write_media(tmp_path / "a.mkv", tracks)
    decoded = decode_audio(path, tmp_path / "sound.wav", probe(path).audio_streams[1])
    assert onsets_s(decoded.audio.samples) == pytest.approx([2.0], abs=0.002)


def test_memory_stays_flat_over_three_quarters_of_an_hour(tmp_path):
    path = write_silence(tmp_path / "long.mkv", 2700)
    script = textwrap.dedent("""
        import resource, sys
        from pathlib import Path
        from yivideo_pipeline.media.decode import decode_audio
        from yivideo_pipeline.media.probe import probe

        source = Path(sys.argv[1])
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        target = source.with_suffix(".wav")
        decode_audio(source, target, probe(source).audio_streams[0])
        print(target.stat().st_size, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
        target.unlink()
    """)
    command = [sys.executable, "-c", script, str(path)]
    answer = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    written_bytes, grown_kb = (int(number) for number in answer.split())
    assert written_bytes > 2700 * 16_000 * 2
    assert grown_kb < 32 * 1024
