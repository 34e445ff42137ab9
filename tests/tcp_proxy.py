"""A TCP proxy of the test process, which can be cut as a network is: nothing passes, and nobody is told."""

import select
import socket
import threading
from collections.abc import Generator
from contextlib import contextmanager


class TcpProxy:
    """Forwards connections to a port of this host until it is cut; `url` is its own address."""

    def __init__(self, target_port: int) -> None:
        self._target = ("127.0.0.1", target_port)
        self._open = threading.Event()
        self._open.set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.passed_bytes = 0
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def cut(self) -> None:
        """Let nothing pass: connections stay open, new ones are taken by the host and lead nowhere."""
        self._open.clear()

    def mend(self) -> None:
        self._open.set()

    def close(self) -> None:
        self._listener.close()
        self.mend()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._forward, args=(client,), daemon=True).start()

    def _forward(self, client: socket.socket) -> None:
        self._open.wait()
        with client, socket.create_connection(self._target) as server:
            other = {client: server, server: client}
            while True:
                for source in select.select([client, server], [], [])[0]:
                    try:
                        data = source.recv(65_536)
                        self._open.wait()
                        other[source].sendall(data)
                    except OSError:
                        return
                    if not data:
                        return
                    self.passed_bytes += len(data)


@contextmanager
def run_proxy(target_port: int) -> Generator[TcpProxy]:
    proxy = TcpProxy(target_port)
    try:
        yield proxy
    finally:
        proxy.close()
