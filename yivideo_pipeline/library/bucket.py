"""Lists a library root on object storage: every key below it, a thousand with each request.

Folders are parts of keys there. An object is whole when it appears, and has the time of its upload.
"""

from typing import TYPE_CHECKING

from yivideo_pipeline.errors.classify import classify
from yivideo_pipeline.ledger.files import Stamp
from yivideo_pipeline.library.decisions import Decision, Reason
from yivideo_pipeline.library.ignore import NameRules
from yivideo_pipeline.library.scan import RootScan
from yivideo_pipeline.storage.remote_paths import require_bucket, stamp_of

if TYPE_CHECKING:
    from upath import UPath

_NO_PATH = "its key is no path: a name in it is empty, or only dots"


class BucketListing:
    """Lists a bucket, or the part of it below a URL.

    Args:
        root: The root.
        rules: The rules by which names are skipped.
    """

    def __init__(self, root: "UPath", rules: NameRules) -> None:
        self.root = root
        self.rules = rules

    def scan(self) -> RootScan:
        """List all objects that may be videos; trouble is part of the result, never raised."""
        try:
            listed = self.root.fs.find(self.root.path, detail=True)
            if not listed:  # some drivers say the same of a bucket that is gone
                require_bucket(self.root)
        except FileNotFoundError:
            return RootScan(state="gone", trouble=f"there is no bucket for {self.root}")
        except Exception as error:  # noqa: BLE001 - each driver has its own; none may stop the other roots
            return RootScan(state="closed", trouble=classify(error).message)
        scan, folders = RootScan(), {"": None}
        above = f"{self.root.path.rstrip('/')}/"
        for key, info in listed.items():
            path = key.removeprefix(above)
            if not path.endswith("/"):  # such keys stand for folders in some programs
                self._add(scan, path, Stamp(*stamp_of(info)), folders)
        return scan

    def _add(self, scan: RootScan, path: str, stamp: Stamp, folders: dict[str, Decision | None]) -> None:
        """Add one object; `folders` holds what was decided on each folder before."""
        folder, _, name = path.rpartition("/")
        if any(part in ("", ".", "..") for part in path.split("/")):
            scan.inaccessible[path] = _NO_PATH
            return
        if self._check_folder(scan, folder, folders):
            return
        scan.names.setdefault(folder, []).append(name)
        if decision := self.rules.check_file(path):
            scan.skipped[decision.reason] += 1
        else:
            scan.files[path] = stamp

    def _check_folder(
        self, scan: RootScan, folder: str, folders: dict[str, Decision | None]
    ) -> Decision | None:
        """Return why a folder is skipped, for itself or for one above it; each is counted once."""
        if folder not in folders:
            above = self._check_folder(scan, folder.rpartition("/")[0], folders)
            decision = above or self.rules.check_folder(folder)
            if decision and not above:
                scan.skipped[decision.reason] += 1
            folders[folder] = decision
        return folders[folder]

    def look_up(self, path: str) -> Decision | None:
        """Return why `scan` does not find an object."""
        try:
            return None if (self.root / path).is_file() else Decision(Reason.NO_FILE)
        except Exception as error:  # noqa: BLE001 - each driver has its own
            return Decision(Reason.INACCESSIBLE, classify(error).message)
