"""Errors as Dagster understands them: tried again, or ended at once with the reason."""

import random
from itertools import islice

import dagster as dg

from yivideo_pipeline.errors.retry import RetryOptions, delays
from yivideo_pipeline.errors.tree import YivideoError
from yivideo_pipeline.settings.model import RetrySettings

RELEASE_HINT = "It is set aside now: after a remedy, `yivideo quarantine release` takes it up again"


def wait_after(settings: RetrySettings, attempt: int) -> float | None:
    """Return the seconds to wait after a failed attempt, the first being 1; None where it was the last."""
    retry = RetryOptions(**settings.model_dump())
    wait_s = next(islice(delays(retry), attempt - 1, None), None)
    if wait_s is None:
        return None
    return min(wait_s * random.uniform(1 - retry.jitter, 1 + retry.jitter), retry.max_delay_s)


def ask_for_retry(error: YivideoError, attempt: int, of: int, wait_s: float) -> dg.RetryRequested:
    """Return what makes Dagster run the step again; it says why, and the UI shows it."""
    request = dg.RetryRequested(max_retries=of - 1, seconds_to_wait=wait_s)
    request.add_note(f"Attempt {attempt} of {of} failed: {error}. The next one in {wait_s:.1f} s")
    return request


def as_failure(error: YivideoError, attempts: int, *, set_aside: bool = False) -> dg.Failure:
    """Return what ends the step for good, with the kind of the error, its words and what to do."""
    return dg.Failure(
        ". ".join([str(error), *([RELEASE_HINT] if set_aside else [])]),
        metadata=failure_metadata(error, attempts, set_aside=set_aside),
        allow_retries=False,
    )


def failure_metadata(
    error: YivideoError, attempts: int, *, set_aside: bool
) -> dict[str, str | int | bool | float | dg.MetadataValue]:
    """Return what is told of a failure, under the same names wherever it is shown."""
    context = error.context
    return {
        "kind": error.kind,
        "severity": str(error.severity),
        "message": error.message,
        "hint": error.hint,
        "video": context.video or "",
        "stage": context.stage or "",
        "second": dg.MetadataValue.null() if context.second is None else context.second,
        "attempts": attempts,
        "quarantined": set_aside,
    }
