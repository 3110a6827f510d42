"""Watches over a WebSocket: what programs in browsers see."""

import asyncio
import base64
import json
from contextlib import asynccontextmanager

import pytest
from tests.support.callers import running_server

from pinnace.component.http import Response, Upgrade
from pinnace.component.http.duplex import duplex_pair
from pinnace.component.http.websocket import WebSocket, request_headers

MAPS = "/api/v1/namespaces/default/configmaps"


@pytest.fixture
async def call():
    async with running_server() as call:
        for name in ("a", "b"):
            await call("POST", MAPS, {"metadata": {"name": name}})
        yield call


async def handshake(call, target, *protocols):
    """Ask for a watch over a WebSocket and return the answer."""
    headers = {name.replace("-", "_"): value for name, value in request_headers(b"0" * 16, protocols).items()}
    return await call.ask("GET", target, **headers)


@asynccontextmanager
async def followed(answer):
    """Give a client's end of a watch that was granted, and wait for the server's end."""
    assert isinstance(answer, Upgrade)
    ours, theirs = duplex_pair()
    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        group.create_task(answer.run(theirs))
        yield WebSocket(ours, mask=lambda: b"abcd")
        await ours.close()


async def event(socket):
    """Return type and name of the next event, which is one text message."""
    message = await socket.receive()
    assert message.text
    tree = json.loads(message.data)
    return tree["type"], tree["object"]["metadata"]["name"]


async def test_watch_over_a_websocket_sends_each_event_as_a_message(call):
    """What is there comes first, each object in a message of its own, then what happens; a client that leaves ends the watch."""
    answer = await handshake(call, f"{MAPS}?watch=1")
    assert answer.status == 101
    async with followed(answer) as socket:
        assert [await event(socket), await event(socket)] == [("ADDED", "a"), ("ADDED", "b")]
        await call("DELETE", f"{MAPS}/a")
        assert await event(socket) == ("DELETED", "a")
        await socket.send(b"whatever", text=True)
        await call("PATCH", f"{MAPS}/b", {"data": {"x": "y"}})
        assert await event(socket) == ("MODIFIED", "b")
        await socket.close()
        assert await socket.receive() is None


async def test_watch_over_a_websocket_takes_the_first_protocol_that_is_no_token(call):
    """A browser can send no header, so the token comes as a protocol, and another one stands beside it for the answer."""
    token = base64.urlsafe_b64encode(b"x").rstrip(b"=").decode()
    bearer = f"base64url.bearer.authorization.k8s.io.{token}"
    answer = await handshake(call, f"{MAPS}?watch=1&fieldSelector=metadata.name%3Db", bearer, "base64.binary.k8s.io")
    assert answer.headers.get("Sec-WebSocket-Protocol") == "base64.binary.k8s.io"
    async with followed(answer) as socket:
        assert await event(socket) == ("ADDED", "b")


async def test_watch_over_a_websocket_refuses_before_the_first_event(call):
    """What is wrong with the request is an ordinary answer."""
    answer = await handshake(call, f"{MAPS}?watch=1&resourceVersion=abc")
    assert isinstance(answer, Response)
    assert answer.status == 500


async def test_list_over_a_websocket_is_a_list(call):
    """Only a watch can be followed."""
    answer = await handshake(call, MAPS)
    assert isinstance(answer, Response)
    assert json.loads(answer.body)["kind"] == "ConfigMapList"
