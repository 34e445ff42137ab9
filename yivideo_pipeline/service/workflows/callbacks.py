"""Callbacks: signed requests that report the end of a workflow, retried until they succeed.

A request for a workflow names the callback's address, so without care a client could make this machine send
requests to any other that it reaches. Hence only allowed hosts are called, and none inside a private network.
"""

import hashlib
import hmac
import ipaddress
import logging
import socket
import threading
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import islice
from urllib.parse import urlsplit

import httpx
from fastapi import FastAPI
from pydantic import SecretStr
from starlette.concurrency import run_in_threadpool

from yivideo_pipeline.errors.classify import classify
from yivideo_pipeline.errors.tree import ConfigError, ServiceUnreachable
from yivideo_pipeline.ledger.callbacks import Callback
from yivideo_pipeline.service.dependencies import ServiceState
from yivideo_pipeline.service.errors import Refused
from yivideo_pipeline.service.workflows.runs import runs_of
from yivideo_pipeline.service.workflows.status import WorkflowStatus, describe, state_of
from yivideo_pipeline.settings.sections import LOOPBACK, ServiceSettings

log = logging.getLogger(__name__)

SIGNATURE_HEADER = "X-Yivideo-Signature"
INTERVAL_S = 2.0
"""Time between two rounds; a round asks Dagster only if callbacks are due."""
BATCH_SIZE = 50
"""Workflows that Dagster is asked for in one request."""
TIMEOUT_S = 10


@asynccontextmanager
async def run_callbacks(app: FastAPI) -> AsyncGenerator[None]:
    """Send callbacks while the service runs."""
    sender = CallbackSender(app.state.shared)
    sender.start()
    yield
    await run_in_threadpool(sender.stop)


class CallbackSender:
    """Sends the callbacks of workflows that have ended, in a thread of its own.

    Args:
        shared: The service's state.
    """

    def __init__(self, shared: ServiceState) -> None:
        self._shared = shared
        self._stopped = threading.Event()
        self._last_trouble = ""
        self._thread = threading.Thread(target=self._run, name="callbacks", daemon=True)

    def start(self) -> None:
        """Start with the callbacks that an earlier process left."""
        self._thread.start()

    def stop(self) -> None:
        """Stop after the request in progress; the remaining callbacks are sent after the next start."""
        self._stopped.set()
        self._thread.join(TIMEOUT_S)

    def _run(self) -> None:
        while not self._stopped.wait(INTERVAL_S):
            trouble = ""
            try:
                self._send_due()
            except Exception as error:  # noqa: BLE001 - the next round may succeed
                trouble = str(classify(error))
            if trouble and trouble != self._last_trouble:
                log.warning("Callbacks have to wait: %s", trouble)
            self._last_trouble = trouble

    def _send_due(self) -> None:
        due = iter(self._shared.ledger.callbacks.due(time.time()))
        while batch := list(islice(due, BATCH_SIZE)):
            dagster_url = self._shared.settings.service.dagster_url
            dagster = self._shared.dagster
            found = runs_of(dagster, [one.workflow for one in batch], details=False)
            # A workflow without runs was requested a moment ago.
            ended = [one for one in batch if found[one.workflow] and state_of(found[one.workflow]).is_final]
            detailed = runs_of(dagster, [one.workflow for one in ended], details=True)
            for callback in ended:
                if self._stopped.is_set():
                    return
                status = describe(detailed[callback.workflow], self._shared.storage, dagster_url)
                if status.state.is_final:  # no client has retried it in between
                    self._send(callback, status)

    def _send(self, callback: Callback, status: WorkflowStatus) -> None:
        callbacks, settings = self._shared.ledger.callbacks, self._shared.settings.service
        try:
            if settings.callback_key is None:
                raise ServiceUnreachable("service.callback_key is not set any more")
            _post(callback.url, find_target(callback.url, settings), status, settings.callback_key)
        except Exception as error:  # noqa: BLE001 - recorded; the other callbacks are sent
            will_retry = callbacks.mark_failed(callback, time.time())
            outcome = "will be retried" if will_retry else "is given up"
            # httpx's own messages name the address, which may hold a secret.
            is_httpx = isinstance(error, (httpx.HTTPError, httpx.InvalidURL))
            reason = type(error).__name__ if is_httpx else classify(error)
            log.warning("The callback of workflow %s failed and %s: %s", callback.workflow, outcome, reason)
        else:
            callbacks.mark_sent(callback)


@dataclass(frozen=True)
class CallbackTarget:
    """A host by name, and the one network address of it that was checked."""

    host: str
    address: str


def require_callback_url(url: str, settings: ServiceSettings) -> None:
    """Refuse an address to which no callback would be sent.

    Raises:
        Refused: 422; it is no http(s) address of an allowed host, or there is no key to sign with.
    """
    if settings.callback_key is None:
        hint = "Set service.callback_key (YIVIDEO_SERVICE__CALLBACK_KEY): receivers know us by the signature"
        raise Refused(422, "invalid_request", "callback_url: callbacks can't be signed here", hint)
    if _host_of(url) not in _allowed_hosts(settings):
        raise Refused(
            422,
            "invalid_request",
            "callback_url: is no http or https address of an allowed host",
            "The hosts are named in service.callback_hosts of the settings",
        )


def find_target(url: str, settings: ServiceSettings) -> CallbackTarget:
    """Resolve an address; the callback goes to the resolved one, even if the name changes a moment later.

    Raises:
        ConfigError: The host is not allowed any more, or lies in a private network.
        ServiceUnreachable: Its name can't be resolved now.
    """
    host = _host_of(url)
    if host is None or host not in _allowed_hosts(settings):
        raise ConfigError("The callback's host is not in service.callback_hosts")
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise ServiceUnreachable("The callback's host has no address now") from error
    addresses = [str(entry[4][0]) for entry in found]
    if not _is_literal(host) and not all(map(_is_public, addresses)):
        raise ConfigError("The callback's host lies in a private network", "List its IP address itself")
    return CallbackTarget(host, addresses[0])


def sign(key: SecretStr, body: bytes) -> str:
    """Return the signature of a callback's body, which proves the sender to the receiver."""
    return "sha256=" + hmac.new(key.get_secret_value().encode(), body, hashlib.sha256).hexdigest()


def _host_of(url: str) -> str | None:
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises where it is no number
    except ValueError:
        return None
    is_plain = parts.scheme in ("http", "https") and parts.username is None and parts.password is None
    return parts.hostname if is_plain else None


def _allowed_hosts(settings: ServiceSettings) -> set[str]:
    return {host.lower().strip("[]") for host in settings.callback_hosts}


def _is_literal(host: str) -> bool:
    """Return whether a host's name is an address itself, so that whoever allowed it knew where it lies."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return host in LOOPBACK
    return True


def _is_public(address: str) -> bool:
    found = ipaddress.ip_address(address)
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return (mapped or found).is_global and not found.is_multicast


def _post(url: str, target: CallbackTarget, status: WorkflowStatus, key: SecretStr) -> None:
    """Send a status to an address; its response is not read, and no redirect is followed.

    Raises:
        ServiceUnreachable: It responds with anything but a success.
        httpx.HTTPError: It does not respond.
    """
    # httpx logs every request with its address, which may hold a secret.
    logging.getLogger("httpx").setLevel(logging.WARNING)
    body = status.model_dump_json().encode()
    named = httpx.URL(url)
    headers = {
        "Host": named.netloc.decode(),
        "Content-Type": "application/json",
        SIGNATURE_HEADER: sign(key, body),
    }
    with (
        httpx.Client(timeout=TIMEOUT_S, trust_env=False) as client,
        client.stream(
            "POST",
            named.copy_with(host=target.address),
            content=body,
            headers=headers,
            extensions={"sni_hostname": target.host},  # the certificate is for the name
        ) as response,
    ):
        if not response.is_success:
            raise ServiceUnreachable(f"The receiver answered {response.status_code}")
