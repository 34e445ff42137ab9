"""Callbacks of workflows: which addresses they go to, and how often they are retried."""

import socket
import time

import pytest

from yivideo_pipeline.errors.tree import ConfigError
from yivideo_pipeline.ledger import open_ledger
from yivideo_pipeline.ledger.callbacks import GIVE_UP_AFTER_S
from yivideo_pipeline.service.workflows.callbacks import find_target
from yivideo_pipeline.settings.load import load_settings


def test_a_name_that_leads_into_a_private_network_is_called_only_where_its_address_is_listed(monkeypatch):
    own_name = socket.gethostname().lower()  # of an address of this machine's own
    monkeypatch.setenv("YIVIDEO_SERVICE__CALLBACK_HOSTS", f"{own_name},127.0.0.1")
    settings = load_settings().service
    with pytest.raises(ConfigError, match="private network"):
        find_target(f"http://{own_name}/", settings)
    assert find_target("http://127.0.0.1:5000/x", settings).address == "127.0.0.1"


def test_a_callback_is_tried_ever_less_often_and_given_up_in_the_end(home):
    callbacks = open_ledger(home).callbacks
    callbacks.ask("a" * 32, "http://hooks.example.com/")
    callbacks.ask("a" * 32, "http://hooks.example.com/another")
    began = now = 1_000_000.0
    waits = [2**n for n in range(10)]
    while due := callbacks.due(now):
        assert due[0].url == "http://hooks.example.com/"
        if not callbacks.mark_failed(due[0], now):
            break
        wait_s = waits.pop(0) if waits else 900
        assert not callbacks.due(now + wait_s - 0.1)
        now += wait_s
    assert not callbacks.is_any_open()
    assert now - began < GIVE_UP_AFTER_S <= now - began + 900


def test_what_was_launched_again_meanwhile_is_told_of_again(home):
    callbacks = open_ledger(home).callbacks
    callbacks.ask("a" * 32, "http://hooks.example.com/")
    (being_sent,) = callbacks.due(time.time())
    callbacks.ask_again("a" * 32)
    callbacks.mark_sent(being_sent)
    (again,) = callbacks.due(time.time())
    callbacks.mark_sent(again)
    assert not callbacks.is_any_open()
