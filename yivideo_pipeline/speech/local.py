"""The engine that runs Whisper in this process: batched, on CTranslate2."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import TypeVar

from yivideo_pipeline.media.audio import Audio
from yivideo_pipeline.settings.options import SpeechOptions
from yivideo_pipeline.speech.aligners import Aligners
from yivideo_pipeline.speech.chunks import Chunk
from yivideo_pipeline.speech.engine import EngineInfo, Progress
from yivideo_pipeline.speech.held import HeldModel
from yivideo_pipeline.speech.placement import Placement, next_smaller
from yivideo_pipeline.speech.recognize import Recognizer
from yivideo_pipeline.speech.transcription import transcribe
from yivideo_pipeline.speech.types import Transcript

Result = TypeVar("Result")


class LocalEngine:
    """Whisper in this process; safe to be used by several threads at once.

    Args:
        model: Name for people.
        revision: What identifies the weights.
        placement: Where to run at first.
        load: Makes a recognizer for a placement; called again with a smaller one when memory runs
            out.
        aligners: What gives words their final times.

    Raises:
        YivideoError: when not even the smallest placement loads.
    """

    def __init__(
        self,
        model: str,
        revision: str,
        placement: Placement,
        load: Callable[[Placement], Recognizer],
        aligners: Aligners,
    ) -> None:
        self._model = model
        self._revision = revision
        self._aligners = aligners
        self._batch_size = placement.batch_size  # of the latest call
        self._held = HeldModel(placement, load, next_smaller)
        self._held.current()

    def describe(self) -> EngineInfo:
        """What runs where, as it is now."""
        place = self._adapt(self._held.place)
        return EngineInfo(
            model=self._model,
            revision=self._revision,
            device=place.device,
            compute_type=place.compute_type,
            batch_size=place.batch_size,
            threads=place.threads,
            backend="faster-whisper",
            steps=self._held.steps + self._aligners.steps,
        )

    def transcribe(
        self, audio: Audio, options: SpeechOptions, progress: Progress | None = None
    ) -> Transcript:
        """Recognize what was said, in chunks decoded side by side; see `SpeechEngine.transcribe`."""
        self._batch_size = options.batch_size
        transcript = transcribe(self.map_chunks, audio, options, progress)
        return transcript.model_copy(update={"model": self._model, "revision": self._revision})

    def align(
        self, audio: Audio, transcript: Transcript, options: SpeechOptions, progress: Progress | None = None
    ) -> Transcript:
        """Give each word its final time; see `SpeechEngine.align`."""
        return self._aligners.align(audio, transcript, options, self._held.place.device, progress)

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

        def keep(group: list[int], results: list[Result]) -> None:
            done.update(zip(group, results, strict=True))
            if on_done:
                on_done([chunks[index] for index in group])

        def do_rest(recognizer: Recognizer, place: Placement) -> None:
            place = self._adapt(place)
            rest = [index for index in range(len(chunks)) if index not in done]
            groups = [rest[at : at + place.group_size] for at in range(0, len(rest), place.group_size)]
            _map_groups(
                groups, place, lambda group: work(recognizer, [chunks[index] for index in group]), keep
            )

        self._held.run(do_rest)
        return [done[index] for index in range(len(chunks))]

    def _adapt(self, place: Placement) -> Placement:
        return place.with_batch(self._batch_size, given_way=bool(self._held.steps))


def _map_groups(
    groups: list[list[int]],
    place: Placement,
    work: Callable[[list[int]], list[Result]],
    keep: Callable[[list[int], list[Result]], None],
) -> None:
    """Do work on each group in threads, keeping results as they come; the first error ends it.

    What other threads had begun by then is finished and kept.
    """
    # On a GPU a second thread prepares the next group's sound while the first one computes.
    threads = place.workers + (place.device == "cuda")
    with ThreadPoolExecutor(threads, thread_name_prefix="speech") as pool:
        futures = {pool.submit(work, group): group for group in groups}
        try:
            for future in as_completed(futures):
                results = future.result()
                keep(futures.pop(future), results)
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            for future, group in futures.items():
                if not future.cancelled() and future.exception() is None:
                    keep(group, future.result())
            raise
