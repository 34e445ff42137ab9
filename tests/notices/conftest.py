import socket

import pytest
from receivers import Hook, Mailbox, receive_mails, receive_posts

from yivideo_pipeline.ledger.outbox import Notice


@pytest.fixture
def hook():
    with receive_posts(Hook()) as hook:
        yield hook


@pytest.fixture
def mailbox():
    with receive_mails(Mailbox()) as box:
        yield box


@pytest.fixture
def closed_port():
    """A port that nobody listens on."""
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
