"""The speech models of this process, and what is known of them before they are loaded."""

from contextlib import AbstractContextManager
from dataclasses import replace
from functools import cached_property
from typing import TypedDict

from yivideo_pipeline.settings.hardware import Hardware, probe_hardware
from yivideo_pipeline.settings.model import Settings
from yivideo_pipeline.settings.options import Aligner, SpeechOptions
from yivideo_pipeline.settings.resolve import resolve
from yivideo_pipeline.speech.align import choose_aligner
from yivideo_pipeline.speech.engine import SpeechEngine
from yivideo_pipeline.speech.manager import ModelManager
from yivideo_pipeline.speech.shared import shared_manager
from yivideo_pipeline.speech.types import Transcript
from yivideo_pipeline.speech.weights import WeightsStatus, find_weights, weights_status


class _Hub(TypedDict):
    token: str | None
    offline: bool


class LocalSpeech:
    """Whisper in this process, whose one manager loads a model once for a run over many videos.

    Args:
        settings: Where weights are, and the options that count unless others are given.
        manager: What holds the model; by default the one that all of this process shares.
    """

    def __init__(self, settings: Settings, manager: ModelManager | None = None) -> None:
        token = settings.hub.read_token()
        self._model_dir = settings.cache.model_dir
        self._options = settings.speech
        self._manager = manager
        self._hub: _Hub = {
            "token": token.get_secret_value() if token else None,
            "offline": settings.hub.offline,
        }

    def check(self, options: SpeechOptions) -> tuple[str, ...]:
        """Return warnings about the options on this machine.

        Raises:
            ConfigValidationError: they can't work here.
        """
        return resolve(options, capacity_of(probe_hardware())).warnings

    def revision(self, options: SpeechOptions) -> str:
        """Return the revision of the weights, fetching them where they are not there yet."""
        return find_weights(options.model_name, self._model_dir, **self._hub).revision

    def weights(self, options: SpeechOptions) -> WeightsStatus:
        """Tell whether the weights are here or can be had, without fetching them."""
        return weights_status(options.model_name, self._model_dir, **self._hub)

    def aligner(self, options: SpeechOptions, said: Transcript) -> Aligner:
        """Return what times the words here: `auto` depends on the device and on which weights there are."""
        return self.aligner_of(options, said.language) if said.words else Aligner.ATTENTION

    def aligner_of(self, options: SpeechOptions, language: str) -> Aligner:
        """Return what times the words of a language here."""
        device = resolve(options, capacity_of(probe_hardware())).device
        return Aligner(choose_aligner(options, language, device, self._model_dir, **self._hub))

    def engine(
        self, options: SpeechOptions, background: bool = False
    ) -> AbstractContextManager[SpeechEngine]:
        """Lend the engine, loading its model where it is not loaded; here nobody else is to go first."""
        return self.manager.lease(options)

    @cached_property
    def manager(self) -> ModelManager:
        """What holds the model."""
        return self._manager or shared_manager(self._model_dir, options=lambda: self._options, **self._hub)


def capacity_of(hardware: Hardware) -> Hardware:
    """Return the machine with all its memory free.

    What is free at this moment says little: our own model may be what fills it, or a run that ends before
    this one's turn comes. The manager looks at it when it loads.
    """
    gpus = tuple(replace(gpu, memory_free_bytes=gpu.memory_total_bytes) for gpu in hardware.gpus)
    return replace(hardware, memory_available_bytes=hardware.memory_total_bytes, gpus=gpus)
