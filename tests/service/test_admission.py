"""Slots, and wrong keys: who has sent many is refused, and nobody else."""

import itertools

import pytest

from yivideo_pipeline.service import admission
from yivideo_pipeline.service.admission import (
    MAX_ADDRESSES,
    WRONG_KEYS,
    WRONG_KEYS_S,
    Admission,
    KeyThrottle,
    Overloaded,
)


@pytest.fixture
def clock(monkeypatch):
    """The time in seconds, as a list of one that a test may change."""
    time = [0.0]
    monkeypatch.setattr(admission, "monotonic", lambda: time[0])
    return time


def send(throttle: KeyThrottle, host: str, count: int) -> list[int]:
    return [throttle.note_wrong_key(host) for _ in range(count)]


def test_an_address_that_sends_many_wrong_keys_is_refused_for_a_while(clock):
    throttle = KeyThrottle()
    assert send(throttle, "192.0.2.1", WRONG_KEYS) == [0] * WRONG_KEYS
    clock[0] = 20.0
    assert send(throttle, "192.0.2.1", 50) == [WRONG_KEYS_S - 20] * 50
    assert throttle.note_wrong_key("192.0.2.2") == 0
    clock[0] = WRONG_KEYS_S
    assert throttle.note_wrong_key("192.0.2.1") == 0


def test_all_addresses_of_an_ipv6_site_count_together(clock):
    throttle = KeyThrottle()
    send(throttle, "2001:db8::1", WRONG_KEYS)
    assert throttle.note_wrong_key("2001:db8::ffff:2") > 0
    assert throttle.note_wrong_key("2001:db8:0:1::1") == 0
    assert [throttle.note_wrong_key(host) for host in ("fe80::1%eth0", "::ffff:192.0.2.1", "a-name")] == [
        0
    ] * 3


def test_memory_stays_bounded_however_many_addresses_there_are(clock):
    throttle = KeyThrottle()
    for one, two in itertools.product(range(64), range(256)):
        throttle.note_wrong_key(f"10.0.{one}.{two}")
    assert len(throttle._wrong) == MAX_ADDRESSES


def test_requests_in_the_background_leave_slots_to_others():
    slots = Admission(3, background_slots=lambda: 1)
    with slots.slot(background=True):
        with pytest.raises(Overloaded), slots.slot(background=True):
            pass
        with slots.slot(), slots.slot():
            assert slots.taken == 3
