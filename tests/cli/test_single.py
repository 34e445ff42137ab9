"""One `yivideo up` for a database, whichever hosts it is started on."""

import io

import pytest
from rich.console import Console

from yivideo_pipeline.cli import single
from yivideo_pipeline.cli.console import WrongUsage
from yivideo_pipeline.cli.signals import StopRequest
from yivideo_pipeline.cli.single import single_for_database
from yivideo_pipeline.ledger import open_ledger
from yivideo_pipeline.ledger.alive import GONE_AFTER_S, LifeSign
from yivideo_pipeline.ledger.database import upsert
from yivideo_pipeline.ledger.leases import Lease


class ElsewhereUp:
    """A `yivideo up` on another host: it holds the lease, and gives its last sign of life at a time."""

    def __init__(self, home) -> None:
        self.ledger = open_ledger(home)
        self.printed = io.StringIO()

    def give_sign(self, at: float) -> None:
        with self.ledger.engine.begin() as connection:
            upsert(connection, [Lease("up", "other:1:1.00", "token")])
            upsert(connection, [LifeSign("other:1:1.00", at)])

    def start_here(self) -> None:
        console = Console(file=self.printed, width=200)
        with single_for_database(self.ledger.leases, "db:5432/home", StopRequest(), console):
            pass


@pytest.fixture
def elsewhere(home):
    up = ElsewhereUp(home)
    yield up
    up.ledger.engine.dispose()


def test_a_second_one_waits_for_a_sign_of_life_and_says_on_which_host_the_first_is(elsewhere, monkeypatch):
    monkeypatch.setattr(single, "GONE_AFTER_S", 0)
    monkeypatch.setattr(single, "BEAT_S", 0.2)
    elsewhere.give_sign(at=2.0**40)
    with pytest.raises(WrongUsage, match="already runs for the database db:5432/home, on other"):
        elsewhere.start_here()
    assert elsewhere.printed.getvalue().count("Waiting to see whether yivideo up on other is gone") == 1


def test_it_takes_the_place_of_one_whose_host_is_gone(elsewhere):
    elsewhere.give_sign(at=GONE_AFTER_S)
    elsewhere.start_here()
    assert elsewhere.printed.getvalue() == ""
