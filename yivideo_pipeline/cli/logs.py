"""Log files of commands and of the programs that they start: without secrets, of limited size."""

import logging
import sys
from logging.handlers import RotatingFileHandler
from pathlib import Path

from yivideo_pipeline.errors.redact import redact
from yivideo_pipeline.errors.tree import DiskError

MAX_BYTES = 5 * 2**20
OLD_FILES = 3
LINE_FORMAT = "%(asctime)s %(process)d %(levelname)s %(name)s: %(message)s"


def open_log(home: Path) -> None:
    """Send this process's log and Python's warnings to `logs/yivideo.log` in the home folder.

    Raises:
        DiskError: The file can't be written.
    """
    root = logging.getLogger()
    root.addHandler(rotating_handler(home / "logs", "yivideo.log"))
    root.setLevel(logging.WARNING)
    logging.getLogger("yivideo_pipeline").setLevel(logging.INFO)
    logging.captureWarnings(True)


def log_path() -> Path | None:
    """Return the log file of this process; None where none was opened."""
    handlers = logging.getLogger().handlers
    return next((Path(one.baseFilename) for one in handlers if isinstance(one, RotatingFileHandler)), None)


def rotating_handler(folder: Path, name: str, line_format: str = LINE_FORMAT) -> RotatingFileHandler:
    """Open a log file that never holds a secret and never grows over 5 MB; three old files are kept.

    Raises:
        DiskError: The file can't be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handler = _LogFile(
            folder / name,
            maxBytes=MAX_BYTES,
            backupCount=OLD_FILES,
            encoding="utf-8",
            errors="backslashreplace",
        )
    except OSError as error:
        raise DiskError(
            f"The log in {folder} can't be written ({error.strerror})",
            "Make YIVIDEO_HOME a folder that you may write",
        ) from error
    handler.setFormatter(_RedactingFormatter(line_format))
    return handler


class _LogFile(RotatingFileHandler):
    _has_complained = False

    def handleError(self, record: logging.LogRecord) -> None:
        """Complain once, in one line, of a file that can't be written: mostly the disk is full.

        Python would print two tracebacks for each line of the log.
        """
        error = sys.exception()
        if not isinstance(error, OSError):
            super().handleError(record)
        elif not self._has_complained:
            self._has_complained = True
            sys.stderr.write(f"yivideo: The log {self.baseFilename} can't be written ({error.strerror}).\n")


class _RedactingFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        """Remove secrets from the whole record, including its traceback."""
        return redact(super().format(record))
