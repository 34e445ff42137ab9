"""Bodies that are too large, over a real socket: refused while they arrive, kept on disk meanwhile."""

import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from tests.service.server import Server, run_server, wait_until

MB = 1024 * 1024
BOUNDARY = "----part"
HEAD = (
    f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="audio_file"; filename="a.mp4"\r\n\r\n'
).encode()
FORM = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}


@pytest.fixture(scope="module")
def small(tmp_path_factory, model_dir) -> Iterator[Server]:
    """A service that takes 2 MB."""
    home = tmp_path_factory.mktemp("small")
    with run_server(home, model_dir, YIVIDEO_SERVICE__MAX_UPLOAD_MB="2") as running:
        yield running


def parts(megabytes: int) -> Iterator[bytes]:
    yield HEAD
    for _ in range(megabytes):
        yield bytes(MB)
    yield f"\r\n--{BOUNDARY}--\r\n".encode()


def whole(megabytes: int) -> bytes:
    return b"".join(parts(megabytes))


@pytest.mark.parametrize("path", ["/asr", "/v1/audio/transcriptions", "/v1/speech/transcribe/upload"])
@pytest.mark.parametrize("body", [parts, whole], ids=["length unknown", "length declared"])
def test_a_body_that_is_too_large_is_refused_by_every_route(small, path, body):
    with small.client() as client:
        answer = client.post(path, content=body(4), headers=FORM)
    assert answer.status_code == 413
    assert "2 MB" in answer.json()["error"]["message"]
    assert answer.json()["error"]["id"]


def test_a_body_just_within_the_limit_is_read(small):
    with small.client() as client:
        answer = client.post("/asr", content=parts(1), headers=FORM)
    assert answer.json()["error"]["kind"].startswith("media")


def test_what_is_declared_too_large_is_not_waited_for(small):
    address = urlsplit(small.url)
    with socket.create_connection((address.hostname, address.port), timeout=60) as connection:
        lines = ["POST /asr HTTP/1.1", f"Host: {address.netloc}", f"Content-Length: {100 * MB}"]
        lines += [f"{name}: {value}" for name, value in FORM.items()]
        connection.sendall("\r\n".join([*lines, "", ""]).encode())
        assert connection.recv(65_536).startswith(b"HTTP/1.1 413 ")


def test_json_is_bounded_lower_than_files(server):
    with server.client() as client:
        answer = client.post("/v1/speech/describe", content=b" " * (17 * MB))
    assert answer.status_code == 413
    assert "16 MB" in answer.json()["error"]["message"]


def test_an_upload_waits_under_the_home_and_not_in_memory_or_the_systems_folder(server):
    arrived, go_on = threading.Event(), threading.Event()

    def slow() -> Iterator[bytes]:
        for number, part in enumerate(parts(8)):
            if number == 7:
                arrived.set()
                assert go_on.wait(60)
            yield part

    def send() -> None:
        with server.client() as client:
            answers.append(client.post("/asr", content=slow(), headers=FORM))

    answers: list[httpx.Response] = []
    sending = threading.Thread(target=send)
    sending.start()
    try:
        assert arrived.wait(60)
        wait_until(lambda: any(size >= 4 * MB for size in spooled(server)))
    finally:
        go_on.set()
        sending.join()
    assert answers[0].status_code == 415
    wait_until(lambda: not spooled(server))


def spooled(server: Server) -> list[int]:
    """Sizes of the nameless files that the service has open under its home."""
    sizes = []
    for link in Path(f"/proc/{server.process.pid}/fd").iterdir():
        try:
            target = str(link.readlink())
        except FileNotFoundError:  # closed in between
            continue
        if target.startswith(str(server.home / "tmp")) and target.endswith("(deleted)"):
            sizes.append(link.stat().st_size)
    return sizes
