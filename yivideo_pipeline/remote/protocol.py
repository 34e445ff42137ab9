"""What goes over the wire between runs and the service: calls as JSON, answers as lines of JSON."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from yivideo_pipeline.errors.tree import YivideoError
from yivideo_pipeline.settings.options import SpeechOptions
from yivideo_pipeline.speech.engine import EngineInfo
from yivideo_pipeline.speech.types import Transcript, Word


class _Message(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Sound(_Message):
    """A sound on a disk that the service can read, and when it starts on the video's clock."""

    path: str
    offset_s: float = 0.0


class TranscribeCall(_Message):
    """Recognize what is said in a sound; `sound` is left out where the sound itself is sent along."""

    sound: Sound | None = None
    offset_s: float = Field(0.0, description="Where the sound is sent along: when it starts")
    options: SpeechOptions = SpeechOptions()
    background: bool = Field(False, description="Whether everybody else goes first")


class AlignCall(TranscribeCall):
    """Give the words of a transcript their final times."""

    transcript: Transcript


class DescribeCall(_Message):
    """Ask what options come to at the service."""

    options: SpeechOptions
    language: str | None = Field(None, description="Of a transcript's words, to know what would time them")


class Description(_Message):
    """What options come to at the service: warnings, the weights' revision, what times words."""

    warnings: tuple[str, ...]
    revision: str
    aligner: str | None


class Waiting(_Message):
    """The work is not done yet; told again and again, so that a silent line is a dead one."""

    event: Literal["waiting"] = "waiting"


class Progress(_Message):
    """How much is done, 0 to 1."""

    event: Literal["progress"] = "progress"
    fraction: float


class Words(_Message):
    """Words of the next part of the sound."""

    event: Literal["words"] = "words"
    words: tuple[Word, ...]


class Result(_Message):
    """The end: the transcript, and what made it."""

    event: Literal["result"] = "result"
    transcript: Transcript
    engine: EngineInfo


class Failed(_Message):
    """The other end: what went wrong."""

    event: Literal["error"] = "error"
    id: str
    kind: str
    message: str
    hint: str = ""


Event = Annotated[Waiting | Progress | Words | Result | Failed, Field(discriminator="event")]
event_adapter: TypeAdapter[Event] = TypeAdapter(Event)


def error_of(kind: str, message: str, hint: str) -> YivideoError:
    """Return the error of the tree that a kind names, as it was raised at the other side."""
    return _classes().get(kind, YivideoError)(message, hint)


def _classes(base: type[YivideoError] = YivideoError) -> dict[str, Any]:
    below = {kind: one for child in base.__subclasses__() for kind, one in _classes(child).items()}
    return {base.kind: base, **below}
