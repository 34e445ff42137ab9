"""The sensor that removes what would grow for ever: old logs of runs, and sound that is made again on demand.

Dagster removes old ticks by itself (`retention` in dagster.yaml), but has no such setting for runs. What is
removed are a run's messages alone: runs, materializations and checks stay, and so does what the UI shows of
videos.
"""

import shutil
import time
from collections.abc import Iterator
from itertools import islice, takewhile
from pathlib import Path

import dagster as dg
from pydantic import SecretStr

from yivideo_pipeline.defs.launch import Launch
from yivideo_pipeline.defs.ticks import Tick, open_tick
from yivideo_pipeline.ledger import Ledger
from yivideo_pipeline.plurals import plural
from yivideo_pipeline.storage.artifacts import Storage

NAME = "clean_up"
PAUSE_S = 600
"""Seconds between two ticks."""
AT_ONCE = 1000
"""The most of a kind that a tick removes: it may take a minute."""
ROUNDS = 5
"""The most rounds of a tick in PostgreSQL, each of some thousand events."""
LOGS_FLAG = "run_logs_removed_up_to"
"""The flag with the number of the event up to which PostgreSQL's were looked at."""
SOUND_FLAG = "sound_removed_up_to"
"""The flag with the time (Unix seconds) up to which sound was removed."""

_DAY_S = 86_400
_RUN = "*-*-*-*-*"


def build_clean_up_sensor() -> dg.SensorDefinition:
    """Build the sensor; it runs by itself."""

    @dg.sensor(
        name=NAME,
        minimum_interval_seconds=PAUSE_S,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Removes logs of old runs (retention.run_logs_days) and old sound (retention.sound_days)",
    )
    def clean_up(
        context: dg.SensorEvaluationContext,
        launch: Launch,
        ledger: dg.ResourceParam[Ledger],
        storage: dg.ResourceParam[Storage],
    ) -> dg.SkipReason:
        tick = open_tick(context, launch, ledger)
        if isinstance(tick, dg.SkipReason):
            return tick
        if tick.is_dry:
            return dg.SkipReason("Dry run: nothing is removed")
        logs, sounds = remove_run_logs(tick, time.time()), remove_sound(tick, storage, time.time())
        return dg.SkipReason(f"Removed: {plural(logs, 'log')} of runs, {plural(sounds, 'sound')}")

    return clean_up


def remove_run_logs(tick: Tick, now: float) -> int:
    """Remove the messages of runs that have ended long ago, and what they printed.

    Returns:
        How many logs (files) or messages (rows of PostgreSQL) there were.
    """
    retention = tick.settings.retention
    if retention.run_logs_days is None:
        return 0
    before = now - retention.run_logs_days * _DAY_S
    folder = tick.settings.home / "dagster"
    removed = 0
    for file in _older((folder / "history" / "runs").glob(f"{_RUN}.db"), before):
        for part in (file, *(file.with_name(file.name + end) for end in ("-wal", "-shm"))):
            part.unlink(missing_ok=True)
        removed += 1
    for printed in _older((folder / "storage").glob(_RUN), before):
        shutil.rmtree(printed, ignore_errors=True)
    if url := tick.settings.storage.read_database_url():
        removed += _remove_rows(url, tick.ledger, before)
    return removed


def _remove_rows(url: SecretStr, ledger: Ledger, before: float) -> int:
    from yivideo_pipeline.defs.postgres_storage import remove_run_events

    flag, removed = ledger.flags.get(LOGS_FLAG), 0
    looked_up_to = int(flag.value) if flag else 0
    for _ in range(ROUNDS):
        last, count = remove_run_events(url, before, looked_up_to)
        removed += count
        if last == looked_up_to:
            break
        looked_up_to = last
    ledger.flags.replace(LOGS_FLAG, str(looked_up_to))
    return removed


def remove_sound(tick: Tick, storage: Storage, now: float) -> int:
    """Remove the sound of videos that nobody works on; whoever needs it makes it again. Returns how many."""
    retention, ledger = tick.settings.retention, tick.ledger
    if retention.sound_days is None:
        return 0
    flag = ledger.flags.get(SOUND_FLAG)
    since, before = float(flag.value) if flag else 0.0, now - retention.sound_days * _DAY_S
    old = ledger.materializations.made_between("audio", since, before, AT_ONCE)
    busy = {worker.key for worker in ledger.workers.busy()}
    removed = 0
    # What is busy comes again at the next tick, with all behind it.
    idle = list(takewhile(lambda sound: sound.key not in busy, old))
    for sound in idle:
        if storage.has(sound.video_hash, sound.stage, sound.stage_key):
            storage.remove(sound.video_hash, sound.stage, sound.stage_key)
            removed += 1
    if idle:
        ledger.flags.replace(SOUND_FLAG, repr(idle[-1].made_at))
    return removed


def _older(paths: Iterator[Path], before: float) -> list[Path]:
    """Return the paths that were last changed before a time (Unix seconds), `AT_ONCE` at most."""
    return list(islice((path for path in paths if path.stat().st_mtime < before), AT_ONCE))
