"""Ctrl-C, heard at once and never lost."""

import os
import signal
import socket
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager

from yivideo_pipeline.cli.console import Exit

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
    def heard(self, answer: Callable[[int], None]) -> Generator[None]:
        """Listen for SIGINT and SIGTERM; each raises KeyboardInterrupt where it can.

        `answer` is called with 1 for the first of them and 2 for the second, in a thread of its own; the
        second then ends the process where it stands. Files are renamed into place, so none is left
        half-written.
        """
        before = {number: signal.signal(number, signal.default_int_handler) for number in _SIGNALS}
        inbox, outbox = socket.socketpair()
        outbox.setblocking(False)
        channel = signal.set_wakeup_fd(outbox.fileno(), warn_on_full_buffer=False)
        listener = threading.Thread(target=self._listen, args=(inbox, answer), daemon=True)
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

    def _listen(self, inbox: socket.socket, answer: Callable[[int], None]) -> None:
        while received := inbox.recv(1):
            if received[0] not in _SIGNALS:
                continue
            if self.asked:
                answer(2)
                os._exit(Exit.INTERRUPTED)
            self._asked.set()
            answer(1)
