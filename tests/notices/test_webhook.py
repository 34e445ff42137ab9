"""Notices arrive as JSON, and the address stays secret."""

import logging

import pytest
from pydantic import SecretStr

from tests.notices.servers import WebhookReceiver, serve_webhook
from yivideo_pipeline.errors.tree import ConfigError, ServiceUnreachable, YivideoError
from yivideo_pipeline.notices.channels import Webhook


def test_a_notice_arrives_with_its_fields_and_a_text_for_chats(hook, notice):
    Webhook(SecretStr(hook.url)).send(notice)
    ((path, body),) = hook.requests
    assert path == "/services/T000-geheim?token=abc123"
    assert body == {
        "text": "今天天气.mp4 failed at transcript: No memory\n今天天气.mp4\n  hint\n"
        "http://127.0.0.1:3000/runs/1",
        "kind": "run_failure",
        "severity": "high",
        "subject": "今天天气.mp4 failed at transcript: No memory",
        "body": ["今天天气.mp4", "  hint"],
        "url": "http://127.0.0.1:3000/runs/1",
        "at": "2027-01-15T08:00:00+00:00",
        "fingerprint": "f",
    }


@pytest.mark.parametrize("status", [408, 429, 500, 503])
def test_a_server_that_fails_is_worth_retrying(hook, notice, status):
    hook.statuses = [status]
    with pytest.raises(ServiceUnreachable, match=rf"server fails \(HTTP {status}\)"):
        Webhook(SecretStr(hook.url)).send(notice)


@pytest.mark.parametrize("status", [400, 401, 404, 410])
def test_a_refusal_is_a_fault_of_the_settings(hook, notice, status):
    hook.statuses = [status]
    with pytest.raises(ConfigError, match=rf"refused the notice \(HTTP {status}\)") as caught:
        Webhook(SecretStr(hook.url)).send(notice)
    assert "notices.webhook_url" in caught.value.hint


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_no_redirect_is_followed(hook, notice, status):
    with serve_webhook(WebhookReceiver()) as other:
        hook.statuses, hook.headers = [status], {"Location": other.url}
        with pytest.raises(ConfigError, match="has moved"):
            Webhook(SecretStr(hook.url)).send(notice)
        assert other.requests == []


def test_a_refused_connection_is_worth_retrying(closed_port, notice):
    with pytest.raises(ServiceUnreachable, match="does not answer"):
        Webhook(SecretStr(f"http://127.0.0.1:{closed_port}/geheim")).send(notice)


def test_a_receiver_that_keeps_silent_is_not_waited_for(hook, notice):
    hook.silent_s = 2
    with pytest.raises(ServiceUnreachable, match="does not answer"):
        Webhook(SecretStr(hook.url), timeout_s=0.1).send(notice)


@pytest.mark.parametrize("address", ["geheim", "ftp://geheim/x", "http://geheim:port/", "http://"])
def test_an_invalid_address_is_reported_without_showing_it(notice, address):
    with pytest.raises(ConfigError, match="not an http or https address") as caught:
        Webhook(SecretStr(address)).send(notice)
    assert "geheim" not in str(caught.value)


@pytest.mark.parametrize("status", [200, 401, 500])
def test_the_address_appears_nowhere(hook, notice, status, caplog):
    hook.statuses = [status]
    webhook = Webhook(SecretStr(hook.url))
    texts = [repr(webhook), str(vars(webhook))]
    with caplog.at_level(logging.DEBUG):
        try:
            webhook.send(notice)
        except YivideoError as error:
            texts += [str(error), repr(error), repr(error.__cause__)]
    assert "HTTP Request: POST ***" in caplog.text
    for text in (*texts, caplog.text):
        assert "geheim" not in text
        assert "abc123" not in text
