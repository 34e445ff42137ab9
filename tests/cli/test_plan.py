"""`yivideo plan`: what a backfill takes, and its launch; the choice of videos is that of `backfill`."""

import json
from shutil import copyfile

import pytest

from tests.cli.command import SAMPLES, call, settings
from tests.cli.test_backfill import backfills, fill
from yivideo_pipeline.cli.plan import Workload, weigh
from yivideo_pipeline.defs.backfills.plan import Estimate, Estimator
from yivideo_pipeline.defs.backfills.selection import BackfillReason, Candidate, Selection
from yivideo_pipeline.ledger import open_ledger
from yivideo_pipeline.ledger.materializations import Materialization
from yivideo_pipeline.media.probe import probe

SPEEDS = {"audio": 100.0, "transcript": 4.0, "alignment": 20.0, "subtitles": 500.0}


class FixedEstimator(Estimator):
    """An hour of sound a video, half an hour of work, 20 minutes of it on a GPU; None: not known."""

    def __init__(self, gpu_s: float | None = 1200.0) -> None:
        self._gpu_s = gpu_s

    def total(self, videos) -> Estimate:
        return Estimate(1800.0 * len(videos), 3600.0 * len(videos), 0)

    def gpu_seconds(self, video) -> float | None:
        return self._gpu_s

    def length_s(self, video) -> float:
        return 3600.0


def selection(*starts: str) -> Selection:
    return Selection(
        tuple(Candidate(f"{n}.mp4", BackfillReason.STALE, start) for n, start in enumerate(starts))
    )


def test_gpu_hours_cost_their_price_and_only_new_sound_needs_disk():
    found = weigh(FixedEstimator(), selection("video", "audio", "transcript"), 3.0)
    assert (found.gpu_s, found.cost) == (3600.0, 3.0)
    assert found.disk_bytes == 2 * 3600 * 32_000
    assert found.estimate == Estimate(5400.0, 10_800.0, 0)


@pytest.mark.parametrize(("gpu_s", "price"), [(None, 3.0), (1200.0, None)])
def test_without_a_speed_or_a_price_there_is_no_cost(gpu_s, price):
    assert weigh(FixedEstimator(gpu_s), selection("video"), price).cost is None


def test_work_on_the_cpu_costs_no_gpu_hours():
    assert Workload(Estimate(60.0, 60.0, 0), 0.0, 0, 3.0).cost == 0.0


@pytest.fixture
def environment(home, model_dir):
    return settings(home, model_dir, YIVIDEO_SPEECH__MODEL_NAME="auto")


def note_speeds(home):
    """Note how fast base was on this CPU."""
    ledger = open_ledger(home).materializations
    for stage, rtfx in SPEEDS.items():
        model, device = ("base", "cpu") if stage in ("transcript", "alignment") else (None, None)
        one = Materialization(
            "other.mp4", stage, "k", "1.x", chosen=False, video_hash="h", made_at=1.0, run_id="r",
            reused=False, audio_s=60.0, measured_at=1.0, wall_s=1.0, rtfx=rtfx, model=model,
            device=device,
        )  # fmt: skip
        ledger.note(one)


def test_a_plan_knows_lengths_by_the_files_and_speeds_by_the_ledger_and_is_launched_on_request(
    environment, home
):
    fill(home, home / "inbox")
    note_speeds(home)
    plan = json.loads(
        call(environment, "plan", "--match", "* good.mp4", "--gpu-hour-price", "2", "--json").stdout
    )
    length_s = 2 * (probe(SAMPLES / "harbour-15s.mp4").duration_s or 0)
    assert (plan["videos"], plan["reasons"], plan["guessed"]) == (2, {"missing": 2}, 0)
    assert plan["audio_s"] == pytest.approx(length_s)
    assert plan["work_s"] == pytest.approx(sum(length_s / speed for speed in SPEEDS.values()))
    assert plan["disk_bytes"] == pytest.approx(length_s * 32_000, abs=1)
    assert (plan["model"], plan["gpu_s"], plan["cost"], plan["launched"]) == ("base", 0, 0, [])
    assert plan["model_choice"].startswith("chosen for a CPU")
    refused = call(environment, "plan", "--launch")
    assert refused.returncode == 2
    assert refused.stderr.endswith("Add --yes to launch it, or leave out --launch to only look.\n")
    assert backfills(home) == []
    ended = call(environment, "plan", "--match", "* good.mp4", "--launch", "--yes")
    assert ended.stdout.splitlines()[0] == "videos  2: 2 missing"
    (launched,) = backfills(home)
    assert f"Launched backfill {launched.backfill_id}: " in ended.stdout


def test_videos_that_the_watch_has_not_taken_yet_are_in_the_plan_and_in_no_backfill(environment, home):
    keys = fill(home, home / "inbox")
    for name in ("new.mp4", "notes.txt"):
        copyfile(SAMPLES / "harbour-15s.mp4", home / "inbox" / name)
    plan = json.loads(call(environment, "plan", "--json").stdout)
    assert (plan["videos"], plan["reasons"]) == (4, {"missing": 3, "new in the library": 1})
    ended = call(environment, "plan", "--launch", "--yes")
    assert "The watch takes 1 new video by itself; a backfill has none of them." in ended.stdout
    left = json.loads(call(environment, "plan", "--json").stdout)
    assert (left["reasons"], left["left_out"]) == ({"new in the library": 1}, len(keys))


def test_a_price_is_a_number(environment):
    ended = call(environment, "plan", "--gpu-hour-price", "-1")
    assert ended.returncode == 2
    assert "a price is a number such as 2.5, not -1" in ended.stderr
