"""The DNS server's sockets: UDP and TCP on one address, answers from the zone at once, from other servers when they come.

A repeated question is answered from its bytes: everything but the identifier decides the response, so it is kept under that and only
the identifier is put in front. What is kept about the cluster goes when anything in the cluster's names changes.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager
from typing import Any, cast

import dns.exception
import dns.message
from msgspec.structs import replace

from pinnace.component.clock import Clock
from pinnace.component.logging import get_logger
from pinnace.component.metrics import Metrics
from pinnace.network.dns import wire
from pinnace.network.dns.forward import Forwarder, NoAnswer
from pinnace.network.dns.wire import Answer, Malformed, Name, Question, Rcode, Record, Type
from pinnace.network.dns.zone import Zone

# Responses kept by the bytes of their query.
KEEP_LIMIT = 20_000
# Questions that wait for other servers and connections by TCP, together; seconds a connection may stay without a question.
TASK_LIMIT, IDLE_SECONDS = 2000, 10.0
# The head of a query of our own: one question, recursion desired.
_PLAIN_QUERY = bytes.fromhex("0000 0100 0001 0000 0000 0000")
_log = get_logger("dns")


class DnsServer:
    """Answers questions."""

    def __init__(self, zone: Zone, forwarder: Forwarder, clock: Clock, source: random.Random, metrics: Metrics) -> None:
        self._zone = zone
        self._forwarder = forwarder
        self._clock = clock
        self._source = source
        self._kept: dict[bytes, bytes] = {}
        self._generation = -1
        self._tasks: set[asyncio.Task[None]] = set()
        answered = metrics.counter("dns_responses_total", "Answers given.", ("rcode",))
        self._counts = {code: answered.labels(code.name) for code in Rcode}
        self._from_kept = metrics.counter("dns_cache_hits_total", "Answers given by the bytes of the question.", ())

    @asynccontextmanager
    async def listening(self, host: str, port: int) -> AsyncIterator[int]:
        """Answer on an address while the body runs; gives the port, the same for UDP and TCP.

        Raises:
            OSError: the address cannot be listened on.
        """
        loop = asyncio.get_running_loop()
        async with asyncio.TaskGroup() as group:
            self._group = group
            listener = await asyncio.start_server(self._accept, host, port, backlog=128)
            port = int(listener.sockets[0].getsockname()[1])
            try:
                udp, _ = await loop.create_datagram_endpoint(lambda: _Udp(self), local_addr=(host, port))
                try:
                    yield port
                finally:
                    udp.close()
            finally:
                listener.close()
                for task in tuple(self._tasks):
                    task.cancel()

    @property
    def has_room(self) -> bool:
        """Whether one more question may wait for other servers; a flood is met with silence."""
        return len(self._tasks) < TASK_LIMIT

    # ── answering ──

    def answer_kept(self, query: bytes) -> bytes | None:
        """Return the response to a question that was answered before, None when it has to be worked out."""
        if self._generation != self._zone.generation:
            self._kept.clear()
            self._generation = self._zone.generation
            return None
        tail = self._kept.get(query[2:])
        if tail is None:
            return None
        self._from_kept.inc()
        return query[:2] + tail

    def answer_now(self, query: bytes, *, udp: bool) -> bytes | Question | None:
        """Return the response to a query, or the question when others must be asked; None answers with silence."""
        try:
            question = wire.parse(query)
        except Malformed as error:
            return None if error.rcode is None else self._refused(query, error.rcode)
        answer = self._zone.resolve(question.name, question.type)
        if answer is None or answer.alias:
            return question
        if not self._zone.is_ready and answer.rcode != Rcode.REFUSED:
            answer = Answer(Rcode.SERVFAIL)
        return query[:2] + self._encoded(query, question, answer, udp=udp)

    async def answer_later(self, query: bytes, question: Question, *, udp: bool) -> bytes:
        """Return the response to a question that needs other servers."""
        answer = self._zone.resolve(question.name, question.type)
        try:
            if answer is not None and answer.alias:
                followed = await self._follow(answer, question)
                return query[:2] + self._encoded(query, question, followed, udp=udp, keep=False)
            response = await self._forwarder.ask(question, query)
        except NoAnswer as error:
            _log.debug("no other server answered", name=".".join(question.name), reason=str(error))
            return query[:2] + self._encoded(query, question, Answer(Rcode.SERVFAIL), udp=udp, keep=False)
        self._counts[Rcode(min(response[3] & 0xF, Rcode.REFUSED))].inc()
        return wire.truncated(response, question, question.udp_bytes) if udp else response

    async def _follow(self, answer: Answer, question: Question) -> Answer:
        """Add the addresses of a name outside to the answer that leads there."""
        raw = wire.encode_name(answer.alias) + question.raw[-4:]
        outward = replace(question, name=answer.alias, raw=raw, has_edns=False)
        query = _PLAIN_QUERY + raw
        response = await self._forwarder.ask(outward, query)
        return replace(answer, answers=(*answer.answers, *_addresses(response, answer.alias)))

    def _encoded(self, query: bytes, question: Question, answer: Answer, *, udp: bool, keep: bool = True) -> bytes:
        self._counts[answer.rcode].inc()
        several = len(answer.answers) > 1
        if several and not answer.alias:
            # Clients take the first: each has its turn.
            answer = replace(answer, answers=tuple(self._source.sample(answer.answers, len(answer.answers))))
        limit = question.udp_bytes if udp else 65535
        tail = wire.encode(question, answer, limit_bytes=limit)
        if keep and udp and not several and answer.rcode in {Rcode.NOERROR, Rcode.NXDOMAIN}:
            if len(self._kept) >= KEEP_LIMIT:
                self._kept.clear()
            self._kept[query[2:]] = tail
        return tail

    def _refused(self, query: bytes, rcode: Rcode) -> bytes:
        self._counts[rcode].inc()
        return wire.refuse(query, rcode)

    # ── sockets ──

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run what takes longer than a step beside the server, and end it with the server."""
        task = self._group.create_task(work, name="dns question")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._tasks) >= TASK_LIMIT:
            writer.close()
        else:
            self.spawn(self._serve_connection(reader, writer))

    async def _serve_connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                async with self._clock.timeout(IDLE_SECONDS):
                    length = int.from_bytes(await reader.readexactly(2), "big")
                    query = await reader.readexactly(length)
                response = self.answer_now(query, udp=False)
                if isinstance(response, Question):
                    response = await self.answer_later(query, response, udp=False)
                if response is None:
                    return
                writer.write(len(response).to_bytes(2, "big") + response)
                async with self._clock.timeout(IDLE_SECONDS):
                    await writer.drain()
        except (OSError, EOFError, TimeoutError):
            pass
        finally:
            writer.close()


class _Udp(asyncio.DatagramProtocol):
    def __init__(self, server: DnsServer) -> None:
        self._server = server
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports look like asyncio's without being theirs.
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:
        assert self._transport is not None
        server = self._server
        response = server.answer_kept(data)
        if response is None:
            made = server.answer_now(data, udp=True)
            if isinstance(made, Question):
                if server.has_room:
                    server.spawn(self._answer_later(data, made, addr))
                return
            response = made
        if response is not None:
            self._transport.sendto(response, addr)

    async def _answer_later(self, query: bytes, question: Question, addr: tuple[Any, ...]) -> None:
        response = await self._server.answer_later(query, question, udp=True)
        if self._transport is not None and not self._transport.is_closing():
            self._transport.sendto(response, addr)

    def error_received(self, exc: Exception) -> None:
        # A client that is gone; the next question is another's.
        _log.debug("answer not delivered", reason=str(exc))


def _addresses(response: bytes, alias: Name) -> Iterator[Record]:
    """Yield the records of another server's response that belong to the answer, aliases on the way included."""
    try:
        message = dns.message.from_wire(response, ignore_trailing=True)
    except dns.exception.DNSException:
        return
    for rrset in message.answer:
        if int(rrset.rdtype) not in {Type.A, Type.AAAA, Type.CNAME}:
            continue
        name = tuple(label.decode("latin-1").lower() for label in rrset.name.labels if label)
        for rdata in rrset:
            yield Record(name or alias, Type(rrset.rdtype), rrset.ttl, rdata.to_wire() or b"")
