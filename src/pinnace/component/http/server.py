"""Serving HTTP/1.1 over sockets: who listens, on what terms, and how it ends.

The connections are `server_connection.py`'s, what goes out on them is `answers.py`'s. It bounds what a client may cost: size of a head,
time to send one, time that a write may stall. Invariant: when `serve` has exited, no connection of it is open.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from msgspec import Struct

from pinnace.component.clock import Clock
from pinnace.component.http.message import Handler
from pinnace.component.http.server_connection import Connections, Limits

__all__ = ["Limits", "Server", "serve"]


class Server(Struct, frozen=True):
    """A server that listens."""

    host: str
    port: int


@asynccontextmanager
async def serve(
    handler: Handler,
    host: str | None,
    port: int,
    *,
    ssl_context: ssl.SSLContext | None = None,
    clock: Clock,
    limits: Limits | None = None,
) -> AsyncIterator[Server]:
    """Answer requests by `handler` within the block; `host` None means every address, port 0 a free one.

    On leaving, listening stops, streams and upgraded connections end, and requests in flight get `drain_seconds`.

    Raises:
        OSError: the address cannot be listened on.
    """
    limits = limits or Limits()
    connections = Connections(handler, clock, limits)
    loop = asyncio.get_running_loop()
    listener = await loop.create_server(
        connections,
        host,
        port,
        ssl=ssl_context,
        backlog=1024,
        reuse_address=True,
        ssl_handshake_timeout=limits.head_seconds if ssl_context is not None else None,
    )
    try:
        address = listener.sockets[0].getsockname()
        yield Server(str(address[0]), int(address[1]))
    finally:
        listener.close()
        connections.end_streams()
        connections.pre_shutdown()
        await connections.shutdown(limits.drain_seconds)
        await listener.wait_closed()
