"""`yivideo notify`: one notice by each channel, now, so that a person sees whether it arrives."""

import socket
from pathlib import Path

from yivideo_pipeline.cli.console import open_console, sentences
from yivideo_pipeline.cli.exits import Exit
from yivideo_pipeline.errors.tree import ConfigError, Severity, YivideoError
from yivideo_pipeline.ledger.outbox import Notice
from yivideo_pipeline.notices.channels import channels_of
from yivideo_pipeline.settings.load import load_settings


def send_trial(config: Path | None) -> Exit:
    """Send a notice by each channel, in one attempt, and say what came of it; failed if any failed.

    Raises:
        ConfigError: the settings can't be read, or name no channel.
    """
    settings = load_settings(config).notices
    channels = channels_of(settings)
    if not channels:
        raise ConfigError(
            "Nobody is to be told",
            "Set notices.webhook_url; or notices.smtp_host, notices.mail_from and notices.mail_to",
        )
    body = ("Failed runs and videos that are set aside will be told this way.",)
    notice = Notice(
        "test", f"A trial from {socket.gethostname()}", body, "test", Severity.LOW, settings.ui_url
    )
    console, end = open_console(), Exit.DONE
    for channel in channels:
        try:
            channel.send(notice)
            console.print(f"{channel.name}: sent")
        except YivideoError as error:
            console.print(f"{channel.name}: {sentences(error.message, error.hint)}")
            end = Exit.FAILED
    return end
