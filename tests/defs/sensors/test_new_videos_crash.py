"""The daemon dies in the middle of a tick: each video is run once, and none is lost."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.defs.sensors.sensor_daemon import daemon
from yivideo_pipeline.defs.instance import open_instance
from yivideo_pipeline.ledger import open_ledger

PROGRAM = Path(__file__).with_name("sensor_daemon.py")
SAMPLE = Path(__file__).resolve().parents[3] / "data" / "samples" / "harbour-15s.mp4"
VIDEOS = {"a.mp4", "b.mp4", "c.mp4"}


@pytest.mark.parametrize(
    "place",
    ["AUTOMATION_EVALUATIONS_ADDED", "RUN_IDS_RESERVED", "RUN_CREATED", "RUN_LAUNCHED"],
    ids=["nothing kept of what was asked for", "all kept", "a run made", "a run submitted"],
)
def test_a_daemon_that_dies_loses_no_video_and_runs_none_twice(home, monkeypatch, place):
    monkeypatch.setenv("YIVIDEO_LIBRARY__SETTLE_S", "0")
    (home / "inbox").mkdir()
    for name in VIDEOS:
        (home / "inbox" / name).write_bytes(SAMPLE.read_bytes())
    died = subprocess.run([sys.executable, PROGRAM, home, place], capture_output=True, check=False)
    assert died.returncode == -signal.SIGKILL, died.stderr
    with open_instance(home) as instance, daemon(instance) as tick:
        assert len(instance.get_runs()) < len(VIDEOS)
        tick(later_s=60)
        tick(later_s=120)
        tick(later_s=180)
        assert sorted(run.tags["dagster/partition"] for run in instance.get_runs()) == sorted(VIDEOS)
        assert {run.status.value for run in instance.get_runs()} == {"QUEUED"}
        assert set(instance.get_dynamic_partitions("videos")) == VIDEOS
    assert all(record.taken for record in open_ledger(home).files.read().values())
