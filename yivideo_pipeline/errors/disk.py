"""Files and folders: what the operating system says about them."""

import errno

from yivideo_pipeline.errors.origin import class_names, explain
from yivideo_pipeline.errors.tree import DiskError, DiskFull, YivideoError

_FULL = {errno.ENOSPC, errno.EDQUOT}
_HINTS = {
    errno.EACCES: "Give this user the permission, or choose another folder.",
    errno.EPERM: "Give this user the permission, or choose another folder.",
    errno.EROFS: "It is mounted read-only: mount it writable, or choose another folder.",
    errno.EIO: "The disk or the network share is failing: look at the system's log.",
    errno.ESTALE: "The network share was mounted anew: try again after remounting it.",
    errno.ENOENT: "Check that the path exists.",
    errno.ENOTDIR: "Check the path: one of its parts is a file.",
    errno.EISDIR: "A file is needed here, not a folder.",
    errno.EEXIST: "Something of that name exists already.",
    errno.ENAMETOOLONG: "Shorten the file's name.",
    errno.EMFILE: "Raise the limit on open files (ulimit -n).",
    errno.ENFILE: "The system has too many files open: close other programs.",
}


def disk_error(error: BaseException) -> YivideoError | None:
    """Full disks, and files or folders that can't be used."""
    code = error.errno if isinstance(error, OSError) else None
    if code in _FULL or _says_full(error):
        return DiskFull(
            explain("The disk is full or the quota is reached", error),
            "Free some space or choose another folder, then start again.",
        )
    if code in _HINTS:
        return DiskError(explain("A file or folder can't be used", error), _HINTS[code])
    # Raised by hand, such errors carry no errno.
    if isinstance(error, (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError)):
        return DiskError(
            explain("A file or folder can't be used", error), "Check the path and its permissions."
        )
    return None


def _says_full(error: BaseException) -> bool:
    """Rust and SQLite report a full disk as text alone."""
    text = str(error).lower()
    if isinstance(error, RuntimeError):
        return "no space left on device" in text
    return "sqlite3.OperationalError" in class_names(error) and "disk is full" in text
