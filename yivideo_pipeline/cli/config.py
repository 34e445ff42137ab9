"""`yivideo config`: settings shown, checked and compared."""

import os
import socket
from dataclasses import asdict
from pathlib import Path

from yivideo_pipeline.cli.console import (
    Exit,
    one_line,
    open_console,
    print_json,
    print_table,
    printable,
    sentences,
)
from yivideo_pipeline.errors.tree import ConfigError, Severity, YivideoError
from yivideo_pipeline.ledger.outbox import Notice
from yivideo_pipeline.notices.channels import channels_of
from yivideo_pipeline.settings.hardware import probe_hardware
from yivideo_pipeline.settings.load import find_config, load_settings
from yivideo_pipeline.settings.resolve import check_machine
from yivideo_pipeline.settings.show import describe, diff_settings
from yivideo_pipeline.settings.tree import Settings


def show(config: Path | None, *, as_json: bool) -> Exit:
    """Print every setting, its value and where it was set; of a secret only that it is set.

    Raises:
        ConfigError: the settings can't be read.
    """
    rows = describe(load_settings(config))
    if as_json:
        print_json([asdict(row) for row in rows])
    else:
        print_table(("setting", "value", "set in"), [(row.field, row.value, row.source) for row in rows])
    return Exit.DONE


def validate(file: Path | None) -> Exit:
    """Check a file, or the settings that apply, by themselves and against this machine.

    A file is checked together with the environment, as it would be used.

    Raises:
        ConfigError: they are wrong by themselves; one line for each reason.
    """
    settings = load_settings(file)
    used = find_config(file, os.environ)
    console = open_console()
    findings = check_machine(settings.speech.options, probe_hardware())
    for finding in findings:
        place = settings.origin(f"speech.{finding.field}")
        console.print(f"{finding.level}: {one_line(str(finding))} (set in: {printable(place)})")
    if any(finding.level == "error" for finding in findings):
        return Exit.FAILED
    console.print(f"The settings are valid here: {printable(str(used)) if used else 'no file, the defaults'}")
    return Exit.DONE


def diff(old: Path, new: Path, *, as_json: bool) -> Exit:
    """Compare what two files say, whatever the environment has in their place.

    Raises:
        ConfigError: one of them can't be read.
    """
    changes = diff_settings(_read_alone(old), _read_alone(new))
    console = open_console()
    if as_json:
        print_json([asdict(change) for change in changes])
    elif not changes:
        console.print("They mean the same.")
    else:
        rows = [
            (one.field, one.old, one.new, "reloads the model" if one.needs_reload else "") for one in changes
        ]
        print_table(("setting", printable(str(old)), printable(str(new)), ""), rows)
    return Exit.DONE


def _read_alone(file: Path) -> Settings:
    return load_settings(file, {name: os.environ[name] for name in ("YIVIDEO_HOME",) if name in os.environ})


# PART cli/notify.py: `yivideo notify`: one notice by each channel, now, so that a person sees whether it arrives.


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
