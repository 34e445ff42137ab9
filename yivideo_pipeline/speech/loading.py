"""From options to a loaded engine: the one place where backend, weights and placement meet."""

import logging
from collections.abc import Callable
from pathlib import Path

from yivideo_pipeline.settings.hardware import probe_hardware
from yivideo_pipeline.settings.options import SpeechOptions
from yivideo_pipeline.settings.resolve import resolve
from yivideo_pipeline.speech.align import Aligners
from yivideo_pipeline.speech.align.decoder import Decoder
from yivideo_pipeline.speech.align.letters import PROFILES, UNMEASURED, LetterAligner
from yivideo_pipeline.speech.align.phrases import PHRASE_PROFILES, PhraseAligner
from yivideo_pipeline.speech.align.text import TextAligner
from yivideo_pipeline.speech.engine import ResidentEngine
from yivideo_pipeline.speech.local import LocalEngine
from yivideo_pipeline.speech.model_file import UnknownModelFile
from yivideo_pipeline.speech.placement import Placement
from yivideo_pipeline.speech.recognizer import Recognizer
from yivideo_pipeline.speech.weights import Weights, alignment_view, find_weights
from yivideo_pipeline.speech.whisper import Whisper, load_whisper
from yivideo_pipeline.speech.whisperx import WhisperXModel, load_pipeline
from yivideo_pipeline.speech.whisperx_engine import WhisperXEngine

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
