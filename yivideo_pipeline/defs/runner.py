"""Runs the pipeline on videos in this process, on the instance that Dagster's UI shows."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

import dagster as dg
from pydantic_core import to_jsonable_python

from yivideo_pipeline.defs.composition import build_definitions
from yivideo_pipeline.defs.instance import WORKER_TAG
from yivideo_pipeline.defs.processed import Processed
from yivideo_pipeline.defs.recording import note_refusal
from yivideo_pipeline.defs.run_internals import EndedRun, run_in_process
from yivideo_pipeline.defs.runs import MAX_RETRIES_TAG, failure_of_run, failure_of_step
from yivideo_pipeline.errors.tree import MediaError
from yivideo_pipeline.ledger.alive import worker_of_this_process
from yivideo_pipeline.ledger.failures import StageFailure
from yivideo_pipeline.settings.options import name_for_launch
from yivideo_pipeline.stages import JOB, LAST_STAGE, TRIGGER_TAG, VIDEOS
from yivideo_pipeline.storage.partition_keys import decode_key
from yivideo_pipeline.storage.remote_paths import AnyPath, to_path

TRIGGER = "cli"


@dataclass(frozen=True)
class LaunchOptions:
    """What a launch asks for: options in place of the settings' own, by name, and a folder for the subtitles.

    Without an `output_dir` subtitles lie beside their video.
    """

    speech: Mapping[str, Any] = field(default_factory=dict)
    subtitles: Mapping[str, Any] = field(default_factory=dict)
    output_dir: "AnyPath | None" = None

    def as_config(self) -> dict[str, Any]:
        """Return the run's configuration."""
        # As in the launchpad: choices are text there, not the options' enums.
        launch = to_jsonable_python(
            {"speech": name_for_launch(self.speech), "subtitles": dict(self.subtitles)}
        )
        if self.output_dir is not None:
            launch["output_dir"] = str(self.output_dir)
        return {
            "resources": {"launch": {"config": launch}},
            # The user sees a progress bar; Dagster's log is stored in the instance.
            "loggers": {"console": {"config": {"log_level": "CRITICAL"}}},
        }


class Processor:
    """The pipeline, ready to run on one video after the other, or on several at a time.

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
        options: LaunchOptions | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> Processed:
        """Process one video; a failure of a stage is returned, not raised.

        Args:
            partition_key: The video's key, of `Library.key_of`.
            options: What the launch asks for; by default what the settings say.
            tags: Further tags of the run; by default its trigger is a user's command.

        Raises:
            KeyboardInterrupt: the user asked to stop; the run is recorded as canceled.
        """
        ((processed,),) = self.process_all([partition_key], options, tags)
        if processed.interrupted:
            raise KeyboardInterrupt
        return processed

    def process_all(
        self,
        keys: Sequence[str],
        options: LaunchOptions | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> Iterator[list[Processed]]:
        """Process several videos in as few runs as there can be, in order; yield the outcomes of each run.

        The arguments are those of `process`. A run takes videos that were registered one after the other,
        which new ones are.
        """
        self._instance.add_dynamic_partitions(VIDEOS, keys)
        registered = self._instance.get_dynamic_partitions(VIDEOS)
        for together in _neighbours(keys, {key: at for at, key in enumerate(registered)}):
            yield self._run(together, options or LaunchOptions(), tags or {})

    def _run(self, keys: Sequence[str], options: LaunchOptions, tags: Mapping[str, str]) -> list[Processed]:
        started = perf_counter()
        ended = run_in_process(
            self._instance,
            self._job,
            keys,
            run_config=options.as_config(),
            # The user waits for the result: no daemon may retry the run later.
            tags={TRIGGER_TAG: TRIGGER, **tags, MAX_RETRIES_TAG: "0", WORKER_TAG: worker_of_this_process()},
        )
        wall_s = perf_counter() - started
        failures = self._resources["ledger"].failures.failed_in(ended.run_id)
        return _summarize(keys, ended, wall_s, failures)

    def refuse(self, partition_key: str, error: MediaError) -> None:
        """Record that a video can't be transcribed, which was found out without a run; it is quarantined.

        Args:
            partition_key: The video's key.
            error: The reason, with the stage that would fail.
        """
        note_refusal(self._resources["ledger"], self._resources["library"], partition_key, error, TRIGGER)


def _neighbours(keys: Sequence[str], place: Mapping[str, int]) -> list[list[str]]:
    """Return the keys, in order, in groups of such whose places follow each other."""
    groups: list[list[str]] = []
    for key in keys:
        if groups and place[groups[-1][-1]] + 1 == place[key]:
            groups[-1].append(key)
        else:
            groups.append([key])
    return groups


def _summarize(
    keys: Sequence[str], ended: EndedRun, wall_s: float, failures: Mapping[str, StageFailure]
) -> list[Processed]:
    """Return what became of each video of a run, which took a time and recorded failures of videos."""
    made: dict[str, dict[str, dict[str, Any]]] = {key: {} for key in keys}
    for event in ended.events:
        if event.is_step_materialization and event.asset_key and event.partition:
            materialization = event.step_materialization_data.materialization
            made[event.partition][event.asset_key.to_user_string()] = _values(materialization.metadata)
    audio_s = {key: stages.get("audio", {}).get("duration_s") or 0.0 for key, stages in made.items()}
    total_s = sum(audio_s.values())
    of_step = next((event for event in ended.events if event.is_step_failure), None)
    of_run = next((event for event in ended.events if event.is_run_failure), None)

    def describe(key: str) -> Processed:
        stages, failure = made[key], failures.get(key)
        is_open = failure is None and LAST_STAGE not in stages
        if is_open and not ended.interrupted:  # something failed outside of the stages
            if of_step:
                failure = failure_of_step(key, of_step, ended.run_id)
            elif of_run:
                failure = failure_of_run(key, of_run, ended.run_id)
        share_s = wall_s * audio_s[key] / total_s if total_s else wall_s / len(keys)
        return _describe(key, ended.run_id, share_s, failure, is_open and ended.interrupted, stages)

    return [describe(key) for key in keys]


def _describe(
    key: str,
    run_id: str,
    wall_s: float,
    failure: StageFailure | None,
    interrupted: bool,
    stages: Mapping[str, Mapping[str, Any]],
) -> Processed:
    subtitles = stages.get("subtitles", {})
    values = {**stages.get("audio", {}), **stages.get("transcript", {}), **subtitles}
    return Processed(
        key,
        run_id=run_id,
        wall_s=wall_s,
        failure=failure,
        interrupted=interrupted,
        files=tuple(to_path(decode_key(file)) for file in subtitles.get("files", ())),
        language=values.get("language"),
        audio_s=values.get("duration_s"),
        speech_s=values.get("speech_s"),
        cues=subtitles.get("cues"),
        readability=subtitles.get("readability"),
        confidence=subtitles.get("confidence"),
        empty_reason=values.get("empty_reason"),
        tracks=stages.get("audio", {}).get("tracks"),
        resumed_s=values.get("resumed_s") or 0.0,
        reused=tuple(name for name, metadata in stages.items() if metadata["reused"]),
        warnings=tuple(dict.fromkeys(line for metadata in stages.values() for line in metadata["warnings"])),
    )


def _values(metadata: Mapping[str, dg.MetadataValue]) -> dict[str, Any]:
    return {name: value.value for name, value in metadata.items()}
