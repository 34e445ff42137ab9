"""The runs of workflows, read from Dagster over GraphQL, and the subtitles that they made.

A workflow returns its own subtitles, even if its video was processed again since.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from yivideo_pipeline.service.dagster_client import DagsterClient, dagster_error
from yivideo_pipeline.service.errors import Refused
from yivideo_pipeline.settings.subtitle_options import SubtitleFormat
from yivideo_pipeline.stages import LAST_STAGE, PARTITION_TAG, STAGES, TRIGGER_TAG
from yivideo_pipeline.storage.artifacts import Artifact, Storage
from yivideo_pipeline.storage.partition_keys import decode_key

WORKFLOW_TAG = "yivideo/workflow"
TRIGGER = "gateway"
MAX_RUNS = 50
"""Runs that are read of one workflow; with more retries than that, the first runs do not matter."""
MAX_EVENTS = 1000

_RUN = """
fragment Run on Run {
  runId status parentRunId creationTime startTime endTime
  tags { key value }
  assetSelection { path }
}"""
_METADATA = """metadataEntries {
  label
  ... on TextMetadataEntry { text }
  ... on IntMetadataEntry { intValue }
}"""
_DETAILS = f"""
fragment Details on Run {{
  stepStats {{
    stepKey status startTime endTime attempts {{ startTime }}
    materializations {{ {_METADATA} }}
  }}
  eventConnection(limit: {MAX_EVENTS}) {{
    events {{
      __typename
      ... on ExecutionStepFailureEvent {{
        stepKey
        error {{ message }}
        failureMetadata {{ {_METADATA} }}
      }}
      ... on RunFailureEvent {{ message }}
    }}
  }}
}}"""


@dataclass(frozen=True)
class RunStep:
    """One stage in one run; times are Unix seconds, `artifact` is the folder of its result."""

    stage: str
    status: str
    attempts: int
    started_at: float | None
    ended_at: float | None
    artifact: str | None


@dataclass(frozen=True)
class RunFailure:
    """Why a run failed; `kind` is that of the error in `errors.tree`."""

    stage: str | None
    kind: str
    message: str
    hint: str


@dataclass(frozen=True)
class WorkflowRun:
    """One run of a workflow: its first, or a retry. Times are Unix seconds.

    `stages` were requested. `steps` and `failure` are only read with the details.
    """

    run_id: str
    status: str
    parent: str | None
    tags: Mapping[str, str]
    stages: tuple[str, ...]
    created_at: float
    started_at: float | None
    ended_at: float | None
    steps: tuple[RunStep, ...] = ()
    failure: RunFailure | None = None

    @property
    def workflow_id(self) -> str:
        """The id of its workflow."""
        return self.tags[WORKFLOW_TAG]

    @property
    def video(self) -> str:
        """The partition key of its video."""
        return self.tags[PARTITION_TAG]


def runs_of(
    dagster: DagsterClient, workflow_ids: Sequence[str], *, details: bool
) -> dict[str, list[WorkflowRun]]:
    """Return the runs of each workflow, the oldest first, by one request; an unknown workflow has none.

    Raises:
        ServiceUnreachable: Dagster does not answer.
    """
    if not workflow_ids:
        return {}
    fields = "...Run ...Details" if details else "...Run"
    # Dagster filters by one value of a tag, so there is a query for each, all in one document.
    names = [f"w{number}" for number in range(len(workflow_ids))]
    queries = "".join(
        f"{name}: runsOrError(filter: ${name}, limit: {MAX_RUNS})"
        f" {{ ... on Runs {{ results {{ {fields} }} }} ... on Error {{ message }} }}\n"
        for name in names
    )
    declared = ", ".join(f"${name}: RunsFilter" for name in names)
    document = f"query ({declared}) {{ {queries} }} {_RUN} {_DETAILS if details else ''}"
    filters = {
        name: _tag_filter({WORKFLOW_TAG: workflow_id})
        for name, workflow_id in zip(names, workflow_ids, strict=True)
    }
    data = dagster.query(document, filters)
    return {
        workflow_id: [_run(run) for run in reversed(_results(data[name]))]
        for name, workflow_id in zip(names, workflow_ids, strict=True)
    }


def page_of_runs(
    dagster: DagsterClient, video: str | None, after: str | None, limit: int
) -> list[WorkflowRun]:
    """Return runs of workflows, the latest first, without details.

    Args:
        dagster: The client of Dagster.
        video: A partition key: only runs of this video.
        after: The id of the last run of the page before.
        limit: The highest number of runs.
    """
    tags = {TRIGGER_TAG: TRIGGER, **({PARTITION_TAG: video} if video is not None else {})}
    document = f"""query ($filter: RunsFilter, $after: String, $limit: Int) {{
      runsOrError(filter: $filter, cursor: $after, limit: $limit) {{
        ... on Runs {{ results {{ ...Run }} }} ... on Error {{ message }} }} }} {_RUN}"""
    data = dagster.query(document, {"filter": _tag_filter(tags), "after": after, "limit": limit})
    runs = [_run(run) for run in _results(data["runsOrError"])]
    return [run for run in runs if WORKFLOW_TAG in run.tags]


def _tag_filter(tags: Mapping[str, str]) -> dict[str, Any]:
    return {"tags": [{"key": key, "value": value} for key, value in tags.items()]}


def _results(data: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    if "results" not in data:
        raise dagster_error("it can't read its runs", data.get("message", ""))
    return data["results"]


def _run(data: Mapping[str, Any]) -> WorkflowRun:
    selected = {asset["path"][-1] for asset in data["assetSelection"] or ()}
    events = data.get("eventConnection", {}).get("events", ())
    return WorkflowRun(
        data["runId"],
        data["status"],
        data["parentRunId"],
        {tag["key"]: tag["value"] for tag in data["tags"]},
        tuple(stage for stage in STAGES if stage in selected),
        data["creationTime"],
        data["startTime"],
        data["endTime"],
        tuple(_step(step) for step in data.get("stepStats", ())),
        _failure(events),
    )


def _step(data: Mapping[str, Any]) -> RunStep:
    materializations = [_text_values(one["metadataEntries"]) for one in data["materializations"]]
    is_running = data["status"] == "IN_PROGRESS"
    return RunStep(
        data["stepKey"],
        data["status"],
        len(data["attempts"]) + is_running,
        data["startTime"],
        data["endTime"],
        next((values["artifact"] for values in materializations if "artifact" in values), None),
    )


def _failure(events: Sequence[Mapping[str, Any]]) -> RunFailure | None:
    for event in events:
        if event["__typename"] == "ExecutionStepFailureEvent":
            values = _text_values((event["failureMetadata"] or {}).get("metadataEntries", ()))
            message = event["error"]["message"].strip() if event["error"] else "The stage failed"
            kind, hint = values.get("kind", "unknown"), values.get("hint", "")
            return RunFailure(event["stepKey"], kind, values.get("message", message), hint)
    for event in events:
        if event["__typename"] == "RunFailureEvent":
            hint = "It can be retried; Dagster's page of the run says more"
            return RunFailure(None, "system", event["message"], hint)
    return None


def _text_values(entries: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {entry["label"]: entry["text"] for entry in entries if "text" in entry}


def formats_of(storage: Storage, runs: Sequence[WorkflowRun]) -> list[str]:
    """Return the formats in which the subtitles exist."""
    artifact = _find_artifact(storage, runs)
    return [PurePosixPath(name).suffix[1:] for name in artifact.files] if artifact else []


def read_subtitles(
    storage: Storage, runs: Sequence[WorkflowRun], format: SubtitleFormat
) -> tuple[str, bytes]:
    """Return a file name for the subtitles, and their content.

    Raises:
        Refused: 404 where they do not exist yet or in this format, or were removed.
    """
    artifact = _find_artifact(storage, runs)
    if artifact is None:
        raise Refused(404, "not_found", "There are no subtitles of this workflow", "See its status")
    name = f"subtitles.{format}"
    if name not in artifact.files:
        hint = "Ask for it in output_params.subtitles.formats"
        raise Refused(404, "not_found", f"The subtitles were not made as {format}", hint)
    stem = PurePosixPath(decode_key(runs[0].video)).stem.encode("utf-8", "replace").decode()
    return f"{stem}.{artifact.document['language']}.{format.ending}", storage.read(artifact, name)


def _find_artifact(storage: Storage, runs: Sequence[WorkflowRun]) -> Artifact | None:
    folders = [
        step.artifact for run in runs for step in run.steps if step.stage == LAST_STAGE and step.artifact
    ]
    if not folders:
        return None
    _, video_hash, stage = PurePosixPath(folders[-1]).parts
    name, _, key = stage.partition("-")
    return storage.find(video_hash, name, key)
