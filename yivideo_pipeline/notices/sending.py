"""Sends what waits in the outbox, each channel for itself."""

import logging
import time
from dataclasses import dataclass, replace

from yivideo_pipeline.errors.classify import classify
from yivideo_pipeline.errors.retry import RetryOptions, retry_by
from yivideo_pipeline.ledger.outbox import Outbox
from yivideo_pipeline.notices.channels import Channel

log = logging.getLogger(__name__)

LONGEST_WAIT_S = 5.0
"""Between two attempts at once; what needs longer rests in the outbox meanwhile."""


@dataclass(frozen=True)
class Sent:
    """What a channel did: how many notices it sent, and why it failed with others."""

    channel: str
    sent: int
    failures: tuple[str, ...]

    def __str__(self) -> str:
        failed = f", {len(self.failures)} failed ({self.failures[-1]})" if self.failures else ""
        return f"{self.channel}: {self.sent} sent{failed}"


def send_waiting(outbox: Outbox, channel: Channel, retry: RetryOptions, seconds: float) -> Sent:
    """Send the notices that wait for a channel, the oldest first.

    One that was sent while the answer was lost, or the process ended right then, is sent again.

    Args:
        outbox: Where they wait.
        channel: What sends them.
        retry: How often a channel that does not answer is asked, with what waits.
        seconds: No further notice is begun after so long.
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
        except Exception as error:  # noqa: BLE001 - noted, and told; the other channel goes on
            found = classify(error)
            log.warning("A notice could not be sent by %s: %s", channel.name, found)
            outbox.mark_failed(waiting, channel.name, str(found), time.time(), channel_down=found.retryable)
            failures.append(str(found))
            if found.retryable:
                break
        else:
            outbox.mark_sent(waiting, channel.name, time.time())
            sent += 1
    return Sent(channel.name, sent, tuple(failures))
