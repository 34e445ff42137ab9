"""The sensors that notify users of failed runs and of quarantined videos."""

import time

import dagster as dg

from yivideo_pipeline.defs.launch import Launch
from yivideo_pipeline.defs.runs import failure_of_step, root_of
from yivideo_pipeline.defs.ticks import open_tick
from yivideo_pipeline.errors.retry import RetryOptions
from yivideo_pipeline.ledger import Ledger
from yivideo_pipeline.ledger.failures import StageFailure
from yivideo_pipeline.notices.channels import channels_of, send_waiting
from yivideo_pipeline.notices.message import failed_run_notice, quarantine_notice
from yivideo_pipeline.settings.sections import NoticeSettings
from yivideo_pipeline.stages import RANGE_TAGS

WILL_RETRY_TAG = "dagster/will_retry"
"""Dagster's tag of a failed run: whether the daemon launches it again."""
WATCH_S = 15
"""Seconds between two ticks that look for failures."""
SEND_S = 30
"""Seconds between two ticks that send."""
TICK_S = 20.0
"""After so long all channels together start no further notice, since a tick must not wait long."""

_PATIENCE_S = 2.0
_NO_CHANNEL = "There is no channel: set notices.webhook_url or notices.mail_to"


def build_notice_sensors(notices: NoticeSettings) -> list[dg.SensorDefinition]:
    """Build the sensors; they run by themselves where a channel is set.

    Args:
        notices: The channels.
    """
    has_channel = bool(channels_of(notices))
    status = dg.DefaultSensorStatus.RUNNING if has_channel else dg.DefaultSensorStatus.STOPPED
    return [
        _build_failure_sensor(status),
        _build_quarantine_sensor(status),
        _build_sending_sensor(status),
    ]


def _build_failure_sensor(status: dg.DefaultSensorStatus) -> dg.SensorDefinition:
    @dg.run_failure_sensor(
        name="tell_run_failures",
        description="Writes a notice of each run that failed for good, wherever it was launched",
        minimum_interval_seconds=WATCH_S,
        default_status=status,
    )
    def tell_run_failures(
        context: dg.RunFailureSensorContext, launch: Launch, ledger: dg.ResourceParam[Ledger]
    ) -> dg.SkipReason | None:
        tick = open_tick(context, launch, ledger)
        if isinstance(tick, dg.SkipReason):
            return tick
        notices = tick.settings.notices
        if not channels_of(notices):
            return dg.SkipReason(_NO_CHANNEL)
        run = _await_retry_decision(context.instance, context.dagster_run)
        # A tick can't skip one run and act on another, so a skipped run is named in the log.
        if run.tags.get(WILL_RETRY_TAG) == "true":
            context.log.info(f"Run {run.run_id} failed, but Dagster launches it again")
            return None
        known = tick.ledger.failures.failed_in(root_of(run))
        failures = list(known.values()) or _failures_by_events(context)
        notice = failed_run_notice(run.run_id, failures, notices.ui_url)
        posted = tick.ledger.outbox.post(notice, notices.repeat_after_h * 3600)
        context.log.info(f"{'Queued' if posted else 'Sent not long ago'}: {notice.subject}")
        return None

    return tell_run_failures


def _build_quarantine_sensor(status: dg.DefaultSensorStatus) -> dg.SensorDefinition:
    @dg.sensor(
        name="tell_quarantined",
        description="Writes a notice of the videos that were quarantined since the last tick",
        minimum_interval_seconds=WATCH_S,
        default_status=status,
    )
    def tell_of_quarantined(
        context: dg.SensorEvaluationContext, launch: Launch, ledger: dg.ResourceParam[Ledger]
    ) -> dg.SkipReason:
        tick = open_tick(context, launch, ledger)
        if isinstance(tick, dg.SkipReason):
            return tick
        notices = tick.settings.notices
        if not channels_of(notices):
            return dg.SkipReason(_NO_CHANNEL)
        seen = float(context.cursor or 0)
        new = [entry for entry in tick.ledger.failures.quarantined().values() if entry.since > seen]
        if not new:
            return dg.SkipReason("No further video was quarantined")
        notice = quarantine_notice(new, notices.ui_url)
        tick.ledger.outbox.post(notice, notices.repeat_after_h * 3600)
        context.update_cursor(repr(max(entry.since for entry in new)))
        return dg.SkipReason(f"Queued: {notice.subject}")

    return tell_of_quarantined


def _build_sending_sensor(status: dg.DefaultSensorStatus) -> dg.SensorDefinition:
    @dg.sensor(
        name="send_notices",
        description="Sends the queued notices by each channel of the settings",
        minimum_interval_seconds=SEND_S,
        default_status=status,
    )
    def send_notices(
        context: dg.SensorEvaluationContext, launch: Launch, ledger: dg.ResourceParam[Ledger]
    ) -> dg.SkipReason:
        tick = open_tick(context, launch, ledger)
        if isinstance(tick, dg.SkipReason):
            return tick
        channels = channels_of(tick.settings.notices)
        if not channels:
            return dg.SkipReason(_NO_CHANNEL)
        if tick.is_dry:
            return dg.SkipReason("Dry run: nothing is sent; `yivideo notify` sends a test notice")
        options = RetryOptions(**tick.settings.retry.model_dump())
        sent = [send_waiting(ledger.outbox, one, options, TICK_S / len(channels)) for one in channels]
        return dg.SkipReason("; ".join(map(str, sent)))

    return send_notices


def _await_retry_decision(instance: dg.DagsterInstance, run: dg.DagsterRun) -> dg.DagsterRun:
    """Return the run once its tags say whether it will be retried: Dagster sets them after the failure."""
    end = time.monotonic() + _PATIENCE_S
    while instance.run_retries_enabled and WILL_RETRY_TAG not in run.tags and time.monotonic() < end:
        time.sleep(0.1)
        run = instance.get_run_by_id(run.run_id) or run
    return run


def _failures_by_events(context: dg.RunFailureSensorContext) -> list[StageFailure]:
    """Return the failures that the run's events report, where none was recorded: it died, or has no stage."""
    run = context.dagster_run
    videos = context.partition_key or _range_of(run) or f"Run {run.run_id}"
    failures = [failure_of_step(videos, event, run.run_id) for event in context.get_step_failure_events()]
    message = context.failure_event.message or "The run failed"
    return failures or [StageFailure(videos, "", run.run_id, "unknown", message, "", 1, time.time())]


def _range_of(run: dg.DagsterRun) -> str | None:
    first, last = (run.tags.get(end) for end in RANGE_TAGS)
    return f"{first} … {last}" if first and last else None
