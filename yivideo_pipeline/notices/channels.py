"""The ways by which notices go out, as the settings name them."""

import hashlib
import logging
import smtplib
import ssl
from collections.abc import Mapping
from datetime import UTC, datetime
from email.errors import MessageError
from email.message import EmailMessage
from email.utils import format_datetime, parseaddr
from typing import Any, Protocol

from pydantic import SecretStr

from yivideo_pipeline.errors.classify import is_passing
from yivideo_pipeline.errors.redact import MASK
from yivideo_pipeline.errors.signatures import MAX_DETAIL_CHARS, detail
from yivideo_pipeline.errors.tree import ConfigError, ServiceUnreachable, YivideoError
from yivideo_pipeline.ledger.outbox import Notice
from yivideo_pipeline.settings.sections import NoticeSettings

# PART notices/mail.py: Notices as plain mail, one to all receivers.

TIMEOUT_S = 5.0
"""For connecting, and for each answer of the server."""

log = logging.getLogger(__name__)


class Mail:
    """Hands each notice to a mail server.

    Args:
        settings: With `smtp_host`, `mail_from` and `mail_to`.
        timeout_s: Longest wait for each answer of the server, in seconds.
    """

    name = "mail"

    def __init__(self, settings: NoticeSettings, timeout_s: float = TIMEOUT_S) -> None:
        self._settings = settings
        self._timeout_s = timeout_s

    def send(self, notice: Notice) -> None:
        """Send a notice to all receivers at once.

        A receiver whom the server refuses while it takes another is only told of in the log.

        Raises:
            ServiceUnreachable: no answer, or a server that asks to come back later.
            ConfigError: it refuses the login, the sender or all receivers, or the encryption does not fit.
        """
        try:
            message = write_mail(notice, self._settings)
            with self._connect() as server:
                refused = server.send_message(message)
        # These are no plain OSErrors, which all of smtplib's are too.
        except (smtplib.SMTPException, OSError, ValueError, MessageError) as error:
            # Its cause is left out: what a server says of a login may hold the password.
            raise self._explained(error) from None
        if refused:
            log.warning("The mail server refused some receivers (%s)", _replies(refused))

    def _connect(self) -> smtplib.SMTP:
        """Return a connection, encrypted and logged in as the settings say."""
        to = self._settings
        host, port = to.smtp_host or "", to.smtp_port
        if to.smtp_security == "tls":
            server: smtplib.SMTP = smtplib.SMTP_SSL(
                host, port, timeout=self._timeout_s, context=ssl.create_default_context()
            )
        else:
            server = smtplib.SMTP(host, port, timeout=self._timeout_s)
        try:
            if to.smtp_security == "starttls":
                server.starttls(context=ssl.create_default_context())
            if to.smtp_user:
                server.login(to.smtp_user, to.smtp_password.get_secret_value() if to.smtp_password else "")
        except BaseException:
            server.close()
            raise
        return server

    def _explained(self, error: Exception) -> YivideoError:
        if isinstance(error, smtplib.SMTPAuthenticationError) and error.smtp_code >= 500:
            return ConfigError(
                f"The mail server refused the login ({error.smtp_code})",
                "Correct notices.smtp_user and notices.smtp_password",
            )
        broken_off = isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError)
        if isinstance(error, ssl.SSLError) and not broken_off:
            return ConfigError(
                f"The mail server's encryption does not fit ({self._shown(error)})",
                "Correct notices.smtp_security, notices.smtp_port or the server's certificate",
            )
        code = _code_of(error)
        if isinstance(error, smtplib.SMTPNotSupportedError | ValueError | MessageError) or code >= 500:
            return ConfigError(
                f"The mail can't be sent as it is set ({self._shown(error)})",
                "Correct notices.smtp_*, notices.mail_from and notices.mail_to",
            )
        return ServiceUnreachable(f"The mail server does not take mail now ({self._shown(error)})")

    def _shown(self, error: Exception) -> str:
        said = _said(error)
        secret = self._settings.smtp_password
        return said.replace(secret.get_secret_value(), MASK) if secret and secret.get_secret_value() else said


def write_mail(notice: Notice, settings: NoticeSettings) -> EmailMessage:
    """Write a notice as a mail.

    Raises:
        ValueError: an address of the settings is none.
    """
    message = EmailMessage()
    message["Subject"] = f"[yivideo] {notice.subject}"
    message["From"] = settings.mail_from
    message["To"] = ", ".join(settings.mail_to)
    message["Date"] = format_datetime(datetime.fromtimestamp(notice.at, UTC))
    message["Message-ID"] = _message_id(notice, settings.mail_from or "")
    message["Auto-Submitted"] = "auto-generated"  # no answers by machines, such as "out of office"
    message.set_content("\n".join([*notice.body, *(["", notice.url] if notice.url else [])]))
    return message


def _message_id(notice: Notice, sender: str) -> str:
    # The same notice has the same id: should it be sent again, since the first answer was lost, mailboxes
    # can tell.
    told = hashlib.sha256(f"{notice.fingerprint}\n{notice.at}".encode()).hexdigest()[:32]
    return f"<{told}@{parseaddr(sender)[1].rpartition('@')[2] or 'yivideo'}>"


def _said(error: Exception) -> str:
    if isinstance(error, smtplib.SMTPResponseException):
        return _reply(error.smtp_code, error.smtp_error)
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return _replies(error.recipients)
    return detail(error)


def _replies(refused: Mapping[str, tuple[int, bytes]]) -> str:
    return "; ".join(f"{receiver}: {_reply(*reply)}" for receiver, reply in sorted(refused.items()))


def _reply(code: int, text: bytes | str) -> str:
    words = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
    return " ".join(f"{code} {words}".split())[:MAX_DETAIL_CHARS]


def _code_of(error: Exception) -> int:
    """The server's reply code; 0 where it gave none."""
    if isinstance(error, smtplib.SMTPResponseException):
        return error.smtp_code
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        # One that may be taken later is worth coming back.
        return min(code for code, _ in error.recipients.values())
    return 0


# PART notices/webhook.py: Notices posted as JSON to an address that is itself the secret.

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


class Channel(Protocol):
    """A way to tell people."""

    name: str

    def send(self, notice: Notice) -> None:
        """Send one notice, in one attempt.

        Raises:
            ServiceUnreachable: it may go better later.
            ConfigError: it will not, before the settings are changed.
        """
        ...


def channels_of(settings: NoticeSettings) -> tuple[Channel, ...]:
    """Return the channels that are set; none where nobody is to be told."""
    webhook = (Webhook(settings.webhook_url),) if settings.webhook_url else ()
    mail = (Mail(settings),) if settings.mail_to else ()
    return webhook + mail
