"""Translates what libraries raise into the error tree."""

import asyncio
import concurrent.futures
import errno
import re
import socket
from typing import Any

from yivideo_pipeline.errors.device_errors import device_error
from yivideo_pipeline.errors.invalid_values import describe_invalid_value
from yivideo_pipeline.errors.origin import Rule, class_names, detail, explain, with_causes
from yivideo_pipeline.errors.redact import MASK, redact
from yivideo_pipeline.errors.tree import (
    ConfigError,
    ConfigValidationError,
    DiskError,
    DiskFull,
    ModelLoadError,
    RefusedMedia,
    ServiceUnreachable,
    SystemFault,
    TaskCancelled,
    TaskTimeout,
    TruncatedMedia,
    UnreadableMedia,
    YivideoError,
)


def classify(
    error: BaseException,
    *,
    video: str | None = None,
    stage: str | None = None,
    second: float | None = None,
) -> YivideoError:
    """Turn any error into one of the tree, with its context filled in and the original as its cause.

    An error of the tree is returned itself. An error that no rule knows is classified by what it was
    raised from; failing that, it is a `SystemFault`, which is not retried.

    Args:
        error: What was raised.
        video: The partition or path of the video.
        stage: The stage that failed.
        second: How far into the video the stage was.
    """
    for candidate in with_causes(error):
        if isinstance(candidate, YivideoError):
            return candidate.within(video, stage, second)
        found = _first_match(candidate)
        if found is not None:
            break
    else:
        found = SystemFault(f"Unexpected {type(error).__name__}: {detail(error)}")
    found.__cause__ = error
    return found.within(video, stage, second)


def _first_match(error: BaseException) -> YivideoError | None:
    return next((found for rule in _RULES if (found := rule(error)) is not None), None)


def _cancelled(error: BaseException) -> YivideoError | None:
    cancellations = (KeyboardInterrupt, asyncio.CancelledError, concurrent.futures.CancelledError)
    # By name, since this layer does not know Dagster. FFmpeg's ExitError comes from an interrupt callback.
    by_name = {"dagster.DagsterExecutionInterruptedError", "av.ExitError"}
    if isinstance(error, cancellations) or by_name & class_names(error):
        return TaskCancelled("The work was cancelled", "Start it again: finished stages are not repeated.")
    return None


def _timed_out(error: BaseException) -> YivideoError | None:
    if isinstance(error, TimeoutError) or "subprocess.TimeoutExpired" in class_names(error):
        return TaskTimeout(explain("The work took longer than its limit", error))
    return None


# Settings: pydantic and YAML, one readable line for each field

_SECRET_FIELDS = ("token", "secret", "password", "key")
_HINT = "Change it in config.yml, in the environment or in the request."


def config_error(error: BaseException) -> YivideoError | None:
    """Return the error for settings that break their own rules, or for a file that can't be parsed."""
    names = class_names(error)
    if "pydantic_core.ValidationError" in names:
        return ConfigValidationError("\n".join(_field_lines(error)), _HINT)
    if "yaml.YAMLError" in names:
        return ConfigError(_yaml_line(error), "Correct the file's YAML: indentation, colons, quotes.")
    return None


def _field_lines(error: Any) -> list[str]:
    """Return one line for each wrong field of a pydantic ValidationError."""
    return [_field_line(entry) for entry in error.errors(include_url=False)]


def _field_line(entry: dict[str, Any]) -> str:
    path = ".".join(str(part) for part in entry["loc"]) or "settings"
    if entry["type"] == "extra_forbidden":
        return f"{path}: there is no such setting"
    line = f"{path}: {describe_invalid_value(entry)}"
    given = entry["input"]
    # A missing field's input is the whole section around it: nothing to show.
    if entry["type"] == "missing" or not isinstance(given, (str, int, float, bool, type(None))):
        return line
    is_secret = any(word in path.lower() for word in _SECRET_FIELDS)
    return f"{line} (given: {MASK if is_secret else redact(repr(given))})"


def _yaml_line(error: BaseException) -> str:
    """Return what is wrong and where; never the line itself, which might hold a token."""
    problem = getattr(error, "problem", None) or "not readable as YAML"
    mark = getattr(error, "problem_mark", None)
    where = f" at line {mark.line + 1}, column {mark.column + 1} of {mark.name}" if mark else ""
    return f"The settings file is not valid YAML: {problem}{where}"


# Files and folders: what the operating system reports about them

_DAMAGED = re.compile("malformed|not a database")
_UNWRITABLE = re.compile("disk I/O error|unable to open database file|readonly database")
_FULL = {errno.ENOSPC, errno.EDQUOT}
_HINTS = {
    errno.EACCES: "Give this user the permission, or choose another folder.",
    errno.EPERM: "Give this user the permission, or choose another folder.",
    errno.EROFS: "It is mounted read-only: mount it writable, or choose another folder.",
    errno.EIO: "The disk or the network share is failing: look at the system's log.",
    errno.ESTALE: "The network share was mounted anew: try again after remounting it.",
    errno.ENOENT: "Check that the path exists.",
    errno.ENOTDIR: "Check the path: one of its parts is a file.",
    errno.EISDIR: "A file is needed here, not a folder.",
    errno.EEXIST: "Something of that name exists already.",
    errno.EFBIG: "The file system, or a limit on file sizes (ulimit -f), allows no larger file.",
    errno.ENAMETOOLONG: "Shorten the file's name.",
    errno.EMFILE: "Raise the limit on open files (ulimit -n).",
    errno.ENFILE: "The system has too many files open: close other programs.",
}


def disk_error(error: BaseException) -> YivideoError | None:
    """Return the error for a full disk, or for a file or folder that can't be used."""
    code = error.errno if isinstance(error, OSError) else None
    if code in _FULL or _says_full(error):
        return DiskFull(
            explain("The disk is full or the quota is reached", error),
            "Free some space or choose another folder, then start again.",
        )
    if code in _HINTS:
        return DiskError(explain("A file or folder can't be used", error), _HINTS[code])
    if "sqlite3.OperationalError" in class_names(error) and _UNWRITABLE.search(str(error)):
        return DiskError(
            explain("A database of yivideo's can't be read or written", error),
            "Look whether its disk is full or mounted read-only, then at the system's log.",
        )
    if "sqlite3.DatabaseError" in class_names(error) and _DAMAGED.search(str(error)):
        return DiskError(
            explain("A database of yivideo's is damaged", error),
            "`yivideo doctor` says which, and what to do.",
        )
    # Errors raised by hand carry no errno.
    if isinstance(error, (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError)):
        return DiskError(
            explain("A file or folder can't be used", error), "Check the path and its permissions."
        )
    return None


def _says_full(error: BaseException) -> bool:
    """Return whether the message reports a full disk, which is all that Rust and SQLite give."""
    text = str(error).lower()
    if isinstance(error, RuntimeError):
        return "no space left on device" in text
    return "sqlite3.OperationalError" in class_names(error) and "disk is full" in text


# PyAV: errors of the video, apart from those of the disk or the machine

_NOT_THE_VIDEO = (MemoryError, TimeoutError, ConnectionError)


def media_error(error: BaseException) -> YivideoError | None:
    """Return the error of the video, or of the disk that it lies on, that an error of PyAV means."""
    names = class_names(error)
    if "av.FFmpegError" not in names or isinstance(error, _NOT_THE_VIDEO):
        return None
    # FFmpeg's demuxers report EIO for a file that is too short; the disk itself is seldom the cause.
    if getattr(error, "errno", None) != errno.EIO:
        on_disk = disk_error(error)
        if on_disk is not None:
            return on_disk
    if "av.EOFError" in names:
        return TruncatedMedia(
            explain("The file breaks off before anything can be read", error), "Copy or download it again."
        )
    if "av.ProtocolNotFoundError" in names:
        return RefusedMedia(
            explain("The file points to another file or to the network, which is never opened", error),
            "Give the video file itself.",
        )
    if "av.DecoderNotFoundError" in names:
        return UnreadableMedia(
            explain("No decoder for this codec", error),
            "Convert the video to a common codec such as H.264 and AAC.",
        )
    return UnreadableMedia(
        explain("The file is damaged or no video or sound file", error),
        "Check that it plays, or copy it again.",
    )


# Connections: refused, broken, unresolved, too slow, or answered with an error

# huggingface_hub 2 brings its own httpx under the name httpx2.
_TRANSPORT_ERRORS = {
    "httpx.TransportError",
    "httpx2.TransportError",
    "requests.ConnectionError",
    "requests.Timeout",
    "requests.ChunkedEncodingError",
    "urllib3.HTTPError",
    "urllib.URLError",
    "http.IncompleteRead",
    "aiohttp.ClientConnectionError",
    "botocore.HTTPClientError",
    "botocore.ConnectionError",
    "azure.ServiceRequestError",
    "azure.ServiceResponseError",
    "google.TransportError",
}
_DATABASE_ERRORS = {"psycopg2.OperationalError", "psycopg2.InterfaceError", "sqlalchemy.TimeoutError"}
_STATUS_ERRORS = {
    "httpx.HTTPStatusError",
    "httpx2.HTTPStatusError",
    "requests.HTTPError",
    "urllib.HTTPError",
    "gcsfs.HttpError",
}
# s3fs says "busy" of a bucket that is asked too often.
_ERRNOS = {
    errno.ENETUNREACH, errno.ENETDOWN, errno.EHOSTUNREACH, errno.EHOSTDOWN, errno.ETIMEDOUT, errno.EBUSY
}  # fmt: skip
_NO_CREDENTIALS = {
    "botocore.NoCredentialsError",
    "botocore.PartialCredentialsError",
    "botocore.ProfileNotFound",
    "google.DefaultCredentialsError",
    "azure.ClientAuthenticationError",
}


def network_error(error: BaseException) -> YivideoError | None:
    """Return the error for a service that can't be reached, or that answers with an error."""
    names = class_names(error)
    if names & _NO_CREDENTIALS:
        return ConfigError(
            explain("The object storage's credentials are missing or wrong", error),
            "Give them as the provider's own programs take them, such as AWS_ACCESS_KEY_ID and"
            " AWS_SECRET_ACCESS_KEY.",
        )
    if names & _STATUS_ERRORS:
        return _refused_by_service(error)
    if names & _DATABASE_ERRORS:
        return ServiceUnreachable(
            explain("The database does not answer", error), "Check that it runs: work is tried again."
        )
    if (
        names & _TRANSPORT_ERRORS
        or isinstance(error, (ConnectionError, socket.gaierror))
        or (isinstance(error, OSError) and error.errno in _ERRNOS)
        or _is_socket_timeout(error)
        or _is_xet_failure(error)
    ):
        return unreachable(error)
    return None


def unreachable(error: BaseException) -> ServiceUnreachable:
    """Return the error for a service that does not answer now but may later."""
    return ServiceUnreachable(
        explain("A service on the network does not answer", error),
        "Check the connection and any proxy, then try again.",
    )


def status_of(error: BaseException) -> int | None:
    """Return the HTTP status of the response that an error carries, whichever client raised it."""
    response = getattr(error, "response", None)
    status = getattr(response, "status_code", getattr(error, "code", None))
    return status if isinstance(status, int) else None


def is_passing(status: int | None) -> bool:
    """Return whether an HTTP status is likely to pass: too many requests, or a failing server."""
    return status is not None and (status in (408, 425, 429) or status >= 500)


def _refused_by_service(error: BaseException) -> YivideoError:
    if is_passing(status_of(error)):
        return unreachable(error)
    return SystemFault(explain("A service on the network refused the request", error))


def _is_socket_timeout(error: BaseException) -> bool:
    """Return whether a TimeoutError is a socket's; only its message distinguishes it from a task's."""
    return isinstance(error, TimeoutError) and (
        error.args == ("timed out",) or "operation timed out" in str(error)
    )


def _is_xet_failure(error: BaseException) -> bool:
    """Return whether the hub's chunk store failed: its Rust client raises bare RuntimeErrors (hf_xet 1.8)."""
    return isinstance(error, RuntimeError) and "CAS Client Error" in str(error)


# The Hugging Face hub: weights that are missing, withheld or out of reach. Class names are those of
# huggingface_hub 0.27 to 2.4 (`huggingface_hub/errors.py`).

_PLACE_WEIGHTS = (
    "Put the weights into the model cache or name a local folder, or go online once to fetch them."
)
_CHECK_NAME = "Check the model's name and revision; a private model also needs HF_TOKEN."


def hub_error(error: BaseException) -> YivideoError | None:
    """Return the error for weights that could not be fetched from the hub."""
    names = class_names(error)

    def raised_as(*classes: str) -> bool:
        return any(f"huggingface_hub.{name}" in names for name in classes)

    if raised_as("OfflineModeIsEnabled"):
        return ModelLoadError(
            explain("The weights are not on this machine and offline mode forbids to fetch them", error),
            f"{_PLACE_WEIGHTS} Offline mode ends when HF_HUB_OFFLINE is unset.",
        )
    if raised_as("LocalEntryNotFoundError", "RevisionResolutionError"):
        return _not_cached(error)
    # A gated repository is a kind of "repository not found", so it is checked first.
    if raised_as("GatedRepoError"):
        return ModelLoadError(
            explain("The model's owner grants access on request only", error),
            "Accept the conditions on the model's page and set HF_TOKEN to a token of that account.",
        )
    if raised_as(
        "RepositoryNotFoundError", "RevisionNotFoundError", "EntryNotFoundError", "DisabledRepoError"
    ):
        return ModelLoadError(explain("The hub has no such model, revision or file", error), _CHECK_NAME)
    if raised_as("HfHubHTTPError"):
        return _refused_by_hub(error)
    if raised_as("HFValidationError"):
        return ConfigValidationError(
            explain("The model's name is not one that the hub can have", error),
            "Use a known name such as base, a folder, or owner/name.",
        )
    return None


def _not_cached(error: BaseException) -> YivideoError:
    """Return the error for weights that are not cached: the network failed, or was not to be used."""
    # with_causes yields the error itself first, which is not a network error.
    for cause in list(with_causes(error))[1:]:
        if network_error(cause) is not None:
            return unreachable(cause)
    return ModelLoadError(explain("The weights are not in the model cache", error), _PLACE_WEIGHTS)


def _refused_by_hub(error: BaseException) -> YivideoError:
    status = status_of(error)
    if is_passing(status):
        return unreachable(error)
    if status in (401, 403):
        return ModelLoadError(
            explain("The hub refuses access to the model", error),
            "Set HF_TOKEN to a valid token that may read it.",
        )
    return ModelLoadError(explain("The hub can't deliver the model", error), _CHECK_NAME)


# The order matters: hub errors are OSErrors too, PyAV's derive from the built-in ones, and a
# socket's timeout is the same class as a task's.
_RULES: tuple[Rule, ...] = (
    _cancelled,
    hub_error,
    config_error,
    device_error,
    media_error,
    network_error,
    _timed_out,
    disk_error,
)
