"""Sends the notices that wait in the outbox, each channel independently."""

import logging
import time
from dataclasses import dataclass, replace

from yivideo_pipeline.errors.classify import classify
from yivideo_pipeline.errors.retry import RetryOptions, retry_by
from yivideo_pipeline.ledger.outbox import Outbox
from yivideo_pipeline.notices.channels import Channel

log = logging.getLogger(__name__)

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
