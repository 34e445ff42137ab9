"""The Whisper models that have a name: their shape, what they know, where their weights are.

Shapes and parameter counts are those of OpenAI's and Distil-Whisper's published checkpoints; the hub
ids are the CTranslate2 conversions that faster-whisper uses.
"""

from dataclasses import dataclass

_WEIGHT_BYTES = {"float32": 4, "float16": 2, "bfloat16": 2, "int16": 2, "int8": 1, "int8_float16": 1}


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """Shape and abilities of one Whisper model.

    `english_only` is also true of the Distil-Whisper models: their tokenizer is multilingual, but
    they were trained on English. `cantonese`: the vocabulary has the language `yue`. `turbo`: its short
    decoder was trained on transcription, not on translation.
    """

    name: str
    hub_id: str
    parameters: int
    encoder_layers: int
    decoder_layers: int
    width: int
    heads: int
    english_only: bool = False
    cantonese: bool = False
    turbo: bool = False

    def weight_bytes(self, compute_type: str) -> int:
        """Bytes of the weights in memory once converted to a compute type."""
        return self.parameters * _WEIGHT_BYTES[compute_type]

    @property
    def download_bytes(self) -> int:
        """Bytes of the weights at the hub, which has them in float16."""
        return self.weight_bytes("float16")


# parameters, encoder layers, decoder layers, width, heads
_TINY = (37_800_000, 4, 4, 384, 6)
_BASE = (72_600_000, 6, 6, 512, 8)
_SMALL = (241_700_000, 12, 12, 768, 12)
_MEDIUM = (763_900_000, 24, 24, 1024, 16)
_LARGE = (1_543_500_000, 32, 32, 1280, 20)
_TURBO = (808_900_000, 32, 4, 1280, 20)
_DISTIL_LARGE = (756_000_000, 32, 2, 1280, 20)

_ALL = (
    ModelFacts("tiny", "Systran/faster-whisper-tiny", *_TINY),
    ModelFacts("tiny.en", "Systran/faster-whisper-tiny.en", *_TINY, english_only=True),
    ModelFacts("base", "Systran/faster-whisper-base", *_BASE),
    ModelFacts("base.en", "Systran/faster-whisper-base.en", *_BASE, english_only=True),
    ModelFacts("small", "Systran/faster-whisper-small", *_SMALL),
    ModelFacts("small.en", "Systran/faster-whisper-small.en", *_SMALL, english_only=True),
    ModelFacts("medium", "Systran/faster-whisper-medium", *_MEDIUM),
    ModelFacts("medium.en", "Systran/faster-whisper-medium.en", *_MEDIUM, english_only=True),
    ModelFacts("large-v1", "Systran/faster-whisper-large-v1", *_LARGE),
    ModelFacts("large-v2", "Systran/faster-whisper-large-v2", *_LARGE),
    ModelFacts("large-v3", "Systran/faster-whisper-large-v3", *_LARGE, cantonese=True),
    ModelFacts("large", "Systran/faster-whisper-large-v3", *_LARGE, cantonese=True),
    ModelFacts(
        "large-v3-turbo", "mobiuslabsgmbh/faster-whisper-large-v3-turbo", *_TURBO, cantonese=True, turbo=True
    ),
    ModelFacts("turbo", "mobiuslabsgmbh/faster-whisper-large-v3-turbo", *_TURBO, cantonese=True, turbo=True),
    ModelFacts(
        "distil-small.en",
        "Systran/faster-distil-whisper-small.en",
        166_000_000,
        12,
        4,
        768,
        12,
        english_only=True,
    ),
    ModelFacts(
        "distil-medium.en",
        "Systran/faster-distil-whisper-medium.en",
        394_000_000,
        24,
        2,
        1024,
        16,
        english_only=True,
    ),
    ModelFacts(
        "distil-large-v2", "Systran/faster-distil-whisper-large-v2", *_DISTIL_LARGE, english_only=True
    ),
    ModelFacts(
        "distil-large-v3", "Systran/faster-distil-whisper-large-v3", *_DISTIL_LARGE, english_only=True
    ),
    ModelFacts(
        "distil-large-v3.5", "distil-whisper/distil-large-v3.5-ct2", *_DISTIL_LARGE, english_only=True
    ),
)

MODELS: dict[str, ModelFacts] = {facts.name: facts for facts in _ALL}

AUTO_MODEL = "auto"
"""Stands for the best of these models that a machine can use; `speech.model_choice` decides which."""
