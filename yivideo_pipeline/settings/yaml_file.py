"""Reads a settings file key by key, each with the line it stands on."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from yivideo_pipeline.errors.tree import ConfigError


class Entry(NamedTuple):
    """One value of a settings file: its key path, the value, the line counted from 1."""

    path: tuple[str, ...]
    value: Any
    line: int


def read_yaml(file: Path) -> list[Entry]:
    """Read the values of a YAML file; nested sections are flattened to key paths.

    Raises:
        ConfigError: The file can't be read, is no YAML, has no sections or the same key twice.
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
