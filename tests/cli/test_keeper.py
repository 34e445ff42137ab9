"""A service that ends by itself is started again, by a clock that these tests move on."""

import os
import sys

import pytest

from yivideo_pipeline.cli.supervisor import STEADY_S, WAITS_S, Keeper, Service, wait_until


class Trial:
    """A keeper of a program that ends at once, the lines that it said, its clock."""

    def __init__(self, logs):
        self.now = 0.0
        self.said = []
        self.started = []
        self._logs = logs
        self.keeper = Keeper(self._start, self.said.append, lambda: self.now)

    def _start(self):
        service = Service(
            "service", [sys.executable, "-c", "raise SystemExit(3)"], dict(os.environ), self._logs
        )
        self.started.append(service)
        return service

    def let_end(self):
        """Wait for the program's end, and let the keeper see it."""
        assert wait_until(lambda: not self.keeper.runs, 30)
        self.keeper.look()


@pytest.fixture
def trial(tmp_path):
    trial = Trial(tmp_path)
    yield trial
    for service in trial.started:
        wait_until(lambda service=service: service.exit_code is not None, 30)
        service.close()


def test_it_is_started_again_after_waits_that_grow_and_given_up_in_the_end(trial):
    for number, wait_s in enumerate(WAITS_S, 1):
        trial.let_end()
        assert trial.said[-1].startswith(
            f"The service ended with exit code 3; it starts again in {wait_s:.0f} s."
        )
        trial.now += wait_s - 0.5
        trial.keeper.look()
        assert len(trial.started) == number
        trial.now += 0.5
        trial.keeper.look()
        assert len(trial.started) == number + 1
    trial.let_end()
    assert "5 times now: it stays away" in trial.said[-1]
    trial.now += 10_000
    trial.keeper.look()
    assert len(trial.started) == len(trial.said) == 5


def test_who_lived_long_has_all_its_starts_again(trial):
    for wait_s in WAITS_S[:2]:
        trial.let_end()
        trial.now += wait_s
        trial.keeper.look()
    trial.now += STEADY_S
    trial.let_end()
    assert "it starts again in 1 s" in trial.said[-1]
