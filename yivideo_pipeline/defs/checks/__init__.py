"""The asset checks: claims about what each stage makes, judged as it is made, for every video.

How checks of partitioned assets behave on Dagster 1.13.27 (1.13.29 is the same), and what follows:

- `AssetCheckSpec(partitions_def=…)`, a preview, keeps a state for each partition. But with dynamic
  partitions the webserver fails to work it out (`partitionStatuses`: "The instance is not available to
  load partitions"), and the UI asks for it on every asset's Checks tab. So our specs have none; a test
  tells when that is mended.
- Without it, the UI shows of a check what it said last, whichever video that was about. So every result
  begins with its video's name; and the materialization of each video carries a table of its results
  (`check_facts`), which is the place to look for the latest state of one video.
- In a run of one video, `MaterializeResult(check_results=…)` is all it takes: it points to the video's
  own materialization.
- In a run of several, an evaluation is logged for each video with its partition key (`evaluations`);
  `assetCheckExecutions(partition: …)` of the GraphQL API finds them. Dagster plans one more for the run
  as a whole, and its step fails unless there is an output for each check: `conclude`.
- What a run planned and never logged (all its videos failed, or the worker died) is shown as not
  executed once the run has ended, which is the truth.
- A failed blocking check stops the rest of a run of one video by Dagster's own hand, with a message
  that helps nobody; in a run of several it must stop nothing but its video. `blocked_by` gives a stage
  the error to raise or to record, the same in both kinds of run.
"""

from itertools import chain

import dagster as dg

from yivideo_pipeline.defs.checks.base import Check, Speed, Subject, blocks, severity_of, validate_names
from yivideo_pipeline.defs.checks.catalogue import AUDIO_CHECKS, SUBTITLES_CHECKS
from yivideo_pipeline.defs.checks.events import Results, conclude, evaluations, name_of
from yivideo_pipeline.defs.checks.words import ALIGNMENT_CHECKS, TRANSCRIPT_CHECKS
from yivideo_pipeline.errors.tree import CheckFailed
from yivideo_pipeline.settings.tree import Settings

__all__ = [
    "Results",
    "Speed",
    "Subject",
    "blocked_by",
    "check_facts",
    "conclude",
    "evaluate",
    "evaluations",
    "specs_of",
]

CHECKS: dict[str, tuple[Check, ...]] = {
    "audio": AUDIO_CHECKS,
    "transcript": TRANSCRIPT_CHECKS,
    "alignment": ALIGNMENT_CHECKS,
    "subtitles": SUBTITLES_CHECKS,
}
"""The checks of each stage; the video has none."""
SAID = {dg.AssetCheckSeverity.ERROR: "error", dg.AssetCheckSeverity.WARN: "warning"}


def specs_of(stage: str, settings: Settings) -> list[dg.AssetCheckSpec]:
    """Return the specs of a stage's checks, for its asset.

    Raises:
        ConfigValidationError: the settings name a check that there is not.
    """
    validate_names(settings, [check.name for check in chain.from_iterable(CHECKS.values())])
    return [
        dg.AssetCheckSpec(check.name, asset=stage, description=check.claim, blocking=blocks(check, settings))
        for check in _wanted(stage, settings)
    ]


def evaluate(stage: str, key: str, subject: Subject, settings: Settings) -> list[dg.AssetCheckResult]:
    """Judge what a stage made of one video: one result for each of its `specs_of`.

    Args:
        stage: The stage's name.
        key: The video's partition key.
        subject: What was made.
        settings: Which checks are wanted, how much they matter, their thresholds.

    Raises:
        ValueError: the subject lacks what a check of this stage looks at.
    """
    results = []
    for check in _wanted(stage, settings):
        verdict = check.judge(subject, settings)
        numbers = {name: _presentable(value) for name, value in verdict.numbers.items()}
        results.append(
            dg.AssetCheckResult(
                asset_key=stage,
                check_name=check.name,
                passed=verdict.passed,
                severity=severity_of(check, settings),
                description=f"{key}: {verdict.says}",
                metadata={"video": key, **numbers},
            )
        )
    return results


def check_facts(results: Results) -> dict[str, dg.MetadataValue]:
    """Return what the materialization of a video says of its checks; nothing where there are none."""
    if not results:
        return {}
    rows = [
        {
            "check": name_of(result),
            "result": "passed" if result.passed else SAID[result.severity],
            "says": result.description or "",
        }
        for result in results
    ]
    return {
        "failed_checks": dg.MetadataValue.int(sum(not result.passed for result in results)),
        "checks": dg.MetadataValue.table([dg.TableRecord(row) for row in rows]),
    }


def blocked_by(stage: str, results: Results, settings: Settings) -> CheckFailed | None:
    """Return the error to raise, once the results are logged, where a blocking check failed; else None."""
    blocking = {check.name for check in CHECKS.get(stage, ()) if blocks(check, settings)}
    failed = [result for result in results if name_of(result) in blocking and not result.passed]
    if not failed:
        return None
    names = ", ".join(map(name_of, failed))
    return CheckFailed(
        f"The {stage} did not pass {names}. {'; '.join(str(result.description) for result in failed)}",
        f"To go on all the same, put {names} under checks.warnings in the settings",
    )


def _wanted(stage: str, settings: Settings) -> list[Check]:
    return [check for check in CHECKS.get(stage, ()) if check.name not in settings.checks.skip]


def _presentable(value: str | float | int | None) -> dg.MetadataValue | str | float | int:
    if value is None:
        return dg.MetadataValue.null()
    return round(value, 3) if isinstance(value, float) else value
