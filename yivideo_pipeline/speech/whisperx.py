"""The engine on WhisperX's own pipeline, which finds speech (pyannote), batches and recognizes.

Language, word times, sentences and script are decided as by the other engine (`local_engine`), so that
only the text depends on the backend.
"""

import os
import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from yivideo_pipeline.media.audio import Audio
from yivideo_pipeline.settings.options import SpeechOptions
from yivideo_pipeline.speech.align.aligners import Aligners
from yivideo_pipeline.speech.align.text import Encoded
from yivideo_pipeline.speech.assemble import Heard, Passage, order_words, words_on_video
from yivideo_pipeline.speech.batching import BatchFunction, OnDone
from yivideo_pipeline.speech.checkpoint import Finished
from yivideo_pipeline.speech.chunks import Chunk
from yivideo_pipeline.speech.engine import Checkpoint, OnWords, Progress
from yivideo_pipeline.speech.local_engine import DetectedSpeech, LocalEngine
from yivideo_pipeline.speech.recognizer import Piece, Recognizer, is_silence
from yivideo_pipeline.speech.runtime import DeviceConfig, quiet_libraries
from yivideo_pipeline.speech.types import Span, Transcript
from yivideo_pipeline.speech.vad import MIN_SPEECH_S
from yivideo_pipeline.speech.whisper import Decoded, Decoding

BLOCK_S = 600.0
"""Longest sound that the pipeline reads at once; all of it is in memory, at 64 kB a second."""


class WhisperXEngine(LocalEngine["WhisperXModel"]):
    """WhisperX in this process; of several threads, one transcribes at a time."""

    backend = "whisperx"

    def __init__(
        self,
        model: str,
        revision: str,
        config: DeviceConfig,
        load: Callable[[DeviceConfig], "WhisperXModel"],
        aligners: Aligners,
    ) -> None:
        super().__init__(model, revision, config, load, aligners)
        self._lock = threading.Lock()

    def transcribe(
        self,
        audio: Audio,
        options: SpeechOptions,
        progress: Progress | None = None,
        on_words: OnWords | None = None,
        checkpoint: Checkpoint | None = None,
    ) -> Transcript:
        """Recognize what was said; see `SpeechEngine.transcribe`. A part that is finished is a block."""
        with self._lock, quiet_libraries():
            return super().transcribe(audio, options, progress, on_words, checkpoint)

    def _recognize(
        self,
        speech: DetectedSpeech,
        options: SpeechOptions,
        decoding: Decoding,
        finished: Finished,
        progress: Progress | None,
        on_words: OnWords | None,
    ) -> Heard:
        blocks = plan_blocks([piece.chunk for piece in speech.pieces])
        total_s = sum(block.duration_s for block in blocks)
        kept = finished.passages("block", [block.chunk for block in blocks])
        finished.note_resumed(sum(block.duration_s for block in blocks if block.chunk in kept) / total_s)
        passages: list[Passage] = []
        done_s = 0.0
        for block in blocks:
            report = _part_of(progress, done_s / total_s, block.duration_s / total_s)

            def recognize(
                model: WhisperXModel,
                config: DeviceConfig,
                block: AudioBlock = block,
                report: Progress = report,
            ) -> list[Passage]:
                batch_size = self._adapt(config).batch_size
                return model.transcribe(speech.audio, block, decoding, batch_size, report)

            found = kept.get(block.chunk)
            if found is None:
                found = self._runtime.run(recognize)
                finished.keep_passages("block", [block.chunk], [found])
            if on_words:
                on_words(words_on_video(found, speech.audio, options))
            passages += found
            done_s += block.duration_s
        return Heard(order_words(passages))

    def _map(
        self, pieces: Sequence[Piece], function: BatchFunction, on_done: OnDone | None = None
    ) -> list[Any]:
        def map_all(model: WhisperXModel, config: DeviceConfig) -> list[Any]:
            size = self._adapt(config).batch_size
            results: list[Any] = []
            for at in range(0, len(pieces), size):
                group = list(pieces[at : at + size])
                results += function(model.recognizer, group)
                if on_done:
                    on_done(group, results[at:])
            return results

        return self._runtime.run(map_all)


@dataclass(frozen=True)
class AudioBlock:
    """Sound that the pipeline reads at once: pieces with speech, and the silence between them.

    Pieces are on the sound's own clock, in order, each with a little silence around its speech.
    """

    pieces: tuple[Span, ...]

    @property
    def chunk(self) -> Chunk:
        """Its pieces alone."""
        return Chunk(self.pieces)

    @property
    def start_s(self) -> float:
        """Where the block begins in the sound."""
        return self.pieces[0].start_s

    @property
    def end_s(self) -> float:
        """Where the block ends in the sound."""
        return self.pieces[-1].end_s

    @property
    def duration_s(self) -> float:
        """Seconds of sound, silence included."""
        return self.end_s - self.start_s


def plan_blocks(chunks: list[Chunk]) -> list[AudioBlock]:
    """Join the pieces of chunks, in order, into blocks of at most 10 min."""
    groups: list[list[Span]] = []
    for piece in (piece for chunk in chunks for piece in chunk.pieces):
        if not groups or piece.end_s - groups[-1][0].start_s > BLOCK_S:
            groups.append([])
        groups[-1].append(piece)
    return [AudioBlock(tuple(group)) for group in groups]


def _part_of(progress: Progress | None, before: float, share: float) -> Progress:
    def report(fraction: float) -> None:
        if progress:
            progress(min(1.0, before + share * fraction))

    return report


@dataclass(frozen=True)
class WhisperXModel:
    """WhisperX's pipeline, and our recognizer around the same weights; for one thread at a time."""

    pipeline: Any
    recognizer: Recognizer

    def transcribe(
        self, audio: Audio, block: AudioBlock, decoding: Decoding, batch_size: int, progress: Progress
    ) -> list[Passage]:
        """Return what WhisperX recognizes in a block of the sound, with word times.

        Args:
            audio: The sound.
            block: The part of it to recognize; all of it is read into memory.
            decoding: Language, beam width and task.
            batch_size: How many of WhisperX's segments are decoded at once.
            progress: Receives the share of the block that is recognized.
        """
        # These can change from call to call without another load: WhisperX reads them here.
        self.pipeline.options = replace(
            self.pipeline.options,
            beam_size=decoding.beam_size,
            initial_prompt=decoding.prompt or None,
            hotwords=", ".join(decoding.vocabulary) or None,
        )
        with _one_torch_thread():
            found = self.pipeline.transcribe(
                audio.slice(block.start_s, block.end_s),
                batch_size=batch_size,
                language=decoding.language,
                task=decoding.task.value,
                progress_callback=lambda percent: progress(percent / 100),
            )["segments"]
        passages: list[Passage] = []
        for at in range(0, len(found), batch_size):
            group = found[at : at + batch_size]
            chunks = [_chunk_of(segment, block) for segment in group]
            encoded = self.recognizer.encode([Piece(audio, chunk) for chunk in chunks])
            passages += self._time_words(encoded, group, decoding)
        return passages

    def _time_words(
        self, encoded: Encoded, segments: list[dict[str, Any]], decoding: Decoding
    ) -> list[Passage]:
        silences = self.recognizer.whisper.no_speech_probabilities(encoded.view, decoding)
        decoded = [
            Decoded(segment["text"], (), segment["avg_logprob"], silence, 0.0)
            for segment, silence in zip(segments, silences, strict=True)
        ]
        texts = ["" if is_silence(one) else one.text for one in decoded]
        timed = self.recognizer.aligner.align(encoded, texts, decoding)
        return [
            Passage(chunk, words, one.avg_logprob, one.no_speech_prob, decoding.language)
            for chunk, words, one in zip(encoded.chunks, timed, decoded, strict=True)
            if words.words
        ]


def load_pipeline(folder: Path, config: DeviceConfig) -> Any:
    """Load WhisperX's pipeline on a model folder; its VAD is pyannote, whose weights are in its wheel.

    The language and the beam are given with each call. Nothing is requested from a network.
    """
    # By default pyannote reports each loaded model to its makers.
    os.environ.setdefault("PYANNOTE_METRICS_ENABLED", "false")
    with quiet_libraries():
        import whisperx

        return whisperx.load_model(
            str(folder),
            config.device,
            compute_type=config.compute_type,
            vad_method="pyannote",
            threads=config.threads,
            local_files_only=True,
        )


@contextmanager
def _one_torch_thread() -> Generator[None]:
    """Run torch, and with it pyannote's small LSTM, on one thread: more threads mostly wait for each other.

    A minute of sound took 2.5 s with one thread, 8 to 17 s of processor time with two.
    """
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _chunk_of(segment: dict[str, Any], block: AudioBlock) -> Chunk:
    """Return the sound of one of WhisperX's segments (30 s at most), without its long silences.

    WhisperX recognizes across silence, but attention times the words next to it more exactly where it
    is cut out. Where the detector found no speech, the whole segment is used.
    """
    start_s = block.start_s + segment["start"]
    end_s = min(block.start_s + segment["end"], block.end_s)
    parts = [(max(span.start_s, start_s), min(span.end_s, end_s)) for span in block.pieces]
    pieces = [Span(start_s=first, end_s=last) for first, last in parts if last - first > MIN_SPEECH_S]
    return Chunk(tuple(pieces) or (Span(start_s=start_s, end_s=end_s),))
