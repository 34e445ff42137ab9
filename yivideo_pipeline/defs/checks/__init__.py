"""The asset checks: claims about what each stage makes, judged as it is made, a result for every video.

How checks of partitioned assets behave on Dagster 1.13.27, where `AssetCheckSpec(partitions_def=…)` is
a preview:

- Without it, a check has one state: that of the video that ran last, whatever the others are. With it,
  Dagster plans, keeps and shows (GraphQL `partitionStatuses`, the check's page) one state a video; so
  all checks here have it.
- In a run of one video, `MaterializeResult(check_results=…)` is all it takes.
- In a run of several, the results are logged for each video by `context.log_event(evaluation)`. An
  evaluation that does not name its video's latest materialization is dropped from the states, so
  `evaluations` names it. The step fails unless every check gets an output too: `outputs`.
- What a run planned and never logged (the video failed, or a worker died) stays planned; once the run
  has ended, Dagster shows it as not executed, which is the truth.
- A failed blocking check stops the rest of a run of one video by Dagster's own hand, with a message
  that helps nobody; logged by hand it stops nothing. `blocked_by` gives a stage the error to raise, the
  same in both kinds of run.
"""

import warnings
from collections.abc import Sequence
from itertools import chain

import dagster as dg

from yivideo_pipeline.defs.checks import cues, sound, words
from yivideo_pipeline.defs.checks.claims import Check, Speed, Subject, Verdict
from yivideo_pipeline.defs.checks.events import evaluations, outputs
from yivideo_pipeline.defs.checks.severity import blocks, severity_of, validate_names
from yivideo_pipeline.defs.stages import videos
from yivideo_pipeline.errors.tree import CheckFailed
from yivideo_pipeline.settings.model import Settings

__all__ = ["Speed", "Subject", "blocked_by", "evaluate", "evaluations", "outputs", "specs_of"]

CHECKS: dict[str, tuple[Check, ...]] = {
    "audio": sound.CHECKS,
    "transcript": words.TRANSCRIPT_CHECKS,
    "alignment": words.ALIGNMENT_CHECKS,
    "subtitles": cues.CHECKS,
}
"""The checks of each stage; the video has none."""


def specs_of(stage: str, settings: Settings) -> list[dg.AssetCheckSpec]:
    """Return the specs of a stage's checks, for its asset.

    Raises:
        ConfigValidationError: the settings name a check that there is not.
    """
    validate_names(settings, [check.name for check in chain.from_iterable(CHECKS.values())])
    with warnings.catch_warnings():
        # The preview is meant: see above. What it must do is tested.
        warnings.simplefilter("ignore", dg.PreviewWarning)
        return [
            dg.AssetCheckSpec(
                check.name,
                asset=stage,
                description=check.claim,
                blocking=blocks(check, settings),
                partitions_def=videos,
            )
            for check in _wanted(stage, settings)
        ]


def evaluate(stage: str, subject: Subject, settings: Settings) -> list[dg.AssetCheckResult]:
    """Judge what a stage made: one result for each of its `specs_of`.

    Raises:
        ValueError: the subject lacks what a check of this stage looks at.
    """
    return [
        _result(stage, check, check.judge(subject, settings), settings) for check in _wanted(stage, settings)
    ]


def blocked_by(stage: str, results: Sequence[dg.AssetCheckResult], settings: Settings) -> CheckFailed | None:
    """Return the error to raise, after the results were logged, where a blocking check failed; else None."""
    blocking = {check.name for check in CHECKS.get(stage, ()) if blocks(check, settings)}
    failed = [result for result in results if result.check_name in blocking and not result.passed]
    if not failed:
        return None
    told = "; ".join(f"{result.check_name}: {result.description}" for result in failed)
    names = ", ".join(str(result.check_name) for result in failed)
    return CheckFailed(
        f"The {stage} did not pass its checks ({told})",
        f"To go on all the same, put {names} under checks.warnings",
    )


def _wanted(stage: str, settings: Settings) -> list[Check]:
    return [check for check in CHECKS.get(stage, ()) if check.name not in settings.checks.skip]


def _result(stage: str, check: Check, verdict: Verdict, settings: Settings) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        asset_key=stage,
        check_name=check.name,
        passed=verdict.passed,
        severity=severity_of(check, settings),
        description=verdict.says,
        metadata={name: _presentable(value) for name, value in verdict.numbers.items()},
    )


def _presentable(value: str | float | int | None) -> dg.MetadataValue | str | float | int:
    if value is None:
        return dg.MetadataValue.null()
    return round(value, 3) if isinstance(value, float) else value
