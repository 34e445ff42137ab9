"""The Hugging Face hub: weights that are missing, withheld or out of reach.

Class names are those of huggingface_hub 0.27 to 2.4 (`huggingface_hub/errors.py`).
"""

from yivideo_pipeline.errors.network import is_passing, network_error, status_of, unreachable
from yivideo_pipeline.errors.origin import class_names, explain, with_causes
from yivideo_pipeline.errors.tree import ConfigValidationError, ModelLoadError, YivideoError

_PLACE_WEIGHTS = (
    "Put the weights into the model cache or name a local folder, or go online once to fetch them."
)
_CHECK_NAME = "Check the model's name; a private model also needs HF_TOKEN."


def hub_error(error: BaseException) -> YivideoError | None:
    """What went wrong in getting weights from the hub."""
    names = class_names(error)

    def raised_as(*classes: str) -> bool:
        return any(f"huggingface_hub.{name}" in names for name in classes)

    if raised_as("OfflineModeIsEnabled"):
        return ModelLoadError(
            explain("The weights are not here and offline mode forbids to fetch them", error),
            f"{_PLACE_WEIGHTS} Offline mode ends when HF_HUB_OFFLINE is unset.",
        )
    if raised_as("LocalEntryNotFoundError", "RevisionResolutionError"):
        return _not_cached(error)
    # Gated is a kind of "repository not found", so it is asked for first.
    if raised_as("GatedRepoError"):
        return ModelLoadError(
            explain("The model's owner grants access on request only", error),
            "Accept the conditions on the model's page and set HF_TOKEN to a token of that account.",
        )
    if raised_as(
        "RepositoryNotFoundError", "RevisionNotFoundError", "EntryNotFoundError", "DisabledRepoError"
    ):
        return ModelLoadError(explain("The hub has no such model, revision or file", error), _CHECK_NAME)
    if raised_as("HfHubHTTPError"):
        return _refused_by_hub(error)
    if raised_as("HFValidationError"):
        return ConfigValidationError(
            explain("The model's name is not one that the hub can have", error),
            "Use a known name such as base, a folder, or owner/name.",
        )
    return None


def _not_cached(error: BaseException) -> YivideoError:
    """Not in the cache: because the network failed, or because nobody was to ask it."""
    # with_causes yields the error itself first, and that one is no network error.
    for cause in list(with_causes(error))[1:]:
        if network_error(cause) is not None:
            return unreachable(cause)
    return ModelLoadError(explain("The weights are not in the model cache", error), _PLACE_WEIGHTS)


def _refused_by_hub(error: BaseException) -> YivideoError:
    status = status_of(error)
    if is_passing(status):
        return unreachable(error)
    if status in (401, 403):
        return ModelLoadError(
            explain("The hub refuses access to the model", error),
            "Set HF_TOKEN to a valid token that may read it.",
        )
    return ModelLoadError(explain("The hub can't deliver the model", error), _CHECK_NAME)
