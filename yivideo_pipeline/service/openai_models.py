"""The models of the service by the names that clients of OpenAI's API give."""

from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel

from yivideo_pipeline.service.dependencies import ServiceState
from yivideo_pipeline.service.openai_errors import WrongParameter
from yivideo_pipeline.settings.model import Settings
from yivideo_pipeline.settings.models import MODELS
from yivideo_pipeline.speech.weights import weights_status

CONFIGURED = "whisper-1"
"""OpenAI's name for Whisper: here the model of the settings."""


class ModelAnswer(BaseModel):
    """A model that can be asked for; `created` is when the service began to offer it."""

    id: str
    object: str = "model"
    created: int
    owned_by: str = "yivideo"


class ModelList(BaseModel):
    """Every model that can be asked for, the loaded one first."""

    object: str = "list"
    data: list[ModelAnswer]


def choose_model(name: str, settings: Settings) -> str:
    """Return the model that a client names, as the settings would name it.

    Nothing is fetched for a request, and no folder can be named.

    Raises:
        WrongParameter: 404, its weights are not here.
    """
    configured = settings.speech.model_name
    if name in (CONFIGURED, shown_name(configured)):
        return configured
    if name in MODELS and _is_here(name, settings):
        return name
    raise WrongParameter(
        404,
        "model_not_found",
        "model",
        f"The model {name[:100]!r} is not here",
        f"GET /v1/models lists those that are; {CONFIGURED} is the configured one",
    )


def list_models(shared: ServiceState) -> ModelList:
    """List the models whose weights are here."""
    names = dict.fromkeys(_names(shared))
    return ModelList(data=[ModelAnswer(id=name, created=int(shared.started_at)) for name in names])


def shown_name(model: str) -> str:
    """Return what clients call a model: of a folder of ours its last part alone."""
    return Path(model).name if Path(model).is_absolute() else model


def _names(shared: ServiceState) -> Iterator[str]:
    settings = shared.settings
    if loaded := shared.models.manager.info():
        yield shown_name(loaded.model)
    if _is_here(settings.speech.model_name, settings):
        yield shown_name(settings.speech.model_name)
    yield from (name for name in MODELS if _is_here(name, settings))


def _is_here(name: str, settings: Settings) -> bool:
    return weights_status(name, settings.cache.model_dir, offline=True).state != "missing"
