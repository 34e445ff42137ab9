"""A timer for the time in which nobody comes."""

import threading
from collections.abc import Callable


class IdleTimer:
    """Calls an action, in a thread of its own, once it has run so long without being stopped.

    Args:
        idle_s: How long; None never calls.
        action: What to do then.
    """

    def __init__(self, idle_s: float | None, action: Callable[[], None]) -> None:
        self._idle_s = idle_s
        self._action = action
        self._lock = threading.Lock()
        self._timer: threading.Timer | None = None

    def start(self) -> None:
        """Begin to run, anew if it runs already."""
        with self._lock:
            self._cancel()
            if self._idle_s is not None:
                self._timer = threading.Timer(self._idle_s, self._act)
                self._timer.name, self._timer.daemon = "model-idle", True
                self._timer.start()

    def stop(self) -> None:
        """Stop running until the next start."""
        with self._lock:
            self._cancel()

    def change(self, idle_s: float | None) -> None:
        """Change how long, from the next start on."""
        with self._lock:
            self._idle_s = idle_s

    def close(self) -> None:
        """Stop running for good."""
        with self._lock:
            self._idle_s = None
            self._cancel()

    def _cancel(self) -> None:
        if self._timer:
            self._timer.cancel()
            self._timer = None

    def _act(self) -> None:
        with self._lock:
            if self._timer is not threading.current_thread():  # stopped at the last moment
                return
        self._action()
