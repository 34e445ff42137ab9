"""A service that is started again when it ends by itself, since the others can go on without it."""

import time
from collections.abc import Callable

from yivideo_pipeline.cli.supervisor import Service

WAITS_S = (1.0, 5.0, 25.0, 60.0)
"""Before each further start; after the last the service is given up."""
STEADY_S = 300.0
"""Who has lived so long starts again after the first wait."""

Clock = Callable[[], float]


class Keeper:
    """Keeps one service running.

    Args:
        start: Starts it.
        say: Told one line for a person, whenever it ends.
        clock: Seconds from any start, never going back.
    """

    def __init__(
        self, start: Callable[[], Service], say: Callable[[str], object], clock: Clock = time.monotonic
    ) -> None:
        self._start = start
        self._say = say
        self._clock = clock
        self._failures = 0
        self._due: float | None = None
        self.service = start()
        self._started = clock()

    @property
    def runs(self) -> bool:
        """Whether it runs now."""
        return self.service.exit_code is None

    @property
    def has_given_up(self) -> bool:
        """Whether it ended so often that it is not started any more."""
        return self._failures > len(WAITS_S)

    def look(self) -> None:
        """Start it again if it has ended and its wait is over; call this again and again."""
        if self.runs or self.has_given_up:
            return
        if self._due is None:
            self._plan()
        elif self._clock() >= self._due:
            self._due = None
            self.service.close()
            self.service = self._start()
            self._started = self._clock()

    def _plan(self) -> None:
        if self._clock() - self._started >= STEADY_S:
            self._failures = 0
        self._failures += 1
        ended = f"The {self.service.name} ended with exit code {self.service.exit_code}"
        if self.has_given_up:
            self._say(f"{ended}, {self._failures} times now: it stays away. Runs load the model themselves.")
            return
        wait_s = WAITS_S[self._failures - 1]
        self._due = self._clock() + wait_s
        self._say(f"{ended}; it starts again in {wait_s:.0f} s. Until then runs load the model themselves.")
