"""`yivideo calibrate`: finds which heads of a model follow the sound, and keeps them with its weights."""

import json
import tempfile
from pathlib import Path

from rich.console import Console

from yivideo_pipeline.cli.console import Exit, open_console, show_path
from yivideo_pipeline.errors.tree import ConfigError, ConfigValidationError, DiskError, ModelLoadError
from yivideo_pipeline.media.decode import decode_audio
from yivideo_pipeline.media.probe import choose_audio_stream, probe
from yivideo_pipeline.settings.load import load_settings
from yivideo_pipeline.settings.options import check_model_name
from yivideo_pipeline.settings.resolve import probe_hardware
from yivideo_pipeline.settings.whisper_models import AUTO_MODEL
from yivideo_pipeline.speech.align.calibration import Exactness, TimedSample, calibrate, measure
from yivideo_pipeline.speech.align.decoder import Decoder, UnknownModelFile
from yivideo_pipeline.speech.align.letters import UNMEASURED, LetterAligner
from yivideo_pipeline.speech.align.phrases import PhraseAligner
from yivideo_pipeline.speech.align.profiles import find_profile, keep_profile
from yivideo_pipeline.speech.runtime import DeviceConfig
from yivideo_pipeline.speech.weights import find_weights, token_of
from yivideo_pipeline.speech.whisper import load_whisper

SAMPLES = Path(__file__).resolve().parents[2] / "data" / "samples"
FIT, CHECK = "lighthouse-60s.mkv", "harbour-15s.mp4"


def calibrate_model(model_name: str, config: Path | None) -> Exit:
    """Choose a model's heads by one sample, check them by the other, and keep them if they are more exact.

    Raises:
        ConfigError: The settings are wrong, or the samples are not here.
        ModelLoadError: The weights can't be had, or are of a kind whose attention can't be read.
        DiskError: The profile can't be written.
    """
    settings = load_settings(config)
    try:
        model_name = check_model_name(model_name)
    except ValueError as error:
        raise ConfigValidationError(str(error)) from error
    if model_name == AUTO_MODEL:
        raise ConfigValidationError("auto is no model", "Name the one to calibrate, such as small")
    model_dir = settings.cache.model_dir
    if not (SAMPLES / FIT).is_file():
        raise ConfigError(f"There is no {SAMPLES / FIT} to calibrate with", "Run it in a checkout of yivideo")
    weights = find_weights(model_name, model_dir, token=token_of(settings.hub), offline=settings.hub.offline)
    try:
        decoder = Decoder(weights.folder / "model.bin")
    except UnknownModelFile as error:
        raise ModelLoadError(str(error), "Convert the model to float16 to calibrate it") from error
    console = open_console()
    whisper = load_whisper(weights.folder, DeviceConfig("cpu", "int8", 1, probe_hardware().cores))
    with tempfile.TemporaryDirectory(prefix="yivideo-calibrate-") as folder:
        fit, check = (read_sample(SAMPLES / name, Path(folder)) for name in (FIT, CHECK))
        profile = calibrate(whisper, decoder, [fit], lambda step: console.print(f"{step} …"))
        found = measure(whisper, PhraseAligner(whisper, decoder, profile), [check])
        known = find_profile(weights, model_dir)
        now = PhraseAligner(whisper, decoder, known) if known else LetterAligner(whisper, UNMEASURED.lag_s)
        before = measure(whisper, now, [check])
    _print(console, "calibrated", found)
    _print(console, "as it is", before)
    if (found.starts + found.ends) <= (before.starts + before.ends):
        console.print(f"{model_name} stays as it is: calibrating makes it no more exact")
        return Exit.DONE
    try:
        kept = keep_profile(profile, weights, model_dir)
    except OSError as error:
        raise DiskError(f"The profile can't be kept in {model_dir}: {error.strerror}") from error
    console.print(f"kept in {show_path(kept)}; new transcripts are timed by it")
    return Exit.DONE


def read_sample(video: Path, folder: Path) -> TimedSample:
    """Return the sound of a sample video, decoded into a folder, with its words."""
    info = probe(video)
    audio = decode_audio(video, folder / f"{video.stem}.wav", choose_audio_stream(info, "auto")).audio
    words = json.loads(video.with_suffix(".words.json").read_text(encoding="utf-8"))
    return TimedSample(audio, tuple((word, start_s, end_s) for word, start_s, end_s in words))


def _print(console: Console, name: str, found: Exactness) -> None:
    console.print(
        f"{name}: {100 * found.starts:.0f}% of starts and {100 * found.ends:.0f}% of ends within 0.1 s"
        f" ({found.words} words of {CHECK})"
    )
