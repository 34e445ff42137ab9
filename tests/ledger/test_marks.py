import pytest

from yivideo_pipeline.ledger.database import open_ledger
from yivideo_pipeline.ledger.flags import Marks


@pytest.fixture
def marks(home):
    engine = open_ledger(home)
    yield Marks(engine)
    engine.dispose()


def test_a_mark_that_was_never_set_is_not_there(marks):
    assert marks.get("backfills.paused") is None
    assert not marks.clear("backfills.paused")


def test_a_mark_says_what_was_set_and_since_when(marks):
    mark = marks.set("backfills.paused", "ann@desk")
    assert marks.get("backfills.paused") == mark
    assert mark.value == "ann@desk"


def test_who_sets_a_mark_again_does_not_change_it(marks):
    first = marks.set("backfills.paused", "ann@desk")
    assert marks.set("backfills.paused", "bob@sofa") == first


def test_a_cleared_mark_is_gone_and_others_stay(marks):
    marks.set("backfills.paused", "ann")
    other = marks.set("library.gone", "inbox")
    assert marks.clear("backfills.paused")
    assert marks.get("backfills.paused") is None
    assert marks.get("library.gone") == other


def test_another_process_sees_it(marks, home):
    marks.set("backfills.paused", "ann")
    engine = open_ledger(home)
    assert Marks(engine).get("backfills.paused")
    engine.dispose()
