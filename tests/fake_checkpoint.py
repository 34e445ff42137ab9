"""A checkpoint in memory, whose process dies in the middle."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


class Killed(BaseException):
    """In place of a kill."""


@dataclass
class Kept:
    """A checkpoint in memory, as JSON; its process dies once it has kept so many windows."""

    dies_after: float = float("inf")
    entries: dict[str, str] = field(default_factory=dict)
    resumed_s: float = 0.0

    def load(self) -> dict[str, Any]:
        return {name: json.loads(text) for name, text in self.entries.items()}

    def save(self, entries: Mapping[str, Any]) -> None:
        self.entries |= {name: json.dumps(value) for name, value in entries.items()}
        if sum("window" in name for name in self.entries) >= self.dies_after:
            raise Killed

    def note_resumed(self, sound_s: float) -> None:
        self.resumed_s = sound_s
