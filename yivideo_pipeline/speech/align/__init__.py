"""Which aligner gives words their final times, and running it."""

import logging
import threading
from pathlib import Path
from typing import Literal

from yivideo_pipeline.media.audio import Audio
from yivideo_pipeline.settings.options import Aligner, SpeechOptions, Task
from yivideo_pipeline.speech.align.wav2vec2 import Wav2Vec2Aligner
from yivideo_pipeline.speech.align.wav2vec2_model import load_acoustic_model, not_to_be_had, wav2vec2_status
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
    """Decide what `auto` means for a language on a device; imports no torch, takes 2 s at most.

    `auto` is wav2vec2 on a GPU where its weights are there or to be had, else attention. A translation is
    never heard in the sound: its words have attention's times alone.

    Args:
        options: The wanted aligner.
        language: Whisper's code of the language that is spoken.
        device: `cpu` or `cuda`.
        model_dir: Folder of all weights.
        token: Hugging Face token for private or gated models.
        offline: Never ask a network.

    Raises:
        ModelLoadError: wav2vec2 was asked for and can't be had.
    """
    wanted = Aligner.ATTENTION if options.task is Task.TRANSLATE else options.aligner
    if wanted is Aligner.ATTENTION or (wanted is Aligner.AUTO and device == "cpu"):
        return "attention"
    status = wav2vec2_status(language, model_dir, token=token, offline=offline)
    if status.state != "missing":
        return "wav2vec2"
    if wanted is Aligner.WAV2VEC2:
        raise not_to_be_had(status)
    log.info("words keep the times of Whisper's attention: %s", status.reason)
    return "attention"


class Aligners:
    """Runs the aligner that the options choose; the last wav2vec2 model stays loaded.

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
        """Lines that say how the loaded aligner was made smaller when memory ran out, in order."""
        return self._loaded[1].steps if self._loaded else ()

    def align(
        self,
        audio: Audio,
        transcript: Transcript,
        options: SpeechOptions,
        device: str,
        progress: Progress | None = None,
    ) -> Transcript:
        """Give each word its final time; attention's are final as the transcript has them.

        Raises:
            YivideoError: wav2vec2 was asked for and can't be had, or fails.
        """
        if not transcript.words:
            return transcript
        chosen = choose_aligner(
            options, transcript.language, device, self._model_dir, token=self._token, offline=self._offline
        )
        if chosen == "attention":
            return transcript.model_copy(update={"aligner": "attention"})
        return self._wav2vec2(transcript.language, device).align(audio, transcript, progress)

    def _wav2vec2(self, language: str, device: str) -> Wav2Vec2Aligner:
        with self._lock:
            if self._loaded is None or self._loaded[0] != language:
                self._loaded = None  # two of them seldom fit beside Whisper
                self._loaded = (
                    language,
                    Wav2Vec2Aligner(
                        lambda place: load_acoustic_model(
                            language, place, self._model_dir, token=self._token, offline=self._offline
                        ),
                        device,
                    ),
                )
            return self._loaded[1]
