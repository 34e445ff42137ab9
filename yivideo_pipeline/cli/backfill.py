"""`yivideo backfill`: shows which videos would be processed and how long it takes, then launches it."""

import re
import socket
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from getpass import getuser
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console

from yivideo_pipeline.cli.console import Exit, WrongUsage, moment, open_console, print_json, printable
from yivideo_pipeline.cli.folders import ledger_of
from yivideo_pipeline.cli.running_ui import ui_url
from yivideo_pipeline.defs.backfills.launch import daemon_runs, launch, withdraw_scheduled
from yivideo_pipeline.defs.backfills.plan import (
    Estimate,
    Estimator,
    describe_reasons,
    plan_by_hand,
    stale_causes,
)
from yivideo_pipeline.defs.backfills.selection import (
    BackfillFilter,
    BackfillReason,
    LeftOut,
    Selection,
    select_videos,
)
from yivideo_pipeline.defs.backfills.tick import PAUSED
from yivideo_pipeline.defs.cache_keys import current_keys
from yivideo_pipeline.defs.instance import open_instance
from yivideo_pipeline.defs.resources import Library
from yivideo_pipeline.errors.tree import ModelLoadError, YivideoError
from yivideo_pipeline.ledger import Ledger
from yivideo_pipeline.plurals import plural
from yivideo_pipeline.remote.client import choose_speech
from yivideo_pipeline.settings.load import load_settings
from yivideo_pipeline.settings.sections import HubSettings
from yivideo_pipeline.settings.settings import Settings
from yivideo_pipeline.settings.whisper_models import AUTO_MODEL
from yivideo_pipeline.speech.local_speech import LocalSpeech
from yivideo_pipeline.speech.model_choice import ModelChoice
from yivideo_pipeline.stages import stages_from

if TYPE_CHECKING:
    import dagster as dg

_SHOWN = 5
_AGO = re.compile(r"(\d+)([hdw])")
_COMMIT = re.compile("[0-9a-f]{40}")
_UNITS = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}


@dataclass(frozen=True)
class BackfillRequest:
    """What the command line asks for; `reasons` are names of `BackfillReason`."""

    reasons: Sequence[str]
    since: str | None
    match: str | None
    config: Path | None
    dry_run: bool
    yes: bool
    as_json: bool

    def filter(self) -> BackfillFilter:
        """Return the filter for the videos; by default that of the nightly schedule.

        Raises:
            WrongUsage: `since` is not a time.
        """
        reasons = frozenset(BackfillReason(name) for name in self.reasons)
        if not reasons and self.since is None and self.match is None:
            reasons = frozenset({BackfillReason.MISSING, BackfillReason.FAILED})
        return BackfillFilter(reasons, parse_since(self.since) if self.since else None, self.match)


def launch_backfill(request: BackfillRequest) -> Exit:
    """Show what would be done, ask for confirmation, and launch it.

    Raises:
        YivideoError: The request or the settings are wrong; nothing was launched.
    """
    wanted = request.filter()
    settings = load_settings(request.config)
    ledger = ledger_of(settings)
    console = open_console(stderr=request.as_json)
    with open_instance(settings.home, settings.storage.read_database_url()) as instance:
        selection = select_for(settings, instance, ledger, wanted)
        estimator = estimator_of(settings, ledger, selection)
        estimate, stale = estimator.total(selection.videos), stale_of(settings, ledger, selection, estimator)
        print_plan(console, selection, estimate, stale)
        launched: list[LaunchedBackfill] = []
        if not request.dry_run:
            launched = confirm_and_launch(request, settings, instance, selection, console)
    if request.as_json:
        print_json(as_json(selection, estimate, stale, launched))
    return Exit.DONE


def select_for(
    settings: Settings, instance: "dg.DagsterInstance", ledger: Ledger, wanted: BackfillFilter
) -> Selection:
    """Select the videos that a filter wants, by the settings as they are."""
    library = Library(settings.library.roots)
    return select_videos(instance, ledger, library, _cache_keys(settings, wanted), wanted)


def confirm_and_launch(
    request: BackfillRequest,
    settings: Settings,
    instance: "dg.DagsterInstance",
    selection: Selection,
    console: Console,
    only_look: str = "--dry-run",
) -> list["LaunchedBackfill"]:
    """Ask for confirmation, launch the backfills of the selected videos, and print what was launched.

    `only_look` is what the user may do instead.

    Raises:
        WrongUsage: Nobody can be asked.
    """
    if not selection.videos or not _is_confirmed(request, only_look):
        return []
    launched = _launch(instance, selection, ui_url(settings))
    print_launched(console, launched, daemon=daemon_runs(instance))
    _print_pause(console, ledger_of(settings))
    return launched


def pause_schedules(config: Path | None) -> Exit:
    """Keep the schedules from launching backfills, and cancel those of theirs that have not begun."""
    settings = load_settings(config)
    ledger_of(settings).flags.set(PAUSED, f"{getuser()}@{socket.gethostname()}")
    with open_instance(settings.home, settings.storage.read_database_url()) as instance:
        canceled = withdraw_scheduled(instance)
    open_console().print(
        "Paused: no schedule launches a backfill until `yivideo backfill --resume`."
        + (f" Their backfills that had not begun ({canceled}) are canceled for now." if canceled else "")
        + " Runs that have begun continue to their end, and so do backfills by hand."
    )
    return Exit.DONE


def resume_schedules(config: Path | None) -> Exit:
    """Let the schedules launch backfills again."""
    was_paused = ledger_of(load_settings(config)).flags.clear(PAUSED)
    open_console().print(
        "The schedules launch backfills again, at their next times."
        if was_paused
        else "The schedules were not paused."
    )
    return Exit.DONE


@dataclass(frozen=True)
class StaleVideos:
    """How many videos are stale for one cause, and the seconds of sound in them, as far as that is known."""

    because: str
    videos: int
    audio_s: float | None


@dataclass(frozen=True)
class LaunchedBackfill:
    """A backfill that was launched, and the URL of its page."""

    id: str
    url: str
    videos: int
    stages: tuple[str, ...]


def parse_since(text: str) -> float:
    """Parse `7d`, `12h`, `2w`, a date, or a date with time in this time zone; returns Unix seconds.

    Raises:
        WrongUsage: It is none of these.
    """
    if ago := _AGO.fullmatch(text.strip()):
        return (datetime.now() - int(ago[1]) * _UNITS[ago[2]]).timestamp()
    try:
        return datetime.fromisoformat(text.strip()).timestamp()
    except ValueError:
        raise WrongUsage(
            f"--since {text} is not a time", "Write 7d, 12h, 2w or a date such as 2026-11-20"
        ) from None


def estimator_of(
    settings: Settings,
    ledger: Ledger,
    selection: Selection,
    lengths_s: Mapping[str, float] = MappingProxyType({}),
) -> Estimator:
    """Return what estimates the work on videos by the model that the settings mean.

    Where a service has the models, its device is the one that it worked on last.
    """
    options, made = model_of(settings).options, ledger.materializations
    device = made.last_device(options.model_name) if settings.speech.service_url else None
    return Estimator(made, selection.registered, options, lengths_s, device)


def model_of(settings: Settings) -> ModelChoice:
    """Return the options with the model that the settings mean; as they are while a service is down."""
    options = settings.speech.options
    with suppress(YivideoError):
        return choose_speech(settings).choose(options)
    return ModelChoice(options)


def stale_of(
    settings: Settings, ledger: Ledger, selection: Selection, estimator: Estimator
) -> list[StaleVideos]:
    """Return why selected videos are stale, with the number of them and their length."""
    if not selection.reasons()[BackfillReason.STALE]:
        return []
    options = settings.speech.options
    revision = None
    with suppress(ModelLoadError):
        revision = _revision_now(settings)
    keys_now = current_keys(options, settings.subtitles, revision)
    weights = model_of(settings).options.model_name, revision or ""
    causes = stale_causes(ledger.materializations, selection, keys_now, weights)
    return [
        StaleVideos(cause, len(videos), estimator.total(videos).audio_s) for cause, videos in causes.items()
    ]


def _revision_now(settings: Settings) -> str:
    """Return the revision of the weights that the settings mean; nothing is downloaded for it.

    Raises:
        ModelLoadError: They are not on this machine, and their revision is not told by the settings.
    """
    options = settings.speech.options
    if options.model_revision and _COMMIT.fullmatch(options.model_revision):
        return options.model_revision
    offline = settings.model_copy(update={"hub": HubSettings(offline=True)})
    return LocalSpeech(offline).revision(options)


def _cache_keys(settings: Settings, wanted: BackfillFilter) -> Mapping[str, tuple[str, ...]]:
    """Return the cache keys that are up to date, as far as nothing has to be downloaded for them."""
    if not wanted.wants(BackfillReason.STALE):
        return {}
    options = settings.speech.options
    try:
        return current_keys(options, settings.subtitles, _revision_now(settings))
    except ModelLoadError as error:
        if options.model_name == AUTO_MODEL:
            return current_keys(options, settings.subtitles, None)
        if BackfillReason.STALE in wanted.reasons:
            raise ModelLoadError(
                f"Which videos are stale is not known without the weights of {options.model_name}",
                "`yivideo process` fetches them; --missing and --failed don't need them",
            ) from error
        return {}


def _is_confirmed(request: BackfillRequest, only_look: str) -> bool:
    if request.yes:
        return True
    if not sys.stdin.isatty():
        raise WrongUsage(
            "There is no terminal to ask for confirmation",
            f"Add --yes to launch it, or {only_look} to only look",
        )
    return typer.confirm("Launch it?", err=request.as_json)


def _launch(instance: "dg.DagsterInstance", selection: Selection, ui: str) -> list[LaunchedBackfill]:
    pages = f"{ui}/runs/b"
    return [
        LaunchedBackfill(
            order.backfill_id, f"{pages}/{order.backfill_id}", len(order.keys), tuple(order.stages)
        )
        for order in plan_by_hand(instance, selection)
        if launch(instance, order)
    ]


def _print_pause(console: Console, ledger: Ledger) -> None:
    if mark := ledger.flags.get(PAUSED):
        console.print(
            f"The schedules are paused since {moment(mark.since)} by {mark.value}; this backfill runs anyway."
        )


def print_plan(
    console: Console, selection: Selection, estimate: Estimate, stale: Sequence[StaleVideos]
) -> None:
    """Print which videos would be processed, why, from which stage on, and how long it takes."""
    if selection.videos:
        console.print(f"{plural(len(selection.videos), 'video')} to process: {describe_reasons(selection)}.")
        for one in stale:
            sound = "" if one.audio_s is None else f" with {duration(one.audio_s)} of sound"
            console.print(f"Stale: {plural(one.videos, 'video')}{sound}, since {one.because}.")
        for video in selection.videos[:_SHOWN]:
            console.print(f"  {video.reason}: {printable(video.key)}")
        if len(selection.videos) > _SHOWN:
            console.print(f"  … and {len(selection.videos) - _SHOWN} more")
        for start, keys in selection.by_start().items():
            console.print(
                f"Stages of {plural(len(keys), 'video')}: {', '.join(stages_from(start))};"
                " what exists already is reused."
            )
        console.print(format_estimate(estimate))
    else:
        console.print(f"Nothing to do among {plural(len(selection.registered), 'video')}.")
    print_left_out(console, selection)


def print_left_out(console: Console, selection: Selection) -> None:
    """Print how many videos fit and are left out, and why."""
    if selection.left_out:
        counts = Counter(selection.left_out.values())
        reasons = ", ".join(f"{counts[reason]} {reason}" for reason in LeftOut if counts[reason])
        console.print(f"Left out: {reasons}.")


def format_estimate(estimate: Estimate) -> str:
    """Describe how long it takes at most, if that is known."""
    if estimate.work_s is None or estimate.audio_s is None:
        return "How long it takes is not known yet: too little was processed with this model on this machine."
    guess = f", {plural(estimate.guessed, 'duration')} guessed" if estimate.guessed else ""
    return (
        f"At the usual speed: about {duration(estimate.work_s)}"
        f" for {duration(estimate.audio_s)} of audio{guess}."
    )


def print_launched(console: Console, launched: Sequence[LaunchedBackfill], *, daemon: bool) -> None:
    """Print what was launched, the URLs of its pages, and what it still needs."""
    for one in launched:
        console.print(f"Launched backfill {one.id}: {one.url}")
    if not daemon:
        console.print("It starts as soon as `yivideo up` runs.")


def as_json(
    selection: Selection,
    estimate: Estimate,
    stale: Sequence[StaleVideos],
    launched: Sequence[LaunchedBackfill],
) -> dict[str, Any]:
    """Return the plan and what was launched as JSON."""
    return {
        "registered": len(selection.registered),
        "videos": [{"key": one.key, "reason": one.reason, "start": one.start} for one in selection.videos],
        "left_out": [{"key": key, "reason": why} for key, why in selection.left_out.items()],
        "stale": [asdict(one) for one in stale],
        "estimate": asdict(estimate),
        "launched": [asdict(one) for one in launched],
    }


def duration(seconds: float) -> str:
    """Describe a time span for people."""
    if seconds < 90:
        return f"{round(seconds)} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02} min"
