"""`yivideo forget`: takes videos out of the list, with or without what was made of them."""

from collections.abc import Sequence
from pathlib import Path

from yivideo_pipeline.cli.console import Exit, WrongUsage, open_console, print_problem, printable
from yivideo_pipeline.cli.folders import ledger_of
from yivideo_pipeline.cli.named_videos import read_keys
from yivideo_pipeline.history.instance import find_instance
from yivideo_pipeline.ledger.known_videos import find_known
from yivideo_pipeline.settings.load import load_settings
from yivideo_pipeline.storage.artifacts import Storage


def forget_videos(names: Sequence[str], config: Path | None, *, results: bool) -> Exit:
    """Forget videos; one that is being made is left as it is, and said.

    Args:
        names: Files or partition keys.
        config: Settings file.
        results: Whether what was made of them is removed too.

    Raises:
        ConfigError: The settings can't be read.
        WrongUsage: Nothing is known of one of them; none is forgotten then.
    """
    if not names:
        raise WrongUsage("No video is named", "yivideo forget FILE")
    settings = load_settings(config)
    ledger, console = ledger_of(settings), open_console()
    keys = read_keys(
        names,
        settings.library.roots,
        lambda key: bool(find_known(ledger.engine, [key])),
        complaint="Nothing is known of",
        hint="The library page lists all videos",
    )
    from yivideo_pipeline.history.run_queue import find_busy, forget_video  # Dagster takes a second to import

    instance = find_instance(settings.home)
    storage = Storage(settings.storage.root, settings.home / "tmp")
    busy = find_busy(keys, ledger, instance)
    for key in keys:
        if key in busy:
            print_problem(f"{printable(key)}: it is being made; cancel that first")
            continue
        forget_video(key, ledger, storage, instance, with_results=results)
        console.print(f"forgotten: {printable(key)}")
    console.print(
        "Files, subtitles beside them and corrections by hand stay. `yivideo process FILE` makes it anew."
    )
    return Exit.FAILED if busy else Exit.DONE
