"""Where Dagster's UI is: `yivideo up` notes it in the home folder, and commands print links to it."""

import json
import os
from pathlib import Path
from typing import TypedDict

from yivideo_pipeline.settings.settings import Settings


class RunningUi(TypedDict):
    """Process and addresses of the last `yivideo up` of a home folder."""

    pid: int
    url: str
    service_url: str


def note_ui(home: Path, url: str, service_url: str) -> None:
    """Note the UI and the service that this process is about to start."""
    running = RunningUi(pid=os.getpid(), url=url, service_url=service_url)
    _note_of(home).write_text(json.dumps(running), encoding="utf-8")


def last_ui(home: Path) -> RunningUi | None:
    """Return what the last `yivideo up` noted; None before the first one, and while one notes it."""
    try:
        return json.loads(_note_of(home).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None


def ui_url(settings: Settings) -> str:
    """Return the address for links: that of the settings, or else that of the last `yivideo up`."""
    last = last_ui(settings.home) if settings.origin("notices.ui_url") == "default" else None
    return (last["url"] if last else settings.notices.ui_url).rstrip("/")


def _note_of(home: Path) -> Path:
    return home / "dagster" / "up.json"
