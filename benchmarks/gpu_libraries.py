"""Finds cuBLAS for CTranslate2, which loads `libcublas.so.12` by that name and nothing else of CUDA's.

Machines have it from the system, from NVIDIA's packages, or with torch. One with CUDA 13 has
`libcublas.so.13`, which has the functions that CTranslate2 calls: a link of the wanted name, in a folder
for the measurement, lets it be tried there.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

WANTED = "libcublas.so.12"
_TRIED = ("libcublas.so.13",)


def provide_cublas(scratch: Path) -> str:
    """Let the programs that this process starts find cuBLAS; returns what was done, for the report.

    Args:
        scratch: Folder for a link, where one is needed.
    """
    library = find_library([WANTED, *_TRIED], library_folders())
    if library is None:
        return f"{WANTED} was not found"
    folders = [library.parent]
    if library.name != WANTED:
        scratch.mkdir(parents=True, exist_ok=True)
        (scratch / WANTED).unlink(missing_ok=True)
        (scratch / WANTED).symlink_to(library)
        folders.insert(0, scratch)
    known = os.environ.get("LD_LIBRARY_PATH")
    os.environ["LD_LIBRARY_PATH"] = os.pathsep.join([*map(str, folders), *([known] if known else [])])
    return str(library) if library.name == WANTED else f"{WANTED} is a link to {library}"


def find_library(names: Iterable[str], folders: Iterable[Path]) -> Path | None:
    """Return the file of the first name that any of the folders has."""
    places = list(folders)
    return next((folder / name for name in names for folder in places if (folder / name).exists()), None)


def library_folders() -> Iterator[Path]:
    """Return where CUDA's libraries may be: what the loader searches, Python packages, CUDA's own folder."""
    yield from (Path(folder) for folder in os.environ.get("LD_LIBRARY_PATH", "").split(os.pathsep) if folder)
    for place in sys.path:
        yield from sorted(Path(place).glob("nvidia/*/lib"))
    cached = subprocess.run(["ldconfig", "-p"], capture_output=True, text=True, check=False).stdout
    yield from (
        Path(path).parent for path in re.findall(r"=> (\S*/libcublas\.so\.\d+)$", cached, re.MULTILINE)
    )
    yield from sorted(Path("/usr/local").glob("cuda*/lib64"))
