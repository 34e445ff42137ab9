"""Removes secrets from text that a user or a log may see."""

import re

MASK = "***"

_SECRET_NAME = r"(?:token|secret|passwd|password|api[_-]?key|access[_-]?key|signature|credential)"

# Each pattern can start only at few places of a long word, so that the time grows with the length alone: a
# client may make us log tens of thousands of characters.
_PATTERNS: tuple[tuple[re.Pattern[str], str], ...] = (
    # Hugging Face tokens. The look-ahead spares plain words such as hf_transfer.
    (re.compile(r"\bhf_(?:(?=[a-z]*[A-Z0-9])[A-Za-z0-9]{8,}|[a-z]{16,})"), f"hf_{MASK}"),
    (re.compile(r"(?i)(\bauthorization['\"]?\s*[:=]\s*['\"]?(?:basic|token)\s+)[^\s'\",]+"), rf"\1{MASK}"),
    (re.compile(r"(?i)(\bbearer\s+)(?!tokens?\b|auth)[^\s'\",]+"), rf"\1{MASK}"),
    # scheme://user:password@host, and a token alone before the @; a password may itself hold an @.
    (re.compile(r"(?i)\b([a-z][a-z0-9+.-]{0,99}://)[^\s/?#]+@"), rf"\1{MASK}@"),
    # name=value, as in the query of a presigned URL, and "name": "value", as in JSON.
    (
        re.compile(rf"(?i)((?<![\w-])[\w-]*{_SECRET_NAME}(?:=|['\"]\s*[:=]\s*)['\"]?)[^\s'\"&,;)}}]+"),
        rf"\1{MASK}",
    ),
    # YAML's `hf_token: value`; a lone "token: expired" is prose and stays.
    (re.compile(rf"(?i)(\b\w+[_-]{_SECRET_NAME}\s*:\s+['\"]?)[^\s'\",]+"), rf"\1{MASK}"),
)


def redact(text: str) -> str:
    """Replace tokens, bearer headers, credentials in URLs and named secrets by `***`.

    A second application changes nothing.
    """
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return text
