"""Runs the pipeline on one video in this process, on the instance that Dagster's UI shows."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import dagster as dg
from pydantic_core import to_jsonable_python

from yivideo_pipeline.defs.composition import build_definitions
from yivideo_pipeline.defs.dagster_internals import run_in_process
from yivideo_pipeline.defs.instance import WORKER_TAG
from yivideo_pipeline.defs.recording import note_refusal
from yivideo_pipeline.defs.runs import MAX_RETRIES_TAG, failure_of_step
from yivideo_pipeline.errors.tree import MediaError
from yivideo_pipeline.ledger.failures import StageFailure
from yivideo_pipeline.ledger.workers import worker_of_this_process
from yivideo_pipeline.settings.options import name_for_launch
from yivideo_pipeline.stages import JOB, TRIGGER_TAG, VIDEOS
from yivideo_pipeline.storage.partition_keys import decode_key

TRIGGER = "cli"


@dataclass(frozen=True)
class Processed:
    """The outcome of one video, as its materializations report it.

    Values are None where the run did not get that far. `files` are the delivered subtitles, `reused` the
    stages whose result existed before; `tracks` says which of several audio tracks was taken.
    """

    partition_key: str
    run_id: str
    wall_s: float
    failure: StageFailure | None
    files: tuple[Path, ...] = ()
    language: str | None = None
    audio_s: float | None = None
    speech_s: float | None = None
    cues: int | None = None
    readability: float | None = None
    confidence: float | None = None
    empty_reason: str | None = None
    reused: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    tracks: str | None = None

    @property
    def success(self) -> bool:
        """Whether the subtitles were delivered."""
        return self.failure is None


class Processor:
    """The pipeline, ready to run on one video after the other.

    Args:
        instance: Where the runs are recorded.
        resources: As `defs.resources.build_resources` makes them; the models in them stay loaded.
    """

    def __init__(self, instance: dg.DagsterInstance, resources: Mapping[str, Any]) -> None:
        self._instance = instance
        self._resources = resources
        self._job = build_definitions(resources).resolve_job_def(JOB)

    def process(
        self,
        partition_key: str,
        speech: Mapping[str, Any] | None = None,
        subtitles: Mapping[str, Any] | None = None,
        output_dir: Path | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> Processed:
        """Process one video; a failure of a stage is returned, not raised.

        Args:
            partition_key: The video's key, of `Library.key_of`.
            speech: Speech options in place of the settings' own, by name.
            subtitles: Subtitle options in place of the settings' own, by name.
            output_dir: Folder for the subtitles; by default the video's own.
            tags: Further tags of the run; by default its trigger is a user's command.

        Raises:
            KeyboardInterrupt: the user asked to stop; the run is recorded as canceled.
        """
        self._instance.add_dynamic_partitions(VIDEOS, [partition_key])
        started = perf_counter()
        result = run_in_process(
            self._instance,
            self._job,
            partition_key,
            run_config=_run_config(speech or {}, subtitles or {}, output_dir),
            # The user waits for the result: no daemon may retry the run later.
            tags={
                TRIGGER_TAG: TRIGGER,
                **(tags or {}),
                MAX_RETRIES_TAG: "0",
                WORKER_TAG: worker_of_this_process(),
            },
        )
        return _summarize(partition_key, result, perf_counter() - started)

    def refuse(self, partition_key: str, error: MediaError) -> None:
        """Record that a video can't be transcribed, which was found out without a run; it is quarantined.

        Args:
            partition_key: The video's key.
            error: The reason, with the stage that would fail.
        """
        note_refusal(self._resources["ledger"], self._resources["library"], partition_key, error, TRIGGER)


def _run_config(
    speech: Mapping[str, Any], subtitles: Mapping[str, Any], output_dir: Path | None
) -> dict[str, Any]:
    # As in the launchpad: choices are text there, not the options' enums.
    launch = to_jsonable_python({"speech": name_for_launch(speech), "subtitles": dict(subtitles)})
    if output_dir is not None:
        launch["output_dir"] = str(output_dir)
    return {
        "resources": {"launch": {"config": launch}},
        # The user sees a progress bar; Dagster's log is stored in the instance.
        "loggers": {"console": {"config": {"log_level": "CRITICAL"}}},
    }


def _summarize(partition_key: str, result: dg.JobExecutionResult, wall_s: float) -> Processed:
    stages = {
        event.asset_key.to_user_string(): _values(event.step_materialization_data.materialization.metadata)
        for event in result.all_events
        if event.is_step_materialization and event.asset_key
    }
    failed = (event for event in result.all_events if event.is_step_failure)
    failures = (failure_of_step(partition_key, event, result.run_id) for event in failed)
    subtitles = stages.get("subtitles", {})
    values = {**stages.get("audio", {}), **stages.get("transcript", {}), **subtitles}
    return Processed(
        partition_key,
        run_id=result.run_id,
        wall_s=wall_s,
        failure=next(failures, None),
        files=tuple(Path(decode_key(file)) for file in subtitles.get("files", ())),
        language=values.get("language"),
        audio_s=values.get("duration_s"),
        speech_s=values.get("speech_s"),
        cues=subtitles.get("cues"),
        readability=subtitles.get("readability"),
        confidence=subtitles.get("confidence"),
        empty_reason=values.get("empty_reason"),
        tracks=stages.get("audio", {}).get("tracks"),
        reused=tuple(name for name, metadata in stages.items() if metadata["reused"]),
        warnings=tuple(dict.fromkeys(line for metadata in stages.values() for line in metadata["warnings"])),
    )


def _values(metadata: Mapping[str, dg.MetadataValue]) -> dict[str, Any]:
    return {name: value.value for name, value in metadata.items()}
