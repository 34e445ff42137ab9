"""All checks by stage, and what Dagster and the execution of a stage ask of them."""

from itertools import chain
from typing import Any

import dagster as dg

from yivideo_pipeline.defs.checks.audio import AUDIO_CHECKS
from yivideo_pipeline.defs.checks.base import Check, Subject, blocks, severity_of, validate_names
from yivideo_pipeline.defs.checks.events import Results, name_of
from yivideo_pipeline.defs.checks.subtitles import SUBTITLES_CHECKS
from yivideo_pipeline.defs.checks.words import ALIGNMENT_CHECKS, TRANSCRIPT_CHECKS
from yivideo_pipeline.errors.tree import CheckFailed
from yivideo_pipeline.settings.sections import CheckSettings

CHECKS: dict[str, tuple[Check, ...]] = {
    "audio": AUDIO_CHECKS,
    "transcript": TRANSCRIPT_CHECKS,
    "alignment": ALIGNMENT_CHECKS,
    "subtitles": SUBTITLES_CHECKS,
}
"""The checks of each stage; the video has none."""
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
        figures = {name: presentable(value) for name, value in verdict.figures.items()}
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
