"""Light copies of videos that a browser can't play: made in the background, one at a time, and kept.

They lie beside the video's artifact, so that they are removed with it.
"""

import logging
import os
import threading
from contextlib import suppress
from dataclasses import dataclass

from pydantic import BaseModel, Field

from yivideo_pipeline.errors.tree import YivideoError
from yivideo_pipeline.media.audio import Audio
from yivideo_pipeline.service.errors import Refused
from yivideo_pipeline.service.pages.translations import Said
from yivideo_pipeline.service.review.video import AUDIO_FILE, ReviewedVideo
from yivideo_pipeline.storage.artifacts import Artifact

log = logging.getLogger(__name__)

_NICE = 10
"""Runs and requests come first."""


class LightCopy(BaseModel):
    """How far a video's light copy is."""

    is_ready: bool
    fraction: float = Field(description="Done so far, 0 to 1")
    error: Said | None = Field(None, description="Why there is none, and will be none")


@dataclass
class _Work:
    fraction: float = 0.0
    error: str | None = None


class LightCopies:
    """The light copies that this process makes."""

    def __init__(self) -> None:
        self._works: dict[str, _Work] = {}
        self._lock = threading.Lock()
        self._turn = threading.Lock()

    def request(self, video: ReviewedVideo) -> LightCopy:
        """Return how far a video's copy is; start to make it where nobody has.

        Raises:
            Refused: 404; the video's file or its sound is gone.
        """
        made, sound = video.artifact("video"), video.artifact("audio")
        if made is None or sound is None or AUDIO_FILE not in sound.files or video.file is None:
            raise Refused(404, "no_media", "The video's file or its audio is gone", "Process the video again")
        name = name_of(made)
        if video.storage.files.exists(name):
            return LightCopy(is_ready=True, fraction=1.0)
        with self._lock:
            work = self._works.get(name)
            if work is None:
                work = self._works[name] = _Work()
                # A daemon: the service may stop meanwhile, and nothing half-made has the copy's name.
                threading.Thread(target=self._make, args=(video, sound, name, work), daemon=True).start()
        return LightCopy(is_ready=False, fraction=work.fraction, error=work.error)

    def _make(self, video: ReviewedVideo, sound: Artifact, name: str, work: _Work) -> None:
        from yivideo_pipeline.media.light_copy import write_light_copy

        storage = video.storage
        with self._turn:
            with suppress(OSError):
                os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)
            try:
                with storage.scratch() as folder, storage.local_copy(sound, AUDIO_FILE) as wav:
                    target = folder / "light.mp4"
                    audio = Audio(wav, sound.document["offset_s"])
                    write_light_copy(video.path, audio, target, lambda done: setattr(work, "fraction", done))
                    storage.files.put(name, target)
            except Exception as error:
                log.exception("There is no light copy of %s", video.key)
                work.error = error.message if isinstance(error, YivideoError) else str(error)
            else:
                with self._lock:
                    del self._works[name]


def name_of(video: Artifact) -> str:
    """Return the name of the light copy beside the video's artifact."""
    return f"{video.folder}/light.mp4"
