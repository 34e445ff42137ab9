"""Finds the videos for which there is nothing to do, without a run of Dagster's.

A run on a video that is done reads all of the video, finds every result and delivers it again. None of that
is needed where the same was asked before, the files are as they were left, and what was made is whole: as
with `make`, a file whose size, times and number are the same is the same file.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from yivideo_pipeline.cli.preflight import ProcessOptions
from yivideo_pipeline.defs.processed import Processed
from yivideo_pipeline.ledger import Ledger
from yivideo_pipeline.ledger.finished import FinishedRun
from yivideo_pipeline.remote.client import RemoteSpeech
from yivideo_pipeline.settings.options import SpeechOptions
from yivideo_pipeline.settings.settings import Settings
from yivideo_pipeline.settings.whisper_models import AUTO_MODEL
from yivideo_pipeline.speech.local_speech import LocalSpeech
from yivideo_pipeline.stages import STAGES
from yivideo_pipeline.storage.artifacts import SMALL_BYTES, Storage, canonical_json
from yivideo_pipeline.storage.remote_paths import AnyPath, to_path, version_of

FileState = list[Any]
"""A file's size, times of modification and change in nanoseconds, and its number on its disk; of an object
its size, time and ETag.

The time of change can't be set by a user: it also shows a file that was replaced under its old date.
"""


class FinishedVideos:
    """The videos that a command finds done, exactly as it asks for them.

    Args:
        settings: Name the storage, and the checks that decide what is delivered.
        options: What the command asks for.
        output_dir: Folder for the subtitles; None: beside the videos.
        speech: Knows the weights.
        ledger: Has the runs that delivered all.
        storage: Has what they made.

    Attributes:
        asked: A digest of all that the command asks for.
    """

    def __init__(
        self,
        settings: Settings,
        options: ProcessOptions,
        output_dir: "AnyPath | None",
        speech: LocalSpeech | RemoteSpeech,
        ledger: Ledger,
        storage: Storage,
    ) -> None:
        self._ledger = ledger
        self._storage = storage
        asked = {
            "code": {name: stage.code_version for name, stage in STAGES.items()},
            "speech": options.speech.model_dump(mode="json"),
            "subtitles": options.subtitles.model_dump(mode="json"),
            "checks": settings.checks.model_dump(mode="json"),
            "output_dir": str(output_dir),
            "storage": str(settings.storage.root),
            "weights": _weights_of(options.speech, speech),
        }
        self.asked = hashlib.sha256(canonical_json(asked).encode("utf-8", "surrogateescape")).hexdigest()

    def find(self, videos: Mapping[str, AnyPath]) -> dict[str, Processed]:
        """Return the outcome of each video that is done, by its key.

        Args:
            videos: The videos' files by their keys.
        """
        runs = self._ledger.finished.asked(self.asked, videos)
        return {run.key: _outcome_of(run) for run in runs if self._holds(run, videos[run.key])}

    def note(self, video: AnyPath, before: FileState | None, processed: Processed) -> None:
        """Note a run that delivered all.

        Args:
            video: The video's file.
            before: Its state when the run began.
            processed: The run's outcome.
        """
        states = {str(video): before} | {str(file): state_of(file) for file in processed.files}
        if None in states.values():
            return
        self._ledger.finished.note(
            FinishedRun(
                processed.partition_key,
                processed.run_id,
                self.asked,
                json.dumps(states),
                json.dumps({name: getattr(processed, name) for name in _REPORTED}, default=str),
            )
        )

    def _holds(self, run: FinishedRun, video: AnyPath) -> bool:
        states = json.loads(run.states)
        if str(video) not in states or any(state_of(to_path(name)) != was for name, was in states.items()):
            return False
        made = self._ledger.materializations.of(run.key)  # another run may have made something else since
        return {one.run_id for one in made.values()} == {run.run_id} and all(
            self._storage.find_latest(run.key, stage, read_up_to_bytes=SMALL_BYTES) for stage in STAGES
        )


def state_of(path: AnyPath) -> FileState | None:
    """Return the state of a file or object; None where there is none, or it can't be asked about."""
    try:
        if not isinstance(path, Path):
            return version_of(path)
        found = path.stat()
    except Exception:  # noqa: BLE001 - each driver has its own
        return None
    return [found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino]


_REPORTED = [one.name for one in fields(Processed) if one.name not in {"wall_s", "failure", "interrupted"}]


def _outcome_of(run: FinishedRun) -> Processed:
    """Return a run's outcome as that of a run now, which would find all that was made."""
    # Another version of the program may have noted more, or less.
    noted = {name: value for name, value in json.loads(run.outcome).items() if name in _REPORTED}
    noted |= {"files": tuple(map(to_path, noted["files"])), "warnings": tuple(noted["warnings"])}
    now: dict[str, Any] = {"reused": tuple(STAGES), "resumed_s": 0.0, "wall_s": 0.0, "failure": None}
    return Processed(**{**noted, **now})


def _weights_of(options: SpeechOptions, speech: LocalSpeech | RemoteSpeech) -> str | None:
    """Return what decides the weights; None where they would have to be fetched."""
    if options.model_name == AUTO_MODEL:  # a video keeps the model that was chosen for it
        return AUTO_MODEL
    return speech.revision(options) if speech.weights(options).state == "present" else None
