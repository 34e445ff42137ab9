"""Reads from the source what the program says in English, to see whether pages can say it in Chinese."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import yivideo_pipeline
from yivideo_pipeline.errors import tree

PACKAGE = Path(yivideo_pipeline.__file__).parent
SPEAKERS = (
    "media", "speech", "storage", "remote/client.py", "errors/classify.py",
    "service/*.py", "service/pages", "service/review", "service/workflows",
    "defs/checks", "defs/execution.py", "defs/recording.py", "defs/resources.py", "defs/stage.py",
    "defs/launch.py",
)  # fmt: skip
"""The modules whose errors become a video's failure, or the answer to what a page asks for."""
ERRORS = {name for name, kind in vars(tree).items() if isinstance(kind, type) and issubclass(kind, Exception)}
HOLES = "abcdefgh"


def said() -> Iterator[tuple[str, str]]:
    """Yield the module and the text of each message and hint, with `{a}`, `{b}` for its values."""
    for speaker in SPEAKERS:
        paths = PACKAGE.glob(speaker)
        for path in sorted(file for one in paths for file in ([one] if one.is_file() else one.rglob("*.py"))):
            module = ast.parse(path.read_text())
            for call in ast.walk(module):
                if isinstance(call, ast.Call) and (name := _name_of(call)) in {*ERRORS, "Refused", "Verdict"}:
                    first = {"Refused": 2, "Verdict": 1}.get(name, 0)
                    if name == "Verdict" and isinstance(call.args[0], ast.Constant) and call.args[0].value:
                        continue  # what has passed is no failure
                    given = call.args[first : first + (1 if name == "Verdict" else 2)]
                    given += [one.value for one in call.keywords if one.arg in ("message", "hint")]
                    for part in given:
                        for text in _texts(part):
                            yield str(path.relative_to(PACKAGE)), text


def _name_of(call: ast.Call) -> str:
    return call.func.id if isinstance(call.func, ast.Name) else getattr(call.func, "attr", "")


def _texts(node: ast.AST) -> Iterator[str]:
    """Yield what an expression may say, as far as the source alone tells it."""
    match node:
        case ast.Constant(value=str() as text) if text:
            yield text
        case ast.JoinedStr(values=parts):
            holes = iter(HOLES)
            text = "".join(
                str(part.value) if isinstance(part, ast.Constant) else f"{{{next(holes)}}}" for part in parts
            )
            if len(re.findall(r"[A-Za-z']{2,}", re.sub(r"\{\w\}", "", text))) > 1 and not text.startswith(
                "pip "
            ):
                yield text
        case ast.IfExp(body=one, orelse=other):
            yield from _texts(one)
            yield from _texts(other)
        case ast.Call(args=[claim, _]) if _name_of(node) == "explain":
            yield from (f"{text} ({{z}})" for text in _texts(claim))
