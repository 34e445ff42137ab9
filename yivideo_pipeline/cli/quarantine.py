"""`yivideo quarantine`: the videos that are set aside, and how they come back."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

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
from yivideo_pipeline.ledger.failures import Quarantined
from yivideo_pipeline.settings.load import load_settings
from yivideo_pipeline.settings.tree import Settings
from yivideo_pipeline.storage.partition_keys import key_of


def list_quarantine(config: Path | None, *, as_json: bool) -> Exit:
    """Print the videos that are set aside, the latest first, each with its reason.

    Raises:
        ConfigError: the settings can't be read.
    """
    settings = load_settings(config)
    aside = list(ledger_of(settings.home).failures.quarantined().values())
    if as_json:
        print_json([asdict(one) for one in aside])
    elif not aside:
        open_console().print("No video is set aside.")
    else:
        print_table(("video", "since", "stage", "attempts", "reason"), [_row(one) for one in aside])
        open_console().print("`yivideo quarantine release VIDEO` takes one up again; so does a new file.")
    return Exit.DONE


def release_videos(names: Sequence[str], config: Path | None, *, everything: bool) -> Exit:
    """Take videos out of quarantine: those that are named, or all.

    Args:
        names: Files or partition keys.
        config: Settings file.
        everything: All that are set aside, and no names.

    Raises:
        ConfigError: the settings can't be read.
        WrongUsage: a name is of no video that is set aside; none is released then.
    """
    if everything == bool(names):
        raise WrongUsage("It is not said which videos to release", "Name them, or give --all")
    settings = load_settings(config)
    ledger = ledger_of(settings.home)
    aside = ledger.failures.quarantined()
    keys = list(aside) if everything else _keys_of(names, aside, settings)
    released = ledger.failures.release(keys)
    # Their files are as they were: only one that the watch does not know is taken.
    ledger.files.forget(released)
    _tell(released, settings)
    return Exit.DONE


def _keys_of(names: Sequence[str], aside: dict[str, Quarantined], settings: Settings) -> list[str]:
    """Turn files and keys into keys; a name that is both is the key, which the list shows."""
    keys = {name: name if name in aside else _key_of(name, settings) for name in names}
    unknown = [printable(name) for name, key in keys.items() if key not in aside]
    if unknown:
        raise WrongUsage(f"Not set aside: {', '.join(unknown)}", "`yivideo quarantine` lists those that are")
    return list(dict.fromkeys(keys.values()))


def _key_of(name: str, settings: Settings) -> str:
    try:
        return key_of(Path(name), settings.library.roots)
    except ValueError as error:
        raise WrongUsage(str(error)) from error


def _tell(released: Sequence[str], settings: Settings) -> None:
    console = open_console()
    for key in released:
        console.print(f"released: {printable(key)}")
    if not released:
        console.print("No video is set aside.")
        return
    watched = sum(not key.startswith("/") for key in released)
    if watched:
        console.print(
            f"While `yivideo up` runs, the sensor new_videos takes {_videos(watched)} as new,"
            f" at one of its looks every {settings.library.poll_s} s; `yivideo process FILE` does it now."
        )
    if watched < len(released):
        console.print(
            f"In no library root: {_videos(len(released) - watched)}; `yivideo process FILE` takes them up."
        )


def _videos(count: int) -> str:
    return "1 video" if count == 1 else f"{count} videos"


def _row(one: Quarantined) -> tuple[str, ...]:
    failed = one.failed
    return (one.key, moment(one.since), failed.stage, str(failed.attempts), one_line(failed.message))
