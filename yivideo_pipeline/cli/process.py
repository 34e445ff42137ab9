"""`yivideo process`: check everything first, then make subtitles, short videos together, then report."""

import logging
import sys
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

from rich.console import Console

from yivideo_pipeline.cli.console import Exit, clock, one_line, open_console, print_json
from yivideo_pipeline.cli.finished import FinishedVideos, state_of
from yivideo_pipeline.cli.folders import ledger_of
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
from yivideo_pipeline.cli.progress import Lines, Reporter, choose_reporter, single_bar
from yivideo_pipeline.cli.report import VideoFailure, VideoOutcome, print_report, summarize
from yivideo_pipeline.cli.signals import StopRequest, end_at_once
from yivideo_pipeline.defs.processed import Processed
from yivideo_pipeline.errors.classify import classify
from yivideo_pipeline.errors.tree import ConfigValidationError, SystemFault, TaskCancelled, YivideoError
from yivideo_pipeline.library.ignore import own_folders
from yivideo_pipeline.machine.garbage import importing
from yivideo_pipeline.machine.heap import share_one_heap
from yivideo_pipeline.machine.openmp import let_waiting_threads_sleep
from yivideo_pipeline.plurals import plural
from yivideo_pipeline.remote.client import RemoteSpeech, choose_speech
from yivideo_pipeline.settings.load import apply_environment, load_settings
from yivideo_pipeline.settings.options import SpeechOptions, differences
from yivideo_pipeline.settings.settings import Settings
from yivideo_pipeline.settings.vocabulary import open_vocabulary
from yivideo_pipeline.speech.local_speech import LocalSpeech
from yivideo_pipeline.speech.weights import find_weights, token_of
from yivideo_pipeline.storage.artifacts import Storage
from yivideo_pipeline.storage.partition_keys import absolute_path, key_of
from yivideo_pipeline.storage.remote_paths import AnyPath, to_path

if TYPE_CHECKING:
    from yivideo_pipeline.defs.runner import Processor

log = logging.getLogger(__name__)

SHORT_S = 30.0
"""Videos up to this duration, what the model reads at once, share a run; longer ones have it to themselves,
so that each has its subtitles as early as it can."""
TOGETHER_S = 300.0
"""The most seconds of videos that share a run: half a minute of work on two cores with the model base. Their
subtitles come at its end, which Ctrl-C keeps from being reached."""


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
    share_one_heap()
    let_waiting_threads_sleep()
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

    `done` are the videos for which there is nothing to do, `plan` what is to be done for the others, if there
    are any. `output_dir` is absolute; without it subtitles lie beside their video. `messages` is the console
    for the user, `live` whether they watch it on a terminal.
    """

    settings: Settings
    options: ProcessOptions
    found: FoundVideos
    finished: FinishedVideos
    done: dict[AnyPath, VideoOutcome]
    plan: ProcessPlan | None
    speech: LocalSpeech | RemoteSpeech
    ahead: LookAhead
    output_dir: "AnyPath | None"
    messages: Console
    live: bool

    def run(self, stop: StopRequest) -> list[VideoOutcome]:
        """Process the videos; one that fails does not harm the others. The outcomes are in their order."""
        outcomes = dict(self.done)
        lines = Lines(self.messages, len(self.found.videos))
        lines.finish(list(self.done.values()))
        if self.plan:
            outcomes |= self._run(self.plan, lines, stop)
        unreadable = [
            VideoOutcome(folder, "failed", failure=VideoFailure.of(error))
            for folder, error in self.found.unreadable
        ]
        return unreadable + [
            outcomes.get(path) or VideoOutcome(path, "not_started") for path in self.found.videos
        ]

    def _run(self, plan: ProcessPlan, lines: Lines, stop: StopRequest) -> dict[AnyPath, VideoOutcome]:
        """Run the pipeline on the videos that have something to do; those not begun are left out."""
        if plan.needs_it_soon:  # while Dagster is imported and the sound is decoded, a core is free
            self.speech.prepare(plan.model.options)
        with importing():
            from yivideo_pipeline.defs.instance import close_abandoned_runs, limit_models, open_instance
            from yivideo_pipeline.defs.launch import Listener
            from yivideo_pipeline.defs.resources import build_resources
            from yivideo_pipeline.defs.runner import Processor

        with (
            open_instance(self.settings.home, self.settings.storage.read_database_url()) as instance,
            choose_reporter(self.messages, plan, lines, live=self.live) as reporter,
        ):
            limit_models(instance, self.settings.runs.gpu_slots, raise_only=True)
            listener = Listener(reporter.advance, lambda: stop.received)
            resources = build_resources(self.settings, self.speech, listener, writes_anywhere=True)
            close_abandoned_runs(instance, ledger=resources["ledger"].workers)
            return self._process_groups(plan, Processor(instance, resources), reporter, stop)

    def _process_groups(
        self, plan: ProcessPlan, processor: "Processor", reporter: Reporter, stop: StopRequest
    ) -> dict[AnyPath, VideoOutcome]:
        """Process the videos in order, short ones together, until all are done or the user asks to stop."""
        outcomes: dict[AnyPath, VideoOutcome] = {}

        def finish(ended: Sequence[VideoOutcome]) -> None:
            outcomes.update((one.path, one) for one in ended)
            reporter.finish(ended)

        waiting = deque(plan.videos)
        with suppress(KeyboardInterrupt):  # between two runs
            while waiting and not stop.received:
                group: list[PlannedVideo] = []
                while waiting:
                    if refused := self._refusal_of(waiting[0], plan, processor):
                        path = waiting.popleft().path
                        finish([VideoOutcome(path, "failed", failure=VideoFailure.of(refused))])
                    elif fits(waiting[0], group, self.settings.runs.group_size):
                        group.append(waiting.popleft())
                    else:
                        break
                if group:  # not all were refused
                    reporter.begin(group)
                    for ended in self._process(group, processor, stop):
                        finish(ended)
        return outcomes

    def _refusal_of(
        self, video: PlannedVideo, plan: ProcessPlan, processor: "Processor"
    ) -> YivideoError | None:
        """Return why a video needs no run: it can't be processed."""
        if blocked := plan.blocked.get(video.path) or plan.blocked.get(video.path.parent):
            return blocked
        try:
            if refused := self.ahead.refusal_of(video.path):
                processor.refuse(video.key, refused)
            return refused
        except Exception as error:  # noqa: BLE001 - it fails this video alone
            return _known(video.key, error)

    def _process(
        self, group: Sequence[PlannedVideo], processor: "Processor", stop: StopRequest
    ) -> Iterator[list[VideoOutcome]]:
        """Process videos that may share runs; yield what became of those of each run."""
        from yivideo_pipeline.defs.runner import LaunchOptions

        options = LaunchOptions(
            differences(self.options.speech, self.settings.speech.options),
            differences(self.options.subtitles, self.settings.subtitles),
            self.output_dir,
        )
        left = {video.key: video.path for video in group}
        before = {video.key: state_of(video.path) for video in group}
        try:
            for run in processor.process_all(list(left), options):
                for one in run:
                    if one.success:
                        self.finished.note(left[one.partition_key], before[one.partition_key], one)
                yield [_outcome_of(left.pop(one.partition_key), one, stop) for one in run]
                if stop.received:
                    return
        except BaseException as error:
            known = _known(group[0].key, error)
            if isinstance(known, TaskCancelled):
                yield [VideoOutcome(path, "interrupted") for path in left.values()]
            elif isinstance(error, Exception):
                yield [VideoOutcome(path, "failed", failure=VideoFailure.of(known)) for path in left.values()]
            else:
                raise


def _outcome_of(path: AnyPath, processed: Processed, stop: StopRequest) -> VideoOutcome:
    if processed.interrupted or (stop.received and not processed.success):
        return VideoOutcome(path, "interrupted")  # between two stages Dagster calls it a failure
    return VideoOutcome.of_run(path, processed)


def _known(key: str, error: BaseException) -> YivideoError:
    """Return what an error that no stage reported is; it is logged, unless it is the user's wish to stop."""
    known = classify(error, video=key)
    if not isinstance(known, TaskCancelled):
        unforeseen = error if type(known) is SystemFault else None
        log.error("%s could not be processed: %s", key, known, exc_info=unforeseen)
    return known


def fits(video: PlannedVideo, group: Sequence[PlannedVideo], most: int) -> bool:
    """Return whether a video can share a run with others: each is short, and so are all of them together.

    The first of a group always fits.

    Args:
        video: The video.
        group: The others.
        most: The most videos that share a run.
    """
    if not group:
        return True
    known = [one.duration_s for one in (*group, video) if one.duration_s and one.duration_s <= SHORT_S]
    return len(known) == len(group) + 1 <= most and sum(known) <= TOGETHER_S


def _with_vocabulary(speech: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options with what is in the vocabulary's file, where a file is named."""
    try:
        return {**speech, "vocabulary": open_vocabulary(speech.get("vocabulary"), Path.cwd())}
    except ValueError as error:
        raise ConfigValidationError(f"--vocabulary: {error}") from None


def _prepare(request: ProcessRequest, messages: Console, ahead: LookAhead) -> _Session:
    """Find what is done; check all that can be checked before the others, and fetch the weights."""
    settings = load_settings(request.config)
    defaults = ProcessOptions(settings.speech.options, settings.subtitles)
    options = defaults.override(_with_vocabulary(request.speech), request.subtitles)
    found = find_videos(request.paths, settings.library.extensions, own_folders(settings))
    open_log(settings.home)
    apply_environment(settings)
    speech = choose_speech(settings)
    output_dir = absolute_path(to_path(request.output_dir.expanduser())) if request.output_dir else None
    live = sys.stdout.isatty() and messages.is_terminal
    ledger, storage = ledger_of(settings), Storage(settings.storage.root, settings.home / "tmp")
    finished = FinishedVideos(settings, options, output_dir, speech, ledger, storage)
    keys = {key_of(path, settings.library.roots): path for path in found.videos}
    done = {keys[key]: VideoOutcome.of_run(keys[key], one) for key, one in finished.find(keys).items()}
    due = [path for path in found.videos if path not in done]
    plan = plan_videos(settings, options.speech, due, output_dir, speech, ahead) if due else None
    if plan:
        _announce(plan, settings, messages, live=live)
    return _Session(settings, options, found, finished, done, plan, speech, ahead, output_dir, messages, live)


def _announce(plan: ProcessPlan, settings: Settings, messages: Console, *, live: bool) -> None:
    """Print what will be done, and fetch the weights where they are missing."""
    for warning in plan.warnings:
        messages.print(f"warning: {one_line(warning)}")
    if live:
        messages.print(f"Videos: {len(plan.videos)}, audio: {clock(plan.duration_s)}")
    if plan.model.reason:
        messages.print(f"Model: {plan.model.sentence}")
    if plan.weights.state != "present":
        name = plan.model.options.model_name
        messages.print(f"Fetching the weights of model {name}, {plan.weights.reason}")
        bar, advance = single_bar(messages, f"weights of {name}", live=live)
        with bar:  # the first video's bar would stand still meanwhile
            _fetch_weights(plan.model.options, settings, advance)


def _fetch_weights(options: SpeechOptions, settings: Settings, progress: Callable[[float], None]) -> None:
    """Fetch the weights of the model that the options name.

    Raises:
        YivideoError: They can't be had.
    """
    find_weights(
        options.model_name,
        settings.cache.model_dir,
        revision=options.model_revision,
        token=token_of(settings.hub),
        offline=settings.hub.offline,
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
