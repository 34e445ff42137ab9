"""`yivideo why`: what the watch does with a file, why, and what the ledger knows of the video."""

import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from yivideo_pipeline.cli.console import (
    Exit,
    WrongUsage,
    file_size,
    moment,
    open_console,
    print_json,
    printable,
    sentences,
)
from yivideo_pipeline.cli.folders import ledger_of
from yivideo_pipeline.cli.named_videos import read_key
from yivideo_pipeline.cli.quarantine import failure_as_json, quarantined_as_json
from yivideo_pipeline.cli.running_ui import ui_url
from yivideo_pipeline.history.instance import find_instance
from yivideo_pipeline.ledger import Ledger
from yivideo_pipeline.ledger.failures import Quarantined, StageFailure
from yivideo_pipeline.ledger.materializations import Materialization
from yivideo_pipeline.ledger.workers import AtWork
from yivideo_pipeline.library.decisions import Action, Reason
from yivideo_pipeline.library.outcome import Explanation
from yivideo_pipeline.library.watch import open_watch
from yivideo_pipeline.plurals import plural
from yivideo_pipeline.settings.load import load_settings
from yivideo_pipeline.settings.options import SpeechOptions
from yivideo_pipeline.settings.settings import Settings
from yivideo_pipeline.speech.engine import short_revision
from yivideo_pipeline.stages import STAGES
from yivideo_pipeline.storage.artifacts import Storage
from yivideo_pipeline.storage.partition_keys import absolute_path
from yivideo_pipeline.storage.remote_paths import AnyPath, to_path

if TYPE_CHECKING:
    from yivideo_pipeline.history.run_queue import VideoRun

_VERDICTS: dict[Action, str] = {
    "take": "to be processed: the next scan takes it, while `yivideo up` runs",
    "take_again": "to be processed again: the next scan takes it, while `yivideo up` runs",
    "known": "known",
    "wait": "waiting",
    "skip": "skipped",
    "retire": "to be removed",
    "hold": "out of reach",
}


@dataclass(frozen=True)
class StageAccount:
    """What a stage made last; `stale` says why it would make something else now, if that is known."""

    made: Materialization
    stale: str | None


@dataclass(frozen=True)
class RunAccount:
    """The latest run that worked on the video; times are Unix seconds."""

    run_id: str
    outcome: str
    at: float
    url: str


@dataclass(frozen=True)
class Account:
    """All that is known of one video.

    `streak` is how many runs failed one after the other, `pending` the run that makes it (again): it waits,
    or has just begun.
    """

    key: str
    stages: tuple[StageAccount, ...]
    last_run: RunAccount | None
    at_work: AtWork | None
    failed: StageFailure | None
    streak: int
    quarantined: Quarantined | None
    pending: "VideoRun | None" = None


def explain(path: Path, config: Path | None, *, as_json: bool) -> Exit:
    """Print what the watch does with a file and why, and what was made of it; nothing is changed.

    Args:
        path: The file; it may have been deleted.
        config: Settings file.
        as_json: Print one JSON object.

    Raises:
        ConfigError: The settings can't be read.
        WrongUsage: It is a folder, or neither exists nor is known.
    """
    settings = load_settings(config)
    video = to_path(path)
    if video.is_dir():
        raise WrongUsage(
            f"{printable(str(path))} is a folder",
            "Name a file in it; `yivideo process` makes subtitles for a whole folder",
        )
    ledger = ledger_of(settings)
    storage = Storage(settings.storage.root, settings.home / "tmp")
    explanation = open_watch(settings, ledger, storage).explain(video)
    record = explanation.record
    account = account_of(read_key(video, settings.library.roots), ledger, settings)
    if not account.at_work and (account.failed or (record and record.taken and not account.last_run)):
        account = replace(account, pending=_find_run(account.key, settings))
    is_there = os.path.lexists(video) if isinstance(video, Path) else video.exists()
    if not (is_there or record or account.last_run):
        raise WrongUsage(f"There is no {printable(str(video))}", "Check the path")
    if as_json:
        print_json(_as_json(video, explanation, account))
    else:
        lines = list(_lines(video, explanation, account))
        width = max(len(label) for label, _ in lines)
        for label, text in lines:
            open_console().print(f"{label:{width}}  {printable(text)}")
    return Exit.DONE


def account_of(key: str, ledger: Ledger, settings: Settings) -> Account:
    """Read what the ledger knows of a video."""
    made, failed = ledger.materializations.of(key), ledger.failures.last(key)
    return Account(
        key,
        stages=_stages(made, settings),
        last_run=_last_run(made, failed, ui_url(settings)),
        at_work=ledger.workers.at_work(key),
        failed=failed,
        streak=ledger.failures.streak(key),
        quarantined=ledger.failures.find_quarantined(key),
    )


def _find_run(key: str, settings: Settings) -> "VideoRun | None":
    """Ask Dagster, which takes a second."""
    if (instance := find_instance(settings.home)) is None:
        return None
    from yivideo_pipeline.history.run_queue import read_runs

    with instance:
        return read_runs(instance).runs.get(key)


def _stages(made: Mapping[str, Materialization], settings: Settings) -> tuple[StageAccount, ...]:
    if not made:
        return ()
    from yivideo_pipeline.defs.cache_keys import current_keys

    options, subtitles = settings.speech.options, settings.subtitles
    now, revision = current_keys(options, subtitles, None), None
    transcript = made.get("transcript")
    if transcript and transcript.recipe not in now.get("transcript", ()):  # finding the weights takes a while
        revision = _revision(options, settings.cache.model_dir)
        now = current_keys(options, subtitles, revision)
    content = made["video"].video_hash if "video" in made else None
    return tuple(
        StageAccount(made[stage], _why_stale(made[stage], now.get(stage, ()), content, revision))
        for stage in STAGES
        if stage in made
    )


def _why_stale(
    made: Materialization, recipes: Sequence[str], content: str | None, revision: str | None
) -> str | None:
    if content and made.video_hash != content:
        return "the video was changed since"
    if not recipes or made.recipe in recipes:
        return None
    if made.recipe.partition(".")[0] != recipes[0].partition(".")[0]:
        return "the program makes something else of it now"
    if made.chosen:
        return None
    if made.stage == "transcript" and revision and made.revision not in (None, revision):
        return f"its weights were of revision {short_revision(made.revision)}"
    return "the settings have changed since"


def _revision(options: SpeechOptions, model_dir: Path) -> str | None:
    """Return the revision of a model's weights; None where they are not on this machine."""
    from yivideo_pipeline.speech.model_choice import ModelChooser
    from yivideo_pipeline.speech.weights import find_weights, weights_status

    chosen = ModelChooser(model_dir, offline=True).choose(options).options
    name, pinned = chosen.model_name, chosen.model_revision
    if weights_status(name, model_dir, revision=pinned, offline=True).state != "present":
        return None
    return find_weights(name, model_dir, revision=pinned, offline=True).revision


def _last_run(made: Mapping[str, Materialization], failed: StageFailure | None, ui: str) -> RunAccount | None:
    latest = max(made.values(), key=lambda one: one.made_at, default=None)
    if failed and failed.run_id and (latest is None or failed.at >= latest.made_at):
        run_id, outcome, at = failed.run_id, f"failed at the {failed.stage}", failed.at
    elif latest:
        done = "subtitles" in made and made["subtitles"].run_id == latest.run_id
        outcome = "subtitles were made" if done else f"got as far as the {latest.stage}"
        run_id, at = latest.run_id, latest.made_at
    else:
        return None
    return RunAccount(run_id, outcome, at, f"{ui}/runs/{run_id}")


def _as_json(path: AnyPath, explanation: Explanation, account: Account) -> dict[str, Any]:
    decision, run = explanation.decision, account.pending
    return {
        "path": str(absolute_path(path)),
        "action": decision.action,
        "why": decision.reason.name,
        "reason": decision.reason.sentence,
        "detail": decision.detail,
        "file": explanation.record and asdict(explanation.record),
        "key": account.key,
        "stages": [asdict(stage) for stage in account.stages],
        "last_run": account.last_run and asdict(account.last_run),
        "at_work": account.at_work and _at_work_as_json(account.at_work),
        "pending": run and {"run_id": run.run_id, "place": run.place},
        "failed": account.failed and failure_as_json(account.failed),
        "streak": account.streak,
        "quarantined": account.quarantined and quarantined_as_json(account.quarantined),
    }


def _at_work_as_json(now: AtWork) -> dict[str, Any]:
    return {"stage": now.stage, "run_id": now.root_id, "since": now.since, "fraction": now.fraction}


def _lines(path: AnyPath, explanation: Explanation, account: Account) -> Iterator[tuple[str, str]]:
    decision = explanation.decision
    yield "watch", sentences(_VERDICTS[decision.action], str(decision))
    if decision.reason is Reason.OUTSIDE:
        yield "", f"`yivideo process {shlex.quote(str(path))}` makes its subtitles."
    yield "partition", account.key
    if record := explanation.record:
        yield "file", f"{file_size(record.size_bytes)}, changed {moment(record.mtime_ns / 1e9)}"
    if now := account.at_work:
        share = "" if now.fraction is None else f" ({now.fraction:.0%} of it done)"
        yield "at work", f"{now.stage}, since {moment(now.since)}{share}"
    elif account.pending or (record and record.taken and account.last_run is None):
        place = account.pending.place if account.pending else None
        waits = "it waits for its next try" if account.failed else "it was taken, and its run is queued"
        yield "at work", f"not yet: {waits}{f', place {place} in the queue' if place else ''}"
    for stage in account.stages:
        yield stage.made.stage, _describe(stage)
    if run := account.last_run:
        yield "last run", f"{moment(run.at)}, {run.outcome}: {run.url}"
    yield from _failures(account)


def _describe(stage: StageAccount) -> str:
    made = stage.made
    parts = [f"{'reused' if made.reused else 'made'} {moment(made.made_at)}", *_engine(made)]
    if stage.stale:
        parts.append(f"stale: {stage.stale}")
    return ", ".join(parts)


def _engine(made: Materialization) -> Iterator[str]:
    if made.model:
        yield f"{made.model} in {made.compute_type} on {made.device}"
    if made.rtfx:
        yield f"{made.rtfx:.1f} × real time"


def _failures(account: Account) -> Iterator[tuple[str, str]]:
    if failed := account.failed:
        attempts = plural(failed.attempts, "attempt")
        problem = sentences(failed.message, failed.hint)
        yield (
            "last try" if account.pending else "failure",
            f"{moment(failed.at)}, {failed.stage}, {attempts}: {problem}",
        )
        if account.streak > 1:
            yield "", f"{account.streak} runs failed one after the other."
    if quarantined := account.quarantined:
        release = f"yivideo quarantine release {shlex.quote(account.key)}"
        yield "quarantined", f"since {moment(quarantined.since)}; `{release}` or a changed file ends that."
