"""What became of the request that is answered now, noted where it is known and read when it has ended."""

from contextvars import ContextVar
from dataclasses import dataclass


@dataclass
class Outcome:
    """Length of its sound in seconds, and its error; None where there is none.

    `is_refused` says that the error is the client's, and told before the work: it says nothing of how work
    goes.
    """

    audio_s: float | None = None
    kind: str | None = None
    message: str | None = None
    hint: str | None = None
    is_refused: bool = False


_current: ContextVar[Outcome | None] = ContextVar("outcome", default=None)


def begin() -> Outcome:
    """Return the outcome that is filled in by whatever this task goes on to do, in copies of its context."""
    outcome = Outcome()
    _current.set(outcome)
    return outcome


def note_sound(seconds: float) -> None:
    """Note how long the request's sound is."""
    if outcome := _current.get():
        outcome.audio_s = seconds


def note_error(kind: str, message: str, hint: str, is_refused: bool = False) -> None:
    """Note what the request failed with; see `Outcome`."""
    if outcome := _current.get():
        outcome.kind, outcome.message, outcome.hint = kind, message, hint
        outcome.is_refused = is_refused
