"""Which model `model_name: auto` means: the best one for the device, its memory, and the weights at hand.

It is decided by the whole memory of the device, not by what is free at the moment, so that a machine has one
answer: what fills the memory now may be our own model.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import NamedTuple

from yivideo_pipeline.settings.options import SpeechOptions, Task
from yivideo_pipeline.settings.resolve import Hardware, budget_of, capacity_of, device_of, probe_hardware
from yivideo_pipeline.settings.whisper_models import AUTO_MODEL, MODELS, ModelFacts
from yivideo_pipeline.speech.weights import WeightsStatus, show_size, weights_status


class Rung(NamedTuple):
    """Models of about the same quality, the first preferred, and the memory that they leave to others."""

    models: tuple[str, ...]
    reserve_bytes: int = 0


_LARGE = ("large-v3-turbo", "large-v3", "large-v2")
_GPU_RESERVE = 2 * 10**9
"""What a desktop and the word aligner, which shares the GPU, take beside the model."""
_HOST_RESERVE = 3 * 10**9 // 4
"""What the system and Dagster take: with it, base wants a machine of 2 GB."""

ON_CUDA = (
    Rung(_LARGE, _GPU_RESERVE),
    Rung(("medium",), _GPU_RESERVE),
    Rung(("small",), _GPU_RESERVE),
    Rung(("base",)),
    Rung(("tiny",)),
)
"""The order on a GPU: turbo is about as good as the other large models, and several times as fast."""
ON_CPU = (
    Rung(("base",), _HOST_RESERVE),
    Rung(("small",), _HOST_RESERVE),
    Rung(("tiny",)),
    Rung(("medium",), _HOST_RESERVE),
    Rung(_LARGE, _HOST_RESERVE),
)
"""The order on a CPU, where larger models are too slow: they are for machines that can't have base, and for
Cantonese, which it does not know."""

FindStatus = Callable[[str, bool], WeightsStatus]
"""Returns the status of a model's weights; asks the hub for them only where the second argument is true."""


@dataclass(frozen=True)
class ModelChoice:
    """Options that name a model, and why `auto` means this one; the reason is empty where they named it."""

    options: SpeechOptions
    reason: str = ""

    @property
    def sentence(self) -> str:
        """What was chosen and why, as a line for the user."""
        return f"{self.options.model_name}, {self.reason}" if self.reason else self.options.model_name


def choose_model(options: SpeechOptions, hardware: Hardware, find_status: FindStatus) -> ModelChoice:
    """Return the options with the model that `auto` means on a machine; others as they are.

    It is the best model that finds room and whose weights are here or can be fetched; among models of about
    the same quality, one that is here is preferred to a download. Where none can be had, the best one is
    named all the same: loading it tells what is missing.

    Args:
        options: The options; language and task rule some models out.
        hardware: The machine.
        find_status: Tells whether a model's weights can be had.
    """
    if options.model_name != AUTO_MODEL:
        return ModelChoice(options)
    machine, weights = _Machine(options, hardware), _Reach(find_status)
    passed_over = ""
    for rung in machine.rungs:
        fitting = [name for name in rung.models if machine.has_room(name, rung.reserve_bytes)]
        if found := weights.first_of(fitting):
            return machine.choose(found, passed_over or weights.preferred(found, fitting))
        passed_over = passed_over or (
            weights.problem(fitting) if fitting else machine.need_of(rung.models[0])
        )
    every = [name for rung in machine.rungs for name in rung.models]
    here = [name for name in every if weights.is_here(name)]
    # What is here may do without the reserve; if not, checking the options tells how much is missing.
    if tight := next(filter(machine.has_room, here), min(here, key=_parameters, default=None)):
        return machine.choose(tight, f"{machine.need_of(tight)}, but no other model can be had")
    return machine.choose(next(filter(machine.has_room, every), min(every, key=_parameters)), passed_over)


class ModelChooser:
    """Decides what `auto` means on this machine, once: the answer stays for the life of the process.

    Args:
        model_dir: Folder of all weights.
        token: Hugging Face token.
        offline: Never ask the hub.
    """

    def __init__(self, model_dir: Path, *, token: str | None = None, offline: bool = False) -> None:
        self._model_dir = model_dir
        self._token = token
        self._offline = offline
        self._lock = threading.Lock()
        self._chosen: dict[SpeechOptions, ModelChoice] = {}

    def choose(self, options: SpeechOptions) -> ModelChoice:
        """Return the options with the model that `auto` means here; may ask the hub, for seconds at most."""
        if options.model_name != AUTO_MODEL:
            return ModelChoice(options)
        # These do not decide.
        deciding = options.model_copy(update={"initial_prompt": "", "temperature": 0.0, "vocabulary": ()})
        with self._lock:
            if deciding not in self._chosen:
                self._chosen[deciding] = choose_model(deciding, probe_hardware(), self._find_status)
            found = self._chosen[deciding]
        return replace(found, options=options.model_copy(update={"model_name": found.options.model_name}))

    def _find_status(self, model_name: str, asks_hub: bool) -> WeightsStatus:
        offline = self._offline or not asks_hub
        return weights_status(model_name, self._model_dir, token=self._token, offline=offline)


class _Machine:
    """The models that come into question on a machine, and the room that it has for them."""

    def __init__(self, options: SpeechOptions, hardware: Hardware) -> None:
        self._options = options
        self._capacity = capacity_of(hardware)
        on_cuda = hardware.has_cuda and device_of(options, hardware) == "cuda"
        self._place = f"a GPU{_size_of_gpu(hardware)}" if on_cuda else f"a CPU{_size_of_host(hardware)}"
        ladder = ON_CUDA if on_cuda else ON_CPU
        known = (rung._replace(models=_list_suitable(rung.models, options)) for rung in ladder)
        self.rungs = tuple(rung for rung in known if rung.models)

    def has_room(self, name: str, reserve_bytes: int = 0) -> bool:
        """Return whether a model finds room beside a reserve."""
        gpus = tuple(
            replace(gpu, memory_free_bytes=gpu.memory_free_bytes - reserve_bytes)
            for gpu in self._capacity.gpus
        )
        left = self._capacity.memory_available_bytes - reserve_bytes
        budget, compute_type = budget_of(
            self._name(name), replace(self._capacity, gpus=gpus, memory_available_bytes=left)
        )
        return budget.fits(compute_type)

    def need_of(self, name: str) -> str:
        """Return how much memory a model wants, reserve included."""
        budget, compute_type = budget_of(self._name(name), self._capacity)
        reserve = next(rung.reserve_bytes for rung in self.rungs if name in rung.models)
        return f"{name} wants {show_size((budget.estimate(compute_type) or 0) + reserve)}"

    def choose(self, name: str, because: str) -> ModelChoice:
        """Return a model as the choice."""
        reason = f"chosen for {self._place}" + (f" ({because})" if because else "")
        return ModelChoice(self._name(name), reason)

    def _name(self, name: str) -> SpeechOptions:
        return self._options.model_copy(update={"model_name": name})


class _Reach:
    """The weights that can be had; the hub is asked no more once it does not answer."""

    def __init__(self, find_status: FindStatus) -> None:
        self._find_status = cache(find_status)
        self._unreachable: WeightsStatus | None = None

    def is_here(self, name: str) -> bool:
        """Return whether a model's weights are on this machine."""
        return self._find_status(name, False).is_here

    def first_of(self, names: Sequence[str]) -> str | None:
        """Return the first model that is here, else the first that can be fetched."""
        here = next(filter(self.is_here, names), None)
        return here or next((name for name in names if self._ask(name).state == "fetchable"), None)

    def preferred(self, found: str, names: Sequence[str]) -> str:
        """Return why a model is preferred to those before it, where it is."""
        if found == names[0]:
            return ""
        return f"it is on this machine, {names[0]} is not" if self.is_here(found) else self.problem(names)

    def problem(self, names: Sequence[str]) -> str:
        """Return why none of the models can be had."""
        reason = self._ask(names[0]).reason.rstrip(".")
        return f"{names[0]} can't be had: {reason[:1].lower()}{reason[1:]}"

    def _ask(self, name: str) -> WeightsStatus:
        if self._unreachable:
            return self._unreachable
        status = self._find_status(name, True)
        if status.may_pass:
            self._unreachable = status
        return status


def _list_suitable(names: Sequence[str], options: SpeechOptions) -> tuple[str, ...]:
    """Return the models that know language and task; for English, each with its English-only sibling."""
    with_siblings = [
        sibling
        for name in names
        for sibling in ((name, f"{name}.en") if options.language == "en" else (name,))
        if sibling in MODELS
    ]
    return tuple(name for name in with_siblings if _is_suitable(MODELS[name], options))


def _is_suitable(facts: ModelFacts, options: SpeechOptions) -> bool:
    if options.task is Task.TRANSLATE and (facts.turbo or facts.english_only):
        return False
    return facts.cantonese or options.language != "yue"


def _parameters(name: str) -> int:
    return MODELS[name].parameters


def _size_of_gpu(hardware: Hardware) -> str:
    return f" with {show_size(hardware.gpus[0].memory_total_bytes)}" if hardware.gpus else ""


def _size_of_host(hardware: Hardware) -> str:
    return f" with {show_size(hardware.memory_total_bytes)} of memory"
