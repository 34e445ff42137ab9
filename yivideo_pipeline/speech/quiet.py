"""Keeping what torch's libraries say to nobody in particular off the console."""

import contextlib
import io
import logging
import warnings
from collections.abc import Generator

log = logging.getLogger(__name__)

_TALKERS = ("lightning.pytorch.utilities.migration.utils", "transformers", "torch.distributed")


@contextlib.contextmanager
def quiet_libraries() -> Generator[None]:
    """Hold back warnings and notes of whisperx, torchaudio, pyannote and lightning; errors pass.

    WhisperX also prints; what it prints goes to our log at debug level.
    """
    # Finding a handler there, WhisperX does not set up one of its own that writes to stdout.
    whisperx = logging.getLogger("whisperx")
    if not whisperx.handlers:
        whisperx.addHandler(logging.NullHandler())
    whisperx.setLevel(logging.ERROR)
    for name in _TALKERS:
        logging.getLogger(name).setLevel(logging.ERROR)
    printed = io.StringIO()
    with warnings.catch_warnings(), contextlib.redirect_stdout(printed):
        warnings.simplefilter("ignore")
        yield
    if printed.getvalue():
        log.debug("WhisperX printed: %s", printed.getvalue().strip())
