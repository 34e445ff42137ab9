"""What a person does with several videos of the library at once, and with the queue of runs.

Each route answers for every video: what was done, and what was not and why. The page asks for a workflow of
each of a few videos that are to be processed; many become a backfill.
"""

import zipfile
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import APIRouter, Form, Response
from fastapi.responses import StreamingResponse
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, Json

from yivideo_pipeline.errors.tree import TaskCancelled
from yivideo_pipeline.ledger.known_videos import find_known
from yivideo_pipeline.library.watch import open_watch
from yivideo_pipeline.service.allowed_paths import resolve_video
from yivideo_pipeline.service.dependencies import ServiceState, Shared
from yivideo_pipeline.service.errors import Refused
from yivideo_pipeline.service.pages.video_list import find_row, shown_path
from yivideo_pipeline.service.review.routes import render_subtitles
from yivideo_pipeline.service.review.video import find_subtitles, find_video
from yivideo_pipeline.settings.subtitle_options import SubtitleFormat
from yivideo_pipeline.stages import FIRST_STAGE, STAGES, VIDEOS

if TYPE_CHECKING:
    import dagster as dg

    from yivideo_pipeline.history.run_queue import RunsByVideo, VideoRun

router = APIRouter(prefix="/library", include_in_schema=False)

Key = Annotated[str, Field(min_length=1, max_length=8192)]
MAX_CHOSEN = 10_000
MAX_PACKED = 1000
"""The most videos whose subtitles go into one archive: a form's field, with their keys, has at most 1 MB."""
Keys = Annotated[
    list[Key], Field(min_length=1, max_length=MAX_CHOSEN), AfterValidator(lambda keys: [*dict.fromkeys(keys)])
]
"""Partition keys, each once."""
NotDone = Literal["no_run", "not_stoppable", "shared", "busy", "no_file", "unknown"]
"""Why something was not done: the video has no run; Dagster did not start its run; others share its run,
which has begun; a run makes it now; its file is not there; nothing is known of it."""
CANCELLED = TaskCancelled("It was cancelled on the library page", "Process it again, or forget it")


class ChosenVideos(BaseModel):
    """The partition keys of some videos."""

    model_config = ConfigDict(extra="forbid")

    keys: Keys


class ForgetRequest(ChosenVideos):
    """Videos to forget, and whether their results are removed too."""

    results: bool = False


class QueueRequest(BaseModel):
    """Whether the queue is to be paused."""

    model_config = ConfigDict(extra="forbid")

    paused: bool


class ManyVideosResponse(BaseModel):
    """The videos with which it was done, and why not with the others."""

    done: list[str] = []
    not_done: dict[str, NotDone] = {}


@router.post("/queue")
def pause_queue(call: QueueRequest, shared: Shared) -> QueueRequest:
    """Let no waiting run begin, or let them begin again; runs at work go on to their end."""
    from yivideo_pipeline.history.instance import set_paused

    set_paused(_require_instance(shared), call.paused)
    return call


@router.post("/front")
def move_to_front(call: ChosenVideos, shared: Shared) -> ManyVideosResponse:
    """Let the waiting runs of these videos begin before all others."""
    from yivideo_pipeline.history.run_queue import move_to_front as move

    moved = move(_require_instance(shared), call.keys)
    return ManyVideosResponse(done=moved, not_done=dict.fromkeys({*call.keys} - {*moved}, "no_run"))


@router.post("/process")
def process(call: ChosenVideos, shared: Shared) -> ManyVideosResponse:
    """Process videos by the settings, in runs that they share; those that have a run already keep it."""
    from yivideo_pipeline.history.run_queue import find_busy

    instance = _require_instance(shared)
    not_done: dict[str, NotDone] = dict.fromkeys(find_busy(call.keys, shared.ledger, instance), "busy")
    not_done |= {key: "no_file" for key in call.keys if key not in not_done and not _has_file(key, shared)}
    keys = [key for key in call.keys if key not in not_done]
    if keys:
        instance.add_dynamic_partitions(VIDEOS, keys)
        shared.dagster.launch_many(keys, tuple(STAGES), "By hand, on the library page")
        watch = open_watch(shared.settings, shared.ledger, shared.storage)
        for key in keys:  # else it would process a new file once more
            watch.note_launched(key)
    return ManyVideosResponse(done=keys, not_done=not_done)


def _has_file(key: str, shared: ServiceState) -> bool:
    try:
        return resolve_video(key, shared.settings.library.roots, shared.allowed_folders) == key
    except Refused:
        return False


@router.post("/cancel")
def cancel(call: ChosenVideos, shared: Shared) -> ManyVideosResponse:
    """Take the runs of these videos from the queue, or stop them; what else shares a waiting run is kept."""
    from yivideo_pipeline.history.run_queue import read_runs

    runs, response = read_runs(_require_instance(shared)).runs, ManyVideosResponse()
    chosen: dict[str, list[str]] = {}
    for key in call.keys:
        if key in runs:
            chosen.setdefault(runs[key].run_id, []).append(key)
        else:
            response.not_done[key] = "no_run"
    for keys in chosen.values():
        run = runs[keys[0]]
        # Else they would wait for a run that never comes, as far as the list shows.
        unmade = [key for key in keys if not (run.is_shared and _is_done(key, shared))]
        if why := _stop(run, set(keys), shared):
            response.not_done |= dict.fromkeys(keys, why)
            continue
        for key in unmade:
            shared.ledger.failures.note_failure(key, FIRST_STAGE, run.root_id, CANCELLED, 1)
        response.done += keys
    return response


def _is_done(key: str, shared: ServiceState) -> bool:
    row = find_row(shared.ledger.engine, key)
    return row is not None and row.state == "done"


def _stop(run: "VideoRun", chosen: set[str], shared: ServiceState) -> NotDone | None:
    """Stop a run for the chosen ones of its videos; return why that is impossible, None where it is done."""
    others = [key for key in run.keys if key not in chosen]
    if others:
        if run.place is None or not run.is_plain:
            return "shared"
        # First, so that none of them is lost if it fails.
        shared.dagster.launch_many(others, run.stages, "What shared a run with cancelled videos")
    return None if shared.dagster.terminate(run.run_id) else "not_stoppable"


@router.post("/forget")
def forget(call: ForgetRequest, shared: Shared) -> ManyVideosResponse:
    """Forget videos: their files are not processed by themselves again, and stay as they are."""
    from yivideo_pipeline.history.run_queue import find_busy, forget_video

    instance, ledger = shared.performance.history.instance(), shared.ledger
    known = find_known(ledger.engine, call.keys)
    not_done: dict[str, NotDone] = {key: "unknown" for key in call.keys if key not in known}
    not_done |= dict.fromkeys(find_busy(call.keys, ledger, instance), "busy")
    done = [key for key in call.keys if key not in not_done]
    for key in done:
        forget_video(key, ledger, shared.storage, instance, with_results=call.results)
    return ManyVideosResponse(done=done, not_done=not_done)


@router.post("/subtitles.zip")
def download(
    shared: Shared, keys: Annotated[Json[Keys], Form()], kind: Annotated[SubtitleFormat, Form()]
) -> Response:
    """Return the current subtitles of these videos in one archive, in the folders of the library."""
    if len(keys) > MAX_PACKED:
        raise Refused(
            422, "invalid_request", f"More than {MAX_PACKED} videos", "Select fewer, or search by name first"
        )
    files = _render_all(keys, kind, shared)
    if (first := next(files, None)) is None:
        raise Refused(404, "not_found", "None of these videos has subtitles", "Process them first")
    headers = {"Content-Disposition": 'attachment; filename="subtitles.zip"', "Cache-Control": "no-store"}
    return StreamingResponse(_pack(chain([first], files)), media_type="application/zip", headers=headers)


def _render_all(keys: list[str], kind: SubtitleFormat, shared: ServiceState) -> Iterator[tuple[str, bytes]]:
    """Yield the current subtitles of those videos that have any: the name in the archive, and the content."""
    names: set[str] = set()
    for one in keys:
        try:
            subtitles = find_subtitles(find_video(one, shared.storage, shared.settings))
        except Refused:  # it was removed a moment ago
            continue
        if subtitles is None:
            continue
        name, content = render_subtitles(subtitles, kind, "standing")
        video = PurePosixPath(shown_path(one).lstrip("/"))
        path = str(video.parent / name)
        path = path if path not in names else str(video.parent / f"{video.name}.{name}")
        names.add(path)
        yield path, content


class _Pieces:
    """Takes what a zip writes, until it is sent."""

    def __init__(self) -> None:
        self._written = bytearray()

    def write(self, data: bytes) -> int:
        self._written += data
        return len(data)

    def flush(self) -> None:
        pass

    def take(self) -> bytes:
        written, self._written = bytes(self._written), bytearray()
        return written


def _pack(files: Iterable[tuple[str, bytes]]) -> Iterator[bytes]:
    """Yield an archive piece by piece: no more than one video's subtitles are in memory."""
    pieces: Any = _Pieces()
    with zipfile.ZipFile(pieces, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, content in files:
            archive.writestr(path, content)
            yield pieces.take()
    yield pieces.take()


def read_runs_of(shared: ServiceState) -> "RunsByVideo | None":
    """Return the unfinished runs; None where Dagster has never run on this home."""
    instance = shared.performance.history.instance()
    if instance is None:
        return None
    from yivideo_pipeline.history.run_queue import read_runs

    return read_runs(instance)


def _require_instance(shared: ServiceState) -> "dg.DagsterInstance":
    instance = shared.performance.history.instance()
    if instance is None:
        raise Refused(503, "service", "Dagster has not run here yet", "Start it: `yivideo up`")
    return instance
