"""Hard sounds whose words are known: speech joined with silence, noise and music, softened, cut, clipped.

The speech is the clips of the corpus, where `YIVIDEO_SPEECH_CORPUS` names one, and the project's samples, cut
into sentences. Noise and music are made here, always the same; they hold no words.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import cycle
from pathlib import Path

import numpy as np

from benchmarks.clips import RATE_HZ, load_samples, read_sound
from yivideo_pipeline.comparison.accuracy import CJK
from yivideo_pipeline.comparison.corpus import Clip, TimedWord, load_corpus

SPEECH_LEVEL = 0.08
"""Root mean square of every phrase, full scale 1: all are equally loud until a scene changes that."""
EDGE_S = 1.0
SOFT_DB = (0, -12, -18)
QUIET_DB = -36
CLIPPED_DB = 20
BACKGROUND_DB = -6
"""Noise and music between phrases, against the speech."""


@dataclass(frozen=True, eq=False)
class Phrase:
    """Speech (float64, 16 kHz) and its words; if not `timed`, those share its time by their letters."""

    sound: np.ndarray
    language: str
    words: tuple[TimedWord, ...]
    timed: bool = True

    @property
    def text(self) -> str:
        """The words in a row."""
        return " ".join(word.text for word in self.words)

    def shift(self, seconds: float) -> "Phrase":
        """Return it so much later."""
        words = tuple(TimedWord(w.text, w.start_s + seconds, w.end_s + seconds) for w in self.words)
        return replace(self, words=words)

    def cut(self, start_s: float, end_s: float) -> "Phrase":
        """Return a part; a word belongs to it if most of the word does."""
        inside = [word for word in self.words if start_s <= (word.start_s + word.end_s) / 2 < end_s]
        words = [TimedWord(w.text, max(w.start_s, start_s), min(w.end_s, end_s)) for w in inside]
        sound = self.sound[round(start_s * RATE_HZ) : round(end_s * RATE_HZ)]
        return replace(self, sound=sound, words=tuple(words)).shift(-start_s)


@dataclass(eq=False)
class Scene:
    """One file: its row in the table, its sound, and its phrases at their places in it."""

    row: str
    name: str
    language: str | None = "en"
    phrases: list[Phrase] = field(default_factory=list)
    _parts: list[np.ndarray] = field(default_factory=lambda: [silence(EDGE_S)])

    def add(self, part: Phrase | np.ndarray, level_db: float = 0) -> None:
        """Put speech, or a sound without words, behind what there is."""
        if isinstance(part, Phrase):
            self.phrases.append(part.shift(sum(map(len, self._parts)) / RATE_HZ))
            part = part.sound
        self._parts.append(part * 10 ** (level_db / 20))

    def render(self) -> np.ndarray:
        """Return the sound with silence at its end: int16, 16 kHz mono."""
        sound = np.concatenate([*self._parts, silence(EDGE_S)])
        return np.clip(np.round(sound * 32767), -32768, 32767).astype(np.int16)


def build_scenes(*, multilingual: bool, every: int = 1) -> list[Scene]:
    """Return all scenes.

    Args:
        multilingual: Whether languages other than English are in it, of which only the corpus has sound.
        every: Take each so manieth clip of the corpus alone.
    """
    corpus = _load_named_corpus()
    english = [load_phrase(clip) for clip in corpus if clip.language == "en"][::every]
    spoken = [sentence for clip in load_samples() for sentence in cut_sentences(clip)]
    phrases, others = (
        (english, spoken) if english else (spoken[: len(spoken) // 2], spoken[len(spoken) // 2 :])
    )
    scenes = [
        *_joined(phrases),
        *[_two_voices(phrases, others, level_db) for level_db in SOFT_DB],
        _repeated([*phrases, *others]),
        _cut_in_words(phrases),
        _stretches("whisper-quiet stretches", phrases, QUIET_DB),
        _stretches("clipped stretches", phrases, CLIPPED_DB),
    ]
    foreign = [load_phrase(clip) for clip in corpus if clip.language != "en"]
    if multilingual and foreign:
        scenes.append(_languages(phrases, foreign))
    return [*scenes, *_wordless()]


def _load_named_corpus() -> list[Clip]:
    folder = os.environ.get("YIVIDEO_SPEECH_CORPUS")
    if not folder:
        return []
    world = Path(folder) / "world"
    return load_corpus(Path(folder)) + (load_corpus(world) if world.is_dir() else [])


# The scenes.


def _joined(phrases: Sequence[Phrase]) -> Iterator[Scene]:
    """Yield the clips with something between: 0.2 to 12 s of it, each time another length."""
    for row, kinds in (
        ("silence between", (silence,)),
        ("noise between", (white_noise, brown_noise, hum)),
        ("music between", (chords, drums, sung_vowels)),
    ):
        scene = Scene(row, row.replace(" ", "-"))
        lengths_s = cycle([0.2, 2.0, 5.0, 1.0, 12.0, 3.0, 8.0])
        for phrase, make, length_s in zip(phrases, cycle(kinds), lengths_s, strict=False):
            scene.add(phrase)
            scene.add(make(length_s), BACKGROUND_DB)
        yield scene


def _two_voices(ones: Sequence[Phrase], others: Sequence[Phrase], level_db: float) -> Scene:
    """Two voices in turn, one of them softer: the second in the first half, then the first."""
    scene = Scene(f"two voices, {level_db} dB" if level_db else "two voices", f"voices{-level_db}")
    turns = list(zip(ones, cycle(others), cycle([0.15, 0.4, 0.8]), strict=False))
    for number, (one, other, pause_s) in enumerate(turns):
        is_other_soft = number < len(turns) / 2
        scene.add(one, 0 if is_other_soft else level_db)
        scene.add(silence(pause_s))
        scene.add(other, level_db if is_other_soft else 0)
        scene.add(silence(pause_s))
    return scene


def _repeated(phrases: Sequence[Phrase]) -> Scene:
    """Short sentences, each said three to six times."""
    scene = Scene("repeated sentences", "repeated")
    short = [phrase for phrase in phrases if len(phrase.sound) < 5 * RATE_HZ][:8]
    for phrase, times, pause_s in zip(short, cycle([4, 3, 6, 5]), cycle([0.3, 0.9, 0.1]), strict=False):
        for _ in range(times):
            scene.add(phrase)
            scene.add(silence(pause_s))
        scene.add(silence(1.5))
    return scene


def _cut_in_words(phrases: Sequence[Phrase]) -> Scene:
    """Each phrase begins and ends in the middle of a word, with another phrase right behind it."""
    scene = Scene("cut in mid-word", "cuts")
    for phrase in phrases:
        long = [word for word in phrase.words if word.end_s - word.start_s > 0.25]
        if len(long) < 2:
            continue
        first, last = long[0], long[-1]
        scene.add(phrase.cut(first.start_s * 0.6 + first.end_s * 0.4, last.start_s * 0.4 + last.end_s * 0.6))
    return scene


def _stretches(row: str, phrases: Sequence[Phrase], level_db: float) -> Scene:
    """Every second phrase at another level; one above full scale is clipped."""
    scene = Scene(row, row.partition(" ")[0])
    for phrase, is_changed in zip(phrases, cycle([False, True]), strict=False):
        scene.add(phrase, level_db if is_changed else 0)
        scene.add(silence(0.6))
    return scene


def _languages(english: Sequence[Phrase], foreign: Sequence[Phrase]) -> Scene:
    """English, another language, English again, and so on."""
    scene = Scene("language changes", "languages", language=None)
    for number, phrase in enumerate(foreign):
        for part in (*(english[at % len(english)] for at in (2 * number, 2 * number + 1)), phrase):
            scene.add(part)
            scene.add(silence(0.8))
    return scene


def _wordless() -> Iterator[Scene]:
    """Yield sounds in which nobody says a word."""
    made = (silence, white_noise, brown_noise, hum, chords, drums, sung_vowels)
    for kind in made:
        scene = Scene("no words in it", kind.__name__.replace("_", "-"))
        scene.add(kind(25.0), BACKGROUND_DB)
        yield scene
    real = Path(os.environ.get("YIVIDEO_SPEECH_CORPUS", "")) / "no-speech.mp4"
    if real.is_file():
        scene = Scene("no words in it", "film-music")
        scene.add(_at_speech_level(read_sound(real) / 32768))
        yield scene


# Speech.


def load_phrase(clip: Clip) -> Phrase:
    """Read a clip, as loud as all others."""
    sound = _at_speech_level(read_sound(clip.path) / 32768)
    if clip.words:
        return Phrase(sound, clip.language, clip.words)
    return Phrase(sound, clip.language, tuple(_spread(clip.text, clip.language, sound)), timed=False)


def cut_sentences(clip: Clip) -> Iterator[Phrase]:
    """Cut a sample into its sentences, by the times that its voice gave its words."""
    whole = Phrase(_at_speech_level(read_sound(clip.path) / 32768), clip.language, clip.words)
    first = 0
    for number, word in enumerate(clip.words):
        if word.text.endswith("."):
            yield whole.cut(max(0, clip.words[first].start_s - 0.15), word.end_s + 0.15)
            first = number + 1


def _spread(text: str, language: str, sound: np.ndarray) -> Iterator[TimedWord]:
    """Give each word a share of the time between the first and the last loud moment."""
    loud = np.flatnonzero(np.abs(sound) > SPEECH_LEVEL / 2) / RATE_HZ
    words = [char for char in text if char.isalnum()] if language in CJK else text.split()
    edges = np.cumsum([0, *map(len, words)]) / max(1, sum(map(len, words)))
    times = loud[0] + edges * (loud[-1] - loud[0])
    for word, start, end in zip(words, times, times[1:], strict=False):
        yield TimedWord(word, float(start), float(end))


def _at_speech_level(sound: np.ndarray) -> np.ndarray:
    return sound * (SPEECH_LEVEL / np.sqrt(np.mean(np.square(sound))))


# Sounds without words, each at the level of speech.


def silence(seconds: float) -> np.ndarray:
    """Digital silence."""
    return np.zeros(round(seconds * RATE_HZ))


def white_noise(seconds: float) -> np.ndarray:
    """Hiss."""
    return _at_speech_level(np.random.default_rng(1).normal(size=round(seconds * RATE_HZ)))


def brown_noise(seconds: float) -> np.ndarray:
    """Noise with most of its power below 200 Hz, like wind or a waterfall."""
    spectrum = np.fft.rfft(white_noise(seconds))
    falling = np.maximum(np.fft.rfftfreq(round(seconds * RATE_HZ), 1 / RATE_HZ), 50.0)
    return _at_speech_level(np.fft.irfft(spectrum / falling, round(seconds * RATE_HZ)))


def hum(seconds: float) -> np.ndarray:
    """Mains: 50 Hz with its odd harmonics."""
    times = _times(seconds)
    return _at_speech_level(sum(np.sin(2 * np.pi * 50 * n * times) / n for n in (1, 3, 5, 7)))


def chords(seconds: float) -> np.ndarray:
    """Four chords in turn, 2 s each, struck and fading."""
    roots, times = (220.0, 174.6, 261.6, 196.0), _times(seconds)
    root = np.array(roots)[(times / 2).astype(int) % len(roots)]
    fading = np.exp(-1.5 * (times % 2.0))
    notes = [np.sin(2 * np.pi * root * ratio * n * times) / n for ratio in (1, 1.25, 1.5) for n in (1, 2, 3)]
    return _at_speech_level(sum(notes) * fading)


def drums(seconds: float) -> np.ndarray:
    """A beat of 120 a minute: a low drum, and on every second beat a snare's noise."""
    times = _times(seconds)
    beat = times % 0.5
    low = np.sin(2 * np.pi * 60 * beat * (1 + 2 * np.exp(-30 * beat))) * np.exp(-12 * beat)
    snare = np.random.default_rng(2).normal(size=len(times)) * np.exp(-20 * beat)
    return _at_speech_level(low + 0.4 * snare * ((times / 0.5).astype(int) % 2))


def sung_vowels(seconds: float) -> np.ndarray:
    """A melody on "ah", "oo" and "ee": harmonics with vibrato under each vowel's formants."""
    times = _times(seconds)
    notes, vowels = (
        (196.0, 220.0, 246.9, 220.0, 164.8),
        ((730, 1090, 2440), (300, 870, 2240), (270, 2290, 3010)),
    )
    held_s = 0.8
    step = (times / held_s).astype(int)
    pitch = np.array(notes)[step % len(notes)] * (1 + 0.01 * np.sin(2 * np.pi * 5.5 * times))
    phase = 2 * np.pi * np.cumsum(pitch) / RATE_HZ
    formants = np.array(vowels, float)[step % len(vowels)]
    sound = np.zeros(len(times))
    for n in range(1, 25):
        gain = sum(1 / (1 + ((n * pitch - formants[:, k]) / (80 + 40 * k)) ** 2) for k in range(3))
        sound += gain / n**0.5 * np.sin(n * phase)
    swell = np.minimum(1, np.minimum(times % held_s, held_s - times % held_s) / 0.08)
    return _at_speech_level(sound * swell)


def _times(seconds: float) -> np.ndarray:
    return np.arange(round(seconds * RATE_HZ)) / RATE_HZ
