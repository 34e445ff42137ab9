"""Which files are passed over for their names alone.

A glob of `library.ignore` is matched against the path below the root, in the manner of .gitignore:

- `*` and `?` stand for characters of one name, `[ab]` and `[!ab]` for one of some;
- `**` stands for any number of folders;
- a glob without `/` means a name at any depth, one with `/` begins at the root;
- what matches a folder passes over all that lies in it.

Upper and lower case differ, except in endings and temporary names.
"""

import re
from collections.abc import Iterable, Mapping

from yivideo_pipeline.library.decisions import Decision, Why, shown

_UNFINISHED_ENDINGS = (
    ".part", ".partial", ".filepart", ".crdownload", ".opdownload", ".download", ".tmp", ".temp",
    ".ytdl", ".aria2", ".!qb", ".!ut", ".bc!", ".incomplete", ".unfinished",
)  # fmt: skip
"""Browsers, download managers, WinSCP, torrent clients. Safari's `.download` is a folder."""

_UNFINISHED = re.compile(
    r"""
    ^~ | ~$                         # editors and office programs; Syncthing on Windows
    | ^\.syncthing\.
    | ^\..+\.[a-z0-9]{6}$            # rsync: a hidden name with six random characters after it
    | \.part-frag\d+                # yt-dlp: fragments,
    | \.f[1-9]\d{2}(-\w+)?\.\w+$    # tracks before they are put together,
    | \.te?mp\.\w+$                 # and what ffmpeg is still writing
    """,
    re.VERBOSE,
)

_WILDCARD = re.compile(r"(\*|\?|\[!?[^]/]+])")


class NameRules:
    """The rules of one root.

    Args:
        extensions: Endings of files that are taken for videos, with the dot.
        ignore: Globs, as above.
        closed: Folders below the root that are not looked into, relative to it, each with its reason.
    """

    def __init__(
        self, extensions: Iterable[str], ignore: Iterable[str] = (), closed: Mapping[str, Why] | None = None
    ) -> None:
        self._extensions = tuple(extension.lower() for extension in extensions)
        self._ignore = {glob: re.compile(_pattern(glob), re.DOTALL) for glob in ignore}
        # Nearly no name matches: one pattern tells that sooner than many.
        self._any_ignored = re.compile("|".join(map(_pattern, self._ignore)) or "(?!)", re.DOTALL)
        self._closed = closed or {}

    def is_video(self, name: str) -> bool:
        """Whether a name has the ending of a video."""
        return name.lower().endswith(self._extensions)

    def pass_file(self, path: str) -> Decision | None:
        """Say why a file is passed over for its own name; its folders are not asked.

        Args:
            path: Below the root, with `/` between folders.
        """
        return self._pass_name(path) or (
            None if self.is_video(path) else Decision(Why.OTHER_ENDING, shown(_ending(path)))
        )

    def pass_folder(self, path: str) -> Decision | None:
        """Say why a folder, given below the root, is not looked into; those above it are not asked."""
        if path in self._closed:
            return Decision(self._closed[path], shown(path))
        return self._pass_name(path)

    def pass_path(self, path: str) -> Decision | None:
        """Say why a file, given below the root, is passed over: for its folders' names or its own."""
        parts = path.split("/")
        for depth in range(1, len(parts)):
            if decision := self.pass_folder("/".join(parts[:depth])):
                return decision
        return self.pass_file(path)

    def _pass_name(self, path: str) -> Decision | None:
        name = path.rpartition("/")[2]
        if _is_unfinished(name.lower()):
            return Decision(Why.TEMPORARY, shown(name))
        if name.startswith("."):
            return Decision(Why.HIDDEN, shown(name))
        if self._any_ignored.match(f"{path}/"):
            glob = next(glob for glob, pattern in self._ignore.items() if pattern.match(f"{path}/"))
            return Decision(Why.IGNORED, shown(glob))
        return None


def _is_unfinished(name: str) -> bool:
    return name.endswith(_UNFINISHED_ENDINGS) or _UNFINISHED.search(name) is not None


def _ending(path: str) -> str:
    name = path.rpartition("/")[2]
    stem, dot, ending = name.rpartition(".")
    return f"{dot}{ending}" if stem else name


def _pattern(glob: str) -> str:
    """Make a pattern that matches the beginning of a path whose last name has a `/` after it too."""
    parts = glob.strip("/").split("/")
    if len(parts) == 1:
        parts.insert(0, "**")
    if parts[-1] == "**":
        parts.pop()  # what matches a folder covers all that lies in it anyway
    return "".join("(?:[^/]+/)*" if part == "**" else f"{_segment(part)}/" for part in parts)


def _segment(glob: str) -> str:
    pieces = _WILDCARD.split(glob)  # every second one is a wildcard
    pieces[::2] = map(re.escape, pieces[::2])
    pieces[1::2] = map(_wildcard, pieces[1::2])
    return "".join(pieces)


def _wildcard(piece: str) -> str:
    if piece in ("*", "?"):
        return "[^/]" + piece.replace("?", "")
    chosen = piece[1:-1].replace("\\", "\\\\").replace("[", "\\[")
    return f"[^/{chosen[1:]}]" if chosen.startswith("!") else f"[{chosen}]"
