"""The outbox is emptied channel by channel: retried where it may help, never sent twice."""

import logging
import time

import pytest
from pydantic import SecretStr

from yivideo_pipeline.errors.retry import RetryOptions
from yivideo_pipeline.ledger import open_ledger
from yivideo_pipeline.ledger.outbox import Notice
from yivideo_pipeline.notices.channels import Webhook, channels_of, send_waiting
from yivideo_pipeline.settings.sections import NoticeSettings

AT_ONCE = RetryOptions(max_attempts=3, base_delay_s=0, jitter=0)


@pytest.fixture
def outbox(home):
    outbox = open_ledger(home).outbox
    for name in ("first", "second"):
        outbox.post(Notice("asks", name, (), name), 3600)
    return outbox


def settings(**changes) -> NoticeSettings:
    mail = {"smtp_host": "127.0.0.1", "smtp_security": "none", "mail_from": "a@here", "mail_to": ["b@here"]}
    return NoticeSettings.model_validate(mail | changes)


def test_every_notice_is_sent_once(outbox, hook):
    webhook = Webhook(SecretStr(hook.url))
    assert str(send_waiting(outbox, webhook, AT_ONCE, 60)) == "webhook: 2 sent"
    assert str(send_waiting(outbox, webhook, AT_ONCE, 60)) == "webhook: 0 sent"
    assert [body["subject"] for _, body in hook.requests] == ["first", "second"]


def test_a_server_that_fails_once_is_retried_at_once(outbox, hook):
    hook.statuses = [500, 503, 200]
    assert send_waiting(outbox, Webhook(SecretStr(hook.url)), AT_ONCE, 60).sent == 2
    assert [body["subject"] for _, body in hook.requests] == ["first"] * 3 + ["second"]


def test_a_refused_notice_is_not_retried_and_does_not_block_the_next(outbox, hook):
    hook.statuses = [401]
    done = send_waiting(outbox, Webhook(SecretStr(hook.url)), AT_ONCE, 60)
    assert (done.sent, len(done.failures)) == (1, 1)
    assert "HTTP 401" in str(done)
    assert len(hook.requests) == 2
    (waiting,) = outbox.waiting("webhook", time.time() + 60)
    assert (waiting.notice.subject, waiting.attempts) == ("first", 1)


def test_a_channel_that_is_down_is_tried_with_one_notice_only(outbox, hook):
    hook.statuses = [500] * 9
    done = send_waiting(outbox, Webhook(SecretStr(hook.url)), AT_ONCE, 60)
    assert (done.sent, len(done.failures)) == (0, 1)
    assert len(hook.requests) == AT_ONCE.max_attempts
    assert len(outbox.waiting("webhook", time.time() + 60)) == 2


def test_a_dead_mail_server_does_not_stop_the_webhook(outbox, hook, closed_port, caplog):
    webhook, mail = channels_of(settings(webhook_url=hook.url, smtp_port=closed_port))
    with caplog.at_level(logging.WARNING):
        done = [send_waiting(outbox, channel, AT_ONCE, 60) for channel in (mail, webhook)]
    assert [one.sent for one in done] == [0, 2]
    assert "Attempt 1 of 3 failed" in caplog.text
    assert "A notice could not be sent by mail: The mail server does not accept mail now" in caplog.text


def test_each_channel_sends_every_notice(outbox, hook, mailbox):
    webhook, mail = channels_of(settings(webhook_url=hook.url, smtp_port=mailbox.port))
    assert [send_waiting(outbox, channel, AT_ONCE, 60).sent for channel in (webhook, mail)] == [2, 2]
    assert [got["Subject"] for got in mailbox.mails] == ["[yivideo] first", "[yivideo] second"]


def test_no_notice_is_started_when_the_time_is_over(outbox, hook):
    assert send_waiting(outbox, Webhook(SecretStr(hook.url)), AT_ONCE, 0).sent == 0
    assert hook.requests == []


def test_an_unexpected_error_is_reported_and_does_not_block_the_next_notice(outbox):
    seen = []

    class Odd:
        name = "odd"

        def send(self, notice: Notice) -> None:
            seen.append(notice.subject)
            raise ZeroDivisionError("at https://me:geheim@h.example")

    done = send_waiting(outbox, Odd(), AT_ONCE, 60)
    assert seen == ["first", "second"]
    assert "Unexpected ZeroDivisionError: at https://***@h.example" in str(done)


def test_no_channel_is_there_without_settings():
    assert channels_of(NoticeSettings.model_validate({})) == ()
