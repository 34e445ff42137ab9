"""From options to a loaded engine: chooses backend, weights and device, and shares the model in a process."""

import logging
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from yivideo_pipeline.errors.classify import classify
from yivideo_pipeline.errors.origin import explain
from yivideo_pipeline.errors.tree import ModelLoadError, SystemFault
from yivideo_pipeline.settings.options import SpeechOptions
from yivideo_pipeline.settings.resolve import probe_hardware, resolve
from yivideo_pipeline.settings.settings import Settings
from yivideo_pipeline.speech.align.aligners import Aligners
from yivideo_pipeline.speech.align.decoder import Decoder, UnknownModelFile
from yivideo_pipeline.speech.align.letters import PROFILES, UNMEASURED, LetterAligner
from yivideo_pipeline.speech.align.phrases import PhraseAligner
from yivideo_pipeline.speech.align.profiles import find_profile
from yivideo_pipeline.speech.align.text import TextAligner
from yivideo_pipeline.speech.align.torch_decoder import TorchDecoder, can_use_torch
from yivideo_pipeline.speech.engine import ResidentEngine
from yivideo_pipeline.speech.faster_whisper import FasterWhisperEngine
from yivideo_pipeline.speech.manager import ModelManager
from yivideo_pipeline.speech.model_choice import ModelChooser
from yivideo_pipeline.speech.recognizer import Recognizer
from yivideo_pipeline.speech.runtime import DeviceConfig
from yivideo_pipeline.speech.weights import Weights, alignment_view, find_weights, token_of
from yivideo_pipeline.speech.whisper import Whisper, load_whisper
from yivideo_pipeline.speech.whisperx import WhisperXEngine, WhisperXModel, load_pipeline

log = logging.getLogger(__name__)


def load_engine(
    options: SpeechOptions, model_dir: Path, *, token: str | None = None, offline: bool = False
) -> ResidentEngine:
    """Find the weights, choose device and precision, and load the model.

    Args:
        options: The model to load; `auto` values are resolved on this machine.
        model_dir: Folder of all weights.
        token: Hugging Face token for private or gated models.
        offline: Never ask the hub.

    Raises:
        YivideoError: the options can't work here, or the weights can't be had or loaded.
    """
    options = ModelChooser(model_dir, token=token, offline=offline).choose(options).options
    resolved = resolve(options, probe_hardware())
    for warning in resolved.warnings:
        log.warning(warning)
    weights = find_weights(
        options.model_name, model_dir, revision=options.model_revision, token=token, offline=offline
    )
    config = DeviceConfig(resolved.device, resolved.compute_type.value, resolved.batch_size, resolved.threads)
    aligners = Aligners(model_dir, token=token, offline=offline)
    if options.use_faster_whisper:
        return FasterWhisperEngine(
            weights.model_name,
            weights.revision,
            config,
            lambda config: _load_recognizer(weights, model_dir, config),
            aligners,
        )
    return WhisperXEngine(
        weights.model_name,
        weights.revision,
        config,
        lambda config: _load_whisperx(weights, model_dir, config),
        aligners,
    )


_managers_lock = threading.Lock()
_managers: dict[tuple[Path, str | None, bool], ModelManager] = {}


def shared_manager(
    settings: Settings, default_options: Callable[[], SpeechOptions] | None = None
) -> ModelManager:
    """Return the model manager of this process, always the same one for the same folder of weights.

    Args:
        settings: The folder of weights and the access to the hub.
        default_options: Returns the options of leases that name none, by default the settings'; those of the
            first call stay.
    """
    token, offline = token_of(settings.hub), settings.hub.offline
    key = (settings.cache.model_dir, token, offline)
    with _managers_lock:
        if key not in _managers:
            load = partial(load_engine, model_dir=settings.cache.model_dir, token=token, offline=offline)
            chooser = ModelChooser(settings.cache.model_dir, token=token, offline=offline)
            default = default_options or (lambda: settings.speech.options)
            _managers[key] = ModelManager(load, default, choose=chooser.choose)
        return _managers[key]


def _load_recognizer(weights: Weights, model_dir: Path, config: DeviceConfig) -> Recognizer:
    with _loading(weights):
        folder, aligner_of = choose_attention(weights, model_dir, config.device)
        whisper = load_whisper(folder, config)
        return Recognizer(whisper, aligner_of(whisper))


def _load_whisperx(weights: Weights, model_dir: Path, config: DeviceConfig) -> WhisperXModel:
    with _loading(weights):
        folder, aligner_of = choose_attention(weights, model_dir, config.device)
        pipeline = load_pipeline(folder, config)
        whisper = Whisper(pipeline.model.model, folder)
        return WhisperXModel(pipeline, Recognizer(whisper, aligner_of(whisper)))


@contextmanager
def _loading(weights: Weights) -> Generator[None]:
    """Name the weights that a library can't read, where `classify` does not know its words."""
    try:
        yield
    except Exception as error:
        if type(classify(error)) is not SystemFault:
            raise
        raise ModelLoadError(
            explain(f"The weights of model {weights.model_name} in {weights.folder} can't be loaded", error),
            "Delete the folder to fetch them again, or put whole ones there",
        ) from error


def choose_attention(
    weights: Weights, model_dir: Path, device: str
) -> tuple[Path, Callable[[Whisper], TextAligner]]:
    """Return the folder to load for the best known use of a model's attention, and the aligner for it."""
    profile = find_profile(weights, model_dir)
    open_decoder = _decoder_on(device) if profile else None
    if profile and open_decoder:
        try:
            decoder = open_decoder(weights.folder / "model.bin")
        except UnknownModelFile as error:
            log.warning("%s; words are timed by the less exact letter aligner", error)
        else:
            return weights.folder, lambda whisper: PhraseAligner(whisper, decoder, profile)
    letters = PROFILES.get(weights.model_name, UNMEASURED)
    folder = alignment_view(weights, list(letters.heads), model_dir) if letters.heads else weights.folder
    return folder, lambda whisper: LetterAligner(whisper, letters.lag_s)


def _decoder_on(device: str) -> Callable[[Path], Decoder | TorchDecoder] | None:
    """Return what computes the attention maps beside a model on a device; None where it would hold it up.

    A GPU recognizes a window in less time than numpy needs to align it. Without torch CTranslate2 aligns
    there, less exactly (docs/gpu.md).
    """
    if device == "cpu":
        return Decoder
    return TorchDecoder if can_use_torch() else None
