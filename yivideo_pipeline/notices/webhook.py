"""Notices posted as JSON to an address that is itself the secret."""

import logging
from datetime import UTC, datetime
from typing import Any

from pydantic import SecretStr

from yivideo_pipeline.errors.network import is_passing
from yivideo_pipeline.errors.origin import detail
from yivideo_pipeline.errors.redact import MASK
from yivideo_pipeline.errors.tree import ConfigError, ServiceUnreachable
from yivideo_pipeline.ledger.outbox import Notice

TIMEOUT_S = 5.0
"""For connecting, and for each wait after that."""

_CORRECT = "Correct notices.webhook_url, or YIVIDEO_NOTICES__WEBHOOK_URL"


class Webhook:
    """Posts each notice to one address.

    Args:
        url: The address; it shows up nowhere else.
        timeout_s: Longest wait for the receiver, in seconds.
    """

    name = "webhook"

    def __init__(self, url: SecretStr, timeout_s: float = TIMEOUT_S) -> None:
        self._url = url
        self._timeout_s = timeout_s

    def send(self, notice: Notice) -> None:
        """Post a notice; the answer's text is not read.

        Raises:
            ServiceUnreachable: no answer, or a server in trouble.
            ConfigError: the address is none, or refuses the notice.
        """
        import httpx

        logging.getLogger("httpx").addFilter(_without_address)
        url = self._url.get_secret_value()
        # Causes are left out: they hold the request, and that its address.
        try:
            with httpx.stream("POST", url, json=message_of(notice), timeout=self._timeout_s) as response:
                status = response.status_code
        except (httpx.InvalidURL, httpx.UnsupportedProtocol):
            raise ConfigError("The webhook's address is no http or https address", _CORRECT) from None
        except httpx.TransportError as error:
            reason = detail(error).replace(url, MASK)
            raise ServiceUnreachable(f"The webhook does not answer ({reason})") from None
        _check(status)


def message_of(notice: Notice) -> dict[str, Any]:
    """Return the JSON of a notice: its fields, and `text`, which chat services show."""
    at = datetime.fromtimestamp(notice.at, UTC)
    return {
        "text": "\n".join([notice.subject, *notice.body, *([notice.url] if notice.url else [])]),
        "kind": notice.kind,
        "severity": str(notice.severity),
        "subject": notice.subject,
        "body": list(notice.body),
        "url": notice.url,
        "at": at.isoformat(timespec="seconds"),
        "fingerprint": notice.fingerprint,
    }


def _check(status: int) -> None:
    if 200 <= status < 300:
        return
    if is_passing(status):
        raise ServiceUnreachable(f"The webhook is in trouble (HTTP {status})")
    if 300 <= status < 400:
        # Whoever answers could send the notices anywhere.
        raise ConfigError(f"The webhook has moved (HTTP {status}), and no redirect is followed", _CORRECT)
    raise ConfigError(f"The webhook refused the notice (HTTP {status})", _CORRECT)


def _without_address(record: logging.LogRecord) -> bool:
    """Keep the address out of the line that httpx logs of each request."""
    import httpx

    args = record.args if isinstance(record.args, tuple) else ()
    if any(isinstance(arg, httpx.URL) for arg in args):
        record.args = tuple(MASK if isinstance(arg, httpx.URL) else arg for arg in args)
    return True
