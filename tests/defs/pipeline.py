"""A pipeline on a fake engine, for the tests of everything that Dagster runs."""

from functools import cached_property
from pathlib import Path
from shutil import copyfile

import dagster as dg

from tests.fake_speech import FakeSpeech
from yivideo_pipeline.defs.composition import build_definitions
from yivideo_pipeline.defs.launch import Listener, SpeechResource
from yivideo_pipeline.defs.processed import Processed
from yivideo_pipeline.defs.resources import build_resources
from yivideo_pipeline.defs.runner import LaunchOptions, Processor
from yivideo_pipeline.settings.settings import Settings
from yivideo_pipeline.stages import JOB

SAMPLE = Path(__file__).resolve().parents[2] / "data" / "samples" / "harbour-15s.mp4"


class Pipeline:
    """A pipeline of its own on a fake engine: inbox, storage, instance."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.inbox = settings.library.folders["inbox"]
        self.inbox.mkdir(parents=True, exist_ok=True)
        self.speech = FakeSpeech()
        self.progress: list[tuple[str, float]] = []
        # In memory: the instance on disk has tests of its own.
        self.instance = dg.DagsterInstance.ephemeral()
        self.use_speech(self.speech)

    def use_speech(self, speech: SpeechResource) -> None:
        """Build the resources around these models."""
        listener = Listener(lambda key, stage, fraction: self.progress.append((stage, fraction)))
        self.resources = build_resources(self.settings, speech, listener, writes_anywhere=True)
        self.processor = Processor(self.instance, self.resources)

    def name_model(self, name: str) -> None:
        """Have the settings name a model, which they leave to `auto` by default."""
        speech = self.settings.speech
        options = speech.options.model_copy(update={"model_name": name})
        self.settings = self.settings.model_copy(
            update={"speech": speech.model_copy(update={"options": options})}
        )
        self.use_speech(self.speech)

    @cached_property
    def job(self) -> dg.JobDefinition:
        """The job of one video, or of a range of them."""
        return build_definitions(self.resources).resolve_job_def(JOB)

    def add(self, name: str, source: Path = SAMPLE) -> str:
        target = self.inbox / name
        target.parent.mkdir(parents=True, exist_ok=True)
        copyfile(source, target)
        return self.resources["library"].key_of(target)

    def run(self, name: str = "talk.mp4", tags: dict[str, str] | None = None, **options) -> Processed:
        return self.processor.process(name, LaunchOptions(**options), tags)

    def metadata(self, asset: str, key: str = "talk.mp4") -> dict[str, dg.MetadataValue]:
        event = self.instance.fetch_materializations(
            dg.AssetRecordsFilter(dg.AssetKey(asset), asset_partitions=[key]), limit=1
        ).records[0]
        return dict(event.asset_materialization.metadata)
