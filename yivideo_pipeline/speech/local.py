"""The engine that runs Whisper in this process: batched, on CTranslate2."""

import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import TypeVar

from yivideo_pipeline.errors.classify import classify
from yivideo_pipeline.errors.tree import MemoryExhausted
from yivideo_pipeline.media.audio import Audio
from yivideo_pipeline.settings.options import SpeechOptions
from yivideo_pipeline.speech.chunks import Chunk
from yivideo_pipeline.speech.engine import EngineInfo, Progress
from yivideo_pipeline.speech.placement import Placement, next_smaller
from yivideo_pipeline.speech.recognize import Recognizer
from yivideo_pipeline.speech.transcription import transcribe
from yivideo_pipeline.speech.types import Transcript

log = logging.getLogger(__name__)
Result = TypeVar("Result")


class LocalEngine:
    """Whisper in this process; safe to be used by several threads at once.

    Args:
        model: Name for people.
        revision: What identifies the weights.
        placement: Where to run at first.
        load: Makes a recognizer for a placement; called again with a smaller one when memory runs
            out.

    Raises:
        YivideoError: when not even the smallest placement loads.
    """

    def __init__(
        self, model: str, revision: str, placement: Placement, load: Callable[[Placement], Recognizer]
    ) -> None:
        self._model = model
        self._revision = revision
        self._load = load
        self._lock = threading.RLock()
        self._steps: list[str] = []
        self._placement = placement
        self._recognizer: Recognizer | None = None
        self._current()

    def describe(self) -> EngineInfo:
        """What runs where, as it is now."""
        place = self._placement
        return EngineInfo(
            model=self._model,
            revision=self._revision,
            device=place.device,
            compute_type=place.compute_type,
            batch_size=place.batch_size,
            threads=place.threads,
            backend="faster-whisper",
            steps=tuple(self._steps),
        )

    def transcribe(
        self, audio: Audio, options: SpeechOptions, progress: Progress | None = None
    ) -> Transcript:
        """Recognize what was said, in chunks decoded side by side; see `SpeechEngine.transcribe`."""
        transcript = transcribe(self.map_chunks, audio, options, progress)
        return transcript.model_copy(update={"model": self._model, "revision": self._revision})

    def align(
        self, audio: Audio, transcript: Transcript, options: SpeechOptions, progress: Progress | None = None
    ) -> Transcript:
        """Attention's times are final as the transcript has them; see `SpeechEngine.align`."""
        return transcript.model_copy(update={"aligner": "attention"})

    def map_chunks(
        self,
        chunks: list[Chunk],
        work: Callable[[Recognizer, list[Chunk]], list[Result]],
        on_done: Callable[[list[Chunk]], None] | None = None,
    ) -> list[Result]:
        """Do work on groups of chunks side by side; one result a chunk, in order.

        When memory runs out, what is not done yet is done again in a smaller way.

        Raises:
            YivideoError: what `work` raised, classified.
        """
        done: dict[int, Result] = {}
        while pending := [index for index in range(len(chunks)) if index not in done]:
            recognizer, placement = self._current()
            groups = [
                pending[at : at + placement.group_size] for at in range(0, len(pending), placement.group_size)
            ]
            try:
                self._run(groups, chunks, lambda group, r=recognizer: work(r, group), done, on_done)
            except Exception as error:
                known = classify(error)
                if not isinstance(known, MemoryExhausted):
                    raise known from error
                del recognizer
                self._step_down(placement, known)
        return [done[index] for index in range(len(chunks))]

    def _run(
        self,
        groups: list[list[int]],
        chunks: list[Chunk],
        work: Callable[[list[Chunk]], list[Result]],
        done: dict[int, Result],
        on_done: Callable[[list[Chunk]], None] | None,
    ) -> None:
        # On a GPU a second thread prepares the next group's sound while the first one computes.
        threads = self._placement.workers + (self._placement.device == "cuda")
        with ThreadPoolExecutor(threads, thread_name_prefix="speech") as pool:
            futures = {pool.submit(work, [chunks[index] for index in group]): group for group in groups}
            try:
                for future in as_completed(futures):
                    group = futures[future]
                    done.update(zip(group, future.result(), strict=True))
                    if on_done:
                        on_done([chunks[index] for index in group])
            except BaseException:
                pool.shutdown(wait=True, cancel_futures=True)
                raise

    def _current(self) -> tuple[Recognizer, Placement]:
        """The loaded recognizer, loaded now if need be, in a smaller way where memory is short."""
        with self._lock:
            while self._recognizer is None:
                try:
                    self._recognizer = self._load(self._placement)
                except Exception as error:
                    known = classify(error, stage="load")
                    if not isinstance(known, MemoryExhausted):
                        raise known from error
                    self._step_down(self._placement, known)
            return self._recognizer, self._placement

    def _step_down(self, used: Placement, error: MemoryExhausted) -> None:
        """Make the placement smaller, unless another thread did so already."""
        with self._lock:
            if used != self._placement:
                return
            smaller = next_smaller(used)
            if smaller is None:
                raise error
            line = f"memory ran out with {used}; going on with {smaller}"
            log.warning(line)
            self._steps.append(line)
            if (smaller.device, smaller.compute_type) != (used.device, used.compute_type):
                self._recognizer = None
            self._placement = smaller
