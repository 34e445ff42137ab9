"""The work on the videos: one after the other, each for itself."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from yivideo_pipeline.cli.choices import Chosen
from yivideo_pipeline.cli.outcome import Failure, Outcome
from yivideo_pipeline.cli.preflight import Plan, Video
from yivideo_pipeline.cli.progress import Reporter, choose_reporter, fetching_bar
from yivideo_pipeline.cli.signals import Interrupts
from yivideo_pipeline.errors.classify import classify
from yivideo_pipeline.errors.tree import TaskCancelled
from yivideo_pipeline.remote.speech import RemoteSpeech
from yivideo_pipeline.settings.model import Settings
from yivideo_pipeline.speech.local_speech import LocalSpeech
from yivideo_pipeline.speech.weights import find_weights

if TYPE_CHECKING:
    from yivideo_pipeline.defs.runner import Processor

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
        from yivideo_pipeline.defs.launch import Listener
        from yivideo_pipeline.defs.resources import build_resources
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
