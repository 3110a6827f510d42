import asyncio
import zlib
from contextlib import asynccontextmanager

import pytest

from pinnace.component.http import Headers, ProtocolError, spdy
from pinnace.component.http.duplex import duplex_pair
from pinnace.component.http.spdy import DICTIONARY, SpdyConnection, StreamReset


@asynccontextmanager
async def connected():
    one, two = duplex_pair()
    client, server = SpdyConnection(one, server=False), SpdyConnection(two, server=True)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(client.run()), group.create_task(server.run())]
        yield client, server
        for task in tasks:
            task.cancel()


def test_dictionary_is_the_standards():
    """Length and checksum are those that every SPDY/3 header block begins with."""
    assert len(DICTIONARY) == 1423
    assert zlib.adler32(DICTIONARY) == 0xE3C6A7C2


async def test_streams_carry_headers_and_data_both_ways():
    """Several streams at once keep their headers, bytes and ends apart."""
    async with connected() as (client, server):
        pairs = []
        for number in range(3):
            mine = await client.open(Headers([("streamType", "data"), ("port", str(number)), ("port", "again")]))
            theirs = await server.accept()
            assert theirs is not None
            assert theirs.headers.get("streamtype") == "data"
            assert theirs.headers.get_all("Port") == (str(number), "again")
            await mine.wait_replied()
            pairs.append((mine, theirs))
        for number, (mine, theirs) in enumerate(pairs):
            await mine.write(b"%d" % number)
            await mine.write_eof()
            assert [await theirs.read(), await theirs.read()] == [b"%d" % number, b""]
            await theirs.write(b"back")
            await theirs.write_eof()
            assert [await mine.read(), await mine.read()] == [b"back", b""]


async def test_large_data_arrives_whole_through_a_slow_reader():
    """Three megabytes pass a reader that is slower than the sender, with nothing lost."""
    async with connected() as (client, server):
        mine = await client.open(Headers({"streamType": "data"}))
        theirs = await server.accept()
        assert theirs is not None
        data = bytes(range(256)) * 12_000

        async def send():
            await mine.write(data)
            await mine.write_eof()

        async with asyncio.TaskGroup() as group:
            sending = group.create_task(send())
            for _ in range(50):
                await asyncio.sleep(0)
            assert not sending.done()
            received = bytearray()
            while chunk := await theirs.read(10_000):
                received += chunk
        assert received == data


async def test_reset_ends_the_other_side():
    """A stream that one side gives up fails the other's writes and ends its reads."""
    async with connected() as (client, server):
        mine = await client.open(Headers({"streamType": "data"}))
        theirs = await server.accept()
        assert theirs is not None
        await theirs.close()
        assert await mine.read() == b""
        with pytest.raises(StreamReset):
            await mine.write(b"x")


async def test_the_end_of_the_connection_ends_every_stream():
    """When a side closes, the other's streams and its accept are at their end."""
    async with connected() as (client, server):
        mine = await client.open(Headers({"streamType": "data"}))
        assert await server.accept() is not None
        await server.close()
        assert await mine.read() == b""
        assert await client.accept() is None
        with pytest.raises(ConnectionResetError):
            await client.open(Headers({"streamType": "data"}))


async def test_ping_of_the_client_is_echoed():
    """The peer's ping comes back byte for byte."""
    raw, stream = duplex_pair()
    server = SpdyConnection(stream, server=True)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(server.run())
        ping = b"\x80\x03\x00\x06\x00\x00\x00\x04\x00\x00\x00\x01"
        await raw.write(ping)
        assert await raw.read() == ping
        task.cancel()


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"\x80\x02\x00\x06\x00\x00\x00\x04\x00\x00\x00\x01", id="another version"),
        pytest.param(b"\x00\x00\x00\x01\x00\xff\xff\xff", id="frame too long"),
        pytest.param(b"\x80\x03\x00\x01\x00\x00\x00\x0a" + b"\x00\x00\x00\x02" + bytes(6), id="stream of our parity"),
        pytest.param(b"\x80\x03\x00\x01\x00\x00\x00\x0e" + b"\x00\x00\x00\x01" + bytes(6) + b"junk", id="not zlib"),
        pytest.param(b"\x80\x03\x00\x01\x00\x00\x00\x04" + b"\x00\x00\x00\x01", id="opening too short"),
    ],
)
async def test_run_closes_on_a_peer_that_breaks_the_rules(data):
    """A broken frame ends the connection with an error and closes the stream below."""
    raw, stream = duplex_pair()
    await raw.write(data)
    with pytest.raises(ProtocolError):
        await SpdyConnection(stream, server=True).run()
    assert await raw.read() == b""


async def test_header_bomb_is_refused():
    """A small block that decompresses to a huge one costs no more than the limit."""
    raw, stream = duplex_pair()
    compress = zlib.compressobj(zdict=DICTIONARY)
    block = compress.compress(bytes(50_000_000)) + compress.flush(zlib.Z_SYNC_FLUSH)
    payload = b"\x00\x00\x00\x01" + bytes(6) + block
    async with asyncio.TaskGroup() as group:
        group.create_task(raw.write(b"\x80\x03\x00\x01\x00" + len(payload).to_bytes(3, "big") + payload))
        with pytest.raises(ProtocolError, match="too long"):
            await SpdyConnection(stream, server=True).run()


async def test_streams_over_the_limit_are_refused(monkeypatch):
    """A peer cannot open streams without end."""
    monkeypatch.setattr(spdy, "STREAMS_LIMIT", 1)
    async with connected() as (client, _server):
        first = await client.open(Headers({"streamType": "data"}))
        await first.wait_replied()
        second = await client.open(Headers({"streamType": "data"}))
        with pytest.raises(StreamReset):
            await second.wait_replied()
