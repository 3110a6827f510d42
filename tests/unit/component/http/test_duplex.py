"""A connection as a stream of bytes."""

import asyncio

import pytest

from pinnace.component.http.duplex import SocketStream


class EndedTransport(asyncio.Transport):
    """A transport that answers as long as its connection stands, as asyncio's for TLS does."""

    def __init__(self, context):
        super().__init__()
        self.context, self.has_ended = context, False

    def get_extra_info(self, name, default=None):
        assert not self.has_ended
        return self.context if name == "sslcontext" else default


@pytest.mark.parametrize(
    ("context", "stays_open"), [pytest.param(None, True, id="plain"), pytest.param("a", False, id="tls")]
)
async def test_end_of_a_connection_that_is_gone_already_is_taken(context, stays_open):
    """Plain connections stay half open, TLS ones do not, also when the end is told after the connection has gone."""
    transport, stream = EndedTransport(context), SocketStream()
    stream.connection_made(transport)
    transport.has_ended = True
    assert stream.eof_received() is stays_open
    assert await stream.read() == b""
