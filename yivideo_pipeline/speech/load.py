"""From options to a loaded engine: the one place where backend, weights and placement meet."""

import logging
from pathlib import Path

from yivideo_pipeline.settings.hardware import probe_hardware
from yivideo_pipeline.settings.options import SpeechOptions
from yivideo_pipeline.settings.rules import resolve
from yivideo_pipeline.speech.attention import PROFILES, UNMEASURED
from yivideo_pipeline.speech.engine import SpeechEngine
from yivideo_pipeline.speech.local import LocalEngine
from yivideo_pipeline.speech.placement import Placement
from yivideo_pipeline.speech.recognize import Recognizer
from yivideo_pipeline.speech.weights import Weights, alignment_view, find_weights
from yivideo_pipeline.speech.whisper import load_whisper

log = logging.getLogger(__name__)


def load_engine(
    options: SpeechOptions, model_dir: Path, *, token: str | None = None, offline: bool = False
) -> SpeechEngine:
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
    if not options.use_faster_whisper:
        from yivideo_pipeline.speech.whisperx_engine import WhisperXEngine

        return WhisperXEngine(weights, placement, options)
    folder, lag_s = _attention_folder(weights, model_dir)
    return LocalEngine(
        weights.model_name,
        weights.revision,
        placement,
        lambda place: Recognizer(load_whisper(folder, place), lag_s),
    )


def _attention_folder(weights: Weights, model_dir: Path) -> tuple[Path, float]:
    """The model's folder with the heads that follow the sound best, and their lag."""
    profile = PROFILES.get(weights.model_name, UNMEASURED)
    if profile.heads is None:
        return weights.folder, profile.lag_s
    return alignment_view(weights, list(profile.heads), model_dir), profile.lag_s
