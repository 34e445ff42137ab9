"""Tells addresses how their workflows ended, signed, again where they don't answer, also after a restart."""

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
from yivideo_pipeline.ledger.flags import Callback
from yivideo_pipeline.service.dagster_client import Dagster
from yivideo_pipeline.service.dependencies import ServiceState
from yivideo_pipeline.service.errors import Refused
from yivideo_pipeline.service.workflows.runs import runs_of
from yivideo_pipeline.service.workflows.status import WorkflowStatus, describe, state_of
from yivideo_pipeline.settings.sections import LOOPBACK, ServiceSettings

# PART service/workflows/addresses.py: Addresses that may be told of a workflow's end: of allowed hosts, and never inside a private network.
#
# A request names the address, so whoever may ask for a workflow could otherwise have this machine talk to any
# other one that it reaches.


@dataclass(frozen=True)
class Target:
    """A host by name, and the one network address of it that was looked at."""

    host: str
    address: str


def check_address(url: str, settings: ServiceSettings) -> None:
    """Refuse an address that nothing would be sent to.

    Raises:
        Refused: 422; it is no http(s) address of an allowed host, or there is no key to sign with.
    """
    if settings.callback_key is None:
        hint = "Set service.callback_key (YIVIDEO_SERVICE__CALLBACK_KEY): receivers know us by the signature"
        raise Refused(422, "invalid_request", "callback_url: callbacks can't be signed here", hint)
    if _host_of(url) not in _allowed(settings):
        raise Refused(
            422,
            "invalid_request",
            "callback_url: is no http or https address of an allowed host",
            "The hosts are named in service.callback_hosts of the settings",
        )


def find_target(url: str, settings: ServiceSettings) -> Target:
    """Look up where an address leads now; that is where it is sent, whatever the name means a moment later.

    Raises:
        ConfigError: the host is not allowed any more, or lies in a private network.
        ServiceUnreachable: its name is not known now.
    """
    host = _host_of(url)
    if host is None or host not in _allowed(settings):
        raise ConfigError("The callback's host is not in service.callback_hosts")
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise ServiceUnreachable("The callback's host has no address now") from error
    addresses = [str(entry[4][0]) for entry in found]
    if not _is_literal(host) and not all(map(_is_public, addresses)):
        raise ConfigError("The callback's host lies in a private network", "List its IP address itself")
    return Target(host, addresses[0])


def _host_of(url: str) -> str | None:
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises where it is no number
    except ValueError:
        return None
    plain = parts.scheme in ("http", "https") and parts.username is None and parts.password is None
    return parts.hostname if plain else None


def _allowed(settings: ServiceSettings) -> set[str]:
    return {host.lower().strip("[]") for host in settings.callback_hosts}


def _is_literal(host: str) -> bool:
    """Whether a host's name says by itself where it lies, so that whoever listed it knew."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return host in LOOPBACK
    return True


def _is_public(address: str) -> bool:
    found = ipaddress.ip_address(address)
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return (mapped or found).is_global and not found.is_multicast


log = logging.getLogger(__name__)

SIGNATURE_HEADER = "X-Yivideo-Signature"
LOOK_S = 2.0
"""Between two looks whether what somebody waits for has ended; Dagster is asked only if somebody does."""
AT_ONCE = 50
"""Workflows that Dagster is asked for in one request."""
TIMEOUT_S = 10


class Messenger:
    """Looks after the callbacks in a thread of its own.

    Args:
        shared: The service's state.
    """

    def __init__(self, shared: ServiceState) -> None:
        self._shared = shared
        self._stopped = threading.Event()
        self._trouble = ""
        self._thread = threading.Thread(target=self._work, name="callbacks", daemon=True)

    def start(self) -> None:
        """Begin, with what an earlier process left."""
        self._thread.start()

    def stop(self) -> None:
        """End, after the request that is under way; what is left is told after the next start."""
        self._stopped.set()
        self._thread.join(TIMEOUT_S)

    def _work(self) -> None:
        while not self._stopped.wait(LOOK_S):
            trouble = ""
            try:
                self._send_due()
            except Exception as error:  # noqa: BLE001 - the thread lives on, and tries again
                trouble = str(classify(error))
            if trouble and trouble != self._trouble:
                log.warning("Callbacks have to wait: %s", trouble)
            self._trouble = trouble

    def _send_due(self) -> None:
        due = iter(self._shared.ledger.callbacks.due(time.time()))
        while batch := list(islice(due, AT_ONCE)):
            dagster_url = self._shared.settings.service.dagster_url
            dagster = Dagster(dagster_url)
            found = runs_of(dagster, [one.workflow for one in batch], details=False)
            # One that is not known yet was asked for a moment ago.
            ended = [one for one in batch if found[one.workflow] and state_of(found[one.workflow]).is_final]
            described = runs_of(dagster, [one.workflow for one in ended], details=True)
            for callback in ended:
                if self._stopped.is_set():
                    return
                status = describe(described[callback.workflow], self._shared.storage, dagster_url)
                if status.state.is_final:  # still: nobody has launched it again in between
                    self._send(callback, status)

    def _send(self, callback: Callback, status: WorkflowStatus) -> None:
        callbacks, settings = self._shared.ledger.callbacks, self._shared.settings.service
        try:
            if settings.callback_key is None:
                raise ServiceUnreachable("service.callback_key is not set any more")
            _post(callback.url, find_target(callback.url, settings), status, settings.callback_key)
        except Exception as error:  # noqa: BLE001 - noted; the others are told
            goes_on = callbacks.mark_failed(callback, time.time())
            told = "it is tried again" if goes_on else "given up"
            # httpx's own words name the address, which may hold a secret.
            by_httpx = isinstance(error, (httpx.HTTPError, httpx.InvalidURL))
            reason = type(error).__name__ if by_httpx else classify(error)
            log.warning("The callback of workflow %s failed, %s: %s", callback.workflow, told, reason)
        else:
            callbacks.mark_sent(callback)


@asynccontextmanager
async def run_messenger(app: FastAPI) -> AsyncGenerator[None]:
    """Let callbacks be sent as long as the service runs."""
    messenger = Messenger(app.state.shared)
    messenger.start()
    yield
    await run_in_threadpool(messenger.stop)


def sign(key: SecretStr, body: bytes) -> str:
    """Return the signature of a callback's body, by which its receiver knows who sent it."""
    return "sha256=" + hmac.new(key.get_secret_value().encode(), body, hashlib.sha256).hexdigest()


def _post(url: str, target: Target, status: WorkflowStatus, key: SecretStr) -> None:
    """Send a status to an address; its answer is not read, and no redirect is followed.

    Raises:
        ServiceUnreachable: it answers with anything but a success.
        httpx.HTTPError: it does not answer.
    """
    # So does its line of each request.
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
            extensions={"sni_hostname": target.host},  # the certificate is the name's
        ) as answer,
    ):
        if not answer.is_success:
            raise ServiceUnreachable(f"The receiver answered {answer.status_code}")
