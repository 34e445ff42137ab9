"""Keeping what torch's libraries say to nobody in particular off the console."""

import logging
import warnings
from collections.abc import Generator
from contextlib import contextmanager

_TALKERS = ("whisperx", "lightning.pytorch.utilities.migration.utils", "transformers")


@contextmanager
def quiet_libraries() -> Generator[None]:
    """Hold back warnings and notes of whisperx, torchaudio, pyannote and lightning; errors pass."""
    # Finding a handler there, WhisperX does not set up one of its own that writes to stdout.
    whisperx = logging.getLogger("whisperx")
    if not whisperx.handlers:
        whisperx.addHandler(logging.NullHandler())
    for name in _TALKERS:
        logging.getLogger(name).setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
