import socket

import pytest

from tests.notices.servers import MailServer, WebhookReceiver, serve_mail, serve_webhook
from yivideo_pipeline.ledger.outbox import Notice


@pytest.fixture
def hook():
    with serve_webhook(WebhookReceiver()) as hook:
        yield hook


@pytest.fixture
def mailbox():
    with serve_mail(MailServer()) as box:
        yield box


@pytest.fixture
def closed_port():
    """A port that no server listens on."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


@pytest.fixture
def notice():
    return Notice(
        "run_failure",
        "今天天气.mp4 failed at transcript: No memory",
        ("今天天气.mp4", "  hint"),
        "f",
        url="http://127.0.0.1:3000/runs/1",
        at=1_800_000_000.0,
    )
