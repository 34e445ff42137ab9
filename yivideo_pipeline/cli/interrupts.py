"""Ctrl-C, heard at once and never lost."""

import os
import signal
import socket
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager

from yivideo_pipeline.cli.exits import Exit

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupts:
    """Whether somebody asked to stop, known from the moment they did.

    While a run is under way Dagster keeps signals back for a moment, and after its last step drops them;
    while a library computes, Python runs no handler at all. The wake-up channel gets every signal at
    once, whoever handles it.
    """

    def __init__(self) -> None:
        self._asked = threading.Event()

    @property
    def asked(self) -> bool:
        """Whether somebody asked to stop."""
        return self._asked.is_set()

    @contextmanager
    def heard(self, on_first: Callable[[], None]) -> Generator[None]:
        """Listen for SIGINT and SIGTERM; each raises KeyboardInterrupt where it can.

        The first one also calls `on_first`, in a thread of its own. The second ends the process where
        it stands: files are renamed into place, so none is left half-written.
        """
        before = {number: signal.signal(number, signal.default_int_handler) for number in _SIGNALS}
        inbox, outbox = socket.socketpair()
        outbox.setblocking(False)
        channel = signal.set_wakeup_fd(outbox.fileno(), warn_on_full_buffer=False)
        listener = threading.Thread(target=self._listen, args=(inbox, on_first), daemon=True)
        listener.start()
        try:
            yield
        finally:
            signal.set_wakeup_fd(channel)
            for number, handler in before.items():
                signal.signal(number, handler)
            outbox.close()
            listener.join()
            inbox.close()

    def _listen(self, inbox: socket.socket, on_first: Callable[[], None]) -> None:
        while received := inbox.recv(1):
            if received[0] not in _SIGNALS:
                continue
            if self.asked:
                os._exit(Exit.INTERRUPTED)
            self._asked.set()
            on_first()
