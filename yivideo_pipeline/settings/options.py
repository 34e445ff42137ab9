"""Options of one call, as the settings file, a workflow or a Dagster launch give them.

Frozen and bounded: what passes here needs no further check in the domain code, except what depends
on the machine (`settings.rules`).
"""

from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field


class Device(StrEnum):
    """Where the models run."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"
    MPS = "mps"


class ComputeType(StrEnum):
    """Precision of the weights and the arithmetic, by CTranslate2's names."""

    AUTO = "auto"
    FLOAT32 = "float32"
    FLOAT16 = "float16"
    BFLOAT16 = "bfloat16"
    INT8 = "int8"
    INT8_FLOAT16 = "int8_float16"
    INT16 = "int16"


class Aligner(StrEnum):
    """How words get their final times."""

    AUTO = "auto"
    ATTENTION = "attention"
    WAV2VEC2 = "wav2vec2"


class ZhScript(StrEnum):
    """Script that Chinese text is written in."""

    SIMPLIFIED = "simplified"
    TRADITIONAL = "traditional"


class SpeechOptions(BaseModel):
    """What is recognized, by which model, how; the keys are the owner's contract's."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    model_name: str = Field("base", description="Model name, folder, or hub id (owner/name)")
    language: str = Field("auto", description="Spoken language as a code such as zh or en; auto detects it")
    device: Device = Field(Device.AUTO, description="Where the models run")
    compute_type: ComputeType = Field(ComputeType.AUTO, description="Precision")
    batch_size: int = Field(8, ge=1, le=64, description="Chunks of up to 30 s decoded at once")
    use_faster_whisper: bool = Field(
        True, description="true: faster-whisper's batched path; false: WhisperX's own pipeline"
    )
    faster_whisper_threads: int | None = Field(
        None, ge=1, le=32, description="CPU threads; unset: as many as there are cores, at most 32"
    )
    beam_size: int = Field(5, ge=1, le=20, description="Beam width of the decoder")
    aligner: Aligner = Field(Aligner.AUTO, description="How words get their final times")
    zh_script: ZhScript = Field(ZhScript.SIMPLIFIED, description="Script of Chinese text")


class SubtitleFormat(StrEnum):
    """Subtitle file formats that can be written."""

    SRT = "srt"
    VTT = "vtt"
    ASS = "ass"
    TTML = "ttml"
    JSON = "json"
    TXT = "txt"


class SubtitleOptions(BaseModel):
    """How words become cues, and in which formats."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    formats: tuple[SubtitleFormat, ...] = Field(
        (SubtitleFormat.SRT,), min_length=1, description="Formats to write"
    )
    max_chars_per_line: int = Field(42, ge=10, le=80, description="Line length, Latin and like scripts")
    max_chars_per_line_cjk: int = Field(16, ge=8, le=40, description="Line length, Chinese, Japanese, Korean")
    max_lines: int = Field(2, ge=1, le=4, description="Lines a cue")
    min_duration_s: float = Field(5 / 6, ge=0.1, le=5, description="Shortest cue")
    max_duration_s: float = Field(7.0, ge=1, le=30, description="Longest cue")
    max_chars_per_second: float = Field(20.0, ge=5, le=60, description="Reading speed")
    min_gap_ms: int = Field(83, ge=0, le=1000, description="Gap between cues: two frames at 24 a second")
    max_pause_s: float = Field(1.0, ge=0.1, le=10, description="No cue goes across a longer pause")
