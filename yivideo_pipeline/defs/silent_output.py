"""The output of a step that has logged its materializations itself.

Dagster takes what a step hands over for a materialization of every partition of its run, and a step that
hands over nothing for skipped, with all that follow it. Between the two stands a mark that Dagster keeps for
its observed source assets; `tests/defs/test_groups.py` says what must hold.
"""

import dagster as dg
from dagster._core.definitions.source_asset import SYSTEM_METADATA_KEY_SOURCE_ASSET_OBSERVATION


def silent_output() -> dg.MaterializeResult:
    """Return an output by which the next steps run, and which materializes nothing."""
    return dg.MaterializeResult(metadata={SYSTEM_METADATA_KEY_SOURCE_ASSET_OBSERVATION: True})
