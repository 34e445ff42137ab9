"""WhisperX's pipeline, loaded, and word times from the Whisper model inside it."""

import os
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from yivideo_pipeline.errors.tree import ModelLoadError
from yivideo_pipeline.media.audio import Audio
from yivideo_pipeline.settings.options import SpeechOptions, Task
from yivideo_pipeline.speech.align.text import Encoded
from yivideo_pipeline.speech.assemble import Passage
from yivideo_pipeline.speech.chunks import Chunk
from yivideo_pipeline.speech.engine import Progress
from yivideo_pipeline.speech.recognizer import Piece, Recognizer, is_silence
from yivideo_pipeline.speech.runtime import Placement, quiet_libraries
from yivideo_pipeline.speech.types import Span
from yivideo_pipeline.speech.vad import MIN_SPEECH_S
from yivideo_pipeline.speech.whisper import Decoded


@dataclass(frozen=True)
class Stretch:
    """Sound that the pipeline is given at once: pieces with speech, and the silence between them.

    Pieces are on the sound's own clock, in order, each with a little silence around its speech.
    """

    pieces: tuple[Span, ...]

    @property
    def start_s(self) -> float:
        """Where the stretch begins in the sound."""
        return self.pieces[0].start_s

    @property
    def end_s(self) -> float:
        """Where the stretch ends in the sound."""
        return self.pieces[-1].end_s

    @property
    def duration_s(self) -> float:
        """Seconds of sound, silence included."""
        return self.end_s - self.start_s


@dataclass(frozen=True)
class WhisperXModel:
    """WhisperX's pipeline, and our recognizer around the same weights; for one thread at a time."""

    pipeline: Any
    recognizer: Recognizer

    def transcribe(
        self,
        audio: Audio,
        stretch: Stretch,
        language: str,
        options: SpeechOptions,
        tell: Progress,
    ) -> list[Passage]:
        """What WhisperX recognizes in a stretch of the sound, with word times.

        Args:
            audio: The sound.
            stretch: The part of it that is recognized; all of it stands in memory.
            language: Whisper's code of what is spoken.
            options: Beam width, task, and how many of WhisperX's segments are decoded at once.
            tell: Told the share of the stretch that is recognized.
        """
        # The beam can change from call to call without another load: WhisperX reads it here.
        self.pipeline.options = replace(self.pipeline.options, beam_size=options.beam_size)
        with _one_torch_thread():
            found = self.pipeline.transcribe(
                audio.slice(stretch.start_s, stretch.end_s),
                batch_size=options.batch_size,
                language=language,
                task=options.task.value,
                progress_callback=lambda percent: tell(percent / 100),
            )["segments"]
        passages: list[Passage] = []
        for at in range(0, len(found), options.batch_size):
            group = found[at : at + options.batch_size]
            chunks = [_chunk(segment, stretch) for segment in group]
            encoded = self.recognizer.encode([Piece(audio, chunk) for chunk in chunks])
            passages += self._time(encoded, group, language, options.task)
        return passages

    def _time(
        self, encoded: Encoded, segments: list[dict[str, Any]], language: str, task: Task
    ) -> list[Passage]:
        silences = self.recognizer.whisper.no_speech_probabilities(encoded.view, language)
        decoded = [
            Decoded(segment["text"], (), segment["avg_logprob"], silence, 0.0)
            for segment, silence in zip(segments, silences, strict=True)
        ]
        texts = ["" if is_silence(one) else one.text for one in decoded]
        timed = self.recognizer.aligner.align(encoded, texts, language, task)
        return [
            Passage(chunk, words, one.avg_logprob, one.no_speech_prob)
            for chunk, words, one in zip(encoded.chunks, timed, decoded, strict=True)
            if words.words
        ]


def load_pipeline(folder: Path, placement: Placement) -> Any:
    """Load WhisperX's pipeline on a model folder; its VAD is pyannote, whose weights are in its wheel.

    The language and the beam are given with each call. No network is asked for anything.

    Raises:
        ModelLoadError: WhisperX is not installed.
    """
    if find_spec("whisperx") is None:
        raise ModelLoadError(
            "WhisperX is not installed", "Run `make install-whisperx`, or set use_faster_whisper to true"
        )
    # pyannote reports each model that is loaded to its makers unless this says no.
    os.environ.setdefault("PYANNOTE_METRICS_ENABLED", "false")
    with quiet_libraries():
        import whisperx

        return whisperx.load_model(
            str(folder),
            placement.device,
            compute_type=placement.compute_type,
            vad_method="pyannote",
            threads=placement.threads,
            local_files_only=True,
        )


@contextmanager
def _one_torch_thread() -> Generator[None]:
    """Torch runs pyannote's small LSTM alone: its threads wait for each other more than they compute.

    A minute of sound took 2.5 s with one thread, 8 to 17 s of processor time with two.
    """
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _chunk(segment: dict[str, Any], stretch: Stretch) -> Chunk:
    """The sound of one of WhisperX's segments (30 s at most), without its long silences.

    WhisperX recognizes over silence, but attention places words beside it more exactly where it is
    cut out. Where nothing was heard, the whole segment counts.
    """
    start_s = stretch.start_s + segment["start"]
    end_s = min(stretch.start_s + segment["end"], stretch.end_s)
    parts = [(max(span.start_s, start_s), min(span.end_s, end_s)) for span in stretch.pieces]
    pieces = [Span(start_s=first, end_s=last) for first, last in parts if last - first > MIN_SPEECH_S]
    return Chunk(tuple(pieces) or (Span(start_s=start_s, end_s=end_s),))
