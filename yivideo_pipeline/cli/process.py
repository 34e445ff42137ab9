"""`yivideo process`: check first, then one video after the other, then say what was made."""

import json
import logging
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

from rich.console import Console

from yivideo_pipeline.cli.choices import Choices, Chosen
from yivideo_pipeline.cli.exits import Exit
from yivideo_pipeline.cli.interrupts import Interrupts
from yivideo_pipeline.cli.logs import open_log
from yivideo_pipeline.cli.outcome import Failure, Outcome, summarize
from yivideo_pipeline.cli.preflight import Plan, Video, prepare
from yivideo_pipeline.cli.progress import Reporter, choose_reporter, fetching_bar
from yivideo_pipeline.cli.report import print_report
from yivideo_pipeline.cli.text import clock, one_line, open_console
from yivideo_pipeline.cli.videos import Found, find_videos
from yivideo_pipeline.defs.speech import LocalSpeech
from yivideo_pipeline.errors.classify import classify
from yivideo_pipeline.errors.tree import TaskCancelled, YivideoError
from yivideo_pipeline.settings.environment import apply_environment
from yivideo_pipeline.settings.load import load_settings
from yivideo_pipeline.settings.model import Settings
from yivideo_pipeline.speech.weights import find_weights
from yivideo_pipeline.storage.artifacts import Storage

log = logging.getLogger(__name__)

TRIGGER = {"yivideo/trigger": "cli"}


def process_videos(
    paths: Sequence[Path], choices: Choices, output_dir: Path | None, config: Path | None, *, as_json: bool
) -> Exit:
    """Make subtitles for all videos that the paths name.

    Raises:
        YivideoError: something would stop the work; nothing was begun then.
    """
    people = open_console(stderr=as_json)
    interrupts = Interrupts()
    started = perf_counter()

    def answer() -> None:
        people.print("Stopping. What is finished is kept; Ctrl-C once more ends at once.")

    try:
        with interrupts.heard(answer):
            work = _prepare(paths, choices, output_dir, config, people, as_json=as_json)
            outcomes = work.run(interrupts)
    except YivideoError as error:
        if as_json:
            _write_json({**summarize([], perf_counter() - started), "error": asdict(Failure.of(error))})
        raise
    except KeyboardInterrupt:
        people.print("Stopped before the first video; nothing was changed.")
        return Exit.INTERRUPTED
    print_report(people, outcomes)
    if as_json:
        _write_json({**summarize(outcomes, perf_counter() - started), "error": None})
    if interrupts.asked:
        people.print(_say_stopped(outcomes))
        return Exit.INTERRUPTED
    return Exit.FAILED if any(one.status == "failed" for one in outcomes) else Exit.DONE


@dataclass(frozen=True)
class Work:
    """All that was decided before the first video."""

    settings: Settings
    chosen: Chosen
    plan: Plan
    found: Found
    speech: LocalSpeech
    output_dir: Path | None
    people: Console
    live: bool

    def run(self, interrupts: Interrupts) -> list[Outcome]:
        """Process the videos in order; one that fails harms no other."""
        from yivideo_pipeline.defs.instance import close_abandoned_runs, open_instance
        from yivideo_pipeline.defs.launch import Listener
        from yivideo_pipeline.defs.processing import Processor
        from yivideo_pipeline.defs.resources import build_resources

        outcomes = [Outcome(path, "failed", failure=Failure.of(error)) for path, error in self.found.closed]
        with (
            open_instance(self.settings.home) as instance,
            choose_reporter(self.people, self.plan, live=self.live) as reporter,
        ):
            close_abandoned_runs(instance)
            resources = build_resources(self.settings, self.speech, Listener(reporter.advance))
            processor = Processor(instance, resources)
            for video in self.plan.videos:
                if interrupts.asked:
                    outcomes.append(Outcome(video.path, "not_started"))
                    continue
                outcomes.append(self._process(video, processor, reporter, interrupts))
        return outcomes

    def _process(self, video: Video, processor: Any, reporter: Reporter, interrupts: Interrupts) -> Outcome:
        if blocked := self.plan.blocked.get(video.path.parent):
            outcome = Outcome(video.path, "failed", failure=Failure.of(blocked))
        else:
            reporter.begin(video)
            outcome = self._run_pipeline(video, processor, interrupts)
        reporter.finish(outcome)
        return outcome

    def _run_pipeline(self, video: Video, processor: Any, interrupts: Interrupts) -> Outcome:
        try:
            processed = processor.process(
                video.key,
                self.chosen.speech_given,
                self.chosen.subtitles_given,
                self.output_dir,
                TRIGGER,
            )
        except BaseException as error:
            known = classify(error, video=video.key)
            if interrupts.asked and isinstance(known, TaskCancelled):
                return Outcome(video.path, "interrupted")
            if not isinstance(error, Exception):
                raise
            log.exception("%s could not be processed", video.key)
            return Outcome(video.path, "failed", failure=Failure.of(known))
        return Outcome.of_run(video.path, processed)


def _prepare(
    paths: Sequence[Path],
    choices: Choices,
    output_dir: Path | None,
    config: Path | None,
    people: Console,
    *,
    as_json: bool,
) -> Work:
    settings = load_settings(config)
    chosen = choices.over(settings)
    found = find_videos(paths, settings.library.extensions, _own_folders(settings))
    open_log(settings.home)
    apply_environment(settings)
    speech = LocalSpeech(settings)
    folder = output_dir.expanduser().absolute() if output_dir else None
    plan = prepare(settings, chosen, found.videos, folder, speech)
    live = sys.stdout.isatty() and people.is_terminal
    for warning in plan.warnings:
        people.print(f"warning: {one_line(warning)}")
    if live:
        people.print(f"Videos: {len(plan.videos)}, sound: {clock(plan.duration_s)}")
    work = Work(settings, chosen, plan, found, speech, folder, people, live)
    if plan.weights.state == "fetchable":
        _fetch_weights(work)
    return work


def _fetch_weights(work: Work) -> None:
    """Get the weights before the first video: its bar would stand still all the while."""
    name, token = work.chosen.speech.model_name, work.settings.hub.read_token()
    work.people.print(f"Fetching the weights of model {name}, {work.plan.weights.reason}")
    bar, advance = fetching_bar(work.people, name, live=work.live)
    with bar:
        find_weights(
            name,
            work.settings.cache.model_dir,
            token=token.get_secret_value() if token else None,
            offline=work.settings.hub.offline,
            progress=advance,
        )


def _own_folders(settings: Settings) -> set[Path]:
    """Folders of our own: artifacts hold decoded sound, which is no video to process."""
    own = {settings.cache.model_dir, *(settings.home / name for name in ("dagster", "logs", "tmp"))}
    artifacts = Storage(settings.storage.root, settings.home / "tmp").files.folder
    return own | ({artifacts} if artifacts else set())


def _say_stopped(outcomes: Sequence[Outcome]) -> str:
    done = sum(one.status == "done" for one in outcomes)
    return (
        f"Stopped: {done} of {len(outcomes)} videos are done and their subtitles written."
        " Finished stages of the others are kept: the same command goes on from there."
    )


def _write_json(summary: dict[str, Any]) -> None:
    # ASCII: valid whatever the terminal's character set, and for names that are no UTF-8.
    sys.stdout.write(json.dumps(summary, indent=2) + "\n")
