"""The error tree.

YivideoError
├── SystemFault            the machine
│   ├── MemoryExhausted    host or GPU memory (retryable: a smaller batch may fit)
│   ├── DeviceLost         the GPU stopped answering (retryable: in a fresh process)
│   ├── DiskError          a folder that can't be read or written
│   │   └── DiskFull       (retryable: space may come back)
│   └── ServiceUnreachable a hub or service that does not answer (retryable)
├── ModelError
│   ├── ModelLoadError     weights missing, damaged or unloadable
│   ├── ModelInferenceError
│   └── ModelBusy          an unload asked for while the model is leased
├── ConfigError
│   └── ConfigValidationError
├── MediaError             the file itself
│   ├── UnreadableMedia    no container or codec that can be read
│   ├── RefusedMedia       a format that would open other files or sockets
│   ├── NoAudioStream
│   └── TruncatedMedia     nothing can be read before it breaks off
└── TaskError
    ├── TaskTimeout        (retryable)
    ├── TaskCancelled
    ├── CheckFailed        what a stage made is not fit to work on
    └── WorkerKilled       the process was killed in the middle of it
"""

from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import ClassVar, Literal, Self

from yivideo_pipeline.errors.redact import redact

MemoryDevice = Literal["host", "gpu"]


class Severity(StrEnum):
    """How much an error matters to the person who reads of it."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"


@dataclass(frozen=True, slots=True)
class ErrorContext:
    """Where an error happened: which video, which stage, how far into the video."""

    video: str | None = None
    stage: str | None = None
    second: float | None = None


class YivideoError(Exception):
    """An error with a kind, a severity, a word on retrying and on what to do.

    Args:
        message: One line that says what happened.
        hint: What the person can do about it, if anything.
        context: Where it happened.

    It survives pickling, since Dagster's steps cross processes. Message and hint never hold a secret.
    """

    kind: ClassVar[str] = "unknown"
    severity: ClassVar[Severity] = Severity.HIGH
    retryable: ClassVar[bool] = False

    def __init__(self, message: str, hint: str = "", context: ErrorContext | None = None) -> None:
        super().__init__(redact(message), redact(hint), context or ErrorContext())

    @property
    def message(self) -> str:
        """One line that says what happened."""
        return self.args[0]

    @property
    def hint(self) -> str:
        """What the person can do about it; empty where nothing is known."""
        return self.args[1]

    @property
    def context(self) -> ErrorContext:
        """Which video, which stage, how far in."""
        return self.args[2]

    def __str__(self) -> str:
        return f"{self.message}. {self.hint}" if self.hint else self.message

    def within(self, video: str | None = None, stage: str | None = None, second: float | None = None) -> Self:
        """Fill in what the context does not say yet; returns itself, so that it can be raised."""
        given = {"video": video, "stage": stage, "second": second}
        known = {k: v for k, v in asdict(self.context).items() if v is not None}
        self.args = (self.message, self.hint, replace(ErrorContext(), **{**given, **known}))
        return self


class SystemFault(YivideoError):
    """The machine, not the video: memory, disk, network, or something unforeseen."""

    kind = "system"
    severity = Severity.CRITICAL


class MemoryExhausted(SystemFault):
    """Host or GPU memory ran out; a smaller batch or compute type may fit.

    Args:
        message: One line that says what happened.
        hint: What the person can do about it.
        context: Where it happened.
        device: Whose memory it was.
    """

    kind = "memory"
    retryable = True

    def __init__(
        self,
        message: str,
        hint: str = "",
        context: ErrorContext | None = None,
        device: MemoryDevice = "host",
    ) -> None:
        super().__init__(message, hint, context)
        self.device: MemoryDevice = device


class DeviceLost(SystemFault):
    """The GPU failed or vanished; only a fresh process can use it again."""

    kind = "device_lost"
    retryable = True


class DiskError(SystemFault):
    """A file or folder that can't be read or written."""

    kind = "disk"


class DiskFull(DiskError):
    """No space left on the device, or a quota reached."""

    retryable = True


class ServiceUnreachable(SystemFault):
    """A model hub or another service does not answer."""

    kind = "service"
    severity = Severity.MEDIUM
    retryable = True


class ModelError(YivideoError):
    """The model: its weights, its loading, its inference."""

    kind = "model"


class ModelLoadError(ModelError):
    """The weights are missing, damaged, or can't be loaded on this device."""

    kind = "model_load"


class ModelInferenceError(ModelError):
    """The model failed on an input."""

    kind = "model_inference"
    retryable = True


class ModelBusy(ModelError):
    """An unload was asked for while somebody holds a lease."""

    kind = "model_busy"
    severity = Severity.LOW


class ConfigError(YivideoError):
    """A setting, or the file it stands in."""

    kind = "config"
    severity = Severity.MEDIUM


class ConfigValidationError(ConfigError):
    """Settings that contradict themselves or this machine."""

    kind = "config_validation"


class MediaError(YivideoError):
    """The file itself: it will not get better by trying again."""

    kind = "media"
    severity = Severity.MEDIUM


class UnreadableMedia(MediaError):
    """Neither container nor codec can be read."""

    kind = "media_unreadable"


class RefusedMedia(MediaError):
    """A playlist or another format that would make us open other files or sockets."""

    kind = "media_refused"


class NoAudioStream(MediaError):
    """There is nothing to transcribe in this file."""

    kind = "media_no_audio"


class TruncatedMedia(MediaError):
    """The file breaks off before anything can be read."""

    kind = "media_truncated"


class TaskError(YivideoError):
    """The work itself, not its input."""

    kind = "task"


class TaskTimeout(TaskError):
    """A stage took longer than its limit."""

    kind = "task_timeout"
    retryable = True


class TaskCancelled(TaskError):
    """Somebody asked for the work to stop."""

    kind = "task_cancelled"
    severity = Severity.LOW


class CheckFailed(TaskError):
    """What a stage made did not pass a check that the stages after it rely on."""

    kind = "check_failed"


class WorkerKilled(TaskError):
    """The process at work on a video was killed, more often than is tried again."""

    kind = "worker_killed"
    severity = Severity.CRITICAL
