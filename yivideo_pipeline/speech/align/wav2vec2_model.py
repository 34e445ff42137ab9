"""WhisperX's wav2vec2 weights: which model a language has, whether it is to be had, and loading it.

WhisperX takes its models from two places: torchaudio's (a file below the model folder) and the
Hugging Face hub (its cache layout below the model folder). Only loading imports torch.
"""

import ast
import contextlib
import io
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from yivideo_pipeline.errors.classify import classify
from yivideo_pipeline.errors.origin import explain
from yivideo_pipeline.errors.tree import ModelLoadError, SystemFault, YivideoError
from yivideo_pipeline.speech import weight_sources
from yivideo_pipeline.speech.quiet import quiet_libraries
from yivideo_pipeline.speech.wav2vec2.acoustic import AcousticModel
from yivideo_pipeline.speech.weights import WeightsStatus

NOT_INSTALLED = "WhisperX is not installed"
_OFFLINE = "its weights are not on this machine, and asking for them is switched off (hub.offline)"
# As torchaudio.pipelines has them: where its bundles lie, and the file of each that WhisperX uses.
_TORCHAUDIO_URL = "https://download.pytorch.org/torchaudio/models"
_TORCHAUDIO_FILES = {
    "WAV2VEC2_ASR_BASE_960H": "wav2vec2_fairseq_base_ls960_asr_ls960.pth",
    "VOXPOPULI_ASR_BASE_10K_DE": "wav2vec2_voxpopuli_base_10k_asr_de.pt",
    "VOXPOPULI_ASR_BASE_10K_ES": "wav2vec2_voxpopuli_base_10k_asr_es.pt",
    "VOXPOPULI_ASR_BASE_10K_FR": "wav2vec2_voxpopuli_base_10k_asr_fr.pt",
    "VOXPOPULI_ASR_BASE_10K_IT": "wav2vec2_voxpopuli_base_10k_asr_it.pt",
}
_HUB_FILES = ("config.json", "preprocessor_config.json", "vocab.json")
# Repositories have one or both of these; transformers reads the first it finds.
_HUB_WEIGHTS = ("model.safetensors", "pytorch_model.bin")


def wav2vec2_status(
    language: str, model_dir: Path, *, token: str | None = None, offline: bool = False
) -> WeightsStatus:
    """Tell within 2 s whether `load_acoustic_model` would succeed, without downloading or importing torch.

    Args:
        language: Whisper's code of the language.
        model_dir: Folder of all weights.
        token: Hugging Face token for private or gated models.
        offline: Never ask a network.
    """
    if find_spec("whisperx") is None:
        return WeightsStatus("missing", NOT_INSTALLED)
    name = _find_name(language)
    if name is None:
        return WeightsStatus("missing", f"WhisperX has no wav2vec2 model for language {language}")
    if _is_here(name, model_dir):
        return WeightsStatus("present", f"{name} in {model_dir}")
    if offline:
        return WeightsStatus("missing", f"{name}: {_OFFLINE}")
    file = _TORCHAUDIO_FILES.get(name)
    problem = (
        weight_sources.find_download_problem(f"{_TORCHAUDIO_URL}/{file}")
        if file
        else weight_sources.find_problem(name, token)
    )
    if problem:
        return WeightsStatus("missing", f"{name}: {problem}")
    return WeightsStatus("fetchable", f"{name} from {'torchaudio' if file else 'the Hugging Face hub'}")


def not_to_be_had(status: WeightsStatus) -> ModelLoadError:
    """The error that says why there is no aligner, and what to do."""
    install = "Run `make install-whisperx`, or set" if status.reason == NOT_INSTALLED else "Set"
    return ModelLoadError(
        f"The aligner wav2vec2 can't be had: {status.reason.rstrip('.')}",
        f"{install} aligner to attention or auto",
    )


def load_acoustic_model(
    language: str, device: str, model_dir: Path, *, token: str | None = None, offline: bool = False
) -> AcousticModel:
    """Load the model that WhisperX aligns a language with, downloading it if it is not there yet.

    Raises:
        ModelLoadError: There is none, it can't be had, or it can't be loaded.
        ServiceUnreachable: Where it lies does not answer.
    """
    status = wav2vec2_status(language, model_dir, token=token, offline=offline)
    name = _find_name(language)
    if name is None or status.state == "missing":
        raise not_to_be_had(status)
    with quiet_libraries():
        try:
            if status.state == "fetchable":
                _fetch(name, model_dir, token)
            return AcousticModel(*_load(language, device, model_dir))
        except Exception as error:
            raise _explain(name, model_dir, error) from error


def _explain(name: str, model_dir: Path, error: Exception) -> YivideoError:
    # WhisperX raises its own error while it handles the one that says what is wrong.
    cause = error.__cause__ or error.__context__ or error
    known = classify(cause, stage="load")
    if type(known) is not SystemFault:
        return known
    return ModelLoadError(
        explain(f"The wav2vec2 weights {_TORCHAUDIO_FILES.get(name, name)} can't be loaded", cause),
        f"Delete them from {model_dir} to fetch them again, or set aligner to attention",
    ).within(stage="load")


def _load(language: str, device: str, model_dir: Path) -> tuple[Any, dict[str, Any]]:
    import whisperx

    # It prints what goes wrong before it raises; stdout is for results.
    with contextlib.redirect_stdout(io.StringIO()):
        return whisperx.load_align_model(language, device, model_dir=str(model_dir), model_cache_only=True)


def _find_name(language: str) -> str | None:
    spec = find_spec("whisperx")
    folders = spec.submodule_search_locations if spec else None
    return _model_names(Path(folders[0])).get(language) if folders else None


@lru_cache(maxsize=1)
def _model_names(whisperx: Path) -> dict[str, str]:
    """WhisperX's model for each language, read from its source: importing it would cost 10 to 20 s."""
    tree = ast.parse((whisperx / "alignment.py").read_text(encoding="utf-8"))
    tables = {
        target.id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    names: dict[str, str] = {}
    for table in ("DEFAULT_ALIGN_MODELS_HF", "DEFAULT_ALIGN_MODELS_TORCH"):
        names |= ast.literal_eval(tables[table])
    return names


def _is_here(name: str, model_dir: Path) -> bool:
    from huggingface_hub import try_to_load_from_cache

    if file := _TORCHAUDIO_FILES.get(name):
        return (model_dir / file).is_file()

    def has(file: str) -> bool:
        return isinstance(try_to_load_from_cache(name, file, cache_dir=model_dir), str)

    return all(has(file) for file in _HUB_FILES) and any(has(file) for file in _HUB_WEIGHTS)


def _fetch(name: str, model_dir: Path, token: str | None) -> None:
    file = _TORCHAUDIO_FILES.get(name)
    if file is None:
        for weights in _HUB_WEIGHTS:
            folder = weight_sources.download(name, model_dir, token, None, ["*.json", weights])
            if (folder / weights).is_file():
                return
        raise ModelLoadError(f"{name} has neither {' nor '.join(_HUB_WEIGHTS)}")
    import torch

    model_dir.mkdir(parents=True, exist_ok=True)
    torch.hub.download_url_to_file(f"{_TORCHAUDIO_URL}/{file}", str(model_dir / file), progress=False)
