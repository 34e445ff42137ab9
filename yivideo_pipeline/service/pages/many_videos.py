"""What a person does with several videos of the library at once, and with the queue of runs.

Each route answers for every video: what was done, and what was not and why. Processing several videos is not
among them: the page asks for a workflow of each.
"""

import io
import zipfile
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Annotated, Literal

from fastapi import APIRouter, Form, Response
from pydantic import BaseModel, ConfigDict, Field

from yivideo_pipeline.errors.tree import TaskCancelled
from yivideo_pipeline.ledger.known_videos import find_known
from yivideo_pipeline.service.dependencies import ServiceState, Shared
from yivideo_pipeline.service.errors import Refused
from yivideo_pipeline.service.pages.video_list import PAGE_SIZE, shown_path
from yivideo_pipeline.service.review.routes import render_subtitles
from yivideo_pipeline.service.review.video import find_subtitles, find_video
from yivideo_pipeline.settings.subtitle_options import SubtitleFormat
from yivideo_pipeline.stages import FIRST_STAGE

if TYPE_CHECKING:
    import dagster as dg

    from yivideo_pipeline.history.run_queue import RunsByVideo

router = APIRouter(prefix="/library", include_in_schema=False)

Key = Annotated[str, Field(min_length=1, max_length=8192)]
Keys = Annotated[list[Key], Field(min_length=1, max_length=PAGE_SIZE)]
NotDone = Literal["no_run", "not_stoppable", "busy", "unknown"]
"""Why something was not done: there is no run of this video alone; Dagster did not start its run; a run makes
it now; nothing is known of it."""
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
    return ManyVideosResponse(done=moved, not_done={key: "no_run" for key in call.keys if key not in moved})


@router.post("/cancel")
def cancel(call: ChosenVideos, shared: Shared) -> ManyVideosResponse:
    """Take the runs of these videos from the queue, or stop them."""
    from yivideo_pipeline.history.run_queue import read_runs

    runs, response = read_runs(_require_instance(shared)).runs, ManyVideosResponse()
    for key in call.keys:
        run = runs.get(key)
        if run is None:
            response.not_done[key] = "no_run"
        elif shared.dagster.terminate(run.run_id):
            # Else it would wait for a run that never comes, as far as the list shows.
            shared.ledger.failures.note_failure(key, FIRST_STAGE, run.root_id, CANCELLED, 1)
            response.done.append(key)
        else:
            response.not_done[key] = "not_stoppable"
    return response


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
    shared: Shared, key: Annotated[Keys, Form()], kind: Annotated[SubtitleFormat, Form()]
) -> Response:
    """Return the current subtitles of these videos in one archive, in the folders of the library."""
    packed = io.BytesIO()
    names: set[str] = set()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for one in dict.fromkeys(key):
            try:
                subtitles = find_subtitles(find_video(one, shared.storage, shared.settings))
            except Refused:  # it was removed a moment ago
                continue
            if subtitles is None:
                continue
            name, content = render_subtitles(subtitles, kind, "standing")
            video = PurePosixPath(shown_path(one).lstrip("/"))
            name = name if str(video.parent / name) not in names else f"{video.name}.{name}"
            names.add(str(video.parent / name))
            archive.writestr(str(video.parent / name), content)
    if not names:
        raise Refused(404, "not_found", "None of these videos has subtitles", "Process them first")
    headers = {"Content-Disposition": 'attachment; filename="subtitles.zip"', "Cache-Control": "no-store"}
    return Response(packed.getvalue(), media_type="application/zip", headers=headers)


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
