"""The ledger: what is known of each video's file, work and failures, in one database.

Dagster remembers runs and materializations; the ledger remembers what Dagster has no place for. Nobody loses
subtitles by deleting it: files are scanned anew, and finished work is found by its content.
"""

from functools import cached_property
from pathlib import Path

from pydantic import SecretStr
from sqlalchemy import Engine

from yivideo_pipeline.ledger.callbacks import CallbackLedger
from yivideo_pipeline.ledger.database import copy_database, open_database
from yivideo_pipeline.ledger.failures import AttemptLedger, FailureLedger
from yivideo_pipeline.ledger.files import FileLedger
from yivideo_pipeline.ledger.finished import FinishedLedger
from yivideo_pipeline.ledger.flags import FlagLedger
from yivideo_pipeline.ledger.leases import LeaseLedger
from yivideo_pipeline.ledger.materializations import MaterializationLedger
from yivideo_pipeline.ledger.operation_queries import OperationLedger
from yivideo_pipeline.ledger.outbox import Outbox
from yivideo_pipeline.ledger.samples import MachineLedger, RequestLedger, SampleLedger
from yivideo_pipeline.ledger.workers import WorkerLedger


class Ledger:
    """All parts of the ledger of one home folder, as the assets, sensors and commands get it.

    Args:
        engine: As `database.open_database` opens it.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def copy(self) -> "Ledger":
        """Return a copy in memory: what is written to it is forgotten with it."""
        return Ledger(copy_database(self.engine))

    @cached_property
    def attempts(self) -> AttemptLedger:
        """Failed attempts at stages that are being retried."""
        return AttemptLedger(self.engine)

    @cached_property
    def failures(self) -> FailureLedger:
        """What failed, why, and what is quarantined for it."""
        return FailureLedger(self.engine)

    @cached_property
    def workers(self) -> WorkerLedger:
        """Which worker works on which video, and which died of it."""
        return WorkerLedger(self.engine)

    @cached_property
    def leases(self) -> LeaseLedger:
        """What one worker at a time may do, on all hosts that share the database."""
        return LeaseLedger(self.engine)

    @cached_property
    def files(self) -> FileLedger:
        """What the watch knows of each file and root."""
        return FileLedger(self.engine)

    @cached_property
    def materializations(self) -> MaterializationLedger:
        """What each stage made last of each video, by which recipe, how fast."""
        return MaterializationLedger(self.engine)

    @cached_property
    def finished(self) -> FinishedLedger:
        """What the latest complete run of each video was asked for and delivered."""
        return FinishedLedger(self.engine)

    @cached_property
    def flags(self) -> FlagLedger:
        """What was set to be remembered, such as that backfills are paused."""
        return FlagLedger(self.engine)

    @cached_property
    def outbox(self) -> Outbox:
        """Notices to people, and which of them were sent."""
        return Outbox(self.engine)

    @cached_property
    def samples(self) -> SampleLedger:
        """What each stage cost or why it failed, for statistics."""
        return SampleLedger(self.engine)

    @cached_property
    def operations(self) -> OperationLedger:
        """The samples and requests as operations, for the performance figures."""
        return OperationLedger(self.engine)

    @cached_property
    def requests(self) -> RequestLedger:
        """What the service's own recognitions cost or why they failed."""
        return RequestLedger(self.engine)

    @cached_property
    def machine(self) -> MachineLedger:
        """How the machine was while the service ran."""
        return MachineLedger(self.engine)

    @cached_property
    def callbacks(self) -> CallbackLedger:
        """Addresses that are still to be called when a workflow ends."""
        return CallbackLedger(self.engine)


def open_ledger(home: Path, url: SecretStr | None = None) -> Ledger:
    """Open the ledger of a home folder, for any number of threads and processes; see `open_database`.

    Args:
        home: The home folder.
        url: The address of the PostgreSQL database that holds it; None: a file in the home folder.

    Raises:
        ConfigError: a newer version of the program made it.
        DiskError: it is damaged.
        ServiceUnreachable: PostgreSQL does not answer.
        sqlalchemy.exc.OperationalError: the folder can't be written.
    """
    return Ledger(open_database(home, url))
