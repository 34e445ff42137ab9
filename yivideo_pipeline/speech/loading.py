"""From options to a loaded engine: the one place where backend, weights and placement meet."""

import logging
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import TypedDict

from yivideo_pipeline.settings.hardware import Hardware, probe_hardware
from yivideo_pipeline.settings.options import Aligner, SpeechOptions
from yivideo_pipeline.settings.resolve import resolve
from yivideo_pipeline.settings.tree import Settings
from yivideo_pipeline.speech.align import Aligners, choose_aligner
from yivideo_pipeline.speech.align.decoder import Decoder, UnknownModelFile
from yivideo_pipeline.speech.align.letters import PROFILES, UNMEASURED, LetterAligner
from yivideo_pipeline.speech.align.phrases import PHRASE_PROFILES, PhraseAligner
from yivideo_pipeline.speech.align.text import TextAligner
from yivideo_pipeline.speech.engine import ResidentEngine, SpeechEngine
from yivideo_pipeline.speech.engines import LocalEngine, WhisperXEngine
from yivideo_pipeline.speech.manager import ModelManager
from yivideo_pipeline.speech.recognizer import Recognizer
from yivideo_pipeline.speech.runtime import Placement
from yivideo_pipeline.speech.types import Transcript
from yivideo_pipeline.speech.weights import (
    Weights,
    WeightsStatus,
    alignment_view,
    find_weights,
    weights_status,
)
from yivideo_pipeline.speech.whisper import Whisper, load_whisper
from yivideo_pipeline.speech.whisperx import WhisperXModel, load_pipeline

log = logging.getLogger(__name__)


def load_engine(
    options: SpeechOptions, model_dir: Path, *, token: str | None = None, offline: bool = False
) -> ResidentEngine:
    """Find the weights, choose device and precision, and load the model.

    Args:
        options: What to load; its `auto` values are resolved on this machine.
        model_dir: Folder of all weights.
        token: Hugging Face token for private or gated models.
        offline: Never ask the hub.

    Raises:
        YivideoError: settings that can't work here, weights that can't be had or loaded.
    """
    resolved = resolve(options, probe_hardware())
    for warning in resolved.warnings:
        log.warning(warning)
    weights = find_weights(options.model_name, model_dir, token=token, offline=offline)
    placement = Placement(resolved.device, resolved.compute_type.value, resolved.batch_size, resolved.threads)
    aligners = Aligners(model_dir, token=token, offline=offline)
    if options.use_faster_whisper:
        return LocalEngine(
            weights.model_name,
            weights.revision,
            placement,
            lambda place: _load_recognizer(weights, model_dir, place),
            aligners,
        )
    return WhisperXEngine(
        weights.model_name,
        weights.revision,
        placement,
        lambda place: _load_whisperx(weights, model_dir, place),
        aligners,
    )


def _load_recognizer(weights: Weights, model_dir: Path, place: Placement) -> Recognizer:
    folder, aligner_of = _choose_attention(weights, model_dir)
    whisper = load_whisper(folder, place)
    return Recognizer(whisper, aligner_of(whisper))


def _load_whisperx(weights: Weights, model_dir: Path, place: Placement) -> WhisperXModel:
    folder, aligner_of = _choose_attention(weights, model_dir)
    pipeline = load_pipeline(folder, place)
    whisper = Whisper(pipeline.model.model, folder)
    return WhisperXModel(pipeline, Recognizer(whisper, aligner_of(whisper)))


def _choose_attention(weights: Weights, model_dir: Path) -> tuple[Path, Callable[[Whisper], TextAligner]]:
    """The best that is known of a model's attention: the folder to load, and what then times its words."""
    profile = PHRASE_PROFILES.get(weights.model_name)
    if profile:
        try:
            decoder = Decoder(weights.folder / "model.bin")
        except UnknownModelFile as error:
            log.warning("%s; words are timed by the less exact way", error)
        else:
            return weights.folder, lambda whisper: PhraseAligner(whisper, decoder, profile)
    letters = PROFILES.get(weights.model_name, UNMEASURED)
    folder = alignment_view(weights, list(letters.heads), model_dir) if letters.heads else weights.folder
    return folder, lambda whisper: LetterAligner(whisper, letters.lag_s)


# PART speech/shared.py: The model manager that all of a process shares.

_making = threading.Lock()
_managers: dict[tuple[Path, str | None, bool], ModelManager] = {}


def shared_manager(
    model_dir: Path,
    *,
    token: str | None = None,
    offline: bool = False,
    options: Callable[[], SpeechOptions] = SpeechOptions,
) -> ModelManager:
    """Return the process's manager of the weights in a folder, always the same one.

    Args:
        model_dir: Folder of all weights.
        token: Hugging Face token for private or gated models.
        offline: Never ask the hub.
        options: Asked for the options of leases that name none; that of the first call stays.
    """
    with _making:
        key = (model_dir, token, offline)
        if key not in _managers:
            load = partial(load_engine, model_dir=model_dir, token=token, offline=offline)
            _managers[key] = ModelManager(load, options)
        return _managers[key]


# PART speech/local_speech.py: The speech models of this process, and what is known of them before they are loaded.


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
        self._options = settings.speech.options
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
