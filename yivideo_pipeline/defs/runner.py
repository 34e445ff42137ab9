"""Runs the pipeline on one video in this process, on the instance that Dagster's UI shows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import dagster as dg
from pydantic_core import to_jsonable_python

from yivideo_pipeline.defs.composition import build_definitions
from yivideo_pipeline.defs.dagster_internals import run_here
from yivideo_pipeline.defs.instance import WORKER_TAG
from yivideo_pipeline.ledger.workers import worker_of_this_process
from yivideo_pipeline.stages import JOB, TRIGGER_TAG, VIDEOS
from yivideo_pipeline.storage.partition_keys import decode_key

MAX_RETRIES_TAG = "dagster/max_retries"


@dataclass(frozen=True)
class FailedStage:
    """Why a video could not be finished; `kind` is the error's in `errors.tree`."""

    stage: str
    kind: str
    message: str
    hint: str


@dataclass(frozen=True)
class Processed:
    """What came of one video. Numbers are None where the run did not get that far.

    `files` are the subtitles that were delivered, `reused` the stages whose result was there already.
    """

    partition_key: str
    run_id: str
    wall_s: float
    failure: FailedStage | None
    files: tuple[Path, ...] = ()
    language: str | None = None
    audio_s: float | None = None
    speech_s: float | None = None
    cues: int | None = None
    score: float | None = None
    empty_reason: str | None = None
    reused: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def success(self) -> bool:
        """Whether the subtitles are there."""
        return self.failure is None


class Processor:
    """The pipeline, ready to run on one video after the other.

    Args:
        instance: Where the runs are recorded.
        resources: As `defs.resources.build_resources` makes them; the models in them stay loaded.
    """

    def __init__(self, instance: dg.DagsterInstance, resources: Mapping[str, Any]) -> None:
        self._instance = instance
        self._job = build_definitions(resources).resolve_job_def(JOB)

    def process(
        self,
        partition_key: str,
        speech: Mapping[str, Any] | None = None,
        subtitles: Mapping[str, Any] | None = None,
        output_dir: Path | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> Processed:
        """Process one video; what fails in a stage is reported, not raised.

        Args:
            partition_key: The video's key, of `Library.key_of`.
            speech: Speech options in place of the settings' own, by name.
            subtitles: Subtitle options in place of the settings' own, by name.
            output_dir: Folder for the subtitles; without it they lie beside the video.
            tags: Further tags of the run; unless they say otherwise, a person at a terminal asked for it.

        Raises:
            KeyboardInterrupt: somebody asked to stop; the run is recorded as such.
        """
        self._instance.add_dynamic_partitions(VIDEOS, [partition_key])
        started = perf_counter()
        result = run_here(
            self._instance,
            self._job,
            partition_key,
            run_config=_run_config(speech or {}, subtitles or {}, output_dir),
            # Somebody waits for the result: no daemon shall try again behind their back.
            tags={
                TRIGGER_TAG: "cli",
                **(tags or {}),
                MAX_RETRIES_TAG: "0",
                WORKER_TAG: worker_of_this_process(),
            },
        )
        return _summarize(partition_key, result, perf_counter() - started)


def _run_config(
    speech: Mapping[str, Any], subtitles: Mapping[str, Any], output_dir: Path | None
) -> dict[str, Any]:
    # As in the launchpad: choices are text there, not the options' enums.
    launch = to_jsonable_python({"speech": dict(speech), "subtitles": dict(subtitles)})
    if output_dir is not None:
        launch["output_dir"] = str(output_dir)
    return {
        "resources": {"launch": {"config": launch}},
        # The person sees a progress bar; what Dagster logs stands in the instance.
        "loggers": {"console": {"config": {"log_level": "CRITICAL"}}},
    }


def _summarize(partition_key: str, result: dg.JobExecutionResult, wall_s: float) -> Processed:
    stages = {
        event.asset_key.to_user_string(): event.step_materialization_data.materialization.metadata
        for event in result.all_events
        if event.is_step_materialization and event.asset_key
    }
    facts: dict[str, dict[str, Any]] = {name: _values(data) for name, data in stages.items()}
    subtitles = facts.get("subtitles", {})
    heard = {**facts.get("audio", {}), **facts.get("transcript", {}), **subtitles}
    return Processed(
        partition_key,
        run_id=result.run_id,
        wall_s=wall_s,
        failure=_find_failure(result.all_events),
        files=tuple(Path(decode_key(file)) for file in subtitles.get("files", ())),
        language=heard.get("language"),
        audio_s=heard.get("duration_s"),
        speech_s=heard.get("speech_s"),
        cues=subtitles.get("cues"),
        score=subtitles.get("score"),
        empty_reason=heard.get("empty_reason"),
        reused=tuple(name for name, data in facts.items() if data["reused"]),
        warnings=tuple(dict.fromkeys(line for data in facts.values() for line in data["warnings"])),
    )


def _find_failure(events: Sequence[dg.DagsterEvent]) -> FailedStage | None:
    for event in events:
        if event.is_step_failure:
            data = event.step_failure_data
            if data.user_failure_data:
                told = _values(data.user_failure_data.metadata)
                return FailedStage(told["stage"], told["kind"], told["message"], told["hint"])
            return FailedStage(event.step_key or "", "unknown", data.error.message if data.error else "", "")
    return None


def _values(metadata: Mapping[str, dg.MetadataValue]) -> dict[str, Any]:
    return {name: value.value for name, value in metadata.items()}
