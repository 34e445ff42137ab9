"""The speech models of this process, with all that can be known of them before one is loaded.

Where all has been made before, no model is needed: what loads one is imported when it is, with numpy 0.15 s.
"""

import logging
import threading
from contextlib import AbstractContextManager
from functools import cached_property
from typing import TYPE_CHECKING

from yivideo_pipeline.errors.tree import YivideoError
from yivideo_pipeline.settings.options import Aligner, SpeechOptions
from yivideo_pipeline.settings.resolve import capacity_of, probe_hardware, resolve
from yivideo_pipeline.settings.settings import Settings
from yivideo_pipeline.speech.align.choice import choose_aligner
from yivideo_pipeline.speech.engine import SpeechEngine
from yivideo_pipeline.speech.model_choice import ModelChoice, ModelChooser
from yivideo_pipeline.speech.types import Transcript
from yivideo_pipeline.speech.weights import WeightsStatus, find_weights, token_of, weights_status

if TYPE_CHECKING:
    from yivideo_pipeline.speech.manager import ModelManager

log = logging.getLogger(__name__)


class LocalSpeech:
    """The speech models of this process: one manager loads a model once for a run over many videos.

    Args:
        settings: Name the folder of weights, the hub, and the default options.
        manager: Holds the model; by default the one that this process shares.
    """

    def __init__(self, settings: Settings, manager: "ModelManager | None" = None) -> None:
        self._settings = settings
        self._model_dir = settings.cache.model_dir
        self._token = token_of(settings.hub)
        self._offline = settings.hub.offline
        self._manager = manager
        self._preparation: threading.Thread | None = None
        self._chooser = ModelChooser(self._model_dir, token=self._token, offline=self._offline)

    def silent_service(self) -> str:
        """Return that there is none: these models need no other program."""
        return ""

    def choose(self, options: SpeechOptions) -> ModelChoice:
        """Return the options with the model that `auto` means here; the answer stays the same."""
        return self._chooser.choose(options)

    def check(self, options: SpeechOptions) -> tuple[str, ...]:
        """Return warnings about the options on this machine.

        Raises:
            ConfigValidationError: they can't work here.
        """
        return resolve(self.choose(options).options, capacity_of(probe_hardware())).warnings

    def revision(self, options: SpeechOptions) -> str:
        """Return the revision of the weights; fetches them where they are missing."""
        chosen = self.choose(options).options
        return find_weights(
            chosen.model_name,
            self._model_dir,
            revision=chosen.model_revision,
            token=self._token,
            offline=self._offline,
        ).revision

    def weights(self, options: SpeechOptions) -> WeightsStatus:
        """Return whether the weights are present or can be fetched, without fetching them."""
        chosen = self.choose(options).options
        return weights_status(
            chosen.model_name,
            self._model_dir,
            revision=chosen.model_revision,
            token=self._token,
            offline=self._offline,
        )

    def aligner(self, options: SpeechOptions, transcript: Transcript) -> Aligner:
        """Return the aligner of the words here: `auto` depends on the device and the present weights."""
        used = {self.aligner_of(options, one) for one in transcript.languages} if transcript.words else set()
        return Aligner.WAV2VEC2 if Aligner.WAV2VEC2 in used else Aligner.ATTENTION

    def aligner_of(self, options: SpeechOptions, language: str) -> Aligner:
        """Return the aligner of a language here."""
        device = resolve(options, capacity_of(probe_hardware())).device
        return Aligner(
            choose_aligner(
                options, language, device, self._model_dir, token=self._token, offline=self._offline
            )
        )

    def prepare(self, options: SpeechOptions) -> None:
        """Begin to load the models in the background: while sound is decoded, a core is free."""
        if self.manager.info() is None and not (self._preparation and self._preparation.is_alive()):
            # No daemon: libraries that are loading must not meet the end of the process.
            self._preparation = threading.Thread(target=self._load, args=(options,), name="prepare")
            self._preparation.start()

    def _load(self, options: SpeechOptions) -> None:
        try:
            with self.engine(options):
                pass
        except YivideoError as error:  # whoever borrows the engine meets it again
            log.info("The models were not loaded ahead: %s", error)

    def engine(
        self, options: SpeechOptions, background: bool = False, note: str | None = None
    ) -> AbstractContextManager[SpeechEngine]:
        """Lend the engine; see `ModelManager.lease`. `background` has no effect in this process."""
        return self.manager.lease(self.choose(options).options, note)

    @cached_property
    def manager(self) -> "ModelManager":
        """The manager that holds the model."""
        from yivideo_pipeline.speech.loading import shared_manager

        return self._manager or shared_manager(self._settings)
