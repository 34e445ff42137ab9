"""Sensors that tell people: of failed runs, of videos that were set aside, and by which channels."""

import time
from typing import Any

import dagster as dg

from yivideo_pipeline.errors.retry import RetryOptions
from yivideo_pipeline.ledger import Ledger
from yivideo_pipeline.ledger.failures import StageFailure
from yivideo_pipeline.notices.channels import channels_of
from yivideo_pipeline.notices.message import failed_run_notice, quarantine_notice
from yivideo_pipeline.notices.sending import send_waiting
from yivideo_pipeline.settings.tree import Settings

WILL_RETRY_TAG = "dagster/will_retry"
"""Dagster's: says of a failed run whether the daemon starts it again."""
LOOK_S = 15
"""Between two looks for what is to be told."""
SEND_S = 30
TICK_S = 20.0
"""All channels together begin no further notice after so long: a tick is no place to wait."""

_PATIENCE_S = 2.0
_NOBODY = "Nobody is to be told: set notices.webhook_url or notices.mail_to"


def build_notice_sensors(settings: Settings) -> list[dg.SensorDefinition]:
    """Build the sensors; they run by themselves where a channel is set."""
    return [_tell_run_failures(settings), _tell_quarantined(settings), _send_notices(settings)]


def _tell_run_failures(settings: Settings) -> dg.SensorDefinition:
    @dg.run_failure_sensor(
        name="tell_run_failures",
        description="Writes a notice of each run that failed for good, wherever it was started",
        minimum_interval_seconds=LOOK_S,
        default_status=_status(settings),
    )
    def tell_run_failures(
        context: dg.RunFailureSensorContext, ledger: dg.ResourceParam[Ledger]
    ) -> dg.SkipReason | None:
        if not channels_of(settings.notices):
            return dg.SkipReason(_NOBODY)
        run = _with_word_on_retry(context.instance, context.dagster_run)
        # Dagster can't have a tick skip one run and act on another: what is passed over stands in the log.
        if run.tags.get(WILL_RETRY_TAG) == "true":
            context.log.info(f"Run {run.run_id} failed, but Dagster starts it again")
            return None
        known = ledger.failures.failed_in(run.root_run_id or run.run_id)
        failures = list(known.values()) or _failures_by_events(context)
        notice = failed_run_notice(run.run_id, failures, settings.notices.ui_url)
        posted = ledger.outbox.post(notice, settings.notices.repeat_after_h * 3600)
        context.log.info(f"{'Will be told' if posted else 'Told not long ago'}: {notice.subject}")
        return None

    return tell_run_failures


def _tell_quarantined(settings: Settings) -> dg.SensorDefinition:
    @dg.sensor(
        name="tell_quarantined",
        description="Writes a notice of videos that were set aside since the last look",
        minimum_interval_seconds=LOOK_S,
        default_status=_status(settings),
    )
    def tell_of_quarantined(
        context: dg.SensorEvaluationContext, ledger: dg.ResourceParam[Ledger]
    ) -> dg.SkipReason:
        if not channels_of(settings.notices):
            return dg.SkipReason(_NOBODY)
        seen = float(context.cursor or 0)
        new = [entry for entry in ledger.failures.quarantined().values() if entry.since > seen]
        if not new:
            return dg.SkipReason("No further video was set aside")
        notice = quarantine_notice(new, settings.notices.ui_url)
        ledger.outbox.post(notice, settings.notices.repeat_after_h * 3600)
        context.update_cursor(repr(max(entry.since for entry in new)))
        return dg.SkipReason(f"Will be told: {notice.subject}")

    return tell_of_quarantined


def _send_notices(settings: Settings) -> dg.SensorDefinition:
    @dg.sensor(
        name="send_notices",
        description="Sends the notices that wait, by each channel of the settings",
        minimum_interval_seconds=SEND_S,
        default_status=_status(settings),
    )
    def send_notices(ledger: dg.ResourceParam[Ledger]) -> dg.SkipReason:
        channels = channels_of(settings.notices)
        if not channels:
            return dg.SkipReason(_NOBODY)
        retry = RetryOptions(**settings.retry.model_dump())
        sent = [send_waiting(ledger.outbox, one, retry, TICK_S / len(channels)) for one in channels]
        return dg.SkipReason("; ".join(map(str, sent)))

    return send_notices


def _status(settings: Settings) -> dg.DefaultSensorStatus:
    told = channels_of(settings.notices)
    return dg.DefaultSensorStatus.RUNNING if told else dg.DefaultSensorStatus.STOPPED


def _with_word_on_retry(instance: dg.DagsterInstance, run: dg.DagsterRun) -> dg.DagsterRun:
    """Return the run once it says whether it will be retried: Dagster writes that after the failure."""
    end = time.monotonic() + _PATIENCE_S
    while instance.run_retries_enabled and WILL_RETRY_TAG not in run.tags and time.monotonic() < end:
        time.sleep(0.1)
        run = instance.get_run_by_id(run.run_id) or run
    return run


def _failures_by_events(context: dg.RunFailureSensorContext) -> list[StageFailure]:
    """Return what the run itself says, where nothing was noted: it died first, or is of no stage."""
    run = context.dagster_run
    videos = context.partition_key or _range_of(run) or f"Run {run.run_id}"
    failures = [_failed(videos, run, event) for event in context.get_step_failure_events()]
    said = context.failure_event.message or "The run failed"
    return failures or [StageFailure(videos, "", run.run_id, "unknown", said, "", 1, time.time())]


def _failed(videos: str, run: dg.DagsterRun, event: dg.DagsterEvent) -> StageFailure:
    data = event.step_failure_data
    raised = data.user_failure_data
    told: dict[str, Any] = {name: one.value for name, one in raised.metadata.items()} if raised else {}
    said = (raised and raised.description) or (data.error.message.strip() if data.error else "It failed")
    return StageFailure(
        key=videos,
        stage=event.step_key or "",
        run_id=run.run_id,
        kind=str(told.get("kind", "unknown")),
        message=str(told.get("message", said)),
        hint=str(told.get("hint", "")),
        attempts=told.get("attempts", 1),
        at=time.time(),
    )


def _range_of(run: dg.DagsterRun) -> str | None:
    first, last = (run.tags.get(f"dagster/asset_partition_range_{end}") for end in ("start", "end"))
    return f"{first} … {last}" if first and last else None
