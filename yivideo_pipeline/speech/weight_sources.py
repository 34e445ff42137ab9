"""The Hugging Face hub as a source of weights.

Downloads go to the hub's own cache layout below the model folder, which is also what faster-whisper
and WhisperX write there: weights that they fetched are found.
"""

import threading
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from yivideo_pipeline.errors.classify import classify
from yivideo_pipeline.speech.engine import Progress

WHISPER_FILES = ["config.json", "preprocessor_config.json", "model.bin", "tokenizer.json", "vocabulary.*"]
_ASK_TIMEOUT_S = 1.5


def find_cached(repository: str, model_dir: Path) -> Path | None:
    """Return a complete snapshot in the cache below `model_dir` or in the hub's usual cache."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    for cache in (model_dir, None):
        try:
            return Path(
                snapshot_download(
                    repository, cache_dir=cache, allow_patterns=WHISPER_FILES, local_files_only=True
                )
            )
        except LocalEntryNotFoundError:
            continue
    return None


def is_snapshot(folder: Path) -> bool:
    """Tell whether a folder is a snapshot of the hub's cache, whose name is the commit."""
    return folder.parent.name == "snapshots"


def download(
    repository: str,
    model_dir: Path,
    token: str | None,
    progress: Progress | None,
    patterns: Sequence[str] = WHISPER_FILES,
) -> Path:
    """Download a model's files, or what is missing of them, and return the snapshot's folder.

    It raises what huggingface_hub raises, for `errors.classify`.
    """
    from huggingface_hub import snapshot_download

    folder = snapshot_download(
        repository,
        cache_dir=model_dir,
        token=token,
        allow_patterns=list(patterns),
        tqdm_class=_report_to(progress),
    )
    return Path(folder)


def find_problem(repository: str, token: str | None) -> str | None:
    """Ask the hub for a model, for 1.5 s at most; return why it can't be had, None if it can."""
    from huggingface_hub import HfApi

    return _find_problem(
        "the Hugging Face hub", lambda: HfApi(token=token).model_info(repository, timeout=_ASK_TIMEOUT_S)
    )


def find_download_problem(url: str) -> str | None:
    """Ask for a file outside the hub in the same way."""
    request = urllib.request.Request(url, method="HEAD")
    return _find_problem(
        request.host, lambda: urllib.request.urlopen(request, timeout=_ASK_TIMEOUT_S).close()
    )


def _find_problem(whom: str, question: Callable[[], object]) -> str | None:
    answer: list[Exception | None] = []

    def ask() -> None:
        try:
            question()
            answer.append(None)
        except Exception as error:  # noqa: BLE001 - told to the person by the caller, whatever it is
            answer.append(error)

    # Looking up a name may outlast every timeout, so the asking goes on without us.
    thread = threading.Thread(target=ask, name="ask-hub", daemon=True)
    thread.start()
    thread.join(_ASK_TIMEOUT_S)
    if not answer:
        return f"{whom} did not answer within {_ASK_TIMEOUT_S:g} s"
    return None if answer[0] is None else str(classify(answer[0]))


def _report_to(progress: Progress | None) -> type[Any]:
    """Return a progress bar class that shows nothing and tells the share of bytes that arrived."""
    from tqdm import tqdm

    class SilentBar(tqdm):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            self._counts_bytes = kwargs.get("unit") == "B"
            kwargs.pop("name", None)
            super().__init__(*args, **{**kwargs, "disable": True})

        def update(self, n: float | None = 1) -> None:
            self.n += n or 0
            if progress and self._counts_bytes and self.total:
                progress(min(1.0, self.n / self.total))

    return SilentBar
