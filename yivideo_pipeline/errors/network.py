"""Connections: refused, broken, unresolved, too slow, or answered with an error."""

import errno
import socket

from yivideo_pipeline.errors.origin import class_names, explain
from yivideo_pipeline.errors.tree import ServiceUnreachable, SystemFault, YivideoError

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
}
_STATUS_ERRORS = {"httpx.HTTPStatusError", "httpx2.HTTPStatusError", "requests.HTTPError", "urllib.HTTPError"}
_ERRNOS = {errno.ENETUNREACH, errno.ENETDOWN, errno.EHOSTUNREACH, errno.EHOSTDOWN, errno.ETIMEDOUT}


def network_error(error: BaseException) -> YivideoError | None:
    """A service that can't be reached, or that answers with an error."""
    names = class_names(error)
    if names & _STATUS_ERRORS:
        return _refused_by_service(error)
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
    """The error of a service that does not answer now but may later."""
    return ServiceUnreachable(
        explain("A service on the network does not answer", error),
        "Check the connection and any proxy, then try again.",
    )


def status_of(error: BaseException) -> int | None:
    """HTTP status of the answer that an error carries, whichever client raised it."""
    response = getattr(error, "response", None)
    status = getattr(response, "status_code", getattr(error, "code", None))
    return status if isinstance(status, int) else None


def is_passing(status: int | None) -> bool:
    """Whether an HTTP status is likely to go away by itself: too many requests, or a failing server."""
    return status is not None and (status in (408, 425, 429) or status >= 500)


def _refused_by_service(error: BaseException) -> YivideoError:
    if is_passing(status_of(error)):
        return unreachable(error)
    return SystemFault(explain("A service on the network refused the request", error))


def _is_socket_timeout(error: BaseException) -> bool:
    """A socket's timeout is the built-in TimeoutError, told from a task's by its words alone."""
    return isinstance(error, TimeoutError) and (
        error.args == ("timed out",) or "operation timed out" in str(error)
    )


def _is_xet_failure(error: BaseException) -> bool:
    """The hub's chunk store is asked by a Rust library that raises bare RuntimeErrors (hf_xet 1.8)."""
    return isinstance(error, RuntimeError) and "CAS Client Error" in str(error)
