"""The outcome of the request that is being answered: noted where it is known, read by the metering.

It stands apart from its users because they import each other: errors note the failure, the media input
notes the audio's duration, and the middleware counts both when the response has ended.
"""

from contextvars import ContextVar
from dataclasses import dataclass


@dataclass
class RequestOutcome:
    """The duration of a request's audio in seconds, and its error; None where there is none.

    `is_refused` means that the client made the error and learned of it before the work began: such a request
    says nothing about performance.
    """

    audio_s: float | None = None
    kind: str | None = None
    message: str | None = None
    hint: str | None = None
    is_refused: bool = False


_current: ContextVar[RequestOutcome | None] = ContextVar("outcome", default=None)


def start_outcome() -> RequestOutcome:
    """Return the outcome that this task, and all that runs in copies of its context, will fill in."""
    outcome = RequestOutcome()
    _current.set(outcome)
    return outcome


def note_audio(duration_s: float) -> None:
    """Note how long the request's audio is."""
    if outcome := _current.get():
        outcome.audio_s = duration_s


def note_error(kind: str, message: str, hint: str, is_refused: bool = False) -> None:
    """Note the error that the request failed with; see `RequestOutcome`."""
    if outcome := _current.get():
        outcome.kind, outcome.message, outcome.hint = kind, message, hint
        outcome.is_refused = is_refused
