"""Settings: what pydantic and YAML say of them, one readable line for each field."""

from typing import Any

from yivideo_pipeline.errors.origin import class_names
from yivideo_pipeline.errors.redact import MASK, redact
from yivideo_pipeline.errors.tree import ConfigError, ConfigValidationError, YivideoError

_SECRET_FIELDS = ("token", "secret", "password", "key")
_HINT = "Change it in config.yml, in the environment or in the request."


def config_error(error: BaseException) -> YivideoError | None:
    """Settings that break their own rules, or a settings file that can't be parsed."""
    names = class_names(error)
    if "pydantic_core.ValidationError" in names:
        return ConfigValidationError("\n".join(_field_lines(error)), _HINT)
    if "yaml.YAMLError" in names:
        return ConfigError(_yaml_line(error), "Correct the file's YAML: indentation, colons, quotes.")
    return None


def _field_lines(error: Any) -> list[str]:
    """One line for each wrong field of a pydantic ValidationError."""
    return [_field_line(entry) for entry in error.errors(include_url=False, include_context=False)]


def _field_line(entry: dict[str, Any]) -> str:
    path = ".".join(str(part) for part in entry["loc"]) or "settings"
    if entry["type"] == "extra_forbidden":
        return f"{path}: there is no such setting"
    line = f"{path}: {entry['msg'].removeprefix('Value error, ')}"
    given = entry["input"]
    # A missing field's input is the whole section around it: nothing to show.
    if entry["type"] == "missing" or not isinstance(given, (str, int, float, bool, type(None))):
        return line
    is_secret = any(word in path.lower() for word in _SECRET_FIELDS)
    return f"{line} (given: {MASK if is_secret else redact(repr(given))})"


def _yaml_line(error: BaseException) -> str:
    """What is wrong and where; never the line itself, which might hold a token."""
    problem = getattr(error, "problem", None) or "not readable as YAML"
    mark = getattr(error, "problem_mark", None)
    where = f" at line {mark.line + 1}, column {mark.column + 1} of {mark.name}" if mark else ""
    return f"The settings file is not valid YAML: {problem}{where}"
