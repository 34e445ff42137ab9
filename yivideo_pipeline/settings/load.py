"""Reads the settings: defaults, then config.yml, then the environment; hands them to other libraries by it.

The place of each value (a line of a file, a variable) is kept, so that error messages and
`yivideo config show` can name it. That is why the layers are merged here rather than by
pydantic-settings, which forgets where a value came from.
"""

import os
import sys
from collections.abc import Iterator, Mapping, MutableMapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from pydantic import ValidationError

from yivideo_pipeline.errors.tree import ConfigError, ConfigValidationError, DiskError
from yivideo_pipeline.settings.key_paths import KeyPath, is_section, list_fields
from yivideo_pipeline.settings.languages import ZhScript, find_script_of
from yivideo_pipeline.settings.messages import did_you_mean, explain
from yivideo_pipeline.settings.settings import Settings, find_home
from yivideo_pipeline.settings.vocabulary import open_vocabulary

PREFIX = "YIVIDEO_"
OTHER_VARIABLES = frozenset({"YIVIDEO_CONFIG", "YIVIDEO_SPEECH_CORPUS", "YIVIDEO_WHISPERX"})
"""Variables with our prefix that are not settings."""
SHARED_VARIABLES: dict[str, KeyPath] = {
    "HF_TOKEN": ("hub", "token"),
    "TRANSFORMERS_OFFLINE": ("hub", "offline"),
    "HF_HUB_OFFLINE": ("hub", "offline"),
    "HF_HOME": ("cache", "hf_home"),
    "TRANSFORMERS_CACHE": ("cache", "transformers_cache"),
    "WHISPERX_MODEL_CACHE_DIR": ("cache", "model_dir"),
}
"""Variables of other programs that set one of our settings; a `YIVIDEO_` variable takes precedence."""
SECTION_ALIASES = {"whisperx_service": "speech"}
"""Section names of the service that yivideo replaces."""


class Given(NamedTuple):
    """A value that the user set; `source` is a file or a variable, `where` the exact place."""

    value: Any
    source: str
    where: str


Values = dict[KeyPath, Given]


def load_settings(config: Path | None = None, environ: Mapping[str, str] | None = None) -> Settings:
    """Read and validate the settings.

    Args:
        config: The settings file; None: the one that `find_config` finds.
        environ: Environment variables; the process's own by default.

    Raises:
        ConfigError: The file is missing, unreadable or not YAML.
        ConfigValidationError: Values are not allowed; the message has one line for each.
    """
    environ = os.environ if environ is None else environ
    file = find_config(config, environ)
    values, problems = _read_environment(environ)
    if file is not None:
        from_file, file_problems = _read_file(file)
        values, problems = {**from_file, **values}, [*file_problems, *problems]
    values, contradictions = _decide_script(values)
    values, unreadable = _open_vocabulary(values)
    problems += [*contradictions, *unreadable]
    if problems:
        raise ConfigValidationError("\n".join(problems))
    return _build(values)


def find_config(config: Path | None, environ: Mapping[str, str]) -> Path | None:
    """Return the settings file that applies, the first that exists; None where none does.

    Raises:
        ConfigError: A file that was named does not exist.
    """
    found = next((file for file in config_places(config, environ) if file.is_file()), None)
    named = config or environ.get("YIVIDEO_CONFIG")
    if named and found is None:
        raise ConfigError(
            f"There is no settings file {Path(named).expanduser()}", "Correct --config or YIVIDEO_CONFIG"
        )
    return found


def config_places(config: Path | None, environ: Mapping[str, str]) -> tuple[Path, ...]:
    """Return the places where the settings file is looked for, in order.

    These are the given file, or `YIVIDEO_CONFIG`; else `config.yml` in the home folder, then `config.yml`
    in the checkout (or, outside of one, in the current folder).
    """
    named = config or environ.get("YIVIDEO_CONFIG")
    if named:
        return (Path(named).expanduser(),)
    home = Path(environ.get("YIVIDEO_HOME") or find_home()).expanduser()
    return home / "config.yml", find_home().parent / "config.yml"


def _read_file(file: Path) -> tuple[Values, list[str]]:
    """Read a settings file; sections under their old names are merged into ours."""
    values: Values = {}
    problems = []
    for path, value, line in read_yaml(file):
        target = (SECTION_ALIASES.get(path[0], path[0]), *path[1:])
        given = Given(value, str(file), f"{file} line {line}, {'.'.join(path)}")
        if is_section(Settings, target):
            if value is not None:
                problems.append(f"{given.where}: is a section: write its keys below it, indented")
        elif target in values and values[target].value != value:
            problems.append(f"{given.where}: contradicts {values[target].where}: keep one of them")
        else:
            values[target] = given
    return values, problems


def _read_environment(environ: Mapping[str, str]) -> tuple[Values, list[str]]:
    """Read the environment: variables of other programs first, so that ours replace them.

    A variable whose name goes on with `_FILE` names a file that holds the value: container engines hand
    secrets over as files, since a process's variables are seen by whoever may inspect the container.
    """
    values = {
        path: Given(environ[name], name, name) for name, path in SHARED_VARIABLES.items() if environ.get(name)
    }
    problems = []
    known = {_variable(path): path for path in list_fields(Settings)}
    roots = _variable(("library", "roots", ""))
    for name in sorted(name for name in environ if name.startswith(PREFIX) and environ[name]):
        path = (
            ("library", "roots", name.removeprefix(roots).lower())
            if name.startswith(roots)
            else known.get(name)
        )
        setting = name.removesuffix("_FILE")
        if path is not None:
            values[path] = Given(environ[name], name, name)
        elif setting in known and environ.get(setting):
            problems.append(f"{name}: {setting} is set too: keep one of them")
        elif setting in known:
            try:
                values[known[setting]] = Given(_read_value(Path(environ[name])), name, name)
            except ValueError as error:
                problems.append(f"{name}: {error}")
        elif name not in OTHER_VARIABLES:
            problems.append(
                f"{name}: is not a known setting{did_you_mean(name, known)}: correct or remove it"
            )
    return values, problems


def _read_value(file: Path) -> str:
    """Return what a file holds, without the line's end.

    Raises:
        ValueError: It can't be read, or holds nothing; the message does not show what it holds.
    """
    try:
        value = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8"
        raise ValueError(f"{file} can't be read ({reason}): correct the path or remove it") from error
    if not value:
        raise ValueError(f"{file} is empty: write the value into it")
    return value


def _decide_script(values: Values) -> tuple[Values, list[str]]:
    """Let the region of a language such as `zh-TW` decide the script, so that it is shown as its source."""
    language, script = (values.get(("speech", name)) for name in ("language", "zh_script"))
    decided = find_script_of(language.value) if language else None
    if language is None or decided is None:
        return values, []
    other = ZhScript.TRADITIONAL if decided is ZhScript.SIMPLIFIED else ZhScript.SIMPLIFIED
    if script and script.source == language.source and str(script.value).startswith(other.value):
        return values, [f"{script.where}: contradicts {language.where}, {language.value}: keep one of them"]
    return {**values, ("speech", "zh_script"): language._replace(value=decided.value)}, []


def _open_vocabulary(values: Values) -> tuple[Values, list[str]]:
    """Put the terms of a vocabulary's file in place of its name, which begins where the settings file is."""
    path = ("speech", "vocabulary")
    given = values.get(path)
    if given is None:
        return values, []
    try:
        terms = open_vocabulary(given.value, Path(given.source).absolute().parent)
    except ValueError as error:
        return values, [f"{given.where}: {error}"]
    return {**values, path: given._replace(value=terms)}, []


def _variable(path: KeyPath) -> str:
    return PREFIX + "__".join(path).upper()


def _build(values: Values) -> Settings:
    """Validate the merged values; the settings keep their places."""
    try:
        settings = Settings.model_validate(_nest(values))
    except ValidationError as error:
        lines = explain(error, Settings, lambda path: _name_place(path, values))
        raise ConfigValidationError("\n".join(lines)) from None
    return settings.with_origins({".".join(path): given.where for path, given in values.items()})


def _nest(values: Values) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for (*sections, key), given in values.items():
        branch = tree
        for section in sections:
            branch = branch.setdefault(section, {})
            if not isinstance(branch, dict):  # another source has one value there
                raise ConfigValidationError(f"{given.where}: {section} is a value already: keep one of them")
        branch[key] = given.value
    return tree


def _name_place(path: KeyPath, values: Values) -> str:
    """Return the place where the value at a path was written; for a section, the sources that set it."""
    if path in values:
        return values[path].where
    sources = dict.fromkeys(given.source for key, given in values.items() if key[: len(path)] == path)
    return f"{'.'.join(path)} ({', '.join(sources)})" if sources else ".".join(path)


class Entry(NamedTuple):
    """One value of a settings file: its key path, the value, and its line, counted from 1."""

    path: tuple[str, ...]
    value: Any
    line: int


def read_yaml(file: Path) -> list[Entry]:
    """Read the values of a YAML file; nested sections are flattened to key paths.

    Raises:
        ConfigError: The file can't be read, is not YAML, has no sections or has the same key twice.
    """
    try:
        loader = yaml.SafeLoader(file.read_text(encoding="utf-8"))
        node = loader.get_single_node()
        if node is None:
            return []
        if not isinstance(node, yaml.MappingNode):
            raise ConfigError(f"{file} holds no sections", "Write it as in config.example.yml")
        return list(_walk(loader, node, (), file))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f" line {mark.line + 1}" if mark else ""
        raise ConfigError(
            f"{file}{line}: {error.problem or error.context}", "Correct the YAML there"
        ) from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{file} can't be read: {error}", "Make it a readable UTF-8 text file") from error


def _walk(
    loader: yaml.SafeLoader, node: yaml.MappingNode, above: tuple[str, ...], file: Path
) -> Iterator[Entry]:
    seen: dict[str, int] = {}
    for key_node, value_node in node.value:
        key, line = str(loader.construct_object(key_node, deep=True)), key_node.start_mark.line + 1
        path = (*above, key)
        if key in seen:
            raise ConfigError(
                f"{file} line {line}: {'.'.join(path)} is already set in line {seen[key]}", "Keep one of them"
            )
        seen[key] = line
        if isinstance(value_node, yaml.MappingNode):
            yield from _walk(loader, value_node, path, file)
        else:
            yield Entry(path, loader.construct_object(value_node, deep=True), line)


def apply_environment(settings: Settings, environ: MutableMapping[str, str] | None = None) -> None:
    """Make the cache folders, and pass token, caches and offline mode to huggingface_hub and transformers.

    Call it once, at an edge of the program, before those libraries are imported. huggingface_hub fixes
    its offline mode and cache folder at import; if it was imported before, they are set there too.
    Variables whose setting is unset keep their values.

    Raises:
        ConfigError: The token file can't be read.
        DiskError: A cache folder can't be made.
    """
    environ = os.environ if environ is None else environ
    cache, hub = settings.cache, settings.hub
    for folder in filter(None, (cache.model_dir, cache.hf_home, cache.transformers_cache)):
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DiskError(
                f"The cache folder {folder} can't be made ({error.strerror})",
                "Set cache.model_dir, cache.hf_home and cache.transformers_cache to folders you may write",
            ) from error
    token = hub.read_token()
    values = {
        "HF_TOKEN": token.get_secret_value() if token else None,
        "HF_HOME": str(cache.hf_home) if cache.hf_home else None,
        "TRANSFORMERS_CACHE": str(cache.transformers_cache) if cache.transformers_cache else None,
        "HF_HUB_OFFLINE": "1" if hub.offline else "0",
        "TRANSFORMERS_OFFLINE": "1" if hub.offline else "0",
    }
    environ.update({name: value for name, value in values.items() if value is not None})
    _correct_imported_hub(settings)


def _correct_imported_hub(settings: Settings) -> None:
    constants = sys.modules.get("huggingface_hub.constants")
    if constants is None:
        return
    constants.__dict__["HF_HUB_OFFLINE"] = settings.hub.offline
    if settings.cache.hf_home is not None:
        constants.__dict__["HF_HUB_CACHE"] = str(settings.cache.hf_home / "hub")
