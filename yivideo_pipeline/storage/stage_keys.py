"""Keys of what stages make: nothing is computed twice under the same key."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any


def canonical_json(value: Any) -> str:
    """Return the one spelling that equal values have: sorted names, no spaces, text as it is.

    Raises:
        TypeError: The value holds something that JSON can't express.
        ValueError: It holds a number that is not finite.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def stage_key(
    stage: str, code_version: str, inputs: Mapping[str, str], options: Mapping[str, Any] | None = None
) -> str:
    """Return the key of what a stage makes, from all that decides it: 32 hexadecimal characters.

    Args:
        stage: The stage's name.
        code_version: Changed by hand whenever the stage's code makes a different result.
        inputs: The content hash of each thing that the stage reads. It is the content and not the
            key of the stage before, so that nothing follows from an upstream stage that was made
            again with the same result.
        options: Those that change the result; a batch size or a device does not.
    """
    decides = {"stage": stage, "code": code_version, "inputs": dict(inputs), "options": dict(options or {})}
    return hashlib.sha256(canonical_json(decides).encode("utf-8")).hexdigest()[:32]
