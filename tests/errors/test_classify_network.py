"""Hub and network faults, caused by a local server that answers, refuses or stays silent."""

import http.server
import os
import socket
import subprocess
import sys
import threading
import urllib.request
from contextlib import contextmanager

import httpx
import pytest
import requests
from huggingface_hub import HfApi, hf_hub_download, snapshot_download

from yivideo_pipeline.errors.classify import classify
from yivideo_pipeline.errors.tree import (
    ConfigValidationError,
    ModelLoadError,
    ServiceUnreachable,
    SystemFault,
)

TIMEOUT_S = 0.2


def caught(action, *args, **kwargs) -> BaseException:
    with pytest.raises(Exception) as info:
        action(*args, **kwargs)
    return info.value


@contextmanager
def hub_that_answers(status: int, code: str | None = None):
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(status)
            if code:
                self.send_header("X-Error-Code", code)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_HEAD = do_GET

        def log_message(self, format, *args):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def closed_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@pytest.fixture
def silent_address():
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield server.getsockname()


@pytest.mark.parametrize(
    ("status", "code", "hint"),
    [
        (403, "GatedRepo", "Accept the conditions"),
        (404, "RepoNotFound", "Check the model's name"),
        (404, "RevisionNotFound", "Check the model's name"),
        (404, "EntryNotFound", "Check the model's name"),
        (401, None, "HF_TOKEN"),
        (403, None, "HF_TOKEN"),
        (404, None, "Check the model's name"),
    ],
)
def test_a_refusing_hub_is_a_model_that_can_not_be_loaded(status, code, hint):
    with hub_that_answers(status, code) as endpoint:
        error = caught(HfApi(endpoint=endpoint).model_info, "owner/model")
    found = classify(error)
    assert type(found) is ModelLoadError
    assert hint in found.hint
    assert not found.retryable
    assert found.__cause__ is error


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_hub_that_is_busy_or_broken_is_retried(status):
    with hub_that_answers(status) as endpoint:
        found = classify(caught(HfApi(endpoint=endpoint).model_info, "owner/model"))
    assert type(found) is ServiceUnreachable
    assert found.retryable


def test_weights_that_are_not_cached_and_not_to_be_fetched(tmp_path):
    error = caught(hf_hub_download, "owner/model", "model.bin", cache_dir=tmp_path, local_files_only=True)
    found = classify(error)
    assert type(found) is ModelLoadError
    assert "cache" in found.hint


def test_weights_that_are_not_cached_because_the_hub_is_down(tmp_path, closed_port):
    endpoint = f"http://127.0.0.1:{closed_port}"
    found = classify(caught(snapshot_download, "owner/model", cache_dir=tmp_path, endpoint=endpoint))
    assert type(found) is ServiceUnreachable


def test_offline_mode_says_how_to_leave_it():
    script = (
        "from huggingface_hub import HfApi\n"
        "from yivideo_pipeline.errors.classify import classify\n"
        "try:\n    HfApi().model_info('owner/model')\n"
        "except Exception as error:\n    found = classify(error)\n"
        "    print(found.kind, found.retryable, found.hint)\n"
    )
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("model_load False")
    assert "HF_HUB_OFFLINE" in done.stdout


def test_a_name_that_no_hub_can_have():
    found = classify(caught(HfApi().model_info, "a b//c"))
    assert type(found) is ConfigValidationError


@pytest.mark.parametrize(
    "get", [requests.get, httpx.get, urllib.request.urlopen], ids=lambda get: get.__module__
)
class TestEveryClient:
    def test_a_refused_connection_is_retried(self, get, closed_port):
        found = classify(caught(get, f"http://127.0.0.1:{closed_port}/"))
        assert type(found) is ServiceUnreachable
        assert found.retryable

    def test_an_unknown_host_is_retried(self, get):
        assert type(classify(caught(get, "http://nobody.invalid/"))) is ServiceUnreachable

    def test_a_server_that_says_nothing_is_retried(self, get, silent_address):
        host, port = silent_address
        found = classify(caught(get, f"http://{host}:{port}/", timeout=TIMEOUT_S))
        assert type(found) is ServiceUnreachable


def test_a_socket_that_times_out_is_the_network_not_the_task(silent_address):
    def read():
        with socket.create_connection(silent_address, timeout=TIMEOUT_S) as connection:
            connection.recv(1)

    assert type(classify(caught(read))) is ServiceUnreachable


@pytest.mark.parametrize(("status", "kind"), [(503, ServiceUnreachable), (404, SystemFault)])
def test_an_answer_from_another_service_counts_by_its_status(status, kind):
    def ask(url):
        requests.get(url).raise_for_status()

    with hub_that_answers(status) as endpoint:
        assert type(classify(caught(ask, endpoint))) is kind


def test_a_presigned_address_in_an_error_loses_its_signature(closed_port):
    url = f"http://127.0.0.1:{closed_port}/model.bin?X-Amz-Signature=abcdef0123"
    assert "abcdef0123" not in str(classify(caught(requests.get, url)))
