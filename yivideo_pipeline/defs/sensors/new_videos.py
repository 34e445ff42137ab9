"""The sensor that looks at the library and asks for a run of each video that is to be made."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

import dagster as dg

from yivideo_pipeline.defs.dagster_internals import videos
from yivideo_pipeline.errors.tree import Severity
from yivideo_pipeline.ledger import Ledger
from yivideo_pipeline.ledger.files import Stamp
from yivideo_pipeline.ledger.outbox import Notice
from yivideo_pipeline.library.decisions import Action, Reason
from yivideo_pipeline.library.outcome import LibraryItem, ScanResult
from yivideo_pipeline.library.watch import Watch, open_watch
from yivideo_pipeline.settings.tree import Settings
from yivideo_pipeline.stages import JOB, TRIGGER_TAG, VIDEOS
from yivideo_pipeline.storage.artifacts import Storage

# PART defs/watch/submitted.py: What a tick asked Dagster to run, and whether it came to that.
#
# A sensor only asks: the runs are made when it has returned, and until then everything may die. So a tick
# leaves what it asked for in its cursor, which Dagster keeps together with the requests, and the next tick
# counts those files as taken whose run is really there. The others are asked for again; Dagster makes no
# second run of the same run key.

RUN_KEY_TAG = "dagster/run_key"


def write_cursor(items: Iterable[LibraryItem]) -> str:
    """Write down what is asked for: key, size and time of each file, by the run key of its request."""
    return json.dumps({item.run_key: [item.key, *item.stamp] for item in items})


def submitted(instance: dg.DagsterInstance, cursor: str | None) -> dict[str, Stamp]:
    """Return what of a cursor has a run that was started or waits for its turn: the state by key."""
    asked: Mapping[str, list] = json.loads(cursor or "{}")
    return {
        key: Stamp(size_bytes, mtime_ns)
        for run_key, (key, size_bytes, mtime_ns) in asked.items()
        if _has_run(instance, run_key)
    }


def _has_run(instance: dg.DagsterInstance, run_key: str) -> bool:
    # A run that was made but not handed over yet is handed over when it is asked for again.
    runs = instance.get_runs(dg.RunsFilter(tags={RUN_KEY_TAG: run_key}))
    return any(run.status != dg.DagsterRunStatus.NOT_STARTED for run in runs)


# PART defs/watch/told.py: What a tick tells of a look: a line for each file that is news, and all files by their reason.

LINES = 100
"""So many files are told one by one; of more only how many there are for each reason."""

_WORDS: dict[Action, str] = {
    "take": "to be made",
    "take_again": "to be made again",
    "retire": "to be taken out",
    "hold": "out of sight",
    "wait": "waiting",
    "skip": "skipped",
    "known": "known",
}
"""What is done comes first."""


def tell(look: ScanResult) -> Iterator[str]:
    """Say of each file on which the decision is new what it is and why, no more than 100; then counts.

    Where there is no news there is nothing to tell: each tick with a log leaves a file.
    """
    order = list(_WORDS)
    news = sorted(
        ((key, decision) for key, decision in look.changes.items() if decision.reason is not Reason.TAKEN),
        key=lambda told: order.index(told[1].action),
    )
    for key, decision in news[:LINES]:
        yield f"{key}: {_WORDS[decision.action]}. {decision}."
    for why, count in Counter(decision.reason for _, decision in news[LINES:]).items():
        yield f"{count} more {_WORDS[why.action]}. {why.sentence}."
    if news:
        yield f"All in all: {sum_up(look)}."


def sum_up(look: ScanResult) -> str:
    """Say in one line how many files there are by what is done with them, and for which reasons."""
    counts = [
        f"{count:,} {words}{_reasons(look, action)}"
        for action, words in _WORDS.items()
        if (count := look.count(action))
    ]
    alerts = [alert.message for alert in look.alerts]
    quiet = [] if look.take else ["Nothing to be made"]
    return ". ".join([*alerts, *quiet, ", ".join(counts) or "There is no video in the library"])


def _reasons(look: ScanResult, action: Action) -> str:
    if action == "known":
        return ""
    reasons = [
        f"{count:,} {why.name.lower().replace('_', ' ')}"
        for why, count in sorted(look.counts.items(), key=lambda counted: (-counted[1], counted[0].name))
        if why.action == action and count
    ]
    return f" ({', '.join(reasons)})"


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
        watch = open_watch(settings, ledger, storage)
        watch.note_taken(submitted(instance, context.cursor))
        look = watch.scan(limit=_places_left(instance))
        for line in tell(look):
            context.log.info(line)
        for alert in look.alerts:
            ledger.outbox.post(_notice(alert), settings.notices.repeat_after_h * 3600)
        return _result(look, _retire(watch, look, instance))

    return new_videos


def _places_left(instance: dg.DagsterInstance) -> int:
    ours = dg.RunsFilter(tags={TRIGGER_TAG: TRIGGER}, statuses=_UNFINISHED)
    return max(0, AT_ONCE - instance.get_runs_count(ours))


def _retire(watch: Watch, look: ScanResult, instance: dg.DagsterInstance) -> list[str]:
    """Note which of the deleted videos have no partition any more; returns those that still have one."""
    registered = set(instance.get_dynamic_partitions(VIDEOS)) if look.retire else set()
    watch.note_retired(item.key for item in look.retire if item.key not in registered)
    return [item.key for item in look.retire if item.key in registered]


def _result(look: ScanResult, retire: list[str]) -> dg.SensorResult:
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


def _request(item: LibraryItem) -> dg.RunRequest:
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
