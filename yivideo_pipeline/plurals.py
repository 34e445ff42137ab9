"""Counts with their nouns, as sentences for people have them."""


def plural(count: int, noun: str, many: str | None = None) -> str:
    """Return a count with its noun: 1 video, 2 videos.

    Args:
        count: How many.
        noun: The noun for one.
        many: The noun for any other count; by default with an s.
    """
    return f"{count} {noun}" if count == 1 else f"{count} {many or noun + 's'}"
