"""A web server and a mail server for tests, on real sockets, with replies of the test's choice."""

import base64
import json
import socketserver
import ssl
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socket import socket


@dataclass
class WebhookReceiver:
    """The receiver of a webhook: replies with `statuses` in turn, then with 200."""

    statuses: list[int] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    silent_s: float = 0.0
    requests: list[tuple[str, dict]] = field(default_factory=list)
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/services/T000-geheim?token=abc123"


@contextmanager
def serve_webhook(hook: WebhookReceiver) -> Generator[WebhookReceiver]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            notice = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            hook.requests.append((self.path, notice))
            time.sleep(hook.silent_s)
            self.send_response(hook.statuses.pop(0) if hook.statuses else 200)
            for name, value in hook.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Log nothing."""

    with _running(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as port:
        hook.port = port
        yield hook


@dataclass
class MailServer:
    """A mail server: answers a command with `replies` in turn where it has some, else accepts everything.

    With a certificate and its key (a PEM file) it offers STARTTLS, or speaks TLS from the start.
    """

    replies: dict[str, list[str]] = field(default_factory=dict)
    password: str | None = None
    certificate: Path | None = None
    tls_at_once: bool = False
    mails: list[EmailMessage] = field(default_factory=list)
    receivers: list[str] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)
    port: int = 0


@contextmanager
def serve_mail(box: MailServer) -> Generator[MailServer]:
    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            conversation = _SmtpSession(box, self.request)
            try:
                conversation.run()
            except OSError:
                box.commands.append("BROKEN OFF")
            finally:
                conversation.close()

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

    with _running(Server(("127.0.0.1", 0), Handler)) as port:
        box.port = port
        yield box


class _SmtpSession:
    def __init__(self, box: MailServer, connection: socket) -> None:
        self._box = box
        self._connection = connection
        self._lines = connection.makefile("rb")

    def run(self) -> None:
        if self._box.tls_at_once:
            self._encrypt()
        self._send(self._reply_to("CONNECT", "220 ready"))
        while line := self._lines.readline().decode().strip():
            command = line.split()[0].upper()
            self._box.commands.append(command)
            answer = getattr(self, f"_{command.lower()}", None)
            self._send(self._reply_to(command, answer(line) if answer else "250 ok"))
            if command == "QUIT":
                return
            if command == "DATA":
                self._read_mail()
            if command == "STARTTLS":
                self._encrypt()

    def close(self) -> None:
        self._lines.close()
        self._connection.close()

    def _reply_to(self, command: str, usual: str) -> str:
        replies = self._box.replies.get(command)
        return replies.pop(0) if replies else usual

    def _send(self, reply: str) -> None:
        self._connection.sendall(reply.encode() + b"\r\n")

    def _encrypt(self) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(str(self._box.certificate))
        self._lines.close()
        self._connection = context.wrap_socket(self._connection, server_side=True)
        self._lines = self._connection.makefile("rb")

    def _ehlo(self, line: str) -> str:
        login = "250-AUTH PLAIN\r\n" if self._box.password else ""
        return f"250-here\r\n{login}250-STARTTLS\r\n250 SMTPUTF8"

    def _starttls(self, line: str) -> str:
        return "220 go on"

    def _auth(self, line: str) -> str:
        login = base64.b64decode(line.split()[2]).decode().split("\0")
        if login[2] == self._box.password:
            return "235 welcome"
        return f"535 {login[2]} is not the password"  # a server that can't keep a secret

    def _rcpt(self, line: str) -> str:
        self._box.receivers.append(line.partition("<")[2].partition(">")[0])
        return "250 ok"

    def _data(self, line: str) -> str:
        return "354 go on"

    def _quit(self, line: str) -> str:
        return "221 bye"

    def _read_mail(self) -> None:
        lines = []
        while (line := self._lines.readline()) not in (b".\r\n", b""):
            lines.append(line)
        reply = self._reply_to("MAIL'S END", "250 taken")
        if reply.startswith("250"):
            self._box.mails.append(message_from_bytes(b"".join(lines), policy=policy.default))
        self._send(reply)


@contextmanager
def _running(server: socketserver.TCPServer) -> Generator[int]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
