"""Questions about the rest of the world: asked of other servers, and kept for a while.

Each question goes out from a socket and with an identifier of its own, which is what keeps strangers from answering in the server's
place (RFC 5452). A truncated answer is asked for again by TCP. Upstream: CoreDNS `plugin/forward`, `plugin/cache`.
"""

import asyncio
import ipaddress
import random
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import dns.exception
import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
from msgspec import Struct

from pinnace.component.clock import Clock
from pinnace.network.dns.wire import Question

# Seconds for one server to answer; every server is asked once, and then once more.
ANSWER_SECONDS, ROUNDS = 2.0, 2
CONCURRENT_LIMIT = 1000
# Seconds for which another server's answer is kept at most, and how many of them are.
KEEP_SECONDS, KEEP_LIMIT = 30.0, 10_000
_ERRORS = (OSError, TimeoutError, dns.exception.DNSException, EOFError)


class Server(Struct, frozen=True):
    """Another server's address."""

    host: str
    port: int = 53


class NoAnswer(Exception):
    """No server answered."""


def resolvers(resolv_conf: Path, leave_out: Sequence[str] = ()) -> tuple[Server, ...]:
    """Return the servers that a resolver configuration names, less those that are this one."""
    try:
        lines = resolv_conf.read_text(errors="replace").splitlines()
    except OSError:
        return ()
    found = []
    for line in lines:
        words = line.split()
        if len(words) < 2 or words[0] != "nameserver" or words[1] in leave_out:
            continue
        try:
            ipaddress.ip_address(words[1].partition("%")[0])
        except ValueError:
            continue
        found.append(Server(words[1]))
    return tuple(found)


class Forwarder:
    """Asks other servers."""

    def __init__(self, servers: Sequence[Server], clock: Clock, source: random.Random) -> None:
        self._servers = tuple(servers)
        self._clock = clock
        self._source = source
        self._room = asyncio.Semaphore(CONCURRENT_LIMIT)
        # Question and flags that matter → when it ends, and the response less its identifier.
        self._kept: dict[bytes, tuple[float, bytes]] = {}

    async def ask(self, question: Question, query: bytes) -> bytes:
        """Return a response to the query, with the query's identifier.

        Raises:
            NoAnswer: nobody answered.
        """
        key = query[2:]
        kept = self._kept.get(key)
        now = self._clock.monotonic()
        if kept is not None and kept[0] > now:
            return query[:2] + kept[1]
        if self._room.locked():
            raise NoAnswer("too many questions are under way")
        async with self._room:
            response = await self._ask_all(question, query)
        self._keep(key, response, now)
        return response

    async def _ask_all(self, question: Question, query: bytes) -> bytes:
        reason: BaseException | None = None
        for server in self._servers * ROUNDS:
            outgoing = self._source.getrandbits(16).to_bytes(2, "big") + query[2:]
            try:
                async with self._clock.timeout(ANSWER_SECONDS):
                    response = await _by_udp(server, outgoing, question)
                    if int.from_bytes(response[2:4], "big") & dns.flags.TC:
                        response = await _by_tcp(server, outgoing, question)
            except _ERRORS as error:
                reason = error
                continue
            return query[:2] + response[2:]
        raise NoAnswer(str(reason) if reason is not None else "no other server is known")

    def _keep(self, key: bytes, response: bytes, now: float) -> None:
        seconds = _lifetime(response)
        if seconds <= 0:
            return
        if len(self._kept) >= KEEP_LIMIT:
            del self._kept[next(iter(self._kept))]
        self._kept[key] = (now + seconds, response[2:])


def _lifetime(response: bytes) -> float:
    """Return for how long a response may be kept, in seconds: as its records say, a denial as its SOA does."""
    try:
        message = dns.message.from_wire(response, ignore_trailing=True)
    except dns.exception.DNSException:
        return 0.0
    if message.rcode() not in {dns.rcode.NOERROR, dns.rcode.NXDOMAIN}:
        return 0.0
    if message.answer:
        return min(KEEP_SECONDS, *(rrset.ttl for rrset in message.answer))
    soa = [rrset for rrset in message.authority if rrset.rdtype == dns.rdatatype.SOA]
    return min(KEEP_SECONDS, soa[0].ttl, soa[0][0].minimum) if soa else 0.0


def _check(response: bytes, query: bytes, question: Question) -> bool:
    """Tell whether a response is one to this query."""
    return (
        len(response) >= 12
        and response[:2] == query[:2]
        and bool(response[2] & 0x80)
        and response[12 : 12 + len(question.raw)].lower() == question.raw.lower()
    )


class _Exchange(asyncio.DatagramProtocol):
    def __init__(self, query: bytes, question: Question, done: "asyncio.Future[bytes]") -> None:
        self._query, self._question, self._done = query, question, done

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports look like asyncio's without being theirs.
        cast("asyncio.DatagramTransport", transport).sendto(self._query)

    def datagram_received(self, data: bytes, addr: object) -> None:  # noqa: ARG002 - the socket is connected
        if not self._done.done() and _check(data, self._query, self._question):
            self._done.set_result(data)

    def error_received(self, exc: Exception) -> None:
        if not self._done.done():
            self._done.set_exception(exc)


async def _by_udp(server: Server, query: bytes, question: Question) -> bytes:
    loop = asyncio.get_running_loop()
    done: asyncio.Future[bytes] = loop.create_future()
    transport, _ = await loop.create_datagram_endpoint(
        lambda: _Exchange(query, question, done), remote_addr=(server.host, server.port)
    )
    try:
        return await done
    finally:
        transport.close()


async def _by_tcp(server: Server, query: bytes, question: Question) -> bytes:
    reader, writer = await asyncio.open_connection(server.host, server.port)
    try:
        writer.write(len(query).to_bytes(2, "big") + query)
        length = int.from_bytes(await reader.readexactly(2), "big")
        response = await reader.readexactly(length)
    finally:
        writer.close()
    if not _check(response, query, question):
        raise OSError("the response is to another question")
    return response
