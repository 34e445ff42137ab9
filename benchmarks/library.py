"""Makes a home folder with many registered videos, as if each had been processed once.

There is no media: the files are sparse, and what Dagster and the ledger know of them is one video's events,
cloned in the database. Everything else is real.
"""

import json
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import dagster as dg

from yivideo_pipeline.defs.cache_keys import cache_keys
from yivideo_pipeline.defs.instance import open_instance
from yivideo_pipeline.ledger import open_ledger
from yivideo_pipeline.ledger.database import insert_missing, upsert
from yivideo_pipeline.ledger.files import FileRecord, RootRecord
from yivideo_pipeline.ledger.materializations import Materialization
from yivideo_pipeline.ledger.samples import Sample
from yivideo_pipeline.library.decisions import Reason
from yivideo_pipeline.settings.settings import Settings
from yivideo_pipeline.speech.local_speech import LocalSpeech
from yivideo_pipeline.stages import STAGES, VIDEOS

FOLDER = 200  # videos in one folder
SIZE_BYTES = 300 * 2**20  # none of it on the disk
TEMPLATE = "template-of-all-others.mp4"


def fill(settings: Settings, count: int) -> list[str]:
    """Register videos, write their files, and note them as taken and made; return their keys."""
    keys = [f"season {number // FOLDER:03}/episode {number:05}.mp4" for number in range(count)]
    root = settings.library.folders["inbox"]
    for key in keys:
        path = root / key
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            file.truncate(SIZE_BYTES)
    with open_instance(settings.home) as instance:
        register(settings, instance, keys)
        _note_made(settings, keys)
        for stage in STAGES:
            instance.report_runless_asset_event(
                dg.AssetMaterialization(stage, partition=TEMPLATE, metadata={"wall_s": 1.0, "rtfx": 20.0})
            )
    _clone_events(settings.home / "dagster" / "history" / "runs" / "index.db", keys)
    return keys


def register(settings: Settings, instance: dg.DagsterInstance, keys: Sequence[str]) -> None:
    """Register videos of the inbox, and note them as taken by the watch."""
    root, now = settings.library.folders["inbox"], time.time()
    open_ledger(settings.home).files.write(_files(root, keys, now), [RootRecord("inbox", len(keys), now)])
    instance.add_dynamic_partitions(VIDEOS, keys)


def _note_made(settings: Settings, keys: Sequence[str]) -> None:
    now, options = time.time(), settings.speech.options
    known = cache_keys(options, settings.subtitles, LocalSpeech(settings).revision(options))
    with open_ledger(settings.home).engine.begin() as connection:
        upsert(connection, (_made(key, stage, known[stage], now) for key in keys for stage in STAGES))
        insert_missing(connection, (_sample(key, stage, now) for key in keys for stage in STAGES))


def _made(key: str, stage: str, recipe: str, now: float) -> Materialization:
    return Materialization(
        key, stage, stage_key="", recipe=recipe, chosen=False, video_hash="0" * 64, made_at=now, run_id="",
        reused=False, audio_s=600.0, measured_at=now, wall_s=30.0, rtfx=20.0, model="base", device="cpu",
    )  # fmt: skip


def _sample(key: str, stage: str, now: float) -> Sample:
    return Sample(
        run_id=key, root_id=key, job="process_videos", trigger="sensor", stage=stage, key=key, success=True,
        at=now - hash(key) % 2_592_000, wall_s=30.0, cpu_s=30.0, rtfx=20.0, rss_peak_mb=500.0,
        duration_s=600.0, score=90.0, confidence=0.9, attempts=1, words=1500, cues=200, reused=False,
        model="base", compute_type="int8", device="cpu", language="en",
    )  # fmt: skip


def _files(root: Path, keys: Sequence[str], now: float) -> Iterator[FileRecord]:
    for key in keys:
        found = (root / key).stat()
        size, mtime = found.st_size, found.st_mtime_ns
        yield FileRecord(
            key, "inbox", size, mtime, first_seen=now, steady_since=now,
            why=Reason.TAKEN.name,
            taken_size_bytes=size, taken_mtime_ns=mtime,
        )  # fmt: skip


def _clone_events(database: Path, keys: Sequence[str]) -> None:
    """Copy the template's events for every key, in the index that Dagster asks about assets."""
    with closing(sqlite3.connect(database)) as connection, connection:
        columns = [row[1] for row in connection.execute("PRAGMA table_info(event_logs)") if row[1] != "id"]
        connection.execute("CREATE TEMP TABLE copies (key TEXT, quoted TEXT)")
        connection.executemany("INSERT INTO copies VALUES (?, ?)", ((key, json.dumps(key)) for key in keys))
        copied = {"partition": "copies.key", "event": "replace(event, ?, copies.quoted)"}
        values = ", ".join(copied.get(name, name) for name in columns)
        connection.execute(
            f"INSERT INTO event_logs ({', '.join(columns)}) SELECT {values} FROM event_logs, copies"
            " WHERE partition = ? ORDER BY copies.rowid, id",
            [json.dumps(TEMPLATE), TEMPLATE],
        )
        connection.execute("DELETE FROM event_logs WHERE partition = ?", [TEMPLATE])
