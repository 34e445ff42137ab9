"""A home with a library of processed videos, some with names that are hard to show."""

import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from shutil import copyfile

from tests.cli.command import run, settings
from tests.service.server import SAMPLES, Server, run_server

TALK = "harbour talk.mp4"
ODD = '<b>"bold" & it\'s</b>.mp4'.replace("/", "∕")
CHINESE = "产品介绍.mp4"
NO_UTF8 = os.fsdecode(b"caf\xe9.mp4")
BROKEN = "broken.mp4"
NO_DAGSTER = "http://127.0.0.1:9"
"""No server listens on this port."""
GOOD = (TALK, ODD, CHINESE, NO_UTF8)


@contextmanager
def run_filled_server(home: Path, model_dir: Path) -> Generator[Server]:
    """Process the videos by the command, then run the service on the same home until the block ends."""
    inbox = home / "inbox"
    inbox.mkdir(parents=True)
    for name in GOOD:
        copyfile(SAMPLES / "harbour-15s.mp4", inbox / name)
    (inbox / BROKEN).write_bytes((SAMPLES / "harbour-15s.mp4").read_bytes()[:2000])
    processed = run(settings(home, model_dir), "process", inbox)
    assert processed.returncode == 1, processed.stderr  # the broken one alone fails
    with run_server(home, model_dir, YIVIDEO_SERVICE__DAGSTER_URL=NO_DAGSTER) as server:
        yield server
