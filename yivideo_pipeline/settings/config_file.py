"""Changes single values of a settings file; its comments, its order and all other values stay as they are.

What comes out is validated as every settings file is, together with the environment, before it replaces the
old one at once.
"""

import hashlib
import io
import os
import stat
import tempfile
from collections.abc import Callable, Mapping, MutableMapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import yaml

from yivideo_pipeline.errors.tree import ConfigError, ConfigValidationError, YivideoError
from yivideo_pipeline.settings.key_paths import KeyPath
from yivideo_pipeline.settings.load import SECTION_ALIASES, load_settings
from yivideo_pipeline.settings.settings import Settings

if TYPE_CHECKING:
    from ruamel.yaml import YAML

Result = TypeVar("Result")

_OLD_NAMES = {new: old for old, new in SECTION_ALIASES.items()}
_PRIVATE = stat.S_IRUSR | stat.S_IWUSR
"""Rights of a new file, which may hold secrets."""


class ConfigFile:
    """A settings file that may be changed.

    Args:
        path: The file, which need not exist yet; a link is followed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()

    @property
    def is_writable(self) -> bool:
        """Whether this process may replace the file, or write it where there is none yet."""
        is_free = not self.path.exists() or os.access(self.path, os.W_OK)
        return is_free and os.access(self.path.parent, os.W_OK)

    @property
    def version(self) -> str:
        """A digest of the content; empty where there is no file."""
        text = self.read()
        return "" if text is None else hashlib.sha256(text.encode()).hexdigest()[:16]

    def read(self) -> str | None:
        """Return the content; None where there is no file.

        Raises:
            ConfigError: It can't be read.
        """
        try:
            return self.path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(
                f"{self.path.name} can't be read", "Make it a readable UTF-8 text file"
            ) from error

    def change(self, values: Mapping[KeyPath, Any], environ: Mapping[str, str]) -> Settings:
        """Change values, and return the settings that are then in force.

        Args:
            values: The new values by key path; a mapping takes the place of the whole one, and `...` in
                it leaves what the file has.
            environ: Environment variables, which stand above the file.

        Raises:
            ConfigError: The file is not YAML, or can't be written; it stays as it is.
            ConfigValidationError: A value is not allowed; the file stays as it is.
        """
        return self._replace(_changed(self.read() or "", values), lambda part: self._load(part, environ))

    def restore(self, text: str | None) -> None:
        """Give the file the content that `read` returned.

        Raises:
            ConfigError: It can't be written.
        """
        if text is None:
            self.path.unlink(missing_ok=True)
        else:
            self._replace(text, lambda _: None)

    def _replace(self, text: str, read: Callable[[Path], Result]) -> Result:
        """Replace the content at once, after something else has read it, and return what that returned."""
        try:
            handle, name = tempfile.mkstemp(prefix=".config-", suffix=".yml", dir=self.path.parent)
        except OSError as error:
            raise self._unwritable(error) from error
        part = Path(name)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            found = read(part)
            part.chmod(stat.S_IMODE(self.path.stat().st_mode) if self.path.exists() else _PRIVATE)
            part.replace(self.path)
        except OSError as error:
            raise self._unwritable(error) from error
        finally:
            with suppress(OSError):
                part.unlink(missing_ok=True)
        return found

    def _load(self, part: Path, environ: Mapping[str, str]) -> Settings:
        try:
            return load_settings(part, environ)
        except YivideoError as error:
            raise ConfigValidationError(
                error.message.replace(str(part), self.path.name), error.hint
            ) from error

    def _unwritable(self, error: OSError) -> ConfigError:
        return ConfigError(
            f"{self.path.name} can't be written ({error.strerror})",
            "Give the user of yivideo write access to it and its folder, or edit it by hand",
        )


def _changed(text: str, values: Mapping[KeyPath, Any]) -> str:
    from ruamel.yaml.comments import CommentedMap
    from ruamel.yaml.error import YAMLError

    editor = _editor()
    try:
        tree = editor.load(text) or CommentedMap()
    except YAMLError as error:
        raise ConfigError("The settings file is not YAML", "Correct it: `yivideo config validate`") from error
    for (*sections, key), value in values.items():
        branch = tree
        for name in sections:
            old_name = _OLD_NAMES.get(name)
            name = old_name if branch is tree and old_name in tree else name
            if not isinstance(branch.get(name), MutableMapping):
                branch[name] = CommentedMap()
            branch = branch[name]
        _set(branch, key, value)
    out = io.StringIO()
    editor.dump(tree, out)
    return out.getvalue()


def _set(branch: MutableMapping[str, Any], key: str, value: Any) -> None:
    """Set a value; of a mapping the entries that stay are kept with their comments."""
    old = branch.get(key)
    if isinstance(value, Mapping) and isinstance(old, MutableMapping):
        for name in [name for name in old if name not in value]:
            del old[name]
        for name, item in value.items():
            if item is not ...:
                _set(old, name, item)
    elif isinstance(value, Mapping):
        branch[key] = {_plain(name): _plain(item) for name, item in value.items()}
    elif old != value:
        branch[_plain(key)] = _plain(value)


def _plain(value: Any) -> Any:
    """Return a value so that every reader of YAML finds it again: `no` is quoted, for example."""
    from ruamel.yaml.comments import CommentedSeq
    from ruamel.yaml.scalarstring import DoubleQuotedScalarString

    if isinstance(value, list | tuple):
        items = CommentedSeq(map(_plain, value))
        items.fa.set_flow_style()
        return items
    if not isinstance(value, str):
        return value
    try:
        is_same = yaml.safe_load(value) == value
    except yaml.YAMLError:
        is_same = False
    return value if is_same else DoubleQuotedScalarString(value)


def _editor() -> "YAML":
    from ruamel.yaml import YAML

    editor = YAML()
    editor.preserve_quotes = True
    editor.width = 4096  # no line is broken anew
    editor.representer.add_representer(type(None), lambda dumper, _: dumper.represent_scalar(_NULL, "null"))
    return editor


_NULL = "tag:yaml.org,2002:null"
