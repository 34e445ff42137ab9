import pytest

from yivideo_pipeline.ledger import open_ledger


@pytest.fixture
def ledger(home):
    """The ledger of an empty home."""
    ledger = open_ledger(home)
    yield ledger
    ledger.engine.dispose()
