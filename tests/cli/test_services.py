"""What `yivideo up` does about programs that end, with stand-ins; `up/test_up.py` has the real ones."""

import io
import os
import sys
import threading

import pytest
from rich.console import Console

from yivideo_pipeline.cli import supervisor, up
from yivideo_pipeline.cli.console import Exit
from yivideo_pipeline.cli.signals import StopRequest
from yivideo_pipeline.cli.supervisor import SupervisedProgram
from yivideo_pipeline.cli.up import Programs, Services

LONG = "import time; time.sleep(600)"
DOOMED = """
import sys, time
from pathlib import Path
while not Path(sys.argv[1]).exists():
    time.sleep(0.01)
print("the port is taken")
raise SystemExit(3)
"""


class StandIns(Programs):
    """Programs that answer at once; the doomed one ends, at every start, once all have answered."""

    url, service_url = "http://ui", "http://service"

    def __init__(self, folder, doomed):
        self.logs = folder
        self.closed = 0
        self._sign = folder / "sign"
        self._doomed = doomed

    def _run(self, name):
        code = DOOMED if name == self._doomed else LONG
        return SupervisedProgram(name, [sys.executable, "-c", code, self._sign], os.environ, self.logs)

    def code_server(self):
        return self._run("code-server")

    def webserver(self):
        return self._run("webserver")

    def daemon(self):
        return self._run("daemon")

    def service(self):
        return self._run("service")

    def find_abandoned_runs(self):
        self.closed += 1
        return ["one", "another"] if self.closed > 1 else []

    def close_runs(self, abandoned):
        return len(abandoned)

    def code_server_answers(self):
        return True

    def webserver_answers(self):
        return True

    def service_answers(self):
        self._sign.touch()
        return True


@pytest.fixture(autouse=True)
def _hasten(monkeypatch):
    monkeypatch.setattr(supervisor, "RESTART_DELAYS_S", (0.0, 0.0))
    monkeypatch.setattr(up, "_CHECK_S", 0.01)


def run_until_it_ends(programs, stop) -> tuple[Exit, str]:
    printed = io.StringIO()
    services = Services(programs, stop, Console(file=printed, width=200))
    try:
        return services.run(), printed.getvalue()
    finally:
        hurry = threading.Event()
        hurry.set()
        services.stop_all(hurry)


@pytest.mark.parametrize("doomed", ["code-server", "webserver", "daemon"])
def test_one_of_dagster_s_that_always_ends_is_restarted_a_few_times_and_then_ends_all(
    tmp_path, doomed, capsys
):
    programs = StandIns(tmp_path, doomed)
    code, printed = run_until_it_ends(programs, StopRequest())
    assert code == Exit.FAILED
    assert printed.count(f"The {doomed} ended with exit code 3; it restarts in 0 s. Until then ") == 2
    assert f"The {doomed} ended with exit code 3, 3 times now: it is not restarted, so " in printed
    problems = capsys.readouterr().err
    assert f"The {doomed} ended with exit code 3, so all are stopped." in problems
    assert "the port is taken" in problems
    restarts = 2 if doomed == "code-server" else 0
    assert programs.closed == 1 + restarts, "runs end with the code server alone"
    assert printed.count("Closed runs whose process is gone: 2. Dagster retries them.") == restarts


def test_without_the_service_the_others_go_on(tmp_path):
    class Stop(StopRequest):
        """Stops once the service was given up, and some looks later."""

        looks = 0

        def wait(self, timeout_s):
            self.looks += "not restarted" in printed.getvalue()
            if self.looks > 5:
                self._received.set()
            return super().wait(timeout_s)

    printed = io.StringIO()
    services = Services(StandIns(tmp_path, "service"), Stop(), Console(file=printed, width=200))
    try:
        assert services.run() == Exit.DONE
        assert "3 times now: it is not restarted, so runs load the model themselves." in printed.getvalue()
    finally:
        hurry = threading.Event()
        hurry.set()
        services.stop_all(hurry)
