"""Keeps the warnings and notes of torch's libraries off the console; apart since four modules load them."""

import logging
import warnings
from collections.abc import Generator
from contextlib import contextmanager

_NOISY_LOGGERS = ("whisperx", "lightning.pytorch.utilities.migration.utils", "transformers")


@contextmanager
def quiet_libraries() -> Generator[None]:
    """Suppress warnings and notes of whisperx, torchaudio, pyannote and lightning, but not errors."""
    # WhisperX sets up its own handler, which writes to stdout, unless it finds one.
    whisperx = logging.getLogger("whisperx")
    if not whisperx.handlers:
        whisperx.addHandler(logging.NullHandler())
    for name in _NOISY_LOGGERS:
        logging.getLogger(name).setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
