"""What a run over several videos logs of its checks.

Dagster's own `AssetCheckResult` is for one partition. A stage that works through many logs an
evaluation for each, and Dagster counts it for the partition only if it names the materialization that
it is about, by a type that Dagster does not export; `tests/defs/test_checks_partitions.py` says what
must hold.
"""

from collections.abc import Sequence

import dagster as dg
from dagster._core.definitions.asset_checks.asset_check_evaluation import (
    AssetCheckEvaluationTargetMaterializationData,
)


def evaluations(
    context: dg.AssetExecutionContext, key: str, results: Sequence[dg.AssetCheckResult]
) -> list[dg.AssetCheckEvaluation]:
    """Make results the evaluations of one video, for `context.log_event`.

    Call it after the video's materialization was logged: the evaluations point to it.

    Args:
        context: Of the stage whose checks these are.
        key: The video's partition key.
        results: Of `evaluate`.
    """
    made = context.instance.fetch_materializations(
        dg.AssetRecordsFilter(context.asset_key, asset_partitions=[key]), limit=1
    ).records
    target = None
    if made:
        target = AssetCheckEvaluationTargetMaterializationData(
            storage_id=made[0].storage_id, run_id=made[0].run_id, timestamp=made[0].timestamp
        )
    blocking = {spec.name: spec.blocking for spec in context.assets_def.check_specs}
    return [
        dg.AssetCheckEvaluation(
            asset_key=context.asset_key,
            check_name=_name(result),
            passed=result.passed,
            metadata=result.metadata,
            target_materialization_data=target,
            severity=result.severity,
            description=result.description,
            blocking=blocking[_name(result)],
            partition=key,
        )
        for result in results
    ]


def outputs(context: dg.AssetExecutionContext) -> list[dg.Output]:
    """Return what the stage has to yield in place of check results, once, after all videos.

    Dagster wants an output of every check from a step; these log nothing.
    """
    return [
        dg.Output(None, output_name=spec.get_python_identifier()) for spec in context.assets_def.check_specs
    ]


def _name(result: dg.AssetCheckResult) -> str:
    assert result.check_name is not None  # `evaluate` names every result
    return result.check_name
