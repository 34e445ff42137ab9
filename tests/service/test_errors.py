"""Errors of the real service: what the client learns, and what the log says."""

import pytest

pytestmark = pytest.mark.model


def test_what_a_request_failed_with_is_in_the_log_under_the_id_that_was_told(server):
    with server.client() as client:
        told = client.post("/v1/speech/transcribe", json={"sound": {"path": "/etc/passwd"}}).json()["error"]
    (line,) = [line for line in server.read_log().splitlines() if told["id"] in line]
    assert "POST /v1/speech/transcribe: 403" in line
