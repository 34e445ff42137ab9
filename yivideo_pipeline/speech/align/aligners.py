"""Runs the aligner that gives words their final times."""

import threading
from pathlib import Path

from yivideo_pipeline.media.audio import Audio
from yivideo_pipeline.settings.options import SpeechOptions
from yivideo_pipeline.speech.align.choice import choose_aligner
from yivideo_pipeline.speech.align.wav2vec2 import Wav2Vec2Aligner
from yivideo_pipeline.speech.align.wav2vec2_model import load_acoustic_model
from yivideo_pipeline.speech.engine import Progress
from yivideo_pipeline.speech.types import Transcript


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
        """Give each word its final time, in each language by its aligner; those of attention are final.

        Raises:
            YivideoError: wav2vec2 is set and its weights can't be had, or it fails.
        """
        if not transcript.words:
            return transcript
        aligned = transcript.model_copy(update={"aligner": "attention"})
        for language in transcript.languages:
            chosen = choose_aligner(
                options, language, device, self._model_dir, token=self._token, offline=self._offline
            )
            if chosen == "wav2vec2":
                aligned = self._load_wav2vec2(language, device).align(audio, aligned, language, progress)
        return aligned

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
