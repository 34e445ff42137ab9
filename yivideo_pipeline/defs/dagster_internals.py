"""Provenance of a materialization: of which versions of what it was made, by which Dagster calls it stale.

Dagster adds it by itself to what a step returns, not to what a step logs for one of its partitions. The
names of the tags are Dagster's, which it does not promise to keep; `tests/defs/test_groups.py` says
what must hold.
"""

import dagster as dg
from dagster._core.definitions.data_version import (
    CODE_VERSION_TAG,
    DATA_VERSION_IS_USER_PROVIDED_TAG,
    DATA_VERSION_TAG,
    NULL_EVENT_POINTER,
    get_input_data_version_tag,
    get_input_event_pointer_tag,
)

from yivideo_pipeline.stages import CODE_VERSIONS, UPSTREAM

UNKNOWN_VERSION = "INITIAL"
"""What Dagster takes for the version of what was never materialized."""


def read_inputs(instance: dg.DagsterInstance, stage: str, key: str) -> dict[str, str]:
    """Return the tags that name what a stage is about to read of a video; call it before it does."""
    tags: dict[str, str] = {}
    for upstream in UPSTREAM[stage]:
        asset = dg.AssetKey(upstream)
        found = instance.fetch_materializations(
            dg.AssetRecordsFilter(asset, asset_partitions=[key]), limit=1
        ).records
        made = found[0].asset_materialization if found else None
        version = made.tags.get(DATA_VERSION_TAG) if made and made.tags else None
        tags[get_input_data_version_tag(asset)] = version or UNKNOWN_VERSION
        tags[get_input_event_pointer_tag(asset)] = str(found[0].storage_id) if found else NULL_EVENT_POINTER
    return tags


def provenance(stage: str, inputs: dict[str, str], data_version: str) -> dict[str, str]:
    """Return the tags of a materialization.

    Args:
        stage: What was made.
        inputs: Of `read_inputs`.
        data_version: Of what was made.
    """
    return {
        CODE_VERSION_TAG: CODE_VERSIONS[stage],
        DATA_VERSION_TAG: data_version,
        DATA_VERSION_IS_USER_PROVIDED_TAG: "true",
        **inputs,
    }
