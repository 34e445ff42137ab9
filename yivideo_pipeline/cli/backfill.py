"""`yivideo backfill`: say what would be made of many videos and how long it takes, then launch it."""

import re
import socket
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from getpass import getuser
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console

from yivideo_pipeline.cli.console import Exit, WrongUsage, moment, open_console, print_json, printable
from yivideo_pipeline.cli.folders import require_writable
from yivideo_pipeline.defs.backfills.estimate import Estimate, Estimator
from yivideo_pipeline.defs.backfills.schedules import PAUSED, count_videos, orders_by_hand, say_reasons
from yivideo_pipeline.defs.backfills.selection import LeftOut, Reason, Selection, Wish, select
from yivideo_pipeline.defs.cache_keys import recipes
from yivideo_pipeline.defs.dagster_internals import daemon_runs, launch, take_back_scheduled
from yivideo_pipeline.defs.instance import open_instance
from yivideo_pipeline.defs.resources import Library
from yivideo_pipeline.errors.tree import ModelLoadError
from yivideo_pipeline.ledger.database import open_ledger
from yivideo_pipeline.ledger.ledger import Ledger
from yivideo_pipeline.settings.load import load_settings
from yivideo_pipeline.settings.sections import HubSettings
from yivideo_pipeline.settings.tree import Settings
from yivideo_pipeline.speech.loading import LocalSpeech
from yivideo_pipeline.stages import stages_from

if TYPE_CHECKING:
    import dagster as dg

# PART cli/backfill_plan.py: What `yivideo backfill` says: what would be done, how long it takes, what was launched.

_SHOWN = 5


@dataclass(frozen=True)
class Launched:
    """A backfill that was launched, and where its page is."""

    id: str
    url: str
    videos: int
    stages: tuple[str, ...]


def print_plan(people: Console, selection: Selection, estimate: Estimate) -> None:
    """Say which videos would be made, from which stage on, and how long it takes."""
    if selection.videos:
        people.print(f"{count_videos(len(selection.videos))} to make: {say_reasons(selection)}.")
        for video in selection.videos[:_SHOWN]:
            people.print(f"  {video.reason}: {printable(video.key)}")
        if len(selection.videos) > _SHOWN:
            people.print(f"  … and {len(selection.videos) - _SHOWN} more")
        for start, keys in selection.by_start().items():
            people.print(
                f"Stages of {count_videos(len(keys))}: {', '.join(stages_from(start))};"
                " what is made already is reused."
            )
        people.print(say_estimate(estimate))
    else:
        people.print(f"Nothing to do among {count_videos(len(selection.registered))}.")
    if selection.left_out:
        counts = Counter(selection.left_out.values())
        told = ", ".join(f"{counts[why]} {why}" for why in LeftOut if counts[why])
        people.print(f"Left out: {told}.")


def say_estimate(estimate: Estimate) -> str:
    """Say how long it takes at most, if that is known."""
    if estimate.work_s is None or estimate.audio_s is None:
        return "How long it takes is not known yet: too little was made with this model on this machine."
    guess = f", {estimate.guessed} lengths guessed" if estimate.guessed else ""
    return (
        f"At the usual speed: about {_span(estimate.work_s)} for {_span(estimate.audio_s)} of sound{guess}."
    )


def print_launched(people: Console, launched: Sequence[Launched], *, daemon: bool) -> None:
    """Say what was launched, where to watch it, and what it still needs."""
    for one in launched:
        people.print(f"Launched backfill {one.id}: {one.url}")
    if not daemon:
        people.print("It starts as soon as `yivideo up` runs.")


def as_json(selection: Selection, estimate: Estimate, launched: Sequence[Launched]) -> dict[str, Any]:
    """Return the same for programs."""
    return {
        "registered": len(selection.registered),
        "videos": [{"key": one.key, "reason": one.reason, "start": one.start} for one in selection.videos],
        "left_out": [{"key": key, "reason": why} for key, why in selection.left_out.items()],
        "estimate": asdict(estimate),
        "launched": [asdict(one) for one in launched],
    }


def _span(seconds: float) -> str:
    if seconds < 90:
        return f"{round(seconds)} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02} min"


# PART cli/ledger.py: Opens the ledger for a command.


def ledger_of(settings: Settings) -> Ledger:
    """Open the ledger of the settings' home folder, made on first use.

    Raises:
        DiskError: the folder can't be written, which also who only reads has to do once.
    """
    require_writable(settings.home, "Set YIVIDEO_HOME to a folder that you may write")
    return Ledger(open_ledger(settings.home))


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
    ledger = ledger_of(settings.home)
    people = open_console(stderr=request.as_json)
    with open_instance(settings.home) as instance:
        selection = select(instance, ledger, Library(settings.library.roots), _recipes(settings, wish), wish)
        estimate = Estimator(ledger.made, selection.registered, settings.speech.options).total(
            selection.videos
        )
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
    ledger_of(settings.home).marks.set(PAUSED, f"{getuser()}@{socket.gethostname()}")
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
    was_paused = ledger_of(load_settings(config).home).marks.clear(PAUSED)
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
        return recipes(settings, LocalSpeech(offline).revision(settings.speech.options))
    except ModelLoadError as error:
        if Reason.STALE in wish.reasons:
            raise ModelLoadError(
                f"Which videos are stale can't be told without the weights of {settings.speech.options.model_name}",
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
