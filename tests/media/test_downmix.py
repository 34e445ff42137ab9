import numpy as np
import pytest

from tests.media.media_files import Sound, tone, write_media
from yivideo_pipeline.errors.tree import UnreadableMedia
from yivideo_pipeline.media.decode import decode_audio
from yivideo_pipeline.media.downmix import ChannelMixer
from yivideo_pipeline.media.probe import probe

RATE = 16_000


@pytest.fixture
def voice():
    """Thirteen seconds that swell and pause like speech, shape (n,)."""
    random = np.random.default_rng(1)
    syllables = np.repeat(random.uniform(0, 1, 65) ** 3, RATE // 5)
    return (0.2 * syllables * random.standard_normal(13 * RATE)).astype(np.float32)


@pytest.fixture
def noise():
    return (0.1 * np.random.default_rng(2).standard_normal(13 * RATE)).astype(np.float32)


def mix(left, right, block=1024):
    """The mono sound as floats, and which channels it is made of."""
    mixer, stereo = ChannelMixer(), np.stack([left, right])
    blocks = [stereo[:, start : start + block] for start in range(0, stereo.shape[1], block)]
    mono = [part for one in blocks for part in mixer.push(one)] + list(mixer.flush())
    return np.concatenate(mono).astype(np.float32) / 32768, mixer.use


def level(samples):
    return float(np.sqrt(np.mean(samples**2)))


def test_channels_that_go_together_are_mixed(voice, noise):
    mono, use = mix(voice, 0.7 * voice + 0.05 * noise)
    assert np.allclose(mono, (1.7 * voice + 0.05 * noise) / 2, atol=1e-4)
    assert (use.mix_s, list(use.warnings())) == (pytest.approx(13), [])


@pytest.mark.parametrize("share", [-1.0, -0.9, -0.75])
def test_of_opposite_channels_the_louder_one_is_taken_and_that_is_said(voice, share):
    mono, use = mix(share * voice, voice)
    louder = voice if share > -0.8 else share * voice
    assert level(mono - louder) < 0.05 * level(voice)
    assert list(use.warnings()) == [
        f"Left and right cancel each other out from 0.0 s on, for {use.cancelled_s:.1f} s:"
        " the louder one is used there"
    ]


def test_only_the_part_with_opposite_channels_is_taken_from_one(voice):
    right = voice.copy()
    right[5 * RATE : 9 * RATE] *= -1
    mono, use = mix(voice, right)
    assert level(mono - voice) < 0.1 * level(voice)
    assert use.cancelled_at_s == 5
    assert (use.mix_s, use.left_s) == pytest.approx((9, 4))


@pytest.mark.parametrize("dead", [0, 1])
@pytest.mark.parametrize("hum", ["nothing", "white", "low", "tone"])
def test_a_dead_or_noisy_channel_is_left_out(voice, noise, dead, hum):
    steady = {
        "nothing": np.zeros_like(voice),
        "white": noise,
        "low": np.cumsum(noise - noise.mean()).astype(np.float32) / 100,
        "tone": tone(13, 50)[0],
    }[hum]
    mono, use = mix(steady, voice) if dead == 0 else mix(voice, steady)
    assert np.allclose(mono, voice, atol=1e-4)
    side, other = ("left", "right") if dead == 0 else ("right", "left")
    assert list(use.warnings()) == [
        f"The {side} channel is silent or holds only steady noise: the {other} one is used"
    ]


def test_the_last_second_is_heard_of_the_channel_that_was_heard_before(voice, noise):
    mono, _ = mix(voice[: 11 * RATE], noise[: 11 * RATE])
    assert np.allclose(mono, voice[: 11 * RATE], atol=1e-4)


def test_two_speakers_of_unlike_level_on_a_channel_each_are_both_heard(voice):
    soft = 0.1 * np.roll(voice[::-1], RATE)
    mono, use = mix(voice, soft)
    assert np.allclose(mono, (voice + soft) / 2, atol=1e-4)
    assert use.mix_s == pytest.approx(13)


def test_silence_on_both_channels_is_no_fault():
    mono, use = mix(np.zeros(13 * RATE, np.float32), np.zeros(13 * RATE, np.float32))
    assert not mono.any()
    assert list(use.warnings()) == []


def test_mono_between_stereo_keeps_its_place(voice):
    mixer = ChannelMixer()
    stereo, mono = np.stack([voice[:1000]] * 2), voice[None, 1000:1500]
    parts = [*mixer.push(stereo), *mixer.push(mono), *mixer.push(stereo), *mixer.flush()]
    heard = np.concatenate(parts) / 32768
    assert np.allclose(heard, np.concatenate([voice[:1500], voice[:1000]]), atol=1e-4)


def test_opposite_channels_of_a_file_are_heard(tmp_path, voice):
    path = write_media(tmp_path / "a.mkv", [Sound(np.stack([voice, -voice]), layout="stereo")])
    decoded = decode_audio(path, tmp_path / "sound.wav", probe(path).audio_streams[0])
    heard = decoded.audio.slice(0, 13)
    assert level(heard[: len(voice)] - voice[: len(heard)]) < 0.05 * level(voice)
    assert decoded.channels.left_s > 10


def test_a_rate_at_which_no_speech_can_be_is_refused_before_it_fills_the_disk(tmp_path):
    path = write_media(tmp_path / "a.wav", [Sound(tone(1, rate_hz=8000))], video_s=None)
    content = bytearray(path.read_bytes())
    content[24:28] = (1).to_bytes(4, "little")
    path.write_bytes(content)
    with pytest.raises(UnreadableMedia, match="a rate of 1 Hz: no speech"):
        decode_audio(path, tmp_path / "sound.wav", probe(path).audio_streams[0])
