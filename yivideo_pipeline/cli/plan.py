"""`yivideo plan`: what a backfill would cost in time, disk and money, before it is launched."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from rich.console import Console

from yivideo_pipeline.cli.backfill import (
    BackfillRequest,
    LaunchedBackfill,
    confirm_and_launch,
    duration,
    estimator_of,
    model_of,
    print_left_out,
    select_for,
)
from yivideo_pipeline.cli.console import Exit, file_size, open_console, print_json
from yivideo_pipeline.cli.folders import ledger_of
from yivideo_pipeline.cli.lookahead import LookAhead
from yivideo_pipeline.cli.preflight import AUDIO_BYTES_PER_S
from yivideo_pipeline.defs.backfills.plan import Estimate, Estimator, describe_reasons
from yivideo_pipeline.defs.backfills.selection import (
    FIRST_STAGE,
    BackfillFilter,
    BackfillReason,
    Candidate,
    Selection,
)
from yivideo_pipeline.defs.instance import open_instance
from yivideo_pipeline.defs.resources import Library
from yivideo_pipeline.errors.tree import YivideoError
from yivideo_pipeline.ledger import Ledger
from yivideo_pipeline.library.watch import open_watch
from yivideo_pipeline.machine.host import read_disk
from yivideo_pipeline.plurals import plural
from yivideo_pipeline.settings.load import load_settings
from yivideo_pipeline.settings.settings import Settings
from yivideo_pipeline.speech.model_choice import ModelChoice
from yivideo_pipeline.storage.artifacts import Storage
from yivideo_pipeline.storage.remote_paths import AnyPath

LOOK_S = 20.0
"""Seconds in which files that were never processed are opened for their length; the rest go by their size."""


@dataclass(frozen=True)
class Workload:
    """What a backfill takes, as far as it is known.

    Attributes:
        estimate: The work and the sound, if all has to be made, one video after the other.
        gpu_s: Seconds in which a GPU is in use; 0 where the models run on the CPU.
        disk_bytes: Decoded sound that will be stored, at most.
        gpu_hour_price: Price of a GPU hour, where one is given.
    """

    estimate: Estimate
    gpu_s: float | None
    disk_bytes: int | None
    gpu_hour_price: float | None = None

    @property
    def cost(self) -> float | None:
        """Price of the GPU hours."""
        if self.gpu_s is None or self.gpu_hour_price is None:
            return None
        return self.gpu_s / 3600 * self.gpu_hour_price


def plan_backfill(request: BackfillRequest, gpu_hour_price: float | None) -> Exit:
    """Print what a backfill would take; launch it where that is asked for and confirmed.

    Args:
        request: The videos, and whether to launch (`dry_run`: not).
        gpu_hour_price: In place of `backfills.gpu_hour_price`.

    Raises:
        YivideoError: The request or the settings are wrong; nothing was launched.
    """
    wanted = request.filter()
    settings = load_settings(request.config)
    ledger = ledger_of(settings)
    console = open_console(stderr=request.as_json)
    price = settings.backfills.gpu_hour_price if gpu_hour_price is None else gpu_hour_price
    model = model_of(settings)
    launched: Sequence[LaunchedBackfill] = ()
    with open_instance(settings.home, settings.storage.read_database_url()) as instance:
        selection = select_for(settings, instance, ledger, wanted)
        planned = _with_new(settings, ledger, selection, wanted)
        lengths_s = _read_lengths(settings, ledger, planned)
        workload = weigh(estimator_of(settings, ledger, planned, lengths_s), planned, price)
        _print(console, settings, planned, workload, model)
        if not request.dry_run:
            launched = confirm_and_launch(
                request, settings, instance, selection, console, "leave out --launch"
            )
    if request.as_json:
        print_json(_as_json(planned, workload, model, launched))
    return Exit.DONE


def weigh(estimator: Estimator, selection: Selection, gpu_hour_price: float | None) -> Workload:
    """Return what the work on the selected videos takes."""
    gpu = [estimator.gpu_seconds(video) for video in selection.videos]
    decoded = [estimator.length_s(video) for video in selection.videos if "audio" in video.stages]
    return Workload(
        estimator.total(selection.videos),
        None if None in gpu else sum(one for one in gpu if one is not None),
        None if None in decoded else round(sum(one or 0.0 for one in decoded) * AUDIO_BYTES_PER_S),
        gpu_hour_price,
    )


def _with_new(settings: Settings, ledger: Ledger, selection: Selection, wanted: BackfillFilter) -> Selection:
    """Add the videos that the watch has not taken yet: it does so by itself, fifty at a time."""
    if not wanted.wants(BackfillReason.MISSING) or wanted.since is not None:
        return selection
    watch = open_watch(settings, ledger, Storage(settings.storage.root, settings.home / "tmp"))
    known = {*selection.left_out, *(video.key for video in selection.videos)}
    coming = [key for key in watch.coming() if key not in known and wanted.fits(key)]
    new = (Candidate(key, BackfillReason.NEW, FIRST_STAGE) for key in coming)
    return replace(selection, videos=(*selection.videos, *new))


def _read_lengths(settings: Settings, ledger: Ledger, selection: Selection) -> dict[str, float]:
    """Open the files whose length the ledger does not know; those that can't be opened have none."""
    keys = [video.key for video in selection.videos]
    known, library = ledger.materializations.durations(keys), Library(settings.library.roots)
    unknown: dict[AnyPath, str] = {}
    for key in keys:
        if key not in known and (path := _path_of(library, key)):
            unknown[path] = key
    with LookAhead() as ahead:
        ahead.begin(list(unknown))
        found = ahead.estimate_durations(LOOK_S)
    return {unknown[path]: length_s for path, length_s in found.items() if length_s}


def _path_of(library: Library, key: str) -> "AnyPath | None":
    try:
        return library.path_of(key)
    except YivideoError:  # the run reports it
        return None


def _print(
    console: Console, settings: Settings, selection: Selection, workload: Workload, model: ModelChoice
) -> None:
    if not selection.videos:
        console.print(f"Nothing to do among {plural(len(selection.registered), 'video')}.")
        print_left_out(console, selection)
        return
    estimate = workload.estimate
    guessed = f", {plural(estimate.guessed, 'duration')} guessed" if estimate.guessed else ""
    rows = {
        "videos": f"{len(selection.videos)}: {describe_reasons(selection)}",
        "sound": f"about {duration(estimate.audio_s)}{guessed}" if estimate.audio_s else "not known yet",
        "model": model.sentence,
        "work": _span(estimate.work_s, ", one video after the other, if nothing of it is there yet"),
        "GPU": "none: the models run on the CPU" if workload.gpu_s == 0 else _span(workload.gpu_s),
        "disk": _describe_disk(settings, workload),
        "cost": _describe_cost(workload),
    }
    for name, text in rows.items():
        console.print(f"{name:7} {text}")
    print_left_out(console, selection)
    if new := selection.reasons()[BackfillReason.NEW]:
        console.print(f"The watch takes {plural(new, 'new video')} by itself; a backfill has none of them.")


def _span(seconds: float | None, supposing: str = "") -> str:
    if seconds is None:
        return "not known yet: too little was processed with this model on this machine"
    return f"about {duration(seconds)}{supposing}"


def _describe_disk(settings: Settings, workload: Workload) -> str:
    if workload.disk_bytes is None:
        return "not known yet"
    needed = f"about {file_size(workload.disk_bytes)} of decoded sound" if workload.disk_bytes else "little"
    if "://" in settings.storage.root:
        return f"{needed} in {settings.storage.root}"
    free = read_disk(Path(settings.storage.root)).free_bytes
    scarce = ": too little" if workload.disk_bytes > free else ""
    return f"{needed}; {file_size(free)} are free{scarce}"


def _describe_cost(workload: Workload) -> str:
    if workload.gpu_hour_price is None:
        return "no price is given: --gpu-hour-price, or backfills.gpu_hour_price in the settings"
    if workload.cost is None:
        return "not known yet"
    return f"{workload.cost:.2f}, at {workload.gpu_hour_price:g} a GPU hour"


def _as_json(
    selection: Selection, workload: Workload, model: ModelChoice, launched: Sequence[LaunchedBackfill]
) -> dict[str, object]:
    return {
        "registered": len(selection.registered),
        "videos": len(selection.videos),
        "reasons": dict(selection.reasons()),
        "left_out": len(selection.left_out),
        "model": model.options.model_name,
        "model_choice": model.reason or None,
        **asdict(workload.estimate),
        "gpu_s": workload.gpu_s,
        "disk_bytes": workload.disk_bytes,
        "gpu_hour_price": workload.gpu_hour_price,
        "cost": workload.cost,
        "launched": [asdict(one) for one in launched],
    }
