"""Errors as Dagster understands them: tried again, or ended at once with the reason."""

import logging
import random
from collections.abc import Generator
from contextlib import contextmanager
from itertools import islice

import dagster as dg

from yivideo_pipeline.errors.classify import classify
from yivideo_pipeline.errors.retry import RetryOptions, delays
from yivideo_pipeline.errors.tree import YivideoError

log = logging.getLogger(__name__)


@contextmanager
def classified_failures(
    context: dg.AssetExecutionContext, stage: str, retry: RetryOptions
) -> Generator[None]:
    """Turn what goes wrong inside into a retry or a failure that names its kind and what to do.

    An interruption is no error: it passes, and the run counts as cancelled, not as failed.

    Raises:
        dagster.RetryRequested: it may go better next time, and attempts are left.
        dagster.Failure: it will not, or they are used up; Dagster does not try again.
    """
    try:
        yield
    except (KeyboardInterrupt, dg.DagsterExecutionInterruptedError):
        context.instance.report_run_canceling(context.run)
        raise
    except Exception as error:
        found = classify(error, video=context.partition_key, stage=stage)
        attempt = context.retry_number + 1
        if not found.retryable or attempt >= retry.max_attempts:
            log.error("%s of %s failed: %s", stage, context.partition_key, found, exc_info=error)
            raise _as_failure(found, attempt) from error
        wait_s = _wait_s(retry, attempt)
        context.log.warning(
            f"Attempt {attempt} of {retry.max_attempts} failed ({found}); the next one in {wait_s:.1f} s"
        )
        raise dg.RetryRequested(max_retries=retry.max_attempts - 1, seconds_to_wait=wait_s) from error


def _wait_s(retry: RetryOptions, attempt: int) -> float:
    wait_s = next(islice(delays(retry), attempt - 1, None))
    return min(wait_s * random.uniform(1 - retry.jitter, 1 + retry.jitter), retry.max_delay_s)


def _as_failure(error: YivideoError, attempts: int) -> dg.Failure:
    context = error.context
    metadata = {
        "kind": error.kind,
        "severity": str(error.severity),
        "message": error.message,
        "hint": error.hint,
        "video": context.video or "",
        "stage": context.stage or "",
        "second": dg.MetadataValue.null() if context.second is None else context.second,
        "attempts": attempts,
    }
    return dg.Failure(str(error), metadata=metadata, allow_retries=False)
