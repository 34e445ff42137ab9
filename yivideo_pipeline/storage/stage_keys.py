"""The key of what a stage makes: the same key is never computed twice."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any


def canonical_json(value: Any) -> str:
    """One spelling for equal values: sorted names, no spaces, text as it is.

    Raises:
        TypeError: the value holds something that JSON has no word for.
        ValueError: it holds a number that is not finite.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def stage_key(
    stage: str, code_version: str, inputs: Mapping[str, str], options: Mapping[str, Any] | None = None
) -> str:
    """Name what a stage makes from all that decides it: 32 hexadecimal characters.

    Args:
        stage: The stage's name.
        code_version: Changed by hand whenever the stage's code makes something else.
        inputs: The content hash of each thing that the stage reads. It is the content and not the
            key of the stage before, so that an upstream stage that ran anew but made the same thing
            sets nothing in motion.
        options: Only those that change the result: a batch size or a device is none of them.
    """
    decides = {"stage": stage, "code": code_version, "inputs": dict(inputs), "options": dict(options or {})}
    return hashlib.sha256(canonical_json(decides).encode("utf-8")).hexdigest()[:32]
