"""The runs of workflows, as Dagster tells of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from yivideo_pipeline.service.dagster_client import Dagster, refusal
from yivideo_pipeline.service.errors import Refused
from yivideo_pipeline.settings.options import SubtitleFormat
from yivideo_pipeline.stages import PARTITION_TAG, STAGES, TRIGGER_TAG
from yivideo_pipeline.storage.artifacts import Artifact, Storage
from yivideo_pipeline.storage.partition_keys import decode_key

WORKFLOW_TAG = "yivideo/workflow"
TRIGGER = "gateway"
MOST_RUNS = 50
"""Of one workflow: it was launched again by hand so often that the first are of no interest."""
MOST_EVENTS = 1000

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
  eventConnection(limit: {MOST_EVENTS}) {{
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
class Step:
    """One stage in one run; times are Unix seconds, `artifact` the folder of what it made."""

    stage: str
    status: str
    attempts: int
    started_at: float | None
    ended_at: float | None
    artifact: str | None


@dataclass(frozen=True)
class Failure:
    """Why a run failed; `kind` is the error's in `errors.tree`."""

    stage: str | None
    kind: str
    message: str
    hint: str


@dataclass(frozen=True)
class Run:
    """One run of a workflow: its first, or a retry. Times are Unix seconds.

    `stages` is what was asked for. `steps` and `failure` are there where details were asked for.
    """

    run_id: str
    status: str
    parent: str | None
    tags: Mapping[str, str]
    stages: tuple[str, ...]
    created_at: float
    started_at: float | None
    ended_at: float | None
    steps: tuple[Step, ...] = ()
    failure: Failure | None = None

    @property
    def workflow(self) -> str:
        """The id of the workflow that it belongs to."""
        return self.tags[WORKFLOW_TAG]

    @property
    def video(self) -> str:
        """The partition key of its video."""
        return self.tags[PARTITION_TAG]


def runs_of(dagster: Dagster, workflows: Sequence[str], *, details: bool) -> dict[str, list[Run]]:
    """Return the runs of each workflow, the oldest first, by one request; of an unknown one there are none.

    Raises:
        ServiceUnreachable: Dagster does not answer.
    """
    if not workflows:
        return {}
    fields = "...Run ...Details" if details else "...Run"
    # Dagster filters by one value of a tag: a question each, all in one document.
    names = [f"w{number}" for number in range(len(workflows))]
    asked = "".join(
        f"{name}: runsOrError(filter: ${name}, limit: {MOST_RUNS})"
        f" {{ ... on Runs {{ results {{ {fields} }} }} ... on Error {{ message }} }}\n"
        for name in names
    )
    declared = ", ".join(f"${name}: RunsFilter" for name in names)
    query = f"query ({declared}) {{ {asked} }} {_RUN} {_DETAILS if details else ''}"
    filters = {name: _tagged({WORKFLOW_TAG: one}) for name, one in zip(names, workflows, strict=True)}
    told = dagster.ask(query, filters)
    return {
        one: [_run(run) for run in reversed(_results(told[name]))]
        for name, one in zip(names, workflows, strict=True)
    }


def page_of_runs(dagster: Dagster, video: str | None, after: str | None, limit: int) -> list[Run]:
    """Return runs of workflows, the latest first, without details.

    Args:
        dagster: Knows them.
        video: A partition key: runs of this video alone.
        after: The id of the run that ended the page before.
        limit: So many at most.
    """
    tags = {TRIGGER_TAG: TRIGGER, **({PARTITION_TAG: video} if video is not None else {})}
    query = f"""query ($filter: RunsFilter, $after: String, $limit: Int) {{
      runsOrError(filter: $filter, cursor: $after, limit: $limit) {{
        ... on Runs {{ results {{ ...Run }} }} ... on Error {{ message }} }} }} {_RUN}"""
    told = dagster.ask(query, {"filter": _tagged(tags), "after": after, "limit": limit})
    runs = [_run(run) for run in _results(told["runsOrError"])]
    return [run for run in runs if WORKFLOW_TAG in run.tags]


def _tagged(tags: Mapping[str, str]) -> dict[str, Any]:
    return {"tags": [{"key": key, "value": value} for key, value in tags.items()]}


def _results(told: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    if "results" not in told:
        raise refusal("it can't read its runs", told.get("message", ""))
    return told["results"]


def _run(told: Mapping[str, Any]) -> Run:
    selected = {asset["path"][-1] for asset in told["assetSelection"] or ()}
    events = told.get("eventConnection", {}).get("events", ())
    return Run(
        told["runId"],
        told["status"],
        told["parentRunId"],
        {tag["key"]: tag["value"] for tag in told["tags"]},
        tuple(stage for stage in STAGES if stage in selected),
        told["creationTime"],
        told["startTime"],
        told["endTime"],
        tuple(_step(step) for step in told.get("stepStats", ())),
        _failure(events),
    )


def _step(told: Mapping[str, Any]) -> Step:
    made = [_values(one["metadataEntries"]) for one in told["materializations"]]
    running = told["status"] == "IN_PROGRESS"
    return Step(
        told["stepKey"],
        told["status"],
        len(told["attempts"]) + running,
        told["startTime"],
        told["endTime"],
        next((values["artifact"] for values in made if "artifact" in values), None),
    )


def _failure(events: Sequence[Mapping[str, Any]]) -> Failure | None:
    for event in events:
        if event["__typename"] == "ExecutionStepFailureEvent":
            told = _values((event["failureMetadata"] or {}).get("metadataEntries", ()))
            said = event["error"]["message"].strip() if event["error"] else "The stage failed"
            kind, hint = told.get("kind", "unknown"), told.get("hint", "")
            return Failure(event["stepKey"], kind, told.get("message", said), hint)
    for event in events:
        if event["__typename"] == "RunFailureEvent":
            hint = "It can be retried; Dagster's page of the run says more"
            return Failure(None, "system", event["message"], hint)
    return None


def _values(entries: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {entry["label"]: entry["text"] for entry in entries if "text" in entry}


# PART service/workflows/subtitles.py: The subtitles that a workflow made: its own, whatever was made of the video since.

MEDIA_TYPES = {
    SubtitleFormat.SRT: "application/x-subrip",
    SubtitleFormat.VTT: "text/vtt",
    SubtitleFormat.ASS: "text/x-ssa",
    SubtitleFormat.TTML: "application/ttml+xml",
    SubtitleFormat.JSON: "application/json",
    SubtitleFormat.TXT: "text/plain",
}
SUBTITLE_FILE: dict[int | str, dict[str, Any]] = {
    200: {"content": {kind: {} for kind in MEDIA_TYPES.values()}}
}
"""A route's answer, for the API's description."""


def formats_of(storage: Storage, runs: Sequence[Run]) -> list[str]:
    """Return the formats that can be fetched."""
    artifact = _made_by(storage, runs)
    return [PurePosixPath(name).suffix[1:] for name in artifact.files] if artifact else []


def read_subtitles(storage: Storage, runs: Sequence[Run], kind: SubtitleFormat) -> tuple[str, bytes]:
    """Return the name for a file of subtitles, and its content.

    Raises:
        Refused: 404 where they are not made, not in this format, or were removed.
    """
    artifact = _made_by(storage, runs)
    if artifact is None:
        raise Refused(404, "not_found", "There are no subtitles of this workflow", "See its status")
    name = f"subtitles.{kind}"
    if name not in artifact.files:
        hint = "Ask for it in output_params.subtitles.formats"
        raise Refused(404, "not_found", f"The subtitles were not made as {kind}", hint)
    stem = PurePosixPath(decode_key(runs[0].video)).stem.encode("utf-8", "replace").decode()
    return f"{stem}.{artifact.document['language']}.{kind}", storage.read(artifact, name)


def _made_by(storage: Storage, runs: Sequence[Run]) -> Artifact | None:
    folders = [step.artifact for run in runs for step in run.steps if step.stage == "subtitles"]
    made = [folder for folder in folders if folder]
    if not made:
        return None
    _, video_hash, stage = PurePosixPath(made[-1]).parts
    name, _, key = stage.partition("-")
    return storage.find(video_hash, name, key)
