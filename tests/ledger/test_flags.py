import pytest

from yivideo_pipeline.ledger import open_ledger


@pytest.fixture
def flags(ledger):
    return ledger.flags


def test_a_flag_that_was_never_set_is_not_there(flags):
    assert flags.get("backfills.paused") is None
    assert not flags.clear("backfills.paused")


def test_a_flag_says_what_was_set_and_since_when(flags):
    flag = flags.set("backfills.paused", "ann@desk")
    assert flags.get("backfills.paused") == flag
    assert flag.value == "ann@desk"


def test_setting_a_flag_again_does_not_change_it(flags):
    first = flags.set("backfills.paused", "ann@desk")
    assert flags.set("backfills.paused", "bob@sofa") == first


def test_a_cleared_flag_is_gone_and_others_stay(flags):
    flags.set("backfills.paused", "ann")
    other = flags.set("library.gone", "inbox")
    assert flags.clear("backfills.paused")
    assert flags.get("backfills.paused") is None
    assert flags.get("library.gone") == other


def test_another_process_sees_it(flags, home, database):
    flags.set("backfills.paused", "ann")
    other = open_ledger(home, database)
    assert other.flags.get("backfills.paused")
    other.engine.dispose()
