"""`yivideo process`: check everything first, then make subtitles video by video, then report."""

import logging
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

from rich.console import Console

from yivideo_pipeline.cli.console import Exit, clock, one_line, open_console, print_json
from yivideo_pipeline.cli.logs import open_log
from yivideo_pipeline.cli.lookahead import LookAhead
from yivideo_pipeline.cli.preflight import (
    FoundVideos,
    PlannedVideo,
    ProcessOptions,
    ProcessPlan,
    find_videos,
    plan_videos,
)
from yivideo_pipeline.cli.progress import choose_reporter, weights_bar
from yivideo_pipeline.cli.report import VideoFailure, VideoOutcome, print_report, summarize
from yivideo_pipeline.cli.signals import StopRequest, end_at_once
from yivideo_pipeline.errors.classify import classify
from yivideo_pipeline.errors.tree import SystemFault, TaskCancelled
from yivideo_pipeline.library.ignore import own_folders
from yivideo_pipeline.machine.garbage import importing
from yivideo_pipeline.plurals import plural
from yivideo_pipeline.remote.client import RemoteSpeech, choose_speech
from yivideo_pipeline.settings.load import apply_environment, load_settings
from yivideo_pipeline.settings.options import differences
from yivideo_pipeline.settings.sections import HubSettings
from yivideo_pipeline.settings.settings import Settings
from yivideo_pipeline.speech.local_speech import LocalSpeech
from yivideo_pipeline.speech.weights import find_weights

if TYPE_CHECKING:
    from yivideo_pipeline.defs.runner import Processor

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ProcessRequest:
    """What the command line asks for; options by name, None where they are left to the settings."""

    paths: Sequence[Path]
    speech: dict[str, Any]
    subtitles: dict[str, Any]
    output_dir: Path | None
    config: Path | None
    as_json: bool


def process_videos(request: ProcessRequest) -> Exit:
    """Make subtitles for all videos that the request names.

    Raises:
        YivideoError: Something would stop the work; nothing was started then.
    """
    messages = open_console(stderr=request.as_json)
    started = perf_counter()

    def announce_stop() -> None:
        messages.print("Stopping. Finished stages are kept; press Ctrl-C again to end at once.")

    def end() -> None:
        messages.show_cursor()  # the bars hide it
        end_at_once()

    stop = StopRequest(announce_stop, end)
    outcomes: list[VideoOutcome] = []
    try:
        with stop.listening(interrupt=True), LookAhead() as ahead:
            outcomes = _prepare(request, messages, ahead).run(stop)
    except KeyboardInterrupt:
        pass  # it came before the first video; later ones end the work in order
    except Exception as error:
        if request.as_json:
            print_json(summarize([], perf_counter() - started, VideoFailure.of(classify(error))))
        raise
    print_report(messages, outcomes)
    if request.as_json:
        print_json(summarize(outcomes, perf_counter() - started))
    if stop.received:
        messages.print(_describe_stop(outcomes))
        return Exit.INTERRUPTED
    return Exit.FAILED if any(one.status == "failed" for one in outcomes) else Exit.DONE


@dataclass(frozen=True)
class _Session:
    """All that was decided before the first video.

    `output_dir` is absolute; without it subtitles lie beside their video. `messages` is the console for the
    user, `live` whether they watch it on a terminal.
    """

    settings: Settings
    options: ProcessOptions
    found: FoundVideos
    plan: ProcessPlan
    speech: LocalSpeech | RemoteSpeech
    ahead: LookAhead
    output_dir: Path | None
    messages: Console
    live: bool

    def run(self, stop: StopRequest) -> list[VideoOutcome]:
        """Process the videos in order; one that fails does not harm the others."""
        with importing():
            from yivideo_pipeline.defs.instance import close_abandoned_runs, limit_models, open_instance
            from yivideo_pipeline.defs.launch import Listener
            from yivideo_pipeline.defs.resources import build_resources
            from yivideo_pipeline.defs.runner import Processor

        outcomes = [
            VideoOutcome(folder, "failed", failure=VideoFailure.of(error))
            for folder, error in self.found.unreadable
        ]
        left = list(self.plan.videos)
        with (
            open_instance(self.settings.home, self.settings.storage.read_database_url()) as instance,
            choose_reporter(self.messages, self.plan, live=self.live) as reporter,
        ):
            limit_models(instance, self.settings.runs.gpu_slots, raise_only=True)
            close_abandoned_runs(instance)
            resources = build_resources(
                self.settings, self.speech, Listener(reporter.advance), writes_anywhere=True
            )
            processor = Processor(instance, resources)
            while left and not (stop.received or (outcomes and outcomes[-1].status == "interrupted")):
                video = left.pop(0)
                reporter.begin(video)
                outcomes.append(self._process(video, processor, stop))
                reporter.finish(outcomes[-1])
        return outcomes + [VideoOutcome(video.path, "not_started") for video in left]

    def _process(self, video: PlannedVideo, processor: "Processor", stop: StopRequest) -> VideoOutcome:
        if blocked := self.plan.blocked.get(video.path) or self.plan.blocked.get(video.path.parent):
            return VideoOutcome(video.path, "failed", failure=VideoFailure.of(blocked))
        try:
            if refused := self.ahead.refusal_of(video.path):
                processor.refuse(video.key, refused)
                return VideoOutcome(video.path, "failed", failure=VideoFailure.of(refused))
            processed = processor.process(
                video.key,
                differences(self.options.speech, self.settings.speech.options),
                differences(self.options.subtitles, self.settings.subtitles),
                self.output_dir,
            )
        except BaseException as error:
            known = classify(error, video=video.key)
            if isinstance(known, TaskCancelled):
                return VideoOutcome(video.path, "interrupted")
            if not isinstance(error, Exception):
                raise
            unforeseen = error if type(known) is SystemFault else None
            log.error("%s could not be processed: %s", video.key, known, exc_info=unforeseen)
            return VideoOutcome(video.path, "failed", failure=VideoFailure.of(known))
        if stop.received and not processed.success:
            return VideoOutcome(video.path, "interrupted")  # between two stages Dagster calls it a failure
        return VideoOutcome.of_run(video.path, processed)


def _prepare(request: ProcessRequest, messages: Console, ahead: LookAhead) -> _Session:
    """Check all that can be checked before the first video, and fetch the weights."""
    settings = load_settings(request.config)
    defaults = ProcessOptions(settings.speech.options, settings.subtitles)
    options = defaults.override(request.speech, request.subtitles)
    found = find_videos(request.paths, settings.library.extensions, own_folders(settings))
    open_log(settings.home)
    apply_environment(settings)
    speech = choose_speech(settings)
    output_dir = request.output_dir.expanduser().absolute() if request.output_dir else None
    plan = plan_videos(settings, options.speech, found.videos, output_dir, speech, ahead)
    live = sys.stdout.isatty() and messages.is_terminal
    for warning in plan.warnings:
        messages.print(f"warning: {one_line(warning)}")
    if live:
        messages.print(f"Videos: {len(plan.videos)}, audio: {clock(plan.duration_s)}")
    if plan.model.reason:
        messages.print(f"Model: {plan.model.sentence}")
    if plan.weights.state != "present":
        name = plan.model.options.model_name
        messages.print(f"Fetching the weights of model {name}, {plan.weights.reason}")
        bar, advance = weights_bar(messages, name, live=live)
        with bar:  # the first video's bar would stand still meanwhile
            _fetch_weights(name, settings.cache.model_dir, settings.hub, advance)
    return _Session(settings, options, found, plan, speech, ahead, output_dir, messages, live)


def _fetch_weights(
    model_name: str, model_dir: Path, hub: HubSettings, progress: Callable[[float], None]
) -> None:
    """Fetch the weights of a model.

    Raises:
        YivideoError: They can't be had.
    """
    token = hub.read_token()
    find_weights(
        model_name,
        model_dir,
        token=token.get_secret_value() if token else None,
        offline=hub.offline,
        progress=progress,
    )


def _describe_stop(outcomes: Sequence[VideoOutcome]) -> str:
    if not outcomes:
        return "Stopped before the first video."
    done = sum(one.status == "done" for one in outcomes)
    verb = "is" if len(outcomes) == 1 else "are"
    return (
        f"Stopped: {done} of {plural(len(outcomes), 'video')} {verb} done, with the subtitles written."
        " Finished stages of the others are kept: the same command continues from there."
    )
