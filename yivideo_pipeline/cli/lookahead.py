"""Opens the videos of a command ahead of their turn, several at once.

So the work to come can be estimated, and a file that is no media or has no sound costs a few milliseconds
instead of a run.
"""

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from yivideo_pipeline.errors.tree import MediaError
from yivideo_pipeline.ledger.files import Stamp
from yivideo_pipeline.storage.remote_paths import AnyPath, read_stamp

AT_ONCE = 8
"""On a network share most of the time is spent waiting."""


@dataclass(frozen=True)
class Glance:
    """What opening a file has shown.

    Attributes:
        stamp: The file's state at that time; None where there is no file.
        duration_s: Its length; None where the file does not give it.
        refused: Why nothing in it can be transcribed: it is no media that can be read, or has no sound.
    """

    stamp: Stamp | None
    duration_s: float | None = None
    refused: MediaError | None = None


class LookAhead:
    """Opens videos in the background, in their order; used as a context, at whose end it opens no more."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="look-ahead")
        self._glances: dict[AnyPath, Future[Glance]] = {}

    def __enter__(self) -> Self:
        """Return it."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Open no further files."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def begin(self, paths: Sequence[AnyPath]) -> None:
        """Begin to open these videos."""
        self._glances = {path: self._pool.submit(_glance, path) for path in paths}

    def estimate_durations(self, within_s: float) -> dict[AnyPath, float | None]:
        """Return the duration of each video, in seconds; None where its file does not give it.

        Opening thousands of files may take minutes: those that are not open in time are estimated by their
        size.
        """
        wait(self._glances.values(), timeout=within_s)
        seen = {path: one.result() for path, one in self._glances.items() if one.done()}
        known = [one for one in seen.values() if one.duration_s and one.stamp]
        size_bytes = sum(one.stamp.size_bytes for one in known if one.stamp)
        seconds_per_byte = sum(one.duration_s or 0.0 for one in known) / size_bytes if size_bytes else 0.0

        def estimate(path: AnyPath) -> float | None:
            if path in seen:
                return seen[path].duration_s
            stamp = _stamp_of(path)
            return (stamp.size_bytes if stamp else 0) * seconds_per_byte or None

        return {path: estimate(path) for path in self._glances}

    def refusal_of(self, path: AnyPath) -> MediaError | None:
        """Return why nothing in a file can be transcribed; None where it can, or was changed since."""
        glance = self._glances[path].result()
        return glance.refused if glance.stamp == _stamp_of(path) else None


def _glance(path: AnyPath) -> Glance:
    from yivideo_pipeline.media.probe import AUTO, choose_audio_stream, probe

    stamp, stage = _stamp_of(path), "video"
    try:
        info = probe(path)
        stage = "audio"
        choose_audio_stream(info, AUTO)
    except MediaError as error:
        return Glance(stamp, refused=error.within(stage=stage))
    except Exception:  # noqa: BLE001 - each driver has its own; reported when the video is processed
        return Glance(stamp)
    return Glance(stamp, info.duration_s)


def _stamp_of(path: AnyPath) -> Stamp | None:
    try:
        return Stamp(*read_stamp(path))
    except Exception:  # noqa: BLE001 - each driver has its own
        return None
