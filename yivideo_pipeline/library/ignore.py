"""Which files and folders of a library root are skipped, by their names and places alone.

The globs of `library.ignore` are matched against the path below the root, in the manner of .gitignore:

- `*` and `?` stand for characters of one name, `[ab]` and `[!ab]` for one of some;
- `**` stands for any number of folders;
- a glob without `/` means a name at any depth, one that has it at its beginning or in its middle is relative
  to the root;
- a glob that matches a folder covers all files in it.

Upper and lower case differ, except in file name extensions and temporary names. There are no comments, no
negation and no escapes: `#`, `!` and a backslash stand for themselves.
"""

import re
from collections.abc import Collection, Iterable, Mapping

from pathspec import PathSpec, RegexPattern
from pathspec.patterns.gitignore.basic import GitIgnoreBasicPattern

from yivideo_pipeline.library.decisions import Decision, Reason, printable_name
from yivideo_pipeline.settings.sections import LibrarySettings
from yivideo_pipeline.settings.settings import Settings
from yivideo_pipeline.storage.artifacts import Storage
from yivideo_pipeline.storage.partition_keys import absolute_path, is_below, path_below
from yivideo_pipeline.storage.remote_paths import AnyPath
from yivideo_pipeline.storage.sidecars import COPY_ENDINGS

_UNFINISHED_ENDINGS = (
    "~", ".part", ".partial", ".filepart", ".crdownload", ".opdownload", ".download", ".tmp", ".temp",
    ".ytdl", ".aria2", ".!qb", ".!ut", ".bc!", ".incomplete", ".unfinished",
)  # fmt: skip
"""Editors and office programs (`~`, also at the beginning; Syncthing on Windows), browsers, download
managers, WinSCP, torrent clients. Safari's `.download` is a folder."""

_UNFINISHED_HIDDEN = re.compile(
    r"""
    \.syncthing\.
    | \..+\.[a-z0-9]{6}$            # rsync: a hidden name with six random characters after it
    """,
    re.VERBOSE,
)

_UNFINISHED_PART = re.compile(  # it begins with a character that is searched for fast
    r"""
    \.(?:
        part-frag\d+                # yt-dlp: fragments,
        | f[1-9]\d{2}(-\w+)?\.\w+$  # tracks before they are merged,
        | te?mp\.\w+$               # and what ffmpeg is still writing
    )
    """,
    re.VERBOSE,
)

_GIT_SYNTAX = re.compile(r"\\|^[#!]| (?= *$)")
"""What .gitignore reads as an escape, a comment, a negation, or drops (trailing spaces)."""


class NameRules:
    """The rules of one root. Each check returns the decision to skip, or None where nothing is against it.

    Args:
        extensions: File name extensions of videos, with the dot.
        ignore: Globs, as above.
        closed: Folders that are not searched, relative to the root, each with its reason.
    """

    def __init__(
        self,
        extensions: Iterable[str],
        ignore: Iterable[str] = (),
        closed: Mapping[str, Reason] | None = None,
    ) -> None:
        self._extensions = tuple(extension.lower() for extension in extensions)
        self._globs = tuple(ignore)
        self._ignored = PathSpec(map(_compile, self._globs))
        # Nearly no path matches any glob: that is found out at once for all of them. Each begins with `^`.
        patterns = [pattern.regex.pattern for pattern in self._ignored.patterns if pattern.regex]
        self._any = re.compile("|".join(f"(?:{pattern})" for pattern in patterns) or "(?!)", re.DOTALL)
        self._closed = closed or {}

    def is_video(self, name: str) -> bool:
        """Return whether a name has the extension of a video."""
        return name.lower().endswith(self._extensions)

    def check_file(self, path: str) -> Decision | None:
        """Check a file's own name; its folders are not checked.

        Args:
            path: Relative to the root, with `/` between folders.
        """
        if decision := self._check_name(path):
            return decision
        return None if self.is_video(path) else Decision(Reason.OTHER_ENDING, printable_name(_ending(path)))

    def check_folder(self, path: str) -> Decision | None:
        """Check a folder, given relative to the root; those above it are not checked."""
        if path in self._closed:
            return Decision(self._closed[path], printable_name(path))
        return self._check_name(path)

    def check_path(self, path: str) -> Decision | None:
        """Check a file, given relative to the root, with all the folders that it lies in."""
        parts = path.split("/")
        for depth in range(1, len(parts)):
            if decision := self.check_folder("/".join(parts[:depth])):
                return decision
        return self.check_file(path)

    def _check_name(self, path: str) -> Decision | None:
        name = path.rpartition("/")[2]
        lower = name.lower()
        if _is_unfinished(lower):
            return Decision(Reason.TEMPORARY, printable_name(name))
        if name.startswith("."):
            return Decision(Reason.HIDDEN, printable_name(name))
        if lower.endswith(COPY_ENDINGS):
            return Decision(Reason.OWN_COPY, printable_name(name))
        # With the slash a glob such as `cache/**` matches the folder too, which is then never read.
        if not self._any.match(f"{path}/"):
            return None
        index = self._ignored.check_file(f"{path}/").index
        return None if index is None else Decision(Reason.IGNORED, printable_name(self._globs[index]))


def absolute_roots(library: LibrarySettings) -> dict[str, AnyPath]:
    """Return the library's roots as absolute paths; links among them stay links."""
    return {name: absolute_path(root) for name, root in library.roots.items()}


def own_folders(settings: Settings) -> set[AnyPath]:
    """Return yivideo's own folders: artifacts (also in a bucket), weights, Dagster's, logs, temporary files.

    They hold decoded sound and logs, never a video of the user's.
    """
    below_home = (settings.home / name for name in ("dagster", "logs", "tmp"))
    files = Storage(settings.storage.root, settings.home / "tmp").files
    return {settings.cache.model_dir, *below_home, files.folder or files.root}


def rules_of_roots(library: LibrarySettings, own: Collection[AnyPath]) -> dict[str, NameRules]:
    """Return the name rules of each root: `own` folders and roots inside a root are not searched."""
    roots = absolute_roots(library)
    rules = {}
    for name, root in roots.items():
        inside = {folder: Reason.OWN_FOLDER for folder in map(absolute_path, own) if is_below(folder, root)}
        inside |= {other: Reason.OTHER_ROOT for other in roots.values() if is_below(other, root)}
        closed = {path_below(folder, root): reason for folder, reason in inside.items() if folder != root}
        rules[name] = NameRules(library.extensions, library.ignore, closed)
    return rules


def _compile(glob: str) -> RegexPattern:
    regex, include = GitIgnoreBasicPattern.pattern_to_regex(_GIT_SYNTAX.sub(r"\\\g<0>", glob))
    # As in git, `[!a]` stands for a character of a name; pathspec 1.1 lets it match a slash too.
    return RegexPattern(regex and re.compile(regex.replace("[^", "[^/"), re.DOTALL), include)


def _is_unfinished(name: str) -> bool:
    if name.startswith("~") or name.endswith(_UNFINISHED_ENDINGS):
        return True
    return bool(_UNFINISHED_HIDDEN.match(name) or _UNFINISHED_PART.search(name))


def _ending(path: str) -> str:
    name = path.rpartition("/")[2]
    stem, dot, ending = name.rpartition(".")
    return f"{dot}{ending}" if stem else name
