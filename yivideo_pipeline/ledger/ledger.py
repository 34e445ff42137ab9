"""All parts of the ledger in one hand, as the assets, sensors and commands get it."""

from functools import cached_property

from sqlalchemy import Engine

from yivideo_pipeline.ledger.failures import AttemptLedger, FailureLedger
from yivideo_pipeline.ledger.files import FileLedger
from yivideo_pipeline.ledger.flags import CallbackLedger, Marks
from yivideo_pipeline.ledger.materializations import MadeLedger
from yivideo_pipeline.ledger.outbox import Outbox
from yivideo_pipeline.ledger.samples import MachineLedger, RequestLedger, SampleLedger
from yivideo_pipeline.ledger.workers import WorkerLedger


class Ledger:
    """The ledger of one home folder.

    Args:
        engine: As `database.open_ledger` opens it.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    @cached_property
    def attempts(self) -> AttemptLedger:
        """What failed of a stage that is being tried again."""
        return AttemptLedger(self.engine)

    @cached_property
    def failures(self) -> FailureLedger:
        """What failed, why, and what is set aside for it."""
        return FailureLedger(self.engine)

    @cached_property
    def workers(self) -> WorkerLedger:
        """Who is at work on which video, and who died of it."""
        return WorkerLedger(self.engine)

    @cached_property
    def files(self) -> FileLedger:
        """What the watch knows of each file and root."""
        return FileLedger(self.engine)

    @cached_property
    def made(self) -> MadeLedger:
        """What each stage made last of each video, by which recipe, how fast."""
        return MadeLedger(self.engine)

    @cached_property
    def marks(self) -> Marks:
        """What was set to be remembered, such as that backfills are paused."""
        return Marks(self.engine)

    @cached_property
    def outbox(self) -> Outbox:
        """What people are to be told, and what of it was sent."""
        return Outbox(self.engine)

    @cached_property
    def samples(self) -> SampleLedger:
        """What each stage cost or why it failed, ready for statistics."""
        return SampleLedger(self.engine)

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
        """Who is still to be told how a workflow ended."""
        return CallbackLedger(self.engine)
