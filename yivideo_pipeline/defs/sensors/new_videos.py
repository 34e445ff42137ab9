"""The sensor that looks at the library and asks for a run of each video that is to be made."""

import dagster as dg

from yivideo_pipeline.defs.partitions import videos
from yivideo_pipeline.defs.watch.submitted import submitted, write_cursor
from yivideo_pipeline.defs.watch.told import sum_up, tell
from yivideo_pipeline.errors.tree import Severity
from yivideo_pipeline.history.tags import TRIGGER_TAG
from yivideo_pipeline.ledger.ledger import Ledger
from yivideo_pipeline.ledger.outbox import Notice
from yivideo_pipeline.library.outcome import Alert, Item, Look
from yivideo_pipeline.library.watch import Watch
from yivideo_pipeline.settings.model import Settings
from yivideo_pipeline.stages import JOB, VIDEOS
from yivideo_pipeline.storage.artifacts import Storage

NAME = "new_videos"
TRIGGER = "sensor"
PRIORITY = "-1"
"""Behind a person's own runs, before backfills."""
AT_ONCE = 50
"""No more runs of this sensor wait or run: a library of 20,000 old videos doesn't fill the queue. A run takes
the daemon a quarter of a second to submit, so a tick ends within 15 s."""

_UNFINISHED = [
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


def build_watch_sensor(settings: Settings) -> dg.SensorDefinition:
    """Build the sensor; it runs by itself, at the pace of `library.poll_s`."""

    @dg.sensor(
        name=NAME,
        job_name=JOB,
        minimum_interval_seconds=settings.library.poll_s,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Looks at the library's roots and makes subtitles for each new or changed video."
        " Each tick tells what is done with which file, and why; so does `yivideo why FILE`",
    )
    def new_videos(
        context: dg.SensorEvaluationContext,
        ledger: dg.ResourceParam[Ledger],
        storage: dg.ResourceParam[Storage],
    ) -> dg.SensorResult:
        instance = context.instance
        watch = Watch(settings, ledger.files, ledger.failures, storage)
        watch.note_taken(submitted(instance, context.cursor))
        look = watch.look(limit=_places_left(instance))
        for line in tell(look):
            context.log.info(line)
        for alert in look.alerts:
            ledger.outbox.post(_notice(alert), settings.notices.repeat_after_h * 3600)
        return _result(look, _retire(watch, look, instance))

    return new_videos


def _places_left(instance: dg.DagsterInstance) -> int:
    ours = dg.RunsFilter(tags={TRIGGER_TAG: TRIGGER}, statuses=_UNFINISHED)
    return max(0, AT_ONCE - instance.get_runs_count(ours))


def _retire(watch: Watch, look: Look, instance: dg.DagsterInstance) -> list[str]:
    """Note which of the deleted videos have no partition any more; returns those that still have one."""
    registered = set(instance.get_dynamic_partitions(VIDEOS)) if look.retire else set()
    watch.note_retired(item.key for item in look.retire if item.key not in registered)
    return [item.key for item in look.retire if item.key in registered]


def _result(look: Look, retire: list[str]) -> dg.SensorResult:
    requests = []
    if look.take:
        requests.append(videos.build_add_request([item.key for item in look.take]))
    if retire:
        requests.append(videos.build_delete_request(retire))
    return dg.SensorResult(
        run_requests=[_request(item) for item in look.take],
        # Dagster shows a reason only where there is nothing to run.
        skip_reason=None if look.take else dg.SkipReason(sum_up(look)),
        dynamic_partitions_requests=requests,
        cursor=write_cursor(look.take),
    )


def _request(item: Item) -> dg.RunRequest:
    return dg.RunRequest(
        run_key=item.run_key,
        partition_key=item.key,
        tags={TRIGGER_TAG: TRIGGER, "dagster/priority": PRIORITY},
    )


def _notice(alert: Alert) -> Notice:
    return Notice(
        "library_gone",
        alert.message,
        (alert.message, alert.hint),
        fingerprint=f"library_gone:{alert.fingerprint}",
        severity=Severity.CRITICAL,
    )
