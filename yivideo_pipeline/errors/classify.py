"""What libraries raise, said in terms of the error tree."""

import asyncio
import concurrent.futures

from yivideo_pipeline.errors.disk import disk_error
from yivideo_pipeline.errors.hub import hub_error
from yivideo_pipeline.errors.network import network_error
from yivideo_pipeline.errors.origin import Rule, class_names, detail, explain, with_causes
from yivideo_pipeline.errors.pyav import media_error
from yivideo_pipeline.errors.signatures import device_error
from yivideo_pipeline.errors.tree import SystemFault, TaskCancelled, TaskTimeout, YivideoError
from yivideo_pipeline.errors.validation import config_error


def classify(
    error: BaseException,
    *,
    video: str | None = None,
    stage: str | None = None,
    second: float | None = None,
) -> YivideoError:
    """Turn any error into one of the tree, with its context filled in and the original as its cause.

    An error of the tree comes back itself. An error that no rule knows is judged by what it was
    raised from; failing that, it is a `SystemFault` that is not worth retrying.

    Args:
        error: What was raised.
        video: The partition or path that was being worked on.
        stage: The stage that failed.
        second: How far into the video the stage had come.
    """
    for candidate in with_causes(error):
        if isinstance(candidate, YivideoError):
            return candidate.within(video, stage, second)
        found = _first_match(candidate)
        if found is not None:
            break
    else:
        found = SystemFault(f"Unexpected {type(error).__name__}: {detail(error)}")
    found.__cause__ = error
    return found.within(video, stage, second)


def _first_match(error: BaseException) -> YivideoError | None:
    return next((found for rule in _RULES if (found := rule(error)) is not None), None)


def _cancelled(error: BaseException) -> YivideoError | None:
    cancellations = (KeyboardInterrupt, asyncio.CancelledError, concurrent.futures.CancelledError)
    # Dagster's own, by name: this layer does not know Dagster. FFmpeg's ExitError is an interrupt callback.
    by_name = {"dagster.DagsterExecutionInterruptedError", "av.ExitError"}
    if isinstance(error, cancellations) or by_name & class_names(error):
        return TaskCancelled("The work was cancelled", "Start it again: finished stages are not repeated.")
    return None


def _timed_out(error: BaseException) -> YivideoError | None:
    if isinstance(error, TimeoutError) or "subprocess.TimeoutExpired" in class_names(error):
        return TaskTimeout(explain("The work took longer than its limit", error))
    return None


# The order matters: hub errors are OSErrors too, PyAV's derive from the built-in ones, and a
# socket's timeout is the same class as a task's.
_RULES: tuple[Rule, ...] = (
    _cancelled,
    hub_error,
    config_error,
    device_error,
    media_error,
    network_error,
    _timed_out,
    disk_error,
)
