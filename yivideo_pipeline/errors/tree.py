"""The error tree: every error that the pipeline raises for a reason it knows.

YivideoError
├── SystemFault                 the machine, not the video
│   ├── MemoryExhausted         host or GPU memory (retryable: a smaller batch may fit)
│   ├── DeviceLost              the GPU stopped answering (retryable: in a fresh process)
│   ├── DiskError               a file or folder that can't be read or written
│   │   └── DiskFull            (retryable: space may become free)
│   └── ServiceUnreachable      a hub or service that does not answer (retryable)
├── ModelError
│   ├── ModelLoadError          weights that are missing, damaged or can't be loaded
│   ├── ModelInferenceError     the model failed on an input (retryable)
│   └── ModelBusy               an unload while the model is leased
├── ConfigError
│   └── ConfigValidationError
├── MediaError                  the file itself
│   ├── UnreadableMedia         no known container or codec
│   ├── RefusedMedia            a format that would open other files or sockets
│   ├── NoAudioStream
│   ├── TruncatedMedia          the file ends before anything can be read
│   └── AudioTooLong            longer than the service accepts
└── TaskError
    ├── TaskTimeout             (retryable)
    ├── TaskCancelled
    ├── CheckFailed             what a stage made is not fit for the next stage
    └── WorkerKilled            the process was killed while it worked
"""

from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import ClassVar, Literal, Self

from yivideo_pipeline.errors.redact import redact

MemoryDevice = Literal["host", "gpu"]


class ErrorType(StrEnum):
    """The kinds of errors, one for each branch of the tree that is told apart."""

    UNKNOWN = "unknown"
    SYSTEM = "system"
    MEMORY = "memory"
    DEVICE_LOST = "device_lost"
    DISK = "disk"
    SERVICE = "service"
    MODEL = "model"
    MODEL_LOAD = "model_load"
    MODEL_INFERENCE = "model_inference"
    MODEL_BUSY = "model_busy"
    CONFIG = "config"
    CONFIG_VALIDATION = "config_validation"
    MEDIA = "media"
    MEDIA_UNREADABLE = "media_unreadable"
    MEDIA_REFUSED = "media_refused"
    MEDIA_NO_AUDIO = "media_no_audio"
    MEDIA_TRUNCATED = "media_truncated"
    MEDIA_TOO_LONG = "media_too_long"
    TASK = "task"
    TASK_TIMEOUT = "task_timeout"
    TASK_CANCELLED = "task_cancelled"
    CHECK_FAILED = "check_failed"
    WORKER_KILLED = "worker_killed"


class Severity(StrEnum):
    """How much an error matters to the user."""

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
    """An error with a kind, a severity, a hint, and whether a retry may help.

    It survives pickling, since Dagster's steps cross processes. Message and hint never hold a secret.
    `kind` is the plain text of an `ErrorType`, since Dagster does not serialize enums that it doesn't know.

    Args:
        message: One line on what happened.
        hint: What the user can do about it, if anything.
        context: Where it happened.
    """

    kind: ClassVar[str] = ErrorType.UNKNOWN.value
    severity: ClassVar[Severity] = Severity.HIGH
    retryable: ClassVar[bool] = False

    def __init__(self, message: str, hint: str = "", context: ErrorContext | None = None) -> None:
        super().__init__(redact(message), redact(hint), context or ErrorContext())

    @property
    def message(self) -> str:
        """One line on what happened."""
        return self.args[0]

    @property
    def hint(self) -> str:
        """What the user can do about it; empty where nothing is known."""
        return self.args[1]

    @property
    def context(self) -> ErrorContext:
        """Which video, which stage, how far into the video."""
        return self.args[2]

    def __str__(self) -> str:
        return f"{self.message}. {self.hint}" if self.hint else self.message

    def within(self, video: str | None = None, stage: str | None = None, second: float | None = None) -> Self:
        """Fill in what the context lacks; returns the error itself, so that it can be raised."""
        given = {"video": video, "stage": stage, "second": second}
        known = {k: v for k, v in asdict(self.context).items() if v is not None}
        self.args = (self.message, self.hint, replace(ErrorContext(), **{**given, **known}))
        return self


class SystemFault(YivideoError):
    """The machine, not the video: memory, disk, network, or something unforeseen."""

    kind = ErrorType.SYSTEM.value
    severity = Severity.CRITICAL


class MemoryExhausted(SystemFault):
    """Host or GPU memory ran out; a smaller batch or compute type may fit.

    Args:
        message: One line on what happened.
        hint: What the user can do about it.
        context: Where it happened.
        device: Whose memory it was.
    """

    kind = ErrorType.MEMORY.value
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
    """The GPU failed or disappeared; only a fresh process can use it again."""

    kind = ErrorType.DEVICE_LOST.value
    retryable = True


class DiskError(SystemFault):
    """A file or folder that can't be read or written."""

    kind = ErrorType.DISK.value


class DiskFull(DiskError):
    """No space is left on the device, or a quota is reached."""

    retryable = True


class ServiceUnreachable(SystemFault):
    """A model hub or another service does not answer."""

    kind = ErrorType.SERVICE.value
    severity = Severity.MEDIUM
    retryable = True


class ModelError(YivideoError):
    """The model: its weights, loading or inference."""

    kind = ErrorType.MODEL.value


class ModelLoadError(ModelError):
    """The weights are missing, damaged, or can't be loaded on this device."""

    kind = ErrorType.MODEL_LOAD.value


class ModelInferenceError(ModelError):
    """The model failed on an input."""

    kind = ErrorType.MODEL_INFERENCE.value
    retryable = True


class ModelBusy(ModelError):
    """An unload was requested while the model is leased."""

    kind = ErrorType.MODEL_BUSY.value
    severity = Severity.LOW


class ConfigError(YivideoError):
    """A setting, or the file it stands in."""

    kind = ErrorType.CONFIG.value
    severity = Severity.MEDIUM


class ConfigValidationError(ConfigError):
    """Settings that contradict each other or do not fit this machine."""

    kind = ErrorType.CONFIG_VALIDATION.value


class MediaError(YivideoError):
    """The file itself: a retry will not help."""

    kind = ErrorType.MEDIA.value
    severity = Severity.MEDIUM


class UnreadableMedia(MediaError):
    """The container or the codec can't be read."""

    kind = ErrorType.MEDIA_UNREADABLE.value


class RefusedMedia(MediaError):
    """A playlist or another format that would open other files or sockets."""

    kind = ErrorType.MEDIA_REFUSED.value


class NoAudioStream(MediaError):
    """The file has no sound to transcribe."""

    kind = ErrorType.MEDIA_NO_AUDIO.value


class TruncatedMedia(MediaError):
    """The file ends before anything can be read."""

    kind = ErrorType.MEDIA_TRUNCATED.value


class AudioTooLong(MediaError):
    """Audio that is longer than the service accepts."""

    kind = ErrorType.MEDIA_TOO_LONG.value


class TaskError(YivideoError):
    """The work itself, not its input."""

    kind = ErrorType.TASK.value


class TaskTimeout(TaskError):
    """A stage took longer than its limit."""

    kind = ErrorType.TASK_TIMEOUT.value
    retryable = True


class TaskCancelled(TaskError):
    """The user or Dagster stopped the work."""

    kind = ErrorType.TASK_CANCELLED.value
    severity = Severity.LOW


class CheckFailed(TaskError):
    """What a stage made did not pass a check that the next stages rely on."""

    kind = ErrorType.CHECK_FAILED.value


class WorkerKilled(TaskError):
    """The process that worked on a video was killed, more often than it is retried."""

    kind = ErrorType.WORKER_KILLED.value
    severity = Severity.CRITICAL


WhisperXError = YivideoError
"""The base class, under the name that users of the service before this one know."""


def classes_by_kind(base: type[YivideoError] = YivideoError) -> dict[str, type[YivideoError]]:
    """Return every class of the tree by its kind."""
    below = {kind: one for child in base.__subclasses__() for kind, one in classes_by_kind(child).items()}
    return {base.kind: base, **below}
