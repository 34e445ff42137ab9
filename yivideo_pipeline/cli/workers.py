"""`yivideo workers`: what each process is at work on now, on all hosts that share the database."""

import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from yivideo_pipeline.cli.console import Exit, clock, open_console, print_json, print_table
from yivideo_pipeline.cli.folders import ledger_of
from yivideo_pipeline.ledger.workers import BusyWorker
from yivideo_pipeline.settings.load import load_settings


def show_workers(config: Path | None, *, as_json: bool) -> Exit:
    """Print the processes at work.

    Raises:
        ServiceUnreachable: The database does not answer.
    """
    workers = ledger_of(load_settings(config)).workers.busy()
    if as_json:
        print_json({"workers": [asdict(one) for one in workers]})
    else:
        print_workers(workers)
    return Exit.DONE


def print_workers(workers: Sequence[BusyWorker]) -> None:
    """Print a table of processes at work; one line where there are none."""
    if not workers:
        open_console().print("Nothing is being worked on.")
        return
    now = time.time()
    rows = [
        (
            one.host,
            str(one.pid),
            one.key,
            one.stage,
            "–" if one.fraction is None else f"{one.fraction:.0%}",
            clock(now - one.since),
            "–" if one.silent_s is None else f"{one.silent_s:.0f} s ago",
        )
        for one in workers
    ]
    numbers = ("process", "done", "for")
    print_table(("host", "process", "video", "stage", "done", "for", "sign of life"), rows, numbers=numbers)
