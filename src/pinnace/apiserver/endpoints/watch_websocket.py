"""Watches over a WebSocket, as programs in browsers follow them: each event a text message, until either side leaves.

Upstream: apiserver `endpoints/handlers/watch.go` (HandleWS).
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Protocol

from pinnace.apiserver.authentication import without_credentials
from pinnace.component.http import DuplexStream, ProtocolError, Request, Response, Upgrade, websocket


class Lines(Protocol):
    """Events line by line, several together when several wait."""

    def __aiter__(self) -> AsyncIterator[bytes]:
        """Go through them."""

    async def aclose(self) -> None:
        """End them."""


def over_websocket(request: Request, events: Lines) -> Response | Upgrade:
    """Answer a handshake with a stream of events; of the subprotocols that a client offers, which say nothing here, the first is taken."""
    offered = without_credentials(request.headers).tokens("Sec-WebSocket-Protocol")
    handshake = websocket.accept(request, offered[:1] or ("",))
    if isinstance(handshake, Response):
        return handshake

    async def run(stream: DuplexStream) -> None:
        socket = websocket.WebSocket(stream)
        try:
            async with asyncio.TaskGroup() as group:
                tasks = (
                    group.create_task(_send(socket, events), name="events to a WebSocket"),
                    group.create_task(_wait_closed(socket), name="goodbye of a WebSocket"),
                )
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                for task in tasks:
                    task.cancel()
        finally:
            await events.aclose()
        await socket.close()

    return Upgrade(handshake.headers, run)


async def _send(socket: websocket.WebSocket, events: Lines) -> None:
    with suppress(ConnectionError):
        async for lines in events:
            for line in lines.splitlines(keepends=True):
                await socket.send(line, text=True)


async def _wait_closed(socket: websocket.WebSocket) -> None:
    """Read and ignore what a client sends until it leaves."""
    with suppress(ProtocolError, ConnectionError):
        while await socket.receive() is not None:
            pass
