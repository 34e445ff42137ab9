"""WhisperX's wav2vec2 models: which one a language has, whether its weights can be had, loading, running.

WhisperX takes its models from two places: torchaudio (a file below the model folder) and the
Hugging Face hub (its cache layout below the model folder). Only loading imports torch.
"""

import ast
import contextlib
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from yivideo_pipeline.errors.classify import classify
from yivideo_pipeline.errors.origin import explain
from yivideo_pipeline.errors.tree import ModelLoadError, ServiceUnreachable, SystemFault, YivideoError
from yivideo_pipeline.media.audio import SAMPLE_RATE_HZ
from yivideo_pipeline.speech import weight_sources
from yivideo_pipeline.speech.align.text import spoken_characters
from yivideo_pipeline.speech.runtime import quiet_libraries
from yivideo_pipeline.speech.weights import WeightsStatus

if TYPE_CHECKING:
    import torch

# wav2vec2's convolutions see 400 samples at a time and move on by 320 (arXiv:2006.11477).
WINDOW = 400
STRIDE = 320
FRAME_S = STRIDE / SAMPLE_RATE_HZ
_BLANKS = ("[pad]", "<pad>")
_SEPARATOR = "|"

NOT_INSTALLED = "WhisperX is not installed"
_OFFLINE = "its weights are not on this machine, and downloads are switched off (hub.offline)"
# As in torchaudio.pipelines: the address of its bundles, and the file of each that WhisperX uses.
_TORCHAUDIO_URL = "https://download.pytorch.org/torchaudio/models"
_TORCHAUDIO_FILES = {
    "WAV2VEC2_ASR_BASE_960H": "wav2vec2_fairseq_base_ls960_asr_ls960.pth",
    "VOXPOPULI_ASR_BASE_10K_DE": "wav2vec2_voxpopuli_base_10k_asr_de.pt",
    "VOXPOPULI_ASR_BASE_10K_ES": "wav2vec2_voxpopuli_base_10k_asr_es.pt",
    "VOXPOPULI_ASR_BASE_10K_FR": "wav2vec2_voxpopuli_base_10k_asr_fr.pt",
    "VOXPOPULI_ASR_BASE_10K_IT": "wav2vec2_voxpopuli_base_10k_asr_it.pt",
}
_HUB_FILES = ("config.json", "preprocessor_config.json", "vocab.json")
# Repositories have one or both of these; transformers reads the first that it finds.
_HUB_WEIGHTS = ("model.safetensors", "pytorch_model.bin")


@dataclass(frozen=True)
class Letter:
    """A letter to find in the sound: its class in the model, and the index of its word.

    Without a class it is a wildcard, for a word that the model has no letters for; without a word
    it is the space between two words.
    """

    id: int | None
    word: int | None


@dataclass(frozen=True)
class Alphabet:
    """The lower-case letters that a model knows with their classes, and CTC's blank."""

    ids: Mapping[str, int]
    blank: int

    def spell(self, words: Sequence[str]) -> list[Letter]:
        """Return the words' letters that the model knows; an empty list where it knows none at all.

        A word of unknown letters (a symbol, another script) becomes a wildcard, so that its sound is
        not assigned to its neighbours. One that is said as several words ("twenty percent") has spaces.
        """
        separator = self.ids.get(_SEPARATOR)
        letters: list[Letter] = []
        for index, part, is_parted in _parts(words):
            characters = spoken_characters(part)
            if not characters:
                continue
            if letters and separator is not None and is_parted:
                letters.append(Letter(separator, None))
            known = [self.ids[char] for char in characters if char in self.ids]
            letters += [Letter(id, index) for id in known] or [Letter(None, index)]
        return letters if any(letter.id is not None and letter.word is not None for letter in letters) else []


def _parts(words: Sequence[str]) -> Iterator[tuple[int, str, bool]]:
    """Yield the parts of words between spaces: index of the word, part, whether a space precedes it."""
    for index, word in enumerate(words):
        for place, part in enumerate(word.split()):
            yield index, part, place > 0 or word[:1].isspace()


def read_alphabet(dictionary: Mapping[str, int]) -> Alphabet:
    """Return the alphabet of WhisperX's metadata: blank is the padding's class, else class 0."""
    blank = next((dictionary[name] for name in _BLANKS if name in dictionary), 0)
    ids = {char: id for char, id in dictionary.items() if len(char) == 1 and id != blank}
    return Alphabet(ids, blank)


class AcousticModel:
    """A wav2vec2 model as `whisperx.load_align_model` returns it.

    Args:
        model: The torch module, in evaluation mode.
        metadata: WhisperX's `dictionary` (class by lower-case letter) and `type` (`torchaudio` or
            `huggingface`).
    """

    def __init__(self, model: Any, metadata: Mapping[str, Any]) -> None:
        self.alphabet = read_alphabet(metadata["dictionary"])
        self._model = model
        self._is_torchaudio = metadata["type"] == "torchaudio"

    def log_probabilities(self, sounds: Sequence[np.ndarray]) -> "list[torch.Tensor]":
        """Return log probabilities of the classes for each sound: (frames, classes), on the model's device.

        Args:
            sounds: float32 in -1..1, 16 kHz; padded to the longest, so they should be of similar length.
        """
        import torch

        lengths = [max(len(sound), WINDOW) for sound in sounds]
        batch = np.zeros((len(sounds), max(lengths)), np.float32)
        for row, sound in zip(batch, sounds, strict=True):
            row[: len(sound)] = sound if self._is_torchaudio else _normalize(sound)
        device = next(self._model.parameters()).device
        with torch.inference_mode():
            waves = torch.from_numpy(batch).to(device)
            counts = torch.tensor(lengths, device=device)
            logits = (
                self._run_torchaudio(waves, counts) if self._is_torchaudio else self._run_hub(waves, counts)
            )
            rows = torch.log_softmax(logits.float(), dim=-1)
        return [row[: (length - WINDOW) // STRIDE + 1] for row, length in zip(rows, lengths, strict=True)]

    def _run_torchaudio(self, waves: "torch.Tensor", counts: "torch.Tensor") -> "torch.Tensor":
        return self._model(waves, lengths=counts if len(counts) > 1 else None)[0]

    def _run_hub(self, waves: "torch.Tensor", counts: "torch.Tensor") -> "torch.Tensor":
        """Run a model of the hub; those with layer normalization were trained with masked padding."""
        import torch

        if len(counts) == 1 or self._model.config.feat_extract_norm != "layer":
            return self._model(waves).logits
        mask = torch.arange(waves.shape[1], device=waves.device) < counts[:, None]
        return self._model(waves, attention_mask=mask.long()).logits


def _normalize(sound: np.ndarray) -> np.ndarray:
    """Scale to zero mean and unit variance, as the hub's feature extractors do (transformers)."""
    return (sound - sound.mean()) / np.sqrt(sound.var() + 1e-7)


# Finding, fetching and loading a language's model.


def wav2vec2_status(
    language: str, model_dir: Path, *, token: str | None = None, offline: bool = False
) -> WeightsStatus:
    """Return within 2 s whether `load_acoustic_model` would succeed, without a download or torch.

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
        return WeightsStatus("missing", f"{name}: {problem}", isinstance(problem, ServiceUnreachable))
    return WeightsStatus("fetchable", f"{name} from {'torchaudio' if file else 'the Hugging Face hub'}")


def explain_missing(status: WeightsStatus) -> YivideoError:
    """Return the error that says why the aligner is missing, and what to do."""
    kind = ServiceUnreachable if status.may_pass else ModelLoadError
    install = "Run `make install-whisperx`, or set" if status.reason == NOT_INSTALLED else "Set"
    return kind(
        f"The aligner wav2vec2 can't be had: {status.reason.rstrip('.')}",
        f"{install} aligner to attention or auto",
    )


def load_acoustic_model(
    language: str, device: str, model_dir: Path, *, token: str | None = None, offline: bool = False
) -> AcousticModel:
    """Load the model that WhisperX aligns a language with, after downloading it where it is missing.

    Raises:
        ModelLoadError: The language has no model, or it can't be had or loaded.
        ServiceUnreachable: The download server does not answer.
    """
    status = wav2vec2_status(language, model_dir, token=token, offline=offline)
    name = _find_name(language)
    if name is None or status.state == "missing":
        raise explain_missing(status)
    with quiet_libraries():
        try:
            if status.state == "fetchable":
                _fetch(name, model_dir, token)
            return AcousticModel(*_load(language, device, model_dir))
        except Exception as error:
            raise _explain(name, model_dir, error) from error


def _explain(name: str, model_dir: Path, error: Exception) -> YivideoError:
    # WhisperX raises its own error while it handles the one that names the cause.
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

    # WhisperX prints errors before it raises them; stdout is for results.
    with contextlib.redirect_stdout(io.StringIO()):
        return whisperx.load_align_model(language, device, model_dir=str(model_dir), model_cache_only=True)


def _find_name(language: str) -> str | None:
    spec = find_spec("whisperx")
    folders = spec.submodule_search_locations if spec else None
    return _model_names(Path(folders[0])).get(language) if folders else None


@lru_cache(maxsize=1)
def _model_names(whisperx: Path) -> dict[str, str]:
    """Return WhisperX's model for each language, read from its source: importing it takes 10 to 20 s."""
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
