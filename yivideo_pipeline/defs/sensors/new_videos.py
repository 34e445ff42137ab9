"""The sensor that scans the library and requests a run of each video that is to be made.

A sensor only requests runs: they are created when it has returned, and until then every process may die. So
a tick leaves its requests in its cursor, which Dagster stores together with them, and the next tick counts
those files as taken that really have a run. The others are requested again; Dagster creates no second run for
the same run key.
"""

import json
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

import dagster as dg

from yivideo_pipeline.defs.launch import Launch
from yivideo_pipeline.defs.partitions import videos
from yivideo_pipeline.defs.recording import quarantine_killers
from yivideo_pipeline.defs.resources import Library
from yivideo_pipeline.defs.runs import UNFINISHED
from yivideo_pipeline.defs.ticks import open_tick
from yivideo_pipeline.errors.tree import Severity
from yivideo_pipeline.ledger import Ledger
from yivideo_pipeline.ledger.files import Stamp
from yivideo_pipeline.ledger.outbox import Notice
from yivideo_pipeline.library.decisions import Action, Reason
from yivideo_pipeline.library.outcome import LibraryItem, ScanResult, WatchAlert
from yivideo_pipeline.library.watch import Watch, open_watch
from yivideo_pipeline.stages import AUTOMATIC_TAG, JOB, PRIORITY_TAG, TRIGGER_TAG, VIDEOS
from yivideo_pipeline.storage.artifacts import Storage

NAME = "new_videos"
TRIGGER = "sensor"
PRIORITY = "-1"
"""Behind a user's own runs, before backfills."""
AT_ONCE = 50
"""The most runs of this sensor that wait or run: a library of 20,000 old videos does not fill the queue. The
daemon takes a quarter of a second to submit a run, so a tick ends within 15 s."""
LINES = 100
"""The most files that a tick logs one by one; of more it logs only their number for each reason."""
PATIENCE_S = 1.0
"""A tick waits so long for a file that is about to have stood still: the next tick may be 5 s away."""
LIGHT_SCAN_CPU_S = 0.25
"""Processor time of a scan of some 8,000 videos on a disk."""
SHORT_SCAN_S = 2.0
RUN_KEY_TAG = "dagster/run_key"

_ACTIONS: dict[Action, str] = {
    "take": "to be made",
    "take_again": "to be made again",
    "retire": "to be removed",
    "hold": "out of sight",
    "wait": "waiting",
    "skip": "skipped",
    "known": "known",
}
"""The words for what is done with a file, in the order of the log."""


def build_watch_sensor(poll_s: int) -> dg.SensorDefinition:
    """Build the sensor; it runs by itself.

    Args:
        poll_s: Seconds between two ticks.
    """
    rest_until = 0.0

    @dg.sensor(
        name=NAME,
        job_name=JOB,
        # Dagster looks every 5 s whether a tick is due. It must not find that a millisecond is missing.
        minimum_interval_seconds=poll_s - 1,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Scans the library's roots and makes subtitles for each new or changed video."
        " Each tick logs what is done with which file, and why; so does `yivideo why FILE`",
    )
    def new_videos(
        context: dg.SensorEvaluationContext,
        launch: Launch,
        ledger: dg.ResourceParam[Ledger],
        storage: dg.ResourceParam[Storage],
        library: dg.ResourceParam[Library],
    ) -> dg.SensorResult | dg.SkipReason:
        nonlocal rest_until
        instance, tick = context.instance, open_tick(context, launch, ledger)
        if isinstance(tick, dg.SkipReason):
            return tick
        if time.monotonic() < rest_until and not tick.is_dry:
            return dg.SkipReason("A scan of this library takes long: one of the next ticks makes it")
        began_cpu_s, began_s = time.thread_time(), time.monotonic()
        for key in quarantine_killers(tick.ledger, library, tick.settings.runs.quarantine_after):
            context.log.warning(f"{key}: quarantined, since it has killed its workers again and again")
        watch = open_watch(tick.settings, tick.ledger, storage)
        watch.note_taken(find_submitted(instance, context.cursor))
        scan = watch.scan(limit=_free_slots(instance))
        lines = [*describe_changes(scan)]
        if not scan.take and scan.settled_in_s is not None and scan.settled_in_s <= PATIENCE_S:
            time.sleep(max(0.0, scan.settled_in_s))
            scan = watch.scan(limit=_free_slots(instance))
            lines += describe_changes(scan)
        for line in lines:
            context.log.info(line)
        for alert in scan.alerts:
            tick.ledger.outbox.post(_notice(alert), tick.settings.notices.repeat_after_h * 3600)
        if not scan.take:
            now_s = time.monotonic()
            rest_until = now_s + rest_after(time.thread_time() - began_cpu_s, now_s - began_s)
        return _result(scan, _retire(watch, scan, instance))

    return new_videos


def rest_after(cpu_s: float, wall_s: float) -> float:
    """Return for how many seconds no tick scans the library again, after a scan that found nothing to do.

    So the scans of a large library take a tenth of a core at most, and those of a slow disk, share or bucket
    a third of the time.

    Args:
        cpu_s: Processor time of the scan.
        wall_s: How long it took.
    """
    is_light = cpu_s <= LIGHT_SCAN_CPU_S and wall_s <= SHORT_SCAN_S
    return 0.0 if is_light else max(9 * cpu_s, 2 * wall_s)


def write_cursor(items: Iterable[LibraryItem]) -> str:
    """Return the cursor of a tick: key, size and time of each requested file, by its run key."""
    return json.dumps({item.run_key: [item.key, *item.stamp] for item in items})


def find_submitted(instance: dg.DagsterInstance, cursor: str | None) -> dict[str, Stamp]:
    """Return the files of a cursor that have a run, waiting or begun: their state by key."""
    requested: Mapping[str, list] = json.loads(cursor or "{}")
    return {
        key: Stamp(size_bytes, mtime_ns)
        for run_key, (key, size_bytes, mtime_ns) in requested.items()
        if _has_run(instance, run_key)
    }


def describe_changes(scan: ScanResult) -> Iterator[str]:
    """Yield a line for each file whose decision is new, no more than 100, then their counts.

    Without a change there is no line, since each tick with a log leaves a file.
    """
    order = list(_ACTIONS)
    changes = sorted(
        ((key, decision) for key, decision in scan.changes.items() if decision.reason is not Reason.TAKEN),
        key=lambda change: order.index(change[1].action),
    )
    for key, decision in changes[:LINES]:
        yield f"{key}: {_ACTIONS[decision.action]}. {decision}."
    for reason, count in Counter(decision.reason for _, decision in changes[LINES:]).items():
        yield f"{count} more {_ACTIONS[reason.action]}. {reason.sentence}."
    if changes:
        yield f"In all: {summarize_scan(scan)}."


def summarize_scan(scan: ScanResult) -> str:
    """Return one line with the number of files by what is done with them, and by reason."""
    counts = [
        f"{count:,} {words}{_reasons(scan, action)}"
        for action, words in _ACTIONS.items()
        if (count := scan.count(action))
    ]
    alerts = [alert.message for alert in scan.alerts]
    idle = [] if scan.take else ["Nothing to be made"]
    return ". ".join([*alerts, *idle, ", ".join(counts) or "There is no video in the library"])


def _reasons(scan: ScanResult, action: Action) -> str:
    if action == "known":
        return ""
    reasons = [
        f"{count:,} {reason.name.lower().replace('_', ' ')}"
        for reason, count in sorted(scan.counts.items(), key=lambda counted: (-counted[1], counted[0].name))
        if reason.action == action and count
    ]
    return f" ({', '.join(reasons)})"


def _has_run(instance: dg.DagsterInstance, run_key: str) -> bool:
    # A run that was created but not submitted yet is submitted when it is requested again.
    runs = instance.get_runs(dg.RunsFilter(tags={RUN_KEY_TAG: run_key}))
    return any(run.status != dg.DagsterRunStatus.NOT_STARTED for run in runs)


def _free_slots(instance: dg.DagsterInstance) -> int:
    ours = dg.RunsFilter(tags={TRIGGER_TAG: TRIGGER}, statuses=UNFINISHED)
    return max(0, AT_ONCE - instance.get_runs_count(ours))


def _retire(watch: Watch, scan: ScanResult, instance: dg.DagsterInstance) -> list[str]:
    """Note which of the deleted videos have no partition any more; return those that still have one."""
    registered = set(instance.get_dynamic_partitions(VIDEOS)) if scan.retire else set()
    watch.note_retired(item.key for item in scan.retire if item.key not in registered)
    return [item.key for item in scan.retire if item.key in registered]


def _result(scan: ScanResult, retire: list[str]) -> dg.SensorResult:
    requests = []
    if scan.take:
        requests.append(videos.build_add_request([item.key for item in scan.take]))
    if retire:
        requests.append(videos.build_delete_request(retire))
    return dg.SensorResult(
        run_requests=[_request(item) for item in scan.take],
        # Dagster shows a reason only where there is nothing to run.
        skip_reason=None if scan.take else dg.SkipReason(summarize_scan(scan)),
        dynamic_partitions_requests=requests,
        cursor=write_cursor(scan.take),
    )


def _request(item: LibraryItem) -> dg.RunRequest:
    return dg.RunRequest(
        run_key=item.run_key,
        partition_key=item.key,
        tags={TRIGGER_TAG: TRIGGER, PRIORITY_TAG: PRIORITY, AUTOMATIC_TAG: "true"},
    )


def _notice(alert: WatchAlert) -> Notice:
    return Notice(
        "library_gone",
        alert.message,
        (alert.message, alert.hint),
        fingerprint=f"library_gone:{alert.fingerprint}",
        severity=Severity.CRITICAL,
    )
