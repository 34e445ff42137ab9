"""`yivideo notify`: sends a test notice by each channel, so that the user sees whether it arrives."""

import socket
from pathlib import Path

from yivideo_pipeline.cli.console import Exit, open_console, sentences
from yivideo_pipeline.cli.running_ui import ui_url
from yivideo_pipeline.errors.tree import ConfigError, Severity, YivideoError
from yivideo_pipeline.ledger.outbox import Notice
from yivideo_pipeline.notices.channels import channels_of
from yivideo_pipeline.settings.load import load_settings


def send_test_notice(config: Path | None) -> Exit:
    """Send a test notice by each channel, in one attempt each; fails if any of them fails.

    Raises:
        ConfigError: The settings can't be read, or name no channel.
    """
    settings = load_settings(config)
    channels = channels_of(settings.notices)
    if not channels:
        raise ConfigError(
            "No channel for notices is set",
            "Set notices.webhook_url, or notices.smtp_host, notices.mail_from and notices.mail_to",
        )
    body = ("Failed runs and quarantined videos are reported this way.",)
    notice = Notice(
        "test", f"A test from {socket.gethostname()}", body, "test", Severity.LOW, ui_url(settings)
    )
    console = open_console()
    failed = False
    for channel in channels:
        try:
            channel.send(notice)
            console.print(f"{channel.name}: sent")
        except YivideoError as error:
            console.print(f"{channel.name}: {sentences(error.message, error.hint)}")
            failed = True
    return Exit.FAILED if failed else Exit.DONE
