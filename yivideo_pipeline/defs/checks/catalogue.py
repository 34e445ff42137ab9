"""All checks by stage, and what Dagster and the execution of a stage ask of them.

Dagster's own `AssetCheckResult` is for one video. A stage of several logs an evaluation for each, which names
its video and the materialization that it is about.
"""

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

import dagster as dg

from yivideo_pipeline.defs.checks.audio import AUDIO_CHECKS
from yivideo_pipeline.defs.checks.base import Check, Subject, blocks, severity_of, validate_names
from yivideo_pipeline.defs.checks.subtitles import SUBTITLES_CHECKS
from yivideo_pipeline.defs.checks.words import ALIGNMENT_CHECKS, TRANSCRIPT_CHECKS
from yivideo_pipeline.defs.dagster_internals import target_of
from yivideo_pipeline.errors.tree import CheckFailed
from yivideo_pipeline.plurals import plural
from yivideo_pipeline.settings.sections import CheckSettings

CHECKS: dict[str, tuple[Check, ...]] = {
    "audio": AUDIO_CHECKS,
    "transcript": TRANSCRIPT_CHECKS,
    "alignment": ALIGNMENT_CHECKS,
    "subtitles": SUBTITLES_CHECKS,
}
"""The checks of each stage; the video has none."""
NAMED_VIDEOS = 10
"""How many failed videos the description of a run names; the metadata name all."""
Results = Sequence[dg.AssetCheckResult]
_RESULT_WORDS = {dg.AssetCheckSeverity.ERROR: "error", dg.AssetCheckSeverity.WARN: "warning"}


def specs_of(stage: str, settings: CheckSettings) -> list[dg.AssetCheckSpec]:
    """Return the specs of a stage's checks, for its asset.

    Raises:
        ConfigValidationError: the settings name an unknown check.
    """
    validate_names(settings, [check.name for check in chain.from_iterable(CHECKS.values())])
    return [
        dg.AssetCheckSpec(check.name, asset=stage, description=check.claim, blocking=blocks(check, settings))
        for check in _wanted(stage, settings)
    ]


def evaluate(stage: str, key: str, subject: Subject, settings: CheckSettings) -> list[dg.AssetCheckResult]:
    """Judge what a stage made of one video; return one result for each of its `specs_of`.

    Args:
        stage: The stage's name.
        key: The video's partition key.
        subject: What was made.
        settings: Which checks there are, how much they matter, their thresholds.

    Raises:
        ValueError: the subject lacks what a check of this stage looks at.
    """
    results = []
    for check in _wanted(stage, settings):
        verdict = check.judge(subject, settings)
        figures = {name: presentable(value) for name, value in verdict.figures.items() if value is not None}
        results.append(
            dg.AssetCheckResult(
                asset_key=stage,
                check_name=check.name,
                passed=verdict.passed,
                severity=severity_of(check, settings),
                description=f"{key}: {verdict.message}",
                metadata={"video": key, **figures},
            )
        )
    return results


def check_metadata(results: Results) -> dict[str, dg.MetadataValue]:
    """Return the metadata about the checks of a video's materialization; none where there are no checks."""
    if not results:
        return {}
    rows = [
        {
            "check": name_of(result),
            "result": "passed" if result.passed else _RESULT_WORDS[result.severity],
            "says": result.description or "",
        }
        for result in results
    ]
    return {
        "failed_checks": dg.MetadataValue.int(sum(not result.passed for result in results)),
        "checks": dg.MetadataValue.table([dg.TableRecord(row) for row in rows]),
    }


def blocked_by(stage: str, results: Results, settings: CheckSettings) -> CheckFailed | None:
    """Return the error of the blocking checks that failed, for when the results are logged; else None."""
    blocking = {check.name for check in CHECKS.get(stage, ()) if blocks(check, settings)}
    failed = [result for result in results if name_of(result) in blocking and not result.passed]
    if not failed:
        return None
    names = ", ".join(map(name_of, failed))
    return CheckFailed(
        f"The {stage} did not pass {names}. {'; '.join(str(result.description) for result in failed)}",
        f"To continue all the same, list {names} under checks.warnings in the settings",
    )


def presentable(value: Any) -> Any:
    """Return a value as the UI shows it: null for None, floats with three decimals at most."""
    if value is None:
        return dg.MetadataValue.null()
    return round(value, 3) if isinstance(value, float) else value


def _wanted(stage: str, settings: CheckSettings) -> list[Check]:
    return [check for check in CHECKS.get(stage, ()) if check.name not in settings.skip]


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
    failure = f"It does not hold for {len(failed)} of {plural(len(found), 'video')}: {named}"
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
        description=failure if failed else f"It holds for all of this run: {plural(len(found), 'video')}",
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
