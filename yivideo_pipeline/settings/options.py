"""Options of one call's recognition, as the settings file, a workflow or a Dagster launch gives them.

They are frozen and bounded: domain code need not check them again. What depends on the machine is
checked in `settings.resolve`.
"""

import re
from collections.abc import Callable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Self, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from yivideo_pipeline.errors.tree import ConfigValidationError
from yivideo_pipeline.settings.languages import (
    AUTO,
    CHINESE,
    ZhScript,
    find_language,
    find_script_of,
    normalize_language,
    read_languages,
    split_languages,
)
from yivideo_pipeline.settings.messages import did_you_mean, explain
from yivideo_pipeline.settings.subtitle_options import SubtitleOptions
from yivideo_pipeline.settings.vocabulary import read_vocabulary
from yivideo_pipeline.settings.whisper_models import AUTO_MODEL, MODELS


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


class Task(StrEnum):
    """What becomes of the spoken words."""

    TRANSCRIBE = "transcribe"
    TRANSLATE = "translate"


TRANSLATED = "en"
"""The language of every translation."""


class Aligner(StrEnum):
    """How words get their final times."""

    AUTO = "auto"
    ATTENTION = "attention"
    WAV2VEC2 = "wav2vec2"


NO_MODEL_FOLDER = "there is no such folder: give an existing folder, a hub id (owner/name) or a name"


class NoModelFolder(ValueError):
    """A model's name that can only be a folder, but no such folder exists."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name!r}: {NO_MODEL_FOLDER}")


def check_model_name(name: str) -> str:
    """Return `auto`, a known model, an existing folder, or a hub id; names take precedence."""
    name = name.strip()
    if not name:
        raise ValueError("no model is named: give a name such as base, a folder, or a hub id (owner/name)")
    if name in MODELS or name == AUTO_MODEL:
        return name
    folder = Path(name).expanduser()
    if folder.is_dir():
        return str(folder.absolute())
    if re.fullmatch(r"[A-Za-z0-9][\w.-]*/[\w.-]+", name):
        return name
    if "/" in name or name.startswith((".", "~")):
        raise NoModelFolder(name)
    raise ValueError(
        f"{name!r} is not a known model{did_you_mean(name, (*MODELS, AUTO_MODEL))}: choose one of"
        f" {', '.join(MODELS)}, {AUTO_MODEL}, a folder, or a hub id (owner/name)"
    )


def _check_revision(revision: str | None) -> str | None:
    """Return what names a version of a model: a commit, tag or branch at the hub, or a digest."""
    if revision is None or re.fullmatch(r"sha256:[0-9a-f]{64}|(?!sha256:)\w[\w./-]*", revision):
        return revision
    raise ValueError(
        f"{revision!r} is no revision: give a commit, tag or branch at the hub, or sha256: and the 64"
        " hexadecimal digits of model.bin"
    )


def _check_track(value: Any) -> Any:
    """Return the number of an audio track as text, or the shortest code of a language."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if value is None or not isinstance(value, str) or value == "auto":
        return "auto" if value is None else value
    track = value.strip()
    if track.isdecimal() and int(track) > 0:
        return str(int(track))
    code = find_language(track) or normalize_language(track)
    if not re.fullmatch("[a-z]{2,3}", code):
        raise ValueError(f"{value!r} is no audio track: give its number, the first being 1, or its language")
    return code


LOAD_FIELDS = frozenset(
    {"model_name", "model_revision", "device", "compute_type", "use_faster_whisper", "faster_whisper_threads"}
)
"""Fields of `SpeechOptions` that take effect when a model is loaded: a change needs a reload."""


class SpeechOptions(BaseModel):
    """What is recognized, by which model, and how; the names of the fields are part of the public API."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    model_name: Annotated[str, AfterValidator(check_model_name)] = Field(
        AUTO_MODEL, description="Model name, folder, or hub id (owner/name); auto: the best for the machine"
    )
    model_revision: Annotated[str | None, AfterValidator(_check_revision)] = Field(
        None,
        description="Version of the model: a commit, tag or branch at the hub, or sha256:… of its model.bin;"
        " null: what is here, else the newest",
    )
    language: Annotated[str, BeforeValidator(read_languages)] = Field(
        AUTO,
        description="Spoken language as a code such as zh, zh-TW, en or eng; several, as [zh, en]: it changes"
        " between them; auto: any, each where it is spoken",
    )
    audio_track: Annotated[str, BeforeValidator(_check_track)] = Field(
        "auto", description="Audio track: its number, the first being 1, or its language; auto chooses one"
    )
    task: Task = Field(
        Task.TRANSCRIBE,
        description="transcribe: in the spoken language; translate: into English, with rough word times",
    )
    device: Device = Field(Device.AUTO, description="Where the models run")
    compute_type: ComputeType = Field(
        ComputeType.AUTO, description="Precision of the weights and the arithmetic"
    )
    batch_size: int = Field(8, ge=1, le=64, description="Chunks of up to 30 s decoded at once")
    use_faster_whisper: bool = Field(
        True, description="true: faster-whisper's batched path; false: WhisperX's own pipeline"
    )
    faster_whisper_threads: int | None = Field(
        None, ge=1, le=32, description="CPU threads; unset: one for each core, at most 32"
    )
    beam_size: int = Field(
        5, ge=1, le=20, description="Beam width of the decoder; on a CPU where a greedy search is in doubt"
    )
    initial_prompt: str = Field(
        "",
        max_length=4000,
        description="Names and words that are likely to be said, as they are spelled; about 150 count",
    )
    vocabulary: Annotated[tuple[str, ...], BeforeValidator(read_vocabulary)] = Field(
        (), description="Names and terms that are likely to be said, of which the decoder is told"
    )
    temperature: float = Field(
        0.0, ge=0, le=1, description="Above 0 words are sampled; 0 searches for the likeliest ones"
    )
    aligner: Aligner = Field(Aligner.AUTO, description="How words get their final times")
    zh_script: ZhScript = Field(
        ZhScript.SIMPLIFIED,
        description="Script of Chinese text; a language with a region or script (zh-TW, zh-Hant) decides it",
    )

    @property
    def languages(self) -> tuple[str, ...]:
        """The languages that may be spoken; empty where any may be."""
        return () if self.language == AUTO else tuple(self.language.split(","))

    @property
    def only_language(self) -> str | None:
        """The language that is spoken; None where it is to be detected."""
        return self.language if len(self.languages) == 1 else None

    @property
    def written_language(self) -> str:
        """Language of the resulting words, with the script of Chinese; `auto` is that of the sound."""
        if self.task is Task.TRANSLATE:
            return TRANSLATED
        return self.zh_script.tag(self.language) if self.language in CHINESE else self.only_language or AUTO

    @model_validator(mode="before")
    @classmethod
    def _region_decides_script(cls, values: Any) -> Any:
        language = values.get("language") if isinstance(values, Mapping) else None
        script = find_script_of(language)
        return {**values, "zh_script": script} if script else values

    @model_validator(mode="after")
    def _revision_has_its_model(self) -> Self:
        if self.model_revision is None:
            return self
        if self.model_name == AUTO_MODEL:
            raise ValueError("model_revision is that of one model: name it as model_name")
        if Path(self.model_name).is_absolute() and not self.model_revision.startswith("sha256:"):
            raise ValueError(
                "a folder has no revisions at the hub: give model_revision as sha256: and digits"
            )
        return self

    @model_validator(mode="after")
    def _model_knows_language(self) -> Self:
        facts = MODELS.get(self.model_name)
        if facts is None or not self.languages:
            return self
        if facts.english_only and self.languages != ("en",):
            several = self.model_name.removeprefix("distil-").removesuffix(".en")
            other = several if several in MODELS else "large-v3"
            raise ValueError(
                f"model {self.model_name} supports English only: choose model_name {other}, or language en"
            )
        if "yue" in self.languages and not facts.cantonese:
            raise ValueError(
                f"model {self.model_name} does not know Cantonese (yue): choose model_name large-v3 or turbo,"
                " or language zh"
            )
        return self


OptionsT = TypeVar("OptionsT", bound=BaseModel)

CUSTOM_MODEL = "custom_model"
"""The name under which a launch has a model that has no name of its own: a folder, or a hub id."""
LAUNCHED_LANGUAGES = "languages"
"""The name under which a launch has several languages."""


def name_for_launch(speech: Mapping[str, Any]) -> dict[str, Any]:
    """Return speech options as a launch of Dagster has them: `model_name` and `language` are known names."""
    values = dict(speech)
    if values.get("model_name", AUTO_MODEL) not in (*MODELS, AUTO_MODEL):
        values[CUSTOM_MODEL] = values.pop("model_name")
    if len(split_languages(values.get("language"))) > 1:
        values[LAUNCHED_LANGUAGES] = split_languages(values.pop("language"))
    return values


def override(
    base: OptionsT,
    given: Mapping[str, Any],
    section: str = "",
    *,
    name_field: Callable[[str], str] = str,
    hint: str = "",
) -> OptionsT:
    """Return `base` with the given values in place of its own, validated anew.

    Args:
        base: Options that are valid by themselves.
        given: Values by field; None keeps the value of `base`.
        section: Where the values come from; it stands before each field of a message.
        name_field: Returns what the user calls a field, such as its command-line flag.
        hint: What the user can do about a refusal.

    Raises:
        ConfigValidationError: Values are not allowed, or do not go with those of `base`; one line a field.
    """
    values = {name: value for name, value in given.items() if value is not None}
    try:
        own = base.own_values() if isinstance(base, SubtitleOptions) else base.model_dump()
        if values.get("model_name", own.get("model_name")) != own.get("model_name"):
            own.pop("model_revision", None)  # it is one of the other model
        return type(base).model_validate({**own, **values})
    except ValidationError as error:
        sections = (section,) if section else ()
        lines = explain(error, type(base), lambda path: ".".join((*sections, *map(name_field, path))))
        raise ConfigValidationError("\n".join(lines), hint) from None


def differences(options: OptionsT, base: OptionsT) -> dict[str, Any]:
    """Return the values in which `options` differ from `base`, as JSON has them.

    It is the inverse of `override`, for values that are not None.
    """
    own, others = options.model_dump(mode="json"), base.model_dump(mode="json")
    return {name: value for name, value in own.items() if value != others[name]}
