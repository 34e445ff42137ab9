"""The protocol between runs and the service: calls as JSON, answers as lines of JSON."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from yivideo_pipeline.errors.tree import YivideoError, classes_by_kind
from yivideo_pipeline.settings.options import SpeechOptions
from yivideo_pipeline.speech.engine import EngineInfo
from yivideo_pipeline.speech.types import Transcript, Word
from yivideo_pipeline.telemetry.measure import StageMetrics


class _WireModel(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SharedAudio(_WireModel):
    """A sound file that the service can read, and when it starts on the video's clock."""

    path: str
    offset_s: float = 0.0


class TranscribeCall(_WireModel):
    """Request to transcribe a sound; `sound` is absent where the sound itself is uploaded."""

    sound: SharedAudio | None = None
    offset_s: float = Field(0.0, description="Of an uploaded sound: when it starts")
    options: SpeechOptions = SpeechOptions()
    background: bool = Field(False, description="Whether all other requests have priority")
    finished: dict[str, Any] | None = Field(
        None, description="Parts that `kept` events of an earlier call had; null: no such events are wanted"
    )


class AlignCall(TranscribeCall):
    """Request to give the words of a transcript their final times."""

    transcript: Transcript


class DescribeCall(_WireModel):
    """Request to resolve options at the service."""

    options: SpeechOptions
    language: str | None = Field(None, description="Of a transcript's words; resolves the aligner too")


class OptionsDescription(_WireModel):
    """Options resolved at the service: warnings, the weights' revision, the aligner.

    `model_name` is the model that `auto` means there, and `reason` why; both are empty where the options
    name one.
    """

    warnings: tuple[str, ...]
    revision: str
    aligner: str | None
    model_name: str = ""
    reason: str = ""


class WaitingEvent(_WireModel):
    """The work is not done yet; sent repeatedly, so that a silent connection is a dead one."""

    event: Literal["waiting"] = "waiting"


class ProgressEvent(_WireModel):
    """The share of the work that is done, 0 to 1."""

    event: Literal["progress"] = "progress"
    fraction: float


class WordsEvent(_WireModel):
    """Words of the next part of the sound."""

    event: Literal["words"] = "words"
    words: tuple[Word, ...]


class ResumedEvent(_WireModel):
    """How many seconds of the sound the call's finished parts are."""

    event: Literal["resumed"] = "resumed"
    sound_s: float


class KeptEvent(_WireModel):
    """Finished parts, JSON values by name: who sends them with another call need not wait for them again."""

    event: Literal["kept"] = "kept"
    entries: dict[str, Any]


class LanguageEvent(_WireModel):
    """The end of a detection: the language and its probability."""

    event: Literal["language"] = "language"
    language: str
    probability: float


class ResultEvent(_WireModel):
    """The end of successful work: the transcript, the engine that made it, and what it cost the service."""

    event: Literal["result"] = "result"
    transcript: Transcript
    engine: EngineInfo
    cost: StageMetrics


class FailedEvent(_WireModel):
    """The end of failed work: the error."""

    event: Literal["error"] = "error"
    id: str
    kind: str
    message: str
    hint: str = ""


SpeechEvent = Annotated[
    WaitingEvent
    | ProgressEvent
    | WordsEvent
    | ResumedEvent
    | KeptEvent
    | LanguageEvent
    | ResultEvent
    | FailedEvent,
    Field(discriminator="event"),
]
event_adapter: TypeAdapter[SpeechEvent] = TypeAdapter(SpeechEvent)


def error_of(kind: str, message: str, hint: str) -> YivideoError:
    """Return the error of the tree that a kind names, as the service raised it."""
    return classes_by_kind().get(kind, YivideoError)(message, hint)
