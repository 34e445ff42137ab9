"""The wav2vec2 aligner: each word where an acoustic model hears its letters."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from yivideo_pipeline.media.audio import Audio
from yivideo_pipeline.settings.options import ZhScript
from yivideo_pipeline.speech.chinese import CHINESE, convert_segment
from yivideo_pipeline.speech.engine import Progress
from yivideo_pipeline.speech.quiet import quiet_libraries
from yivideo_pipeline.speech.runtime import HeldModel
from yivideo_pipeline.speech.types import Transcript
from yivideo_pipeline.speech.wav2vec2.acoustic import AcousticModel
from yivideo_pipeline.speech.wav2vec2.ctc import HeardWord, align_letters
from yivideo_pipeline.speech.wav2vec2.retiming import retime
from yivideo_pipeline.speech.wav2vec2.slices import Slice, group_slices, plan_slices

log = logging.getLogger(__name__)

LONGEST_SLICE_S = 30.0
SMALLEST_SLICE_S = 7.5
# The largest model's first convolution takes about 0.6 GB for 30 s of sound in float32.
BATCH_S = {"cuda": 120.0, "cpu": 30.0}


@dataclass(frozen=True)
class Load:
    """Where the acoustic model runs, and how many seconds of sound it is given at once."""

    device: str
    batch_s: float

    @property
    def loaded_as(self) -> str:
        """What the loaded model is bound to."""
        return self.device

    @property
    def slice_s(self) -> float:
        """The longest slice."""
        return min(self.batch_s, LONGEST_SLICE_S)

    def __str__(self) -> str:
        return f"{self.device}, {self.batch_s:g} s of sound at once"


def next_smaller_load(load: Load) -> Load | None:
    """Half the sound at once, then the CPU; None where nothing smaller is left."""
    if load.batch_s > SMALLEST_SLICE_S:
        return replace(load, batch_s=load.batch_s / 2)
    return Load("cpu", BATCH_S["cpu"]) if load.device != "cpu" else None


class Wav2Vec2Aligner:
    """Aligns the words of one language; safe to be used by several threads at once.

    Args:
        load: Makes the acoustic model on a device; called again with `cpu` when a GPU's memory runs
            out.
        device: Where to run at first.
    """

    def __init__(self, load: Callable[[str], AcousticModel], device: str) -> None:
        self._held = HeldModel(
            Load(device, BATCH_S[device]), lambda place: load(place.device), next_smaller_load
        )

    @property
    def steps(self) -> tuple[str, ...]:
        """Lines that say how it was made smaller when memory ran out, in order."""
        return tuple(f"aligning: {step}" for step in self._held.steps)

    def align(self, audio: Audio, transcript: Transcript, progress: Progress | None = None) -> Transcript:
        """Return the transcript with each word where its letters are heard.

        Words that have no letters the model knows, and those of segments too short for their text,
        keep the time they have, moved between the words around them where need be.

        Raises:
            YivideoError: what loading or running the model raised, classified.
        """
        texts = _listened_for(transcript)
        total_s = sum(one.duration_s for one in plan_slices(transcript, audio, LONGEST_SLICE_S))
        heard: dict[int, HeardWord] = {}
        done: list[Slice] = []

        def listen(model: AcousticModel, load: Load) -> None:
            # Smaller slices lie wholly inside the larger ones, of which some may be done.
            finished = {index for one in done for index in range(one.first, one.last)}
            slices = plan_slices(transcript, audio, load.slice_s)
            rest = [one for one in slices if one.first not in finished]
            for group in group_slices(rest, load.batch_s):
                heard.update(_hear(model, audio, group, texts))
                done.extend(group)
                if progress:
                    progress(min(1.0, sum(one.duration_s for one in done) / total_s))

        with quiet_libraries():
            self._held.run(listen)
        log.info("wav2vec2 aligned %d of %d words", len(heard), len(texts))
        return retime(transcript, heard, audio.offset_s).model_copy(update={"aligner": "wav2vec2"})


def _hear(
    model: AcousticModel, audio: Audio, group: Sequence[Slice], texts: Sequence[str]
) -> dict[int, HeardWord]:
    """Times of the words in a group of slices, on the sound's own clock, by index of the word."""
    sounds = [audio.slice(one.start_s, one.end_s) for one in group]
    heard: dict[int, HeardWord] = {}
    for one, frames in zip(group, model.log_probabilities(sounds), strict=True):
        letters = model.alphabet.spell(texts[one.first : one.last])
        for index, word in align_letters(frames, letters, model.alphabet.blank).items():
            heard[one.first + index] = replace(
                word, start_s=word.start_s + one.start_s, end_s=min(word.end_s + one.start_s, one.end_s)
            )
    return heard


def _listened_for(transcript: Transcript) -> list[str]:
    """The words as the acoustic model spells them: the Chinese one knows simplified characters."""
    segments = transcript.segments
    if transcript.language in CHINESE:
        segments = tuple(convert_segment(segment, ZhScript.SIMPLIFIED) for segment in segments)
    return [word.text for segment in segments for word in segment.words]
