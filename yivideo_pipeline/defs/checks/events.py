"""The events of checks in a run of several videos.

Dagster's own `AssetCheckResult` is for one video. A stage of several logs an evaluation for each, which names
its video and the materialization that it is about.
"""

from collections.abc import Mapping, Sequence

import dagster as dg

from yivideo_pipeline.defs.dagster_internals import target_of

NAMED_VIDEOS = 10
"""How many failed videos the description of a run names; the metadata name all."""

Results = Sequence[dg.AssetCheckResult]


def evaluations(
    context: dg.AssetExecutionContext, key: str, results: Results
) -> list[dg.AssetCheckEvaluation]:
    """Return the evaluations of one video, to be logged or yielded.

    Call it after the video's materialization was logged: the evaluations point to it. None is marked as
    blocking, or a yielded one would stop the step, and with it the other videos.

    Args:
        context: Of the stage whose checks these are.
        key: The video's partition key.
        results: Of `evaluate`.
    """
    made = context.instance.fetch_materializations(
        dg.AssetRecordsFilter(context.asset_key, asset_partitions=[key]), limit=1
    ).records
    target = target_of(made[0]) if made else None
    return [
        dg.AssetCheckEvaluation(
            asset_key=context.asset_key,
            check_name=name_of(result),
            passed=result.passed,
            metadata=result.metadata,
            target_materialization_data=target,
            severity=result.severity,
            description=result.description,
            blocking=False,
            partition=key,
        )
        for result in results
    ]


def conclude(context: dg.AssetExecutionContext, results: Mapping[str, Results]) -> list[dg.Output]:
    """Log the evaluation of each check for the run as a whole; return the outputs that the step must yield.

    Dagster plans one evaluation of each check for a run, and expects an output for each from the step.

    Args:
        context: Of the stage whose checks these are.
        results: Of `evaluate`, by the partition keys of the videos that were made.
    """
    for spec in context.assets_def.check_specs:
        found = {key: result for key, of in results.items() for result in of if name_of(result) == spec.name}
        if found:
            context.log_event(_evaluation_of_run(spec, found))
    return [
        dg.Output(None, output_name=spec.get_python_identifier()) for spec in context.assets_def.check_specs
    ]


def _evaluation_of_run(
    spec: dg.AssetCheckSpec, found: Mapping[str, dg.AssetCheckResult]
) -> dg.AssetCheckEvaluation:
    failed = [key for key, result in found.items() if not result.passed]
    named = ", ".join(failed[:NAMED_VIDEOS]) + (", …" if len(failed) > NAMED_VIDEOS else "")
    failure = f"It does not hold for {len(failed)} of {len(found)} videos: {named}"
    return dg.AssetCheckEvaluation(
        asset_key=spec.asset_key,
        check_name=spec.name,
        passed=not failed,
        metadata={
            "videos": len(found),
            "failed_videos": len(failed),
            "failed": dg.MetadataValue.json(failed),
        },
        severity=next(iter(found.values())).severity,
        description=failure if failed else f"It holds for all {len(found)} videos of this run",
        blocking=False,
    )


def name_of(result: dg.AssetCheckResult) -> str:
    """Return the name of a result's check.

    Raises:
        ValueError: it has none; those of `evaluate` do.
    """
    if result.check_name is None:
        raise ValueError("A check result must name its check")
    return result.check_name
