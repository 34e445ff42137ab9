"""A loaded model that gives way step by step when memory runs out."""

import gc
import logging
import sys
import threading
from collections.abc import Callable, Hashable
from typing import Generic, Protocol, TypeVar

from yivideo_pipeline.errors.classify import classify
from yivideo_pipeline.errors.tree import MemoryExhausted

log = logging.getLogger(__name__)


class Place(Protocol):
    """Where and how large a model runs; its text is for people."""

    @property
    def loaded_as(self) -> Hashable:
        """What a loaded model is bound to: a place that differs in this needs another load."""
        ...


PlaceT = TypeVar("PlaceT", bound=Place)
Model = TypeVar("Model")
Result = TypeVar("Result")


class HeldModel(Generic[PlaceT, Model]):
    """A model that is loaded on first use; safe to be used by several threads at once.

    Args:
        place: Where to run at first.
        load: Makes the model for a place.
        smaller: The next smaller place, None where there is none.
    """

    def __init__(
        self, place: PlaceT, load: Callable[[PlaceT], Model], smaller: Callable[[PlaceT], PlaceT | None]
    ) -> None:
        self._place = place
        self._load = load
        self._smaller = smaller
        self._lock = threading.RLock()
        self._model: Model | None = None
        self._steps: tuple[str, ...] = ()

    @property
    def place(self) -> PlaceT:
        """Where it runs now."""
        return self._place

    @property
    def steps(self) -> tuple[str, ...]:
        """Lines that say how it was made smaller, in order."""
        return self._steps

    def run(self, work: Callable[[Model, PlaceT], Result]) -> Result:
        """Return what `work` makes with the model, called again in a smaller place when memory runs out.

        Raises:
            YivideoError: what `work` or loading raised, classified; `MemoryExhausted` only once
                nothing smaller is left.
        """
        while True:
            model, place = self.current()
            try:
                return work(model, place)
            except Exception as error:  # noqa: BLE001 - raised again unless memory ran out
                del model
                self._give_way(place, error)

    def current(self) -> tuple[Model, PlaceT]:
        """The model and its place, loaded now if need be, in a smaller place where memory is short."""
        with self._lock:
            while self._model is None:
                if self._steps:
                    _free_memory()
                try:
                    self._model = self._load(self._place)
                except Exception as error:  # noqa: BLE001 - raised again unless memory ran out
                    self._give_way(self._place, error, stage="load")
            return self._model, self._place

    def _give_way(self, used: PlaceT, error: Exception, stage: str | None = None) -> None:
        """Choose a smaller place, unless another thread did so already; raise any other error."""
        known = classify(error, stage=stage)
        if not isinstance(known, MemoryExhausted):
            raise known
        with self._lock:
            if used != self._place:
                return
            smaller = self._smaller(used)
            if smaller is None:
                raise known
            line = f"memory ran out with {used}; going on with {smaller}"
            log.warning(line)
            self._steps += (line,)
            if smaller.loaded_as != used.loaded_as:
                self._model = None
            self._place = smaller


def _free_memory() -> None:
    """Let go of the model before: tracebacks and torch modules hold it in cycles, torch its GPU memory."""
    gc.collect()
    if torch := sys.modules.get("torch"):
        torch.cuda.empty_cache()
