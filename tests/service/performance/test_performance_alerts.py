"""Alerts of the real service: each starts once and ends once, also over restarts."""

import time

import pandas as pd
import pytest
from sqlalchemy import text

from tests.service.server import run_server
from tests.waiting import wait_for
from yivideo_pipeline.ledger import Ledger, open_ledger
from yivideo_pipeline.ledger.samples import MachineSample
from yivideo_pipeline.service.performance.alerts import AlertBook, check_thresholds
from yivideo_pipeline.settings.sections import AlertSettings

API = "/api/v1/performance"
LIMIT = "YIVIDEO_ALERTS__MEMORY_PCT"


def notices(ledger: Ledger) -> list[str]:
    with ledger.engine.connect() as connection:
        wanted = text("SELECT kind, subject FROM notices ORDER BY id")
        return [subject for kind, subject in connection.execute(wanted) if kind == "alert"]


def alerts(client) -> list[dict]:
    return client.get(f"{API}/insights").json()["alerts"]


def looked(ledger: Ledger) -> int:
    return len(ledger.machine.since(0))


def test_an_alert_starts_once_and_ends_once_also_over_restarts(tmp_path, model_dir):
    home = tmp_path / "home"
    ledger = open_ledger(home)
    with run_server(home, model_dir, None, **{LIMIT: "0"}) as server, server.client() as client:
        [alert] = wait_for(lambda: alerts(client))
        assert alert["name"] == "memory" and alert["threshold"] == 0
        assert client.get(f"{API}/insights").json()["overall_health"] == "poor"
    assert len(notices(ledger)) == 1
    before = looked(ledger)
    with run_server(home, model_dir, None, **{LIMIT: "0"}) as server, server.client() as client:
        wait_for(lambda: looked(ledger) > before)
        wait_for(lambda: alerts(client) == [alert])  # as old as it was
    assert len(notices(ledger)) == 1
    with run_server(home, model_dir, None, **{LIMIT: "100"}) as server, server.client() as client:
        wait_for(lambda: alerts(client) == [])
        wait_for(lambda: len(notices(ledger)) == 2)
    assert notices(ledger)[0].startswith("Alert: Memory use is")
    assert notices(ledger)[1] == "Alert over: memory"
    log = (home / "logs" / "yivideo.log").read_text()
    assert log.count("alert memory: Memory use is") == 1
    assert log.count("alert memory is over") == 1


def works(*walls: float, failed: int = 0, kind: str = "memory") -> pd.DataFrame:
    done = [(wall_s, True, None) for wall_s in walls]
    rows = [*done, *[(float("nan"), False, kind)] * failed]
    return pd.DataFrame(rows, columns=["duration_s", "success", "kind"])


def names(*args) -> list[str]:
    return [finding.name for finding in check_thresholds(*args, AlertSettings())]


def test_each_threshold_has_its_alert():
    assert names(works(*[10.0] * 10), []) == []
    assert names(works(*[10.0] * 9, 400.0), []) == ["p99"]
    assert names(works(*[10.0] * 9, failed=1), []) == [], "90% succeed, 10% fail: neither is beyond"
    assert names(works(*[10.0] * 8, failed=2), []) == ["errors"]
    several = [works(*[10.0] * 20), *(works(failed=1, kind=kind) for kind in ("memory", "disk", "task"))]
    assert names(pd.concat(several), []) == ["success"], "20 of 23 succeed, and no kind fails often"
    gpu = MachineSample(time.time(), 50.0, 1.0, 1.0, gpu_memory_pct=95.0)
    assert names(works(), [gpu]) == ["gpu"]


def test_errors_of_different_kinds_are_not_one_kind_of_error():
    mixed = pd.concat([works(*[10.0] * 18, failed=1), works(failed=1, kind="disk")])
    assert names(mixed, []) == []


def test_files_that_can_not_be_used_are_no_alert():
    unusable = works(*[10.0] * 8, failed=20, kind="media_unreadable")
    assert names(unusable, []) == []
    assert names(pd.concat([unusable, works(failed=1)]), []) == ["errors"], "1 of 9 failed here"


def test_what_one_kind_of_error_explains_is_one_alert():
    failed = pd.concat([works(*[10.0] * 18, failed=4), works(failed=3, kind="disk")])
    errors, success = check_thresholds(failed, [], AlertSettings())
    assert "16.0% of 25 operations" in errors.message
    assert "failed with memory" in errors.message
    assert "85.7% of 21 operations" in success.message
    assert "without those that failed with memory" in success.message


def test_few_operations_cause_no_alert_about_shares():
    assert names(works(1000.0, failed=3), []) == []


def test_a_moments_peak_of_memory_is_no_alert():
    machine = [MachineSample(float(n), 99.0 if n == 4 else 50.0, 1.0, 1.0) for n in range(5)]
    assert names(works(), machine) == []


def test_an_alert_that_comes_again_is_reported_again(tmp_path, caplog):
    ledger = open_ledger(tmp_path)
    book = AlertBook(lambda: ledger)
    finding = check_thresholds(works(*[1000.0] * 5), [], AlertSettings())
    for found in (finding, finding, [], [], finding):
        book.update(found)
    assert [subject.split(":")[0] for subject in notices(ledger)] == ["Alert", "Alert over", "Alert"]
    assert book.active()[0].value == pytest.approx(1000.0)
