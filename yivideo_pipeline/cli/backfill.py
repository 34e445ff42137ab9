"""`yivideo backfill`: say what would be made of many videos and how long it takes, then launch it."""

import re
import socket
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from getpass import getuser
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.console import Console

from yivideo_pipeline.cli.backfill_plan import Launched, as_json, print_launched, print_plan
from yivideo_pipeline.cli.console import moment, open_console
from yivideo_pipeline.cli.exits import Exit, WrongUsage
from yivideo_pipeline.cli.ledger import ledger_of
from yivideo_pipeline.cli.tables import print_json
from yivideo_pipeline.defs.backfills.estimate import Estimator
from yivideo_pipeline.defs.backfills.launch import daemon_runs, launch, take_back_scheduled
from yivideo_pipeline.defs.backfills.orders import orders_by_hand
from yivideo_pipeline.defs.backfills.selection import Reason, Selection, Wish, select
from yivideo_pipeline.defs.backfills.tick import PAUSED
from yivideo_pipeline.defs.cache_keys import recipes
from yivideo_pipeline.defs.instance import open_instance
from yivideo_pipeline.defs.resources import Library
from yivideo_pipeline.errors.tree import ModelLoadError
from yivideo_pipeline.ledger.ledger import Ledger
from yivideo_pipeline.settings.load import load_settings
from yivideo_pipeline.settings.model import HubSettings, Settings
from yivideo_pipeline.speech.local_speech import LocalSpeech

if TYPE_CHECKING:
    import dagster as dg

_AGO = re.compile(r"(\d+)([hdw])")
_UNITS = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}


@dataclass(frozen=True)
class Request:
    """What the command line asks for; `reasons` are names of `Reason`."""

    reasons: Sequence[str]
    since: str | None
    match: str | None
    config: Path | None
    dry_run: bool
    yes: bool
    as_json: bool

    def wish(self) -> Wish:
        """Return what is wanted; without any choice what the nightly schedule would do.

        Raises:
            WrongUsage: `since` is no time.
        """
        reasons = frozenset(Reason(name) for name in self.reasons)
        if not reasons and self.since is None and self.match is None:
            reasons = frozenset({Reason.MISSING, Reason.FAILED})
        return Wish(reasons, parse_since(self.since) if self.since else None, self.match)


def backfill(request: Request) -> Exit:
    """Show what would be done, ask, and launch it.

    Raises:
        YivideoError: something is wrong with what was asked, or with the settings; nothing was launched.
    """
    wish = request.wish()
    settings = load_settings(request.config)
    ledger = ledger_of(settings)
    people = open_console(stderr=request.as_json)
    with open_instance(settings.home) as instance:
        selection = select(instance, ledger, Library(settings.library.roots), _recipes(settings, wish), wish)
        estimate = Estimator(ledger.made, selection.registered, settings.speech).total(selection.videos)
        print_plan(people, selection, estimate)
        launched: list[Launched] = []
        if selection.videos and not request.dry_run and _agreed(request):
            launched = _launch(instance, selection, settings)
            print_launched(people, launched, daemon=daemon_runs(instance))
            _tell_pause(people, ledger)
    if request.as_json:
        print_json(as_json(selection, estimate, launched))
    return Exit.DONE


def pause(config: Path | None) -> Exit:
    """Keep the schedules from launching anything, and take back what waits of what they launched."""
    settings = load_settings(config)
    ledger_of(settings).marks.set(PAUSED, f"{getuser()}@{socket.gethostname()}")
    with open_instance(settings.home) as instance:
        taken = take_back_scheduled(instance)
    open_console().print(
        "Paused: no schedule launches a backfill until `yivideo backfill --resume`."
        + (f" What still waited of theirs ({taken}) is taken back, and found again later." if taken else "")
        + " A run that has begun goes on to its end, and so do backfills by hand."
    )
    return Exit.DONE


def resume(config: Path | None) -> Exit:
    """Let the schedules launch backfills again."""
    was_paused = ledger_of(load_settings(config)).marks.clear(PAUSED)
    open_console().print(
        "The schedules launch backfills again, at their next times."
        if was_paused
        else "They were not paused."
    )
    return Exit.DONE


def parse_since(text: str) -> float:
    """Return the time that somebody wrote, as `7d`, `12h`, `2w`, a date, or a date and time of this zone.

    Raises:
        WrongUsage: it is none of these.
    """
    if ago := _AGO.fullmatch(text.strip()):
        return (datetime.now() - int(ago[1]) * _UNITS[ago[2]]).timestamp()
    try:
        return datetime.fromisoformat(text.strip()).timestamp()
    except ValueError:
        raise WrongUsage(
            f"--since {text} is no time", "Write 7d, 12h, 2w or a date such as 2026-11-20"
        ) from None


def _recipes(settings: Settings, wish: Wish) -> Mapping[str, str]:
    """The recipes of today, as far as they can be told without downloading anything."""
    if not wish.wants(Reason.STALE):
        return {}
    offline = settings.model_copy(update={"hub": HubSettings(offline=True)})
    try:
        return recipes(settings, LocalSpeech(offline).revision(settings.speech))
    except ModelLoadError as error:
        if Reason.STALE in wish.reasons:
            raise ModelLoadError(
                f"Which videos are stale can't be told without the weights of {settings.speech.model_name}",
                "`yivideo process` fetches them; --missing and --failed do without",
            ) from error
        return {}


def _agreed(request: Request) -> bool:
    if request.yes:
        return True
    if not sys.stdin.isatty():
        raise WrongUsage("Nobody is here to be asked", "Add --yes to launch it, or --dry-run to only look")
    return typer.confirm("Launch it?", err=request.as_json)


def _launch(instance: "dg.DagsterInstance", selection: Selection, settings: Settings) -> list[Launched]:
    ui = settings.notices.ui_url.rstrip("/")
    return [
        Launched(order.backfill_id, f"{ui}/runs/b/{order.backfill_id}", len(order.keys), tuple(order.stages))
        for order in orders_by_hand(instance, selection)
        if launch(instance, order)
    ]


def _tell_pause(people: Console, ledger: Ledger) -> None:
    if mark := ledger.marks.get(PAUSED):
        people.print(f"The schedules are paused since {moment(mark.since)} by {mark.value}; this one is not.")
