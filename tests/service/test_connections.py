"""Clients that open something and leave: slow bodies, half a request."""

import asyncio
from collections.abc import Sequence
from typing import Any, cast

import pytest
from starlette.types import Message
from uvicorn import Config
from uvicorn.protocols.http.auto import AutoHTTPProtocol
from uvicorn.server import ServerState

from yivideo_pipeline.service.connections import (
    BODY_PACE_BYTES,
    BodyLimit,
    BodyTooSlow,
    StaleConnections,
)

SCOPE: Any = {"type": "http", "path": "/asr", "headers": [(b"content-type", b"multipart/form-data")]}


def part(size: int, more: bool = True) -> Message:
    return {"type": "http.request", "body": bytes(size), "more_body": more}


async def ignore(_message: Message) -> None:
    """Take what would be sent to the client."""


def read_body(parts: Sequence[Message], patience_s: float) -> int:
    """The bytes that the application reads of a body whose client sends these parts and then nothing."""
    left = list(parts)

    async def receive() -> Message:
        return left.pop(0) if left else await asyncio.Future()

    async def run() -> int:
        sizes: list[int] = []

        async def app(_scope, receive, _send) -> None:
            is_complete = False
            while not is_complete:
                message = await receive()
                sizes.append(len(message["body"]))
                is_complete = not message["more_body"]

        await BodyLimit(app, lambda: 1, patience_s)(SCOPE, receive, ignore)
        return sum(sizes)

    return asyncio.run(run())


def test_a_body_that_stops_to_arrive_is_given_up():
    with pytest.raises(BodyTooSlow) as caught:
        read_body([part(100)], patience_s=0.01)
    assert caught.value.status_code == 408
    assert caught.value.headers == {"Connection": "close"}


def test_a_body_that_arrives_is_read_to_its_end():
    parts = [part(BODY_PACE_BYTES)] * 3 + [part(1, more=False)]
    assert read_body(parts, patience_s=60) == 3 * BODY_PACE_BYTES + 1


def test_drops_do_not_extend_the_patience():
    # Without a limit on the pace this would go on for ever.
    async def run() -> None:
        async def drip() -> Message:
            await asyncio.sleep(0.001)
            return part(1)

        async def app(_scope, receive, _send) -> None:
            while True:
                await receive()

        await BodyLimit(app, lambda: 1, 0.02)(SCOPE, drip, ignore)

    with pytest.raises(BodyTooSlow):
        asyncio.run(run())


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nHost: local"], ids=["nothing", "half a head"])
def test_a_connection_without_a_request_is_closed_and_one_at_work_is_not(sent):
    async def run() -> tuple[bytes, bytes]:
        go_on = asyncio.Event()

        async def app(_scope, _receive, send) -> None:
            await go_on.wait()
            await send({"type": "http.response.start", "status": 204, "headers": []})
            await send({"type": "http.response.body", "body": b""})

        state, protocol = ServerState(), cast(Any, AutoHTTPProtocol)
        config = Config(app, log_config=None, lifespan="off")
        server = await asyncio.get_running_loop().create_server(
            lambda: protocol(config=config, server_state=state, app_state={}), "127.0.0.1", 0
        )
        port = server.sockets[0].getsockname()[1]
        idle, idle_writer = await asyncio.open_connection("127.0.0.1", port)
        idle_writer.write(sent)
        busy, busy_writer = await asyncio.open_connection("127.0.0.1", port)
        busy_writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        while len(state.connections) < 2 or not state.tasks:
            await asyncio.sleep(0)
        stale = StaleConnections(state)
        await stale.close()
        assert not any(one.transport.is_closing() for one in state.connections), "it may still come"
        await stale.close()
        ended = await idle.read()
        go_on.set()
        answer = await busy.readline()
        idle_writer.close(), busy_writer.close(), server.close()
        return ended, answer

    ended, answer = asyncio.run(run())
    assert ended == b""
    assert answer.startswith(b"HTTP/1.1 204")
