"""Addresses that may be told of a workflow's end: of allowed hosts, and never inside a private network.

A request names the address, so whoever may ask for a workflow could otherwise have this machine talk to any
other one that it reaches.
"""

import ipaddress
import socket
from dataclasses import dataclass
from urllib.parse import urlsplit

from yivideo_pipeline.errors.tree import ConfigError, ServiceUnreachable
from yivideo_pipeline.service.errors import Refused
from yivideo_pipeline.settings.service import LOOPBACK, ServiceSettings


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
