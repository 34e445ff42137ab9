"""An acoustic model of letters: sound in, log probabilities of letters for each 20 ms out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from yivideo_pipeline.media.audio import SAMPLE_RATE_HZ
from yivideo_pipeline.speech.words import spoken_characters

if TYPE_CHECKING:
    import torch

# wav2vec2's convolutions see 400 samples at a time and move on by 320 (arXiv:2006.11477).
WINDOW = 400
STRIDE = 320
FRAME_S = STRIDE / SAMPLE_RATE_HZ
_BLANKS = ("[pad]", "<pad>")
_SEPARATOR = "|"


@dataclass(frozen=True)
class Letter:
    """A letter to be found in the sound: its class in the model, and the index of its word.

    Without a class it is a wildcard, for a word that the model has no letters for; without a word
    it is the space between two.
    """

    id: int | None
    word: int | None


@dataclass(frozen=True)
class Alphabet:
    """The letters that a model knows, in lower case, with their classes, and CTC's blank."""

    ids: Mapping[str, int]
    blank: int

    def spell(self, words: Sequence[str]) -> list[Letter]:
        """The words' letters, as far as the model knows them; none where it knows none at all.

        A word of unknown letters (a number, another script) becomes a wildcard: the sound of it is
        then not taken for its neighbours'.
        """
        separator = self.ids.get(_SEPARATOR)
        letters: list[Letter] = []
        for index, word in enumerate(words):
            characters = spoken_characters(word)
            if not characters:
                continue
            if letters and separator is not None and word[:1].isspace():
                letters.append(Letter(separator, None))
            known = [self.ids[char] for char in characters if char in self.ids]
            letters += [Letter(id, index) for id in known] or [Letter(None, index)]
        return letters if any(letter.id is not None and letter.word is not None for letter in letters) else []


def read_alphabet(dictionary: Mapping[str, int]) -> Alphabet:
    """The alphabet in WhisperX's metadata: blank is the padding's class, else class 0."""
    blank = next((dictionary[name] for name in _BLANKS if name in dictionary), 0)
    ids = {char: id for char, id in dictionary.items() if len(char) == 1 and id != blank}
    return Alphabet(ids, blank)


class AcousticModel:
    """A wav2vec2 model as `whisperx.load_align_model` gives it.

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
        """Log probability of each class in each frame of each sound: (frames, classes), where the model is.

        Args:
            sounds: float32 in -1..1, 16 kHz; padded to the longest, so best of similar length.
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
        """Padding is masked for the models that were trained so: those with layer normalization."""
        import torch

        if len(counts) == 1 or self._model.config.feat_extract_norm != "layer":
            return self._model(waves).logits
        mask = torch.arange(waves.shape[1], device=waves.device) < counts[:, None]
        return self._model(waves, attention_mask=mask.long()).logits


def _normalize(sound: np.ndarray) -> np.ndarray:
    """Zero mean and unit variance, as the hub's feature extractors prepare sound (transformers)."""
    return (sound - sound.mean()) / np.sqrt(sound.var() + 1e-7)
