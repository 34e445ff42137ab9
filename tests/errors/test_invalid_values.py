"""What is said of a value that pydantic refuses: never pydantic's own words."""

from datetime import date, datetime, time
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import pytest
from annotated_types import Gt, Lt, MultipleOf
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, TypeAdapter, ValidationError
from pydantic_core.core_schema import ErrorType

from yivideo_pipeline.errors.invalid_values import describe_invalid_value

PYDANTICS_WORDS = ("Input", "input", "should", "Field", "Value error", "dictionary", "tuple", "unable")


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


class Point(BaseModel):
    model_config = ConfigDict(extra="forbid")
    x: int


def said_of(kind: Any, value: Any, json: bool = False) -> str:
    adapter = TypeAdapter(kind)
    with pytest.raises(ValidationError) as caught:
        adapter.validate_json(value) if json else adapter.validate_python(value)
    return describe_invalid_value(caught.value.errors()[0])


@pytest.mark.parametrize(
    ("kind", "value", "words"),
    [
        (Annotated[int, Field(ge=1)], 0, "must be at least 1"),
        (Annotated[int, Field(le=10**9)], 10**10, "must be at most 1000000000"),
        (Annotated[float, Field(le=0.5)], 0.75, "must be at most 0.5"),
        (Annotated[float, Gt(0)], 0, "must be more than 0"),
        (Annotated[float, Lt(1)], 1, "must be less than 1"),
        (Annotated[int, MultipleOf(4)], 5, "must be a multiple of 4"),
        (Annotated[float, Field(allow_inf_nan=False)], float("nan"), "must be a finite number"),
        (int, "many", "must be a whole number"),
        (int, 1.5, "must be a whole number"),
        (int, [], "must be a whole number"),
        (int, "9" * 5000, "is too large a number"),
        (float, "much", "must be a number"),
        (float, None, "must be a number"),
        (bool, "perhaps", "must be true or false"),
        (bool, [], "must be true or false"),
        (str, 5, "must be text"),
        (Annotated[str, Field(min_length=1)], "", "must have at least 1 character"),
        (Annotated[str, Field(max_length=2)], "abc", "must have at most 2 characters"),
        (Annotated[str, Field(pattern="^[a-z]{2}$")], "1", "must match the pattern ^[a-z]{2}$"),
        (Colour, "green", "choose red or blue"),
        (Literal["skip", "ignore"], "go", "choose skip or ignore"),
        (Annotated[tuple[str, ...], Field(min_length=1)], (), "must have at least 1 entry"),
        (Annotated[list[str], Field(max_length=2)], ["a"] * 3, "must have at most 2 entries"),
        (Annotated[dict[str, int], Field(min_length=1)], {}, "must have at least 1 entry"),
        (Annotated[SecretStr, Field(min_length=16)], "short", "must have at least 16 characters"),
        (list[str], "a", "must be a list"),
        (tuple[int, ...], 5, "must be a list"),
        (dict[str, int], [], "must be an object: keys with values"),
        (Point, [], "must be an object: keys with values"),
        (Point, {}, "is missing"),
        (Point, {"x": 1, "y": 2}, "is not a known key"),
        (Path, 5, "must be a path"),
        (datetime, "soon", "must be a date with a time, such as 2026-01-31T12:00:00Z"),
        (date, "soon", "must be a date, such as 2026-01-31"),
        (time, "late", "must be a time of day, such as 22:00"),
    ],
)  # fmt: skip
def test_each_refusal_says_what_is_allowed(kind, value, words):
    assert said_of(kind, value) == words


def test_json_that_cannot_be_parsed_says_why():
    assert said_of(Point, '{"x": ', json=True).startswith("is no valid JSON (EOF while parsing")


def test_our_own_refusals_stand_as_they_are():
    def refuse(value):
        raise ValueError("there is no such folder: give an existing one")

    said = said_of(Annotated[str, AfterValidator(refuse)], "x")
    assert said == "there is no such folder: give an existing one"


@pytest.mark.parametrize("kind", get_args(ErrorType))
def test_no_kind_of_error_speaks_pydantics_language(kind):
    numbers = dict.fromkeys(("gt", "ge", "lt", "le", "multiple_of", "min_length", "max_length"), 2)
    texts = dict.fromkeys(("expected", "pattern", "error"), "words of the model")
    words = describe_invalid_value({"type": kind, "ctx": numbers | texts})
    assert words.startswith(("must ", "is ", "has ", "choose ", "words of the model"))
    assert not any(theirs in words for theirs in PYDANTICS_WORDS)
