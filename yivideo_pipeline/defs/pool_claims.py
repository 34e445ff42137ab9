"""How a step waits for a slot of a pool: it asks twice a second, and sleeps meanwhile.

Dagster 1.13 means to sleep, but computes no time above zero (`min([0, …])` in its module
`instance_concurrency_context`; https://github.com/dagster-io/dagster/pull/20367 was closed unmerged). So a
run that waits for the model takes a whole core, which the run at work needs. And it asks ever more seldom, in
the end every 15 s, in which the model is idle. The storage is ours: it sleeps before it says that none is
free. It lets itself be interrupted there: else a run that is cancelled while it waits would wait on.

Test: tests/defs/test_pool_claims.py. When it breaks: runs wait as Dagster has it.
"""

import time
from typing import TYPE_CHECKING

from dagster._core.errors import DagsterExecutionInterruptedError, raise_execution_interrupts

from yivideo_pipeline.defs.interruption import cancel_users_run

if TYPE_CHECKING:
    from dagster._core.storage.event_log import SqlEventLogStorage as _EventLogStorage
    from dagster._utils.concurrency import ConcurrencyClaimStatus
else:
    _EventLogStorage = object

ASK_EVERY_S = 0.5


class PatientClaims(_EventLogStorage):  # before Dagster's class, whose method it replaces
    """An event log in which steps wait for slots of pools."""

    def claim_concurrency_slot(
        self, concurrency_key: str, run_id: str, step_key: str, priority: int | None = None
    ) -> "ConcurrencyClaimStatus":
        """Claim a slot; where there is none, return so after half a second, to be asked again at once.

        Raises:
            DagsterExecutionInterruptedError: The run is stopped meanwhile.
        """
        status = super().claim_concurrency_slot(concurrency_key, run_id, step_key, priority)
        if status.is_claimed:
            return status
        try:
            with raise_execution_interrupts():
                time.sleep(ASK_EVERY_S)
        except DagsterExecutionInterruptedError:
            cancel_users_run(self._instance, run_id)
            raise
        return status.with_sleep_interval(0.0)
