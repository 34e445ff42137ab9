"""Makes the two sample videos of data/samples: a drawn picture, a voice by flite, and when it says each word.

Needs Debian's `flite` on PATH; everything else is PyAV and numpy. Run from the repository's root:

    .venv/bin/python scripts/make_samples.py
"""

import json
import subprocess
import tempfile
import wave
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np

FOLDER = Path(__file__).parent.parent / "data" / "samples"
VOICE_RATE_HZ = 16_000
PAUSE = "pau"
WIDTH, HEIGHT, FRAMES_PER_SECOND = 320, 180, 10
HORIZON = 105


@dataclass(frozen=True)
class Sample:
    """One video: sentences, each after a pause in seconds, and the silence at the end."""

    name: str
    sky: tuple[tuple[int, int, int], tuple[int, int, int]]
    lines: tuple[tuple[float, str], ...]
    last_pause_s: float


SAMPLES = (
    Sample(
        name="harbour-15s.mp4",
        sky=((255, 196, 140), (90, 130, 190)),
        lines=(
            (0.5, "Good morning, and welcome to the old town."),
            (0.6, "The fishing boats came home an hour ago, and the market is already open."),
            (0.7, "If you want fresh fish, you should come before noon."),
            (0.6, "After that, only the empty baskets are left."),
        ),
        last_pause_s=0.7,
    ),
    Sample(
        name="lighthouse-60s.mkv",
        sky=((70, 60, 110), (20, 24, 60)),
        lines=(
            (1.0, "This is the story of a small lighthouse by the sea."),
            (0.5, "It was built by hand, more than a hundred years ago."),
            (1.5, "For most of that time, one family looked after the lamp."),
            (0.7, "Every evening, the keeper climbed the stairs, cleaned the glass, and lit the flame."),
            (3.0, "One winter, a great storm came over the water."),
            (0.5, "The wind broke the windows, and the light went out."),
            (9.0, "When the storm was over, the whole village came to repair it."),
            (0.8, "They carried new glass up the hill, and by night the lamp was burning again."),
            (2.0, "Today the light is electric, and nobody has to climb the stairs."),
            (1.2, "But on the first day of winter, the people still walk up the hill."),
            (0.6, "They bring warm bread and hot tea, and they remember."),
        ),
        last_pause_s=1.5,
    ),
)


def speak(text: str, folder: Path) -> np.ndarray:
    """Let flite say a sentence; int16 samples at 16 kHz."""
    path = folder / "line.wav"
    subprocess.run(["flite", "-voice", "slt", "-t", text, "-o", str(path)], check=True)
    with wave.open(str(path)) as file:
        assert file.getframerate() == VOICE_RATE_HZ
        return np.frombuffer(file.readframes(file.getnframes()), np.int16)


def say_all(sample: Sample, folder: Path) -> np.ndarray:
    """Join the sentences and their pauses."""
    parts = []
    for pause_s, text in sample.lines:
        parts += [silence(pause_s), speak(text, folder)]
    return np.concatenate([*parts, silence(sample.last_pause_s)])


def time_words(sample: Sample, folder: Path) -> list[tuple[str, float, float]]:
    """Return each word with its start and end in seconds, from the durations that flite gives its phones."""
    words, at_s = [], 0.0
    for pause_s, text in sample.lines:
        at_s += pause_s
        ends = time_phones(text)
        times = [
            (before, end) for (_, before), (phone, end) in pairwise([("", 0.0), *ends]) if phone != PAUSE
        ]
        for word in text.split():
            count = sum(phone != PAUSE for phone, _ in time_phones(word))
            own, times = times[:count], times[count:]
            words.append((word, round(at_s + own[0][0], 3), round(at_s + own[-1][1], 3)))
        if times:
            raise ValueError(f"flite says other phones in {text!r} than in its words alone")
        at_s += len(speak(text, folder)) / VOICE_RATE_HZ
    return words


def time_phones(text: str) -> list[tuple[str, float]]:
    """Return each phone that flite says with its end in seconds."""
    command = ["flite", "-voice", "slt", "-psdur", "-t", text, "-o", "none"]
    found = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    return [(phone, float(end)) for phone, _, end in (one.partition(":") for one in found)]


def silence(seconds: float) -> np.ndarray:
    return np.zeros(round(seconds * VOICE_RATE_HZ), np.int16)


def draw(sample: Sample, seconds: float, whole_s: float) -> np.ndarray:
    """Draw a sea with a boat crossing it under the sun; a bar shows how far the video is."""
    done = seconds / whole_s
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
    low, high = (np.array(colour, np.float32) for colour in sample.sky)
    picture = high + (low - high) * np.clip(y / HORIZON, 0, 1)[..., None]
    picture[np.hypot(x - 240, y - 60) < 22] = (255, 232, 170)
    swell = HORIZON + 3 * np.sin(x / 26 + seconds * 1.5)
    depth = np.clip((y - HORIZON) / (HEIGHT - HORIZON), 0, 1)[..., None]
    water = np.array((40, 96, 130), np.float32) * (1 - 0.5 * depth)
    picture = np.where((y > swell)[..., None], water, picture)
    draw_boat(picture, x, y, 30 + done * 250, HORIZON + 3 * np.sin(seconds * 1.5))
    picture[HEIGHT - 8 : HEIGHT - 4, 10 : 10 + round(done * (WIDTH - 20))] = (240, 240, 240)
    return picture.astype(np.uint8)


def draw_boat(picture: np.ndarray, x: np.ndarray, y: np.ndarray, left: float, top: float) -> None:
    """Paint a hull, a mast and a sail with its bow at `left` + 22."""
    depth = y - top
    picture[(depth >= 0) & (depth < 9) & (np.abs(x - left) < 22 - depth)] = (120, 52, 40)
    picture[(depth >= -36) & (depth < 0) & (np.abs(x - left) < 1)] = (70, 50, 40)
    picture[(depth >= -34) & (depth < -4) & (x > left + 2) & (x < left + 2 + (depth + 34) * 0.6)] = (
        245,
        240,
        228,
    )


def film(sample: Sample, voice: np.ndarray) -> None:
    """Write picture and voice as H.264 and AAC."""
    with av.open(FOLDER / sample.name, "w") as container:
        picture = container.add_stream(
            "libx264", rate=FRAMES_PER_SECOND, options={"crf": "30", "preset": "veryslow", "g": "50"}
        )
        picture.width, picture.height, picture.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        sound = container.add_stream("aac", rate=VOICE_RATE_HZ, layout="mono")
        sound.bit_rate = 40_000
        sound.metadata["language"] = "eng"
        frames = draw_all(sample, len(voice) / VOICE_RATE_HZ)
        packets = [packet for frame in frames for packet in picture.encode(frame)]
        packets += [*picture.encode(None), *sound.encode(as_frame(voice)), *sound.encode(None)]
        for packet in sorted(packets, key=starts_at):
            container.mux(packet)


def starts_at(packet: av.Packet) -> Fraction:
    assert packet.dts is not None
    return packet.dts * packet.time_base


def draw_all(sample: Sample, whole_s: float) -> Iterator[av.VideoFrame]:
    for number in range(round(whole_s * FRAMES_PER_SECOND)):
        frame = av.VideoFrame.from_ndarray(draw(sample, number / FRAMES_PER_SECOND, whole_s), format="rgb24")
        frame.pts, frame.time_base = number, Fraction(1, FRAMES_PER_SECOND)
        yield frame


def as_frame(voice: np.ndarray) -> av.AudioFrame:
    frame = av.AudioFrame.from_ndarray(voice[None], format="s16", layout="mono")
    frame.sample_rate, frame.pts, frame.time_base = VOICE_RATE_HZ, 0, Fraction(1, VOICE_RATE_HZ)
    return frame


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    for sample in SAMPLES:
        with tempfile.TemporaryDirectory() as folder:
            voice = say_all(sample, Path(folder))
            words = time_words(sample, Path(folder))
        film(sample, voice)
        text = "\n".join(line for _, line in sample.lines) + "\n"
        (FOLDER / sample.name).with_suffix(".txt").write_text(text)
        (FOLDER / sample.name).with_suffix(".words.json").write_text(json.dumps(words) + "\n")
        print(f"{sample.name}: {len(voice) / VOICE_RATE_HZ:.1f} s")


if __name__ == "__main__":
    main()
