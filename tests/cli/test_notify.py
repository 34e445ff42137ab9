"""The user sees whether notices arrive, before anything fails."""

import socket
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from tests.cli.command import run, settings


@pytest.fixture
def environment(home, model_dir):
    return settings(home, model_dir)


@pytest.fixture
def received():
    """The paths that a web server on a real socket was posted to, behind its port."""
    paths = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            paths.append(self.path)
            self.send_response(204)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Print nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server.server_address[1], paths
    server.shutdown()
    thread.join()
    server.server_close()


def test_without_a_channel_it_names_the_settings_to_set(environment):
    ended = run(environment, "notify")
    assert ended.returncode == 2
    assert "No channel for notices is set." in ended.stderr
    assert "notices.webhook_url" in ended.stderr


def test_a_test_notice_is_sent_by_each_channel_and_a_dead_one_is_reported(environment, received):
    port, paths = received
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        channels = {
            "YIVIDEO_NOTICES__WEBHOOK_URL": f"http://127.0.0.1:{port}/geheim",
            "YIVIDEO_NOTICES__SMTP_HOST": "127.0.0.1",
            "YIVIDEO_NOTICES__SMTP_PORT": str(closed.getsockname()[1]),
            "YIVIDEO_NOTICES__SMTP_SECURITY": "none",
            "YIVIDEO_NOTICES__MAIL_FROM": "a@here.example",
            "YIVIDEO_NOTICES__MAIL_TO": "b@here.example",
        }
        ended = run({**environment, **channels}, "notify")
    assert ended.returncode == 1
    assert ended.stdout.splitlines()[0] == "webhook: sent"
    assert ended.stdout.splitlines()[1].startswith("mail: The mail server does not accept mail now")
    assert "geheim" not in ended.stdout + ended.stderr
    assert paths == ["/geheim"]
