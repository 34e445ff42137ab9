"""Signals that ask a command to stop: Ctrl-C, `kill`, a terminal that is closed."""

import os
import signal
import socket
import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager

from yivideo_pipeline.cli.console import Exit

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def end_at_once() -> None:
    """End the process where it stands. Files are renamed into place, so none is left half-written."""
    os._exit(Exit.INTERRUPTED)


class StopRequest:
    """Whether the user asked the command to stop, known from the moment they did.

    Signals are read from Python's wake-up channel by a thread of its own, since a handler alone may come late
    or never: while a run is under way Dagster holds signals back for a moment, and drops them after its last
    step; while a library computes, Python runs no handler at all.

    Args:
        on_first: Called in that thread when the first signal arrives.
        on_repeat: Called in that thread for each further one; by default the process ends.
    """

    def __init__(
        self, on_first: Callable[[], object] | None = None, on_repeat: Callable[[], object] = end_at_once
    ) -> None:
        self._on_first = on_first
        self._on_repeat = on_repeat
        self._received = threading.Event()

    @property
    def received(self) -> bool:
        """Whether the user asked to stop."""
        return self._received.is_set()

    def wait(self, timeout_s: float) -> bool:
        """Wait until the user asks to stop, or time is up; returns whether they asked."""
        return self._received.wait(timeout_s)

    @contextmanager
    def listening(
        self, signals: Sequence[signal.Signals] = STOP_SIGNALS, *, interrupt: bool = False
    ) -> Generator["StopRequest"]:
        """Listen for signals; the handlers are as before afterwards. Call it in the main thread.

        A handler is set even where it does nothing: what is ignored, as SIGINT is in a shell's background
        job, never reaches the channel, and programs that are started would ignore it too.

        Args:
            signals: The signals that ask to stop.
            interrupt: Whether each also raises KeyboardInterrupt in the main thread, where it can.
        """
        handler = signal.default_int_handler if interrupt else _do_nothing
        before = {number: signal.signal(number, handler) for number in signals}
        inbox, outbox = socket.socketpair()
        outbox.setblocking(False)
        channel = signal.set_wakeup_fd(outbox.fileno(), warn_on_full_buffer=False)
        listener = threading.Thread(
            target=self._listen, args=(inbox, signals), name="stop-signals", daemon=True
        )
        listener.start()
        try:
            yield self
        finally:
            signal.set_wakeup_fd(channel)
            for number, former in before.items():
                signal.signal(number, former)
            outbox.close()
            listener.join()
            inbox.close()

    def _listen(self, inbox: socket.socket, signals: Sequence[signal.Signals]) -> None:
        while number := inbox.recv(1):
            if number[0] not in signals:
                continue
            if self.received:
                self._on_repeat()
                continue
            self._received.set()
            if self._on_first:
                self._on_first()


def _do_nothing(_number: int, _frame: object) -> None:
    """Handle a signal that the listening thread acts on."""
