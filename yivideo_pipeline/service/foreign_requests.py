"""Which requests a page of another site makes: a browser on this machine sends them beside its user's own.

Both the service and the guard in front of Dagster's UI (`cli/webserver.py`) refuse them. FastAPI is not
needed here, nor is it in that program.
"""

from collections.abc import Collection
from typing import NamedTuple
from urllib.parse import SplitResult, urlsplit

from starlette.requests import HTTPConnection

SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
_FOREIGN_SITES = ("cross-site", "same-site")
"""What browsers put into Sec-Fetch-Site for pages of another origin; another port is the same site."""


class ForeignRequest(NamedTuple):
    """Why a request is refused: HTTP status, kind of error, message."""

    status: int
    kind: str
    message: str


def find_foreign(connection: HTTPConnection, hosts: Collection[str] | None) -> ForeignRequest | None:
    """Return why a request must come from a page of another site; None where it need not.

    Args:
        connection: The request, or the start of a websocket, which may do anything.
        hosts: Names of this server; a name that is not among them leads here by a trick of that page's
            domain. None: any name may lead here.
    """
    headers, method = connection.headers, connection.scope.get("method")
    host, origin = headers.get("host", ""), headers.get("origin")
    if hosts is not None and _split(f"//{host}").hostname not in hosts:
        return ForeignRequest(400, "foreign_host", "The request names a host that is not this service's")
    if method in SAFE_METHODS:
        return None
    if (origin and _split(origin).netloc != host) or headers.get("sec-fetch-site") in _FOREIGN_SITES:
        return ForeignRequest(403, "foreign_page", "Pages of other sites may not change anything here")
    return None


def _split(address: str) -> SplitResult:
    try:
        return urlsplit(address)
    except ValueError:  # brackets around something that is no address
        return urlsplit("")
