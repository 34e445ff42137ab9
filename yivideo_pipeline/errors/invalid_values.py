"""Says what is allowed where pydantic refuses a value: in words for people, not for Python programmers."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from yivideo_pipeline.plurals import plural

ErrorT = TypeVar("ErrorT", bound=Mapping[str, Any])

_OBJECT = "must be an object: keys with values"
_LIST = "must be a list"
_TEXT = "must be text"
_BOOLEAN = "must be true or false"
_WHOLE = "must be a whole number"
_NUMBER = "must be a number"
_MOMENT = "must be a date with a time, such as 2026-01-31T12:00:00Z"
_DATE = "must be a date, such as 2026-01-31"
_TIME = "must be a time of day, such as 22:00"
_DURATION = "must be a duration, such as PT90S"
_ADDRESS = "must be an address, such as https://example.org"
_FILE = "must be a file: send the request as multipart/form-data"

_WORDS = {
    "missing": "is missing",
    "extra_forbidden": "is not a known key",
    "invalid_key": "has a key that is no text",
    "model_type": _OBJECT,
    "model_attributes_type": _OBJECT,
    "dataclass_type": _OBJECT,
    "dict_type": _OBJECT,
    "mapping_type": _OBJECT,
    "none_required": "must be null",
    "greater_than": "must be more than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be at most {le}",
    "multiple_of": "must be a multiple of {multiple_of}",
    "finite_number": "must be a finite number",
    "list_type": _LIST,
    "tuple_type": _LIST,
    "set_type": _LIST,
    "frozen_set_type": _LIST,
    "iterable_type": _LIST,
    "string_type": _TEXT,
    "string_unicode": "must be text in UTF-8",
    "string_sub_type": _TEXT,
    "string_not_ascii": "must be text of ASCII characters",
    "string_pattern_mismatch": "must match the pattern {pattern}",
    "bytes_type": _TEXT,
    "enum": "choose {expected}",
    "literal_error": "choose {expected}",
    "bool_type": _BOOLEAN,
    "bool_parsing": _BOOLEAN,
    "int_type": _WHOLE,
    "int_parsing": _WHOLE,
    "int_parsing_size": "is too large a number",
    "int_from_float": _WHOLE,
    "float_type": _NUMBER,
    "float_parsing": _NUMBER,
    "decimal_type": _NUMBER,
    "decimal_parsing": _NUMBER,
    "date_type": _DATE,
    "date_parsing": _DATE,
    "date_from_datetime_parsing": _DATE,
    "date_from_datetime_inexact": _DATE,
    "time_type": _TIME,
    "time_parsing": _TIME,
    "datetime_type": _MOMENT,
    "datetime_parsing": _MOMENT,
    "datetime_object_invalid": _MOMENT,
    "datetime_from_date_parsing": _MOMENT,
    "timezone_aware": _MOMENT,
    "time_delta_type": _DURATION,
    "time_delta_parsing": _DURATION,
    "url_type": _ADDRESS,
    "url_parsing": _ADDRESS,
    "url_syntax_violation": _ADDRESS,
    "url_scheme": _ADDRESS,
    "path_type": "must be a path",
    "json_invalid": "is no valid JSON ({error})",
    "json_type": "must be JSON",
}
_COUNTED = {
    "too_short": ("at least", "min_length", "entry", "entries"),
    "too_long": ("at most", "max_length", "entry", "entries"),
    "string_too_short": ("at least", "min_length", "character", "characters"),
    "string_too_long": ("at most", "max_length", "character", "characters"),
    "bytes_too_short": ("at least", "min_length", "byte", "bytes"),
    "bytes_too_long": ("at most", "max_length", "byte", "bytes"),
    "url_too_long": ("at most", "max_length", "character", "characters"),
}


def leave_out_consequences(errors: Sequence[ErrorT]) -> list[ErrorT]:
    """Return pydantic's errors without those that follow from others, as a list lacks its wrong entries."""
    above = {tuple(error["loc"][:depth]) for error in errors for depth in range(len(error["loc"]))}
    return [error for error in errors if error["type"] != "too_short" or tuple(error["loc"]) not in above]


def describe_invalid_value(details: Mapping[str, Any]) -> str:
    """Return what is wrong with a value or allowed for it, without the value: `must be at least 1`.

    Args:
        details: One of the errors of a pydantic `ValidationError` or FastAPI `RequestValidationError`, with
            its `ctx`.
    """
    kind, context = details["type"], details.get("ctx") or {}
    if kind in ("value_error", "assertion_error"):
        raised = str(context["error"])
        return _FILE if raised.startswith("Expected UploadFile") else raised  # FastAPI's own, of its class
    if kind in _COUNTED:
        words, bound, one, many = _COUNTED[kind]
        count = context[bound]
        if context.get("field_type") == "Value":  # a secret, whose text counts
            one, many = "character", "characters"
        return f"must have {words} {plural(count, one, many)}"
    values = {name: _plain(value) for name, value in context.items()}
    return _WORDS.get(kind, "is not allowed").format_map(values)


def _plain(value: Any) -> str:
    """Return a bound as people write it, choices without quotes."""
    if isinstance(value, float):
        return f"{value:g}"
    return str(value).replace("'", "")
