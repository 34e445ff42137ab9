"""Sends the notices that wait in the outbox by webhook and mail, each channel independently."""

import hashlib
import logging
import smtplib
import socket
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.errors import MessageError
from email.message import EmailMessage
from email.utils import format_datetime, parseaddr
from typing import Any, Protocol

from pydantic import SecretStr

from yivideo_pipeline.errors.classify import classify, is_passing
from yivideo_pipeline.errors.origin import MAX_DETAIL_CHARS, detail
from yivideo_pipeline.errors.redact import MASK
from yivideo_pipeline.errors.retry import RetryOptions, retry_by
from yivideo_pipeline.errors.tree import ConfigError, ServiceUnreachable, Severity, YivideoError
from yivideo_pipeline.ledger.outbox import Notice, Outbox
from yivideo_pipeline.settings.sections import NoticeSettings

TIMEOUT_S = 5.0
"""For connecting, and for each reply after that."""

_URL_HINT = "Correct notices.webhook_url, or YIVIDEO_NOTICES__WEBHOOK_URL"

log = logging.getLogger(__name__)


class Channel(Protocol):
    """A way to send notices to people."""

    name: str

    def send(self, notice: Notice) -> None:
        """Send one notice, in one attempt.

        Raises:
            ServiceUnreachable: It may succeed later.
            ConfigError: It will not, until the settings are changed.
        """
        ...


def channels_of(settings: NoticeSettings) -> tuple[Channel, ...]:
    """Return the channels that the settings configure: the webhook, then mail."""
    webhook = (Webhook(settings.webhook_url),) if settings.webhook_url else ()
    mail = (Mail(settings),) if settings.mail_to else ()
    return webhook + mail


def send_test(settings: NoticeSettings, ui_url: str) -> dict[str, YivideoError | None]:
    """Send a test notice by each channel, in one attempt each.

    Args:
        settings: They name the channels.
        ui_url: Address of Dagster's UI, for the notice's link.

    Returns:
        What went wrong with each channel, by its name; None where the notice was sent.

    Raises:
        ConfigError: The settings name no channel.
    """
    channels = channels_of(settings)
    if not channels:
        raise ConfigError(
            "No channel for notices is set",
            "Set notices.webhook_url, or notices.smtp_host, notices.mail_from and notices.mail_to",
        )
    body = ("Failed runs and quarantined videos are reported this way.",)
    notice = Notice("test", f"A test from {socket.gethostname()}", body, "test", Severity.LOW, ui_url)
    return {channel.name: _try(channel, notice) for channel in channels}


def _try(channel: Channel, notice: Notice) -> YivideoError | None:
    try:
        channel.send(notice)
    except YivideoError as error:
        return error
    return None


class Webhook:
    """Posts each notice as JSON to one address, which is itself the secret.

    Args:
        url: The address; it appears in no log and no error.
        timeout_s: Longest wait for the receiver, in seconds.
    """

    name = "webhook"

    def __init__(self, url: SecretStr, timeout_s: float = TIMEOUT_S) -> None:
        self._url = url
        self._timeout_s = timeout_s

    def send(self, notice: Notice) -> None:
        """Post a notice; the body of the response is not read.

        Raises:
            ServiceUnreachable: The server does not answer, or fails.
            ConfigError: The address is invalid, or the server refuses the notice.
        """
        import httpx

        logging.getLogger("httpx").addFilter(_mask_address)
        url = self._url.get_secret_value()
        # The causes are left out: they hold the request, which holds the address.
        try:
            with httpx.stream("POST", url, json=message_of(notice), timeout=self._timeout_s) as response:
                status = response.status_code
        except (httpx.InvalidURL, httpx.UnsupportedProtocol):
            raise ConfigError("The webhook's address is not an http or https address", _URL_HINT) from None
        except httpx.TransportError as error:
            reason = detail(error).replace(url, MASK)
            raise ServiceUnreachable(f"The webhook does not answer ({reason})") from None
        _raise_for_status(status)


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


def _raise_for_status(status: int) -> None:
    if 200 <= status < 300:
        return
    if is_passing(status):
        raise ServiceUnreachable(f"The webhook's server fails (HTTP {status})")
    if 300 <= status < 400:
        # A redirect could send the notices anywhere.
        raise ConfigError(f"The webhook has moved (HTTP {status}), and redirects are not followed", _URL_HINT)
    raise ConfigError(f"The webhook refused the notice (HTTP {status})", _URL_HINT)


def _mask_address(record: logging.LogRecord) -> bool:
    """Keep the address out of the line that httpx logs for each request."""
    import httpx

    args = record.args if isinstance(record.args, tuple) else ()
    if any(isinstance(arg, httpx.URL) for arg in args):
        record.args = tuple(MASK if isinstance(arg, httpx.URL) else arg for arg in args)
    return True


class Mail:
    """Sends each notice as one plain mail to all receivers, through a mail server.

    Args:
        settings: With `smtp_host`, `mail_from` and `mail_to`.
        timeout_s: Longest wait for each reply of the server, in seconds.
    """

    name = "mail"

    def __init__(self, settings: NoticeSettings, timeout_s: float = TIMEOUT_S) -> None:
        self._settings = settings
        self._timeout_s = timeout_s

    def send(self, notice: Notice) -> None:
        """Send a notice to all receivers at once.

        If the server refuses some receivers but accepts others, that is only logged.

        Raises:
            ServiceUnreachable: The server does not reply, or asks to try later.
            ConfigError: The server refuses the login, the sender or all receivers, or encryption fails.
        """
        try:
            message = write_mail(notice, self._settings)
            with self._connect() as server:
                refused = server.send_message(message)
        # SMTPException is an OSError, but ValueError and MessageError are not.
        except (smtplib.SMTPException, OSError, ValueError, MessageError) as error:
            # The cause is left out: a server's reply to a login may hold the password.
            raise self._explain(error) from None
        if refused:
            log.warning("The mail server refused some receivers (%s)", _replies(refused))

    def _connect(self) -> smtplib.SMTP:
        """Return a connection, encrypted and logged in as the settings say."""
        settings = self._settings
        host, port = settings.smtp_host or "", settings.smtp_port
        if settings.smtp_security == "tls":
            server: smtplib.SMTP = smtplib.SMTP_SSL(
                host, port, timeout=self._timeout_s, context=ssl.create_default_context()
            )
        else:
            server = smtplib.SMTP(host, port, timeout=self._timeout_s)
        try:
            if settings.smtp_security == "starttls":
                server.starttls(context=ssl.create_default_context())
            if settings.smtp_user:
                password = settings.smtp_password
                server.login(settings.smtp_user, password.get_secret_value() if password else "")
        except BaseException:
            server.close()
            raise
        return server

    def _explain(self, error: Exception) -> YivideoError:
        if isinstance(error, smtplib.SMTPAuthenticationError) and error.smtp_code >= 500:
            return ConfigError(
                f"The mail server refused the login ({error.smtp_code})",
                "Correct notices.smtp_user and notices.smtp_password",
            )
        broken_off = isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError)
        if isinstance(error, ssl.SSLError) and not broken_off:
            return ConfigError(
                f"The encrypted connection to the mail server failed ({self._redacted(error)})",
                "Correct notices.smtp_security, notices.smtp_port or the server's certificate",
            )
        code = _code_of(error)
        if isinstance(error, smtplib.SMTPNotSupportedError | ValueError | MessageError) or code >= 500:
            return ConfigError(
                f"The mail can't be sent with these settings ({self._redacted(error)})",
                "Correct notices.smtp_*, notices.mail_from and notices.mail_to",
            )
        return ServiceUnreachable(f"The mail server does not accept mail now ({self._redacted(error)})")

    def _redacted(self, error: Exception) -> str:
        text = _text_of(error)
        secret = self._settings.smtp_password
        return text.replace(secret.get_secret_value(), MASK) if secret and secret.get_secret_value() else text


def write_mail(notice: Notice, settings: NoticeSettings) -> EmailMessage:
    """Return a notice as a mail.

    Raises:
        ValueError: An address in the settings is invalid.
    """
    message = EmailMessage()
    message["Subject"] = f"[yivideo] {notice.subject}"
    message["From"] = settings.mail_from
    message["To"] = ", ".join(settings.mail_to)
    message["Date"] = format_datetime(datetime.fromtimestamp(notice.at, UTC))
    message["Message-ID"] = _message_id(notice, settings.mail_from or "")
    message["Auto-Submitted"] = "auto-generated"  # prevents automatic replies such as "out of office"
    message.set_content("\n".join([*notice.body, *(["", notice.url] if notice.url else [])]))
    return message


def _message_id(notice: Notice, sender: str) -> str:
    # The same notice has the same id, so that mailboxes recognize it if it is sent again after a lost reply.
    digest = hashlib.sha256(f"{notice.fingerprint}\n{notice.at}".encode()).hexdigest()[:32]
    return f"<{digest}@{parseaddr(sender)[1].rpartition('@')[2] or 'yivideo'}>"


def _text_of(error: Exception) -> str:
    if isinstance(error, smtplib.SMTPResponseException):
        return _reply(error.smtp_code, error.smtp_error)
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return _replies(error.recipients)
    return detail(error)


def _replies(refused: Mapping[str, tuple[int, bytes]]) -> str:
    return "; ".join(f"{receiver}: {_reply(*reply)}" for receiver, reply in sorted(refused.items()))


def _reply(code: int, text: bytes | str) -> str:
    decoded = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
    return " ".join(f"{code} {decoded}".split())[:MAX_DETAIL_CHARS]


def _code_of(error: Exception) -> int:
    """Return the server's reply code; 0 where it gave none."""
    if isinstance(error, smtplib.SMTPResponseException):
        return error.smtp_code
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        # If one of them may be accepted later, it is worth trying again.
        return min(code for code, _ in error.recipients.values())
    return 0


LONGEST_WAIT_S = 5.0
"""Longest wait between two attempts in one round; after that the notice stays in the outbox."""


@dataclass(frozen=True)
class SendResult:
    """How many notices a channel sent, and why it failed to send others."""

    channel: str
    sent: int
    failures: tuple[str, ...]

    def __str__(self) -> str:
        failed = f", {len(self.failures)} failed ({self.failures[-1]})" if self.failures else ""
        return f"{self.channel}: {self.sent} sent{failed}"


def send_waiting(outbox: Outbox, channel: Channel, retry: RetryOptions, seconds: float) -> SendResult:
    """Send the notices that wait for a channel, the oldest first.

    A notice is sent again if the reply to it was lost, or the process ended right then.

    Args:
        outbox: Where they wait.
        channel: The channel that sends them.
        retry: How often and after which waits an unreachable channel is retried.
        seconds: No further notice is started after so long.
    """
    options = replace(retry, max_delay_s=min(retry.max_delay_s, LONGEST_WAIT_S))
    send = retry_by(options)(channel.send)
    sent, failures = 0, []
    end = time.monotonic() + seconds
    for waiting in outbox.waiting(channel.name, time.time()):
        if time.monotonic() >= end:
            break
        try:
            send(waiting.notice)
        except Exception as error:  # noqa: BLE001 - noted and logged; the other channel continues
            found = classify(error)
            log.warning("A notice could not be sent by %s: %s", channel.name, found)
            outbox.mark_failed(waiting, channel.name, str(found), time.time(), channel_down=found.retryable)
            failures.append(str(found))
            if found.retryable:
                break
        else:
            outbox.mark_sent(waiting, channel.name, time.time())
            sent += 1
    return SendResult(channel.name, sent, tuple(failures))
