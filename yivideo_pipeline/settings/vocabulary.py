"""The vocabulary: names and terms of which the decoder is told, as a list, text, or a text file."""

from pathlib import Path
from typing import Any

MAX_TERMS = 1000
MAX_TERM_CHARS = 100
FILE_ENDING = ".txt"
_MAX_FILE_BYTES = MAX_TERMS * (4 * MAX_TERM_CHARS + 2)


def read_vocabulary(value: Any) -> Any:
    """Return the terms of a list, or of text with a term a line or commas between them, each once.

    Raises:
        ValueError: There are too many, or one is too long.
    """
    if value is None:
        return ()
    parts = value.replace("\n", ",").split(",") if isinstance(value, str) else value
    if not isinstance(parts, list | tuple) or not all(isinstance(part, str) for part in parts):
        return value
    terms = tuple(dict.fromkeys(term for part in parts if (term := " ".join(part.split()))))
    longest = max(terms, key=len, default="")
    if len(longest) > MAX_TERM_CHARS:
        raise ValueError(
            f"{longest[:20]!r}… has {len(longest)} characters: a term has at most {MAX_TERM_CHARS},"
            " write one a line"
        )
    if len(terms) > MAX_TERMS:
        raise ValueError(f"{len(terms)} terms are too many: keep the {MAX_TERMS} that matter")
    return terms


def open_vocabulary(value: Any, folder: Path) -> Any:
    """Return what a text file holds where a value names one (`names.txt`); any other value as it is.

    It is for the settings and the command alone: a request must not read files.

    Args:
        value: As the user gave it.
        folder: Where a relative name begins.

    Raises:
        ValueError: The file can't be read, or is no list of terms.
    """
    if not isinstance(value, str) or not value.strip().endswith(FILE_ENDING) or "\n" in value.strip():
        return value
    file = folder / Path(value.strip()).expanduser()
    try:
        if file.stat().st_size > _MAX_FILE_BYTES:
            raise ValueError(f"{file} is too large for a list of names: keep the {MAX_TERMS} that matter")
        return file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8"
        raise ValueError(f"{file} can't be read ({reason}): correct the path, or list the terms") from error
