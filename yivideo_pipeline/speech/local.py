"""The engine that runs Whisper in this process: batched, on CTranslate2."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import TypeVar

from yivideo_pipeline.media.audio import Audio
from yivideo_pipeline.settings.options import SpeechOptions
from yivideo_pipeline.speech.chunks import Chunk
from yivideo_pipeline.speech.engine import Progress
from yivideo_pipeline.speech.held_engine import HeldEngine
from yivideo_pipeline.speech.placement import Placement
from yivideo_pipeline.speech.recognize import Recognizer
from yivideo_pipeline.speech.transcription import transcribe
from yivideo_pipeline.speech.types import Transcript

Result = TypeVar("Result")


class LocalEngine(HeldEngine[Recognizer]):
    """Whisper in this process; safe to be used by several threads at once."""

    backend = "faster-whisper"

    def _transcribe(self, audio: Audio, options: SpeechOptions, progress: Progress | None) -> Transcript:
        return transcribe(self.map_chunks, audio, options, progress)

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
