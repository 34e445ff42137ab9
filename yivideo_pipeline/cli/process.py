"""`yivideo process`: check first, then make subtitles, then say what was made."""

import json
import logging
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

from rich.console import Console

from yivideo_pipeline.cli.console import Exit, clock, one_line, open_console, open_log
from yivideo_pipeline.cli.preflight import Choices, Chosen, Plan, Video, find_videos, prepare
from yivideo_pipeline.cli.progress import Reporter, choose_reporter, fetching_bar
from yivideo_pipeline.cli.report import Failure, Outcome, print_report, summarize
from yivideo_pipeline.cli.signals import Interrupts
from yivideo_pipeline.errors.classify import classify
from yivideo_pipeline.errors.tree import TaskCancelled, YivideoError
from yivideo_pipeline.library.scan import own_folders
from yivideo_pipeline.remote.client import RemoteSpeech, choose_speech
from yivideo_pipeline.settings.load import apply_environment, load_settings
from yivideo_pipeline.settings.model import Settings
from yivideo_pipeline.speech.loading import LocalSpeech
from yivideo_pipeline.speech.weights import find_weights

if TYPE_CHECKING:
    from yivideo_pipeline.defs.runner import Processor

# PART cli/work.py: The work on the videos: one after the other, each for itself.

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Work:
    """All that was decided before the first video.

    `output_dir` is absolute; without it subtitles lie beside their video. `live` is whether a person
    watches `people`, the console for them.
    """

    settings: Settings
    chosen: Chosen
    plan: Plan
    speech: LocalSpeech | RemoteSpeech
    output_dir: Path | None
    people: Console
    live: bool

    def fetch_weights(self) -> None:
        """Get the weights if they are not here yet; a video's own bar would stand still all the while.

        Raises:
            YivideoError: they can't be had.
        """
        if self.plan.weights.state == "present":
            return
        name, token = self.chosen.speech.model_name, self.settings.hub.read_token()
        self.people.print(f"Fetching the weights of model {name}, {self.plan.weights.reason}")
        bar, advance = fetching_bar(self.people, name, live=self.live)
        with bar:
            find_weights(
                name,
                self.settings.cache.model_dir,
                token=token.get_secret_value() if token else None,
                offline=self.settings.hub.offline,
                progress=advance,
            )

    def run(self, interrupts: Interrupts) -> list[Outcome]:
        """Process the videos in order; one that fails harms no other."""
        from yivideo_pipeline.defs.instance import close_abandoned_runs, limit_models, open_instance
        from yivideo_pipeline.defs.resources import Listener, build_resources
        from yivideo_pipeline.defs.runner import Processor

        outcomes: list[Outcome] = []
        with (
            open_instance(self.settings.home) as instance,
            choose_reporter(self.people, self.plan, live=self.live) as reporter,
        ):
            limit_models(instance, self.settings.runs.gpu_slots, raise_only=True)
            close_abandoned_runs(instance)
            resources = build_resources(self.settings, self.speech, Listener(reporter.advance))
            processor = Processor(instance, resources)
            for video in self.plan.videos:
                outcomes.append(self._process(video, processor, reporter, interrupts))
                if interrupts.asked or outcomes[-1].status == "interrupted":
                    break
        return outcomes + [Outcome(left.path, "not_started") for left in self.plan.videos[len(outcomes) :]]

    def _process(
        self, video: Video, processor: "Processor", reporter: Reporter, interrupts: Interrupts
    ) -> Outcome:
        if blocked := self.plan.blocked.get(video.path.parent):
            outcome = Outcome(video.path, "failed", failure=Failure.of(blocked))
        else:
            reporter.begin(video)
            outcome = self._run_pipeline(video, processor, interrupts)
        reporter.finish(outcome)
        return outcome

    def _run_pipeline(self, video: Video, processor: "Processor", interrupts: Interrupts) -> Outcome:
        try:
            processed = processor.process(
                video.key,
                self.chosen.speech_given,
                self.chosen.subtitles_given,
                self.output_dir,
            )
        except BaseException as error:
            known = classify(error, video=video.key)
            if isinstance(known, TaskCancelled):
                return Outcome(video.path, "interrupted")
            if not isinstance(error, Exception):
                raise
            log.exception("%s could not be processed", video.key)
            return Outcome(video.path, "failed", failure=Failure.of(known))
        if interrupts.asked and not processed.success:
            return Outcome(video.path, "interrupted")  # between two stages Dagster calls it a failure
        return Outcome.of_run(video.path, processed)


@dataclass(frozen=True)
class Request:
    """What the command line asks for."""

    paths: Sequence[Path]
    choices: Choices
    output_dir: Path | None
    config: Path | None
    as_json: bool


def process_videos(request: Request) -> Exit:
    """Make subtitles for all videos that the request names.

    Raises:
        YivideoError: something would stop the work; nothing was begun then.
    """
    people = open_console(stderr=request.as_json)
    interrupts = Interrupts()
    started = perf_counter()

    def answer(time: int) -> None:
        if time == 1:
            people.print("Stopping. What is finished is kept; Ctrl-C once more ends at once.")
        else:
            people.show_cursor()  # which the bars hide

    try:
        with interrupts.heard(answer):
            outcomes = _make_subtitles(request, people, interrupts)
    except KeyboardInterrupt:
        outcomes = []  # later ones end the work in order
    except YivideoError as error:
        if request.as_json:
            _write_json(summarize([], perf_counter() - started, Failure.of(error)))
        raise
    print_report(people, outcomes)
    if request.as_json:
        _write_json(summarize(outcomes, perf_counter() - started))
    if interrupts.asked:
        people.print(_say_kept(outcomes))
        return Exit.INTERRUPTED
    return Exit.FAILED if any(one.status == "failed" for one in outcomes) else Exit.DONE


def _make_subtitles(request: Request, people: Console, interrupts: Interrupts) -> list[Outcome]:
    settings = load_settings(request.config)
    chosen = request.choices.over(settings)
    found = find_videos(request.paths, settings.library.extensions, own_folders(settings))
    open_log(settings.home)
    apply_environment(settings)
    speech = choose_speech(settings)
    output_dir = request.output_dir.expanduser().absolute() if request.output_dir else None
    plan = prepare(settings, chosen, found.videos, output_dir, speech)
    live = sys.stdout.isatty() and people.is_terminal
    for warning in plan.warnings:
        people.print(f"warning: {one_line(warning)}")
    if live:
        people.print(f"Videos: {len(plan.videos)}, sound: {clock(plan.duration_s)}")
    work = Work(settings, chosen, plan, speech, output_dir, people, live)
    work.fetch_weights()
    closed = [Outcome(folder, "failed", failure=Failure.of(error)) for folder, error in found.closed]
    return closed + work.run(interrupts)


def _say_kept(outcomes: Sequence[Outcome]) -> str:
    if not outcomes:
        return "Stopped before the first video."
    done = sum(one.status == "done" for one in outcomes)
    return (
        f"Stopped: {done} of {len(outcomes)} videos are done and their subtitles written."
        " Finished stages of the others are kept: the same command goes on from there."
    )


def _write_json(summary: dict[str, Any]) -> None:
    # ASCII: valid whatever the terminal's character set, and for names that are no UTF-8.
    sys.stdout.write(json.dumps(summary, indent=2) + "\n")
