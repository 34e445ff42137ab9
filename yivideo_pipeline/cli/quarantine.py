"""`yivideo quarantine`: lists the videos that are quarantined, and releases them."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from yivideo_pipeline.cli.console import (
    Exit,
    WrongUsage,
    moment,
    one_line,
    open_console,
    print_json,
    print_table,
    printable,
)
from yivideo_pipeline.cli.folders import ledger_of
from yivideo_pipeline.cli.named_videos import read_keys
from yivideo_pipeline.ledger.failures import Quarantined, StageFailure
from yivideo_pipeline.plurals import plural
from yivideo_pipeline.settings.load import load_settings
from yivideo_pipeline.storage.partition_keys import is_outside


def list_quarantine(config: Path | None, *, as_json: bool) -> Exit:
    """Print the quarantined videos, the latest first, each with its reason.

    Raises:
        ConfigError: The settings can't be read.
    """
    settings = load_settings(config)
    quarantined = list(ledger_of(settings).failures.quarantined().values())
    if as_json:
        print_json([quarantined_as_json(one) for one in quarantined])
    elif not quarantined:
        open_console().print("No video is quarantined.")
    else:
        print_table(("video", "since", "stage", "attempts", "reason"), [_row(one) for one in quarantined])
        open_console().print("`yivideo quarantine release VIDEO` releases one; so does a changed file.")
    return Exit.DONE


def release_videos(names: Sequence[str], config: Path | None, *, everything: bool) -> Exit:
    """Release videos from quarantine: those that are named, or all.

    Args:
        names: Files or partition keys.
        config: Settings file.
        everything: Release all; no names then.

    Raises:
        ConfigError: The settings can't be read.
        WrongUsage: A name is not that of a quarantined video; none is released then.
    """
    if everything == bool(names):
        raise WrongUsage("It is not clear which videos to release", "Name them, or give --all")
    settings = load_settings(config)
    ledger = ledger_of(settings)
    quarantined = ledger.failures.quarantined()
    keys = list(quarantined)
    if not everything:
        keys = read_keys(
            names,
            settings.library.roots,
            quarantined.__contains__,
            complaint="Not quarantined:",
            hint="`yivideo quarantine` lists those that are",
        )
    released = ledger.failures.release(keys)
    # Their files are unchanged: the watch takes only files that it does not know.
    ledger.files.forget(released)
    _print_released(released, settings.library.poll_s)
    return Exit.DONE


def quarantined_as_json(one: Quarantined) -> dict[str, Any]:
    """Return a quarantined video, with the failure that it is quarantined for."""
    return {
        "key": one.key,
        "failed": failure_as_json(one.failure),
        "since": one.since,
        "size_bytes": one.size_bytes,
        "mtime_ns": one.mtime_ns,
    }


def failure_as_json(failure: StageFailure) -> dict[str, Any]:
    """Return all that is known of a failure of a video."""
    return {name: value for name, value in asdict(failure).items() if name != "overcome"}


def _print_released(released: Sequence[str], poll_s: float) -> None:
    console = open_console()
    for key in released:
        console.print(f"released: {printable(key)}")
    if not released:
        console.print("No video is quarantined.")
        return
    watched = sum(not is_outside(key) for key in released)
    if watched:
        console.print(
            f"While `yivideo up` runs, the sensor new_videos takes {plural(watched, 'video')} as new,"
            f" in one of its scans every {poll_s} s; `yivideo process FILE` does it now."
        )
    if watched < len(released):
        console.print(
            f"In no library root: {plural(len(released) - watched, 'video')};"
            " `yivideo process FILE` processes them."
        )


def _row(one: Quarantined) -> tuple[str, ...]:
    failed = one.failure
    return (one.key, moment(one.since), failed.stage, str(failed.attempts), one_line(failed.message))
