"""What a tick tells of a look: a line for each file that is news, and all files by their reason."""

from collections import Counter
from collections.abc import Iterator

from yivideo_pipeline.library.decision import Action, Why
from yivideo_pipeline.library.outcome import Look

LINES = 100
"""So many files are told one by one; of more only how many there are for each reason."""

_WORDS: dict[Action, str] = {
    "take": "to be made",
    "take_again": "to be made again",
    "retire": "to be taken out",
    "hold": "out of sight",
    "wait": "waiting",
    "pass": "passed over",
    "known": "known",
}
"""What is done comes first."""


def tell(look: Look) -> Iterator[str]:
    """Say of each file on which the decision is new what it is and why, no more than 100; then counts.

    Where there is no news there is nothing to tell: each tick with a log leaves a file.
    """
    order = list(_WORDS)
    news = sorted(
        ((key, decision) for key, decision in look.news.items() if decision.why is not Why.TAKEN),
        key=lambda told: order.index(told[1].action),
    )
    for key, decision in news[:LINES]:
        yield f"{key}: {_WORDS[decision.action]}. {decision}."
    for why, count in Counter(decision.why for _, decision in news[LINES:]).items():
        yield f"{count} more {_WORDS[why.action]}. {why.sentence}."
    if news:
        yield f"All in all: {sum_up(look)}."


def sum_up(look: Look) -> str:
    """Say in one line how many files there are by what is done with them, and for which reasons."""
    counts = [
        f"{count:,} {words}{_reasons(look, action)}"
        for action, words in _WORDS.items()
        if (count := look.count(action))
    ]
    alerts = [alert.message for alert in look.alerts]
    quiet = [] if look.take else ["Nothing to be made"]
    return ". ".join([*alerts, *quiet, ", ".join(counts) or "There is no video in the library"])


def _reasons(look: Look, action: Action) -> str:
    if action == "known":
        return ""
    reasons = [
        f"{count:,} {why.name.lower().replace('_', ' ')}"
        for why, count in sorted(look.counts.items(), key=lambda counted: (-counted[1], counted[0].name))
        if why.action == action and count
    ]
    return f" ({', '.join(reasons)})"
