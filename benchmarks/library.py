"""Makes a home folder with many registered videos, as if each had been processed once.

There is no media: the files are bytes, and what Dagster and the ledger know of them is one video's events,
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
from yivideo_pipeline.ledger.database import upsert
from yivideo_pipeline.ledger.files import FileRecord, RootRecord
from yivideo_pipeline.ledger.materializations import Materialization
from yivideo_pipeline.settings.settings import Settings
from yivideo_pipeline.speech.local_speech import LocalSpeech
from yivideo_pipeline.stages import STAGES, VIDEOS

FOLDER = 200  # videos in one folder
CONTENT = b"no video" * 256
TEMPLATE = "template-of-all-others.mp4"


def fill(settings: Settings, count: int) -> list[str]:
    """Register videos, write their files, and note them as taken and made; return their keys."""
    keys = [f"season {number // FOLDER:03}/episode {number:05}.mp4" for number in range(count)]
    root = settings.library.folders["inbox"]
    for key in keys:
        path = root / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(CONTENT)
    _fill_ledger(settings, root, keys)
    with open_instance(settings.home) as instance:
        instance.add_dynamic_partitions(VIDEOS, keys)
        for stage in STAGES:
            instance.report_runless_asset_event(
                dg.AssetMaterialization(stage, partition=TEMPLATE, metadata={"wall_s": 1.0, "rtfx": 20.0})
            )
    _clone_events(settings.home / "dagster" / "history" / "runs" / "index.db", keys)
    return keys


def _fill_ledger(settings: Settings, root: Path, keys: Sequence[str]) -> None:
    now = time.time()
    options = settings.speech.options
    known = cache_keys(options, settings.subtitles, LocalSpeech(settings).revision(options))
    ledger = open_ledger(settings.home)
    ledger.files.write(_files(root, keys, now), [RootRecord("inbox", len(keys), now)])
    with ledger.engine.begin() as connection:
        upsert(connection, (_made(key, stage, known[stage], now) for key in keys for stage in STAGES))


def _made(key: str, stage: str, recipe: str, now: float) -> Materialization:
    return Materialization(
        key, stage, stage_key="", recipe=recipe, chosen=False, video_hash="0" * 64, made_at=now, run_id="",
        reused=False, audio_s=600.0, measured_at=now, wall_s=30.0, rtfx=20.0, model="base", device="cpu",
    )  # fmt: skip


def _files(root: Path, keys: Sequence[str], now: float) -> Iterator[FileRecord]:
    for key in keys:
        found = (root / key).stat()
        size, mtime = found.st_size, found.st_mtime_ns
        yield FileRecord(
            key, "inbox", size, mtime, first_seen=now, steady_since=now,
            taken_size_bytes=size, taken_mtime_ns=mtime,
        )  # fmt: skip


def _clone_events(database: Path, keys: Sequence[str]) -> None:
    """Copy the template's events for every key, in the index that Dagster asks about assets."""
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.row_factory = sqlite3.Row
        rows = connection.execute(
            "SELECT * FROM event_logs WHERE partition = ? ORDER BY id", [TEMPLATE]
        ).fetchall()
        names = [name for name in rows[0].keys() if name != "id"]  # noqa: SIM118 - a Row is no mapping
        places = ", ".join("?" * len(names))
        quoted = json.dumps(TEMPLATE)
        connection.executemany(
            f"INSERT INTO event_logs ({', '.join(names)}) VALUES ({places})",
            (
                [
                    key
                    if name == "partition"
                    else row["event"].replace(quoted, json.dumps(key))
                    if name == "event"
                    else row[name]
                    for name in names
                ]
                for key in keys
                for row in rows
            ),
        )
        connection.execute("DELETE FROM event_logs WHERE partition = ?", [TEMPLATE])
