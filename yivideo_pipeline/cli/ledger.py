"""Opens the ledger for a command."""

from yivideo_pipeline.cli.space import require_writable
from yivideo_pipeline.ledger.database import open_ledger
from yivideo_pipeline.ledger.ledger import Ledger
from yivideo_pipeline.settings.model import Settings


def ledger_of(settings: Settings) -> Ledger:
    """Open the ledger of the settings' home folder, made on first use.

    Raises:
        DiskError: the folder can't be written, which also who only reads has to do once.
    """
    require_writable(settings.home, "Set YIVIDEO_HOME to a folder that you may write")
    return Ledger(open_ledger(settings.home))
