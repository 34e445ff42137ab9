"""A free port for a program that is restarted, and so must get it again."""

import random
import socket
from contextlib import suppress

_RANGE = range(20_000, 32_000)
"""Below Linux's ephemeral ports, of which the kernel gives any free one to an outgoing connection."""


def free_port() -> int:
    """Return a port of the loopback address that nobody listens at.

    Raises:
        OSError: All that were tried are taken.
    """
    # Hypothesis seeds the common generator, so that parallel tests would try the same ports.
    for port in random.SystemRandom().sample(_RANGE, 20):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise OSError(f"20 ports of {_RANGE.start} to {_RANGE.stop} are taken")
