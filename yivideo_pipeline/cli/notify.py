"""`yivideo notify`: sends a test notice by each channel, so that the user sees whether it arrives."""

from pathlib import Path

from yivideo_pipeline.cli.console import Exit, open_console, sentences
from yivideo_pipeline.cli.running_ui import ui_url
from yivideo_pipeline.notices.channels import send_test
from yivideo_pipeline.settings.load import load_settings


def send_test_notice(config: Path | None) -> Exit:
    """Send a test notice by each channel, in one attempt each; fails if any of them fails.

    Raises:
        ConfigError: The settings can't be read, or name no channel.
    """
    settings = load_settings(config)
    sent, console = send_test(settings.notices, ui_url(settings)), open_console()
    for name, error in sent.items():
        console.print(f"{name}: {sentences(error.message, error.hint) if error else 'sent'}")
    return Exit.FAILED if any(sent.values()) else Exit.DONE
