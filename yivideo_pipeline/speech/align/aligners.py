"""Chooses the aligner that gives words their final times, and runs it."""

import logging
import threading
from pathlib import Path
from typing import Literal

from yivideo_pipeline.media.audio import Audio
from yivideo_pipeline.settings.options import Aligner, SpeechOptions, Task
from yivideo_pipeline.speech.align.wav2vec2 import Wav2Vec2Aligner
from yivideo_pipeline.speech.align.wav2vec2_model import explain_missing, load_acoustic_model, wav2vec2_status
from yivideo_pipeline.speech.engine import Progress
from yivideo_pipeline.speech.types import Transcript

log = logging.getLogger(__name__)

AlignerName = Literal["attention", "wav2vec2"]


def choose_aligner(
    options: SpeechOptions,
    language: str,
    device: str,
    model_dir: Path,
    *,
    token: str | None = None,
    offline: bool = False,
) -> AlignerName:
    """Resolve the aligner option for a language and a device; imports no torch, takes 2 s at most.

    `auto` is wav2vec2 on a GPU where its weights are present or can be fetched, else attention. The words
    of a translation are not in the sound, so they always have attention's times.

    Args:
        options: The aligner option and the task.
        language: Whisper's code of the spoken language.
        device: `cpu` or `cuda`.
        model_dir: Folder of all weights.
        token: Hugging Face token for private or gated models.
        offline: Never ask a network.

    Raises:
        ModelLoadError: wav2vec2 is set and its weights can't be had.
        ServiceUnreachable: likewise, since a server does not answer.
    """
    wanted = Aligner.ATTENTION if options.task is Task.TRANSLATE else options.aligner
    if wanted is Aligner.ATTENTION or (wanted is Aligner.AUTO and device == "cpu"):
        return "attention"
    status = wav2vec2_status(language, model_dir, token=token, offline=offline)
    if status.state != "missing":
        return "wav2vec2"
    if wanted is Aligner.WAV2VEC2:
        raise explain_missing(status)
    log.info("Words keep the times of Whisper's attention: %s", status.reason)
    return "attention"


class Aligners:
    """Runs the aligner that the options choose and keeps the last wav2vec2 model loaded.

    Args:
        model_dir: Folder of all weights.
        token: Hugging Face token for private or gated models.
        offline: Never ask a network.
    """

    def __init__(self, model_dir: Path, *, token: str | None = None, offline: bool = False) -> None:
        self._model_dir = model_dir
        self._token = token
        self._offline = offline
        self._lock = threading.Lock()
        self._loaded: tuple[str, Wav2Vec2Aligner] | None = None

    @property
    def steps(self) -> tuple[str, ...]:
        """One line for each fallback of the loaded aligner when memory ran out, in order."""
        return self._loaded[1].steps if self._loaded else ()

    def align(
        self,
        audio: Audio,
        transcript: Transcript,
        options: SpeechOptions,
        device: str,
        progress: Progress | None = None,
    ) -> Transcript:
        """Give each word its final time; for attention the transcript's times are final.

        Raises:
            YivideoError: wav2vec2 is set and its weights can't be had, or it fails.
        """
        if not transcript.words:
            return transcript
        chosen = choose_aligner(
            options, transcript.language, device, self._model_dir, token=self._token, offline=self._offline
        )
        if chosen == "attention":
            return transcript.model_copy(update={"aligner": "attention"})
        return self._load_wav2vec2(transcript.language, device).align(audio, transcript, progress)

    def _load_wav2vec2(self, language: str, device: str) -> Wav2Vec2Aligner:
        with self._lock:
            if self._loaded is None or self._loaded[0] != language:
                self._loaded = None  # two aligners seldom fit beside Whisper
                self._loaded = (
                    language,
                    Wav2Vec2Aligner(
                        lambda device: load_acoustic_model(
                            language, device, self._model_dir, token=self._token, offline=self._offline
                        ),
                        device,
                    ),
                )
            return self._loaded[1]
