"""DNS messages as bytes: questions in, answers out (RFC 1035, 6891).

Only what a resolver of one zone needs, so that a question costs microseconds: names in a query are never compressed, answers point
to the question's name where they repeat it. What comes from other servers is left to dnspython (`forward`).
"""

import socket
import struct
from enum import IntEnum

from msgspec import Struct, field

HEADER_BYTES = 12
NAME_LIMIT_BYTES = 255
# What a client that says nothing takes by UDP, and the most that this server sends so.
UDP_BYTES, UDP_LIMIT_BYTES = 512, 4096
_CLASS_IN, _CLASS_ANY = 1, 255
_QR, _AA, _TC, _RD, _RA = 0x8000, 0x0400, 0x0200, 0x0100, 0x0080
_OPCODE = 0x7800
_QUESTION_POINTER = b"\xc0\x0c"

Name = tuple[str, ...]


class Type(IntEnum):
    """Record types by number; a question may ask for any other number."""

    A = 1
    NS = 2
    CNAME = 5
    SOA = 6
    PTR = 12
    TXT = 16
    AAAA = 28
    SRV = 33
    OPT = 41
    IXFR = 251
    AXFR = 252
    ANY = 255


class Rcode(IntEnum):
    """Answers' codes."""

    NOERROR = 0
    FORMERR = 1
    SERVFAIL = 2
    NXDOMAIN = 3
    NOTIMP = 4
    REFUSED = 5
    BADVERS = 16


class Malformed(Exception):
    """A message is not a query that can be answered; `rcode` says how to refuse it, None not to answer at all."""

    def __init__(self, rcode: Rcode | None) -> None:
        super().__init__(rcode)
        self.rcode = rcode


class Question(Struct, frozen=True):
    """One query. `name` is in lower case; `raw` is the question section as it was sent."""

    name: Name
    type: int
    raw: bytes
    recursion_desired: bool = False
    has_edns: bool = False
    udp_bytes: int = UDP_BYTES


class Record(Struct, frozen=True):
    """One resource record; an empty `name` with `is_question` stands for the name that was asked for."""

    name: Name
    type: Type
    ttl: int
    data: bytes
    is_question: bool = False


class Answer(Struct, frozen=True):
    """What is known about a question; `alias` is a name outside whose addresses belong to the answer."""

    rcode: Rcode = Rcode.NOERROR
    answers: tuple[Record, ...] = ()
    authority: tuple[Record, ...] = ()
    additional: tuple[Record, ...] = ()
    alias: Name = field(default=())


def parse(data: bytes) -> Question:
    """Read a query.

    Raises:
        Malformed: it is none, or asks for what is not done here.
    """
    if len(data) < HEADER_BYTES:
        raise Malformed(None)
    _, flags, questions, answers, authority, additional = struct.unpack_from("!6H", data)
    if flags & _QR:
        raise Malformed(None)
    if flags & _OPCODE:
        raise Malformed(Rcode.NOTIMP)
    if questions != 1 or answers or authority:
        raise Malformed(Rcode.FORMERR)
    name, at = _name(data, HEADER_BYTES)
    if at + 4 > len(data):
        raise Malformed(Rcode.FORMERR)
    kind, family = struct.unpack_from("!2H", data, at)
    at += 4
    if family not in {_CLASS_IN, _CLASS_ANY}:
        raise Malformed(Rcode.REFUSED)
    size = _edns(data, at) if additional else None
    return Question(
        name=name,
        type=kind,
        raw=data[HEADER_BYTES:at],
        recursion_desired=bool(flags & _RD),
        has_edns=size is not None,
        udp_bytes=UDP_BYTES if size is None else min(max(size, UDP_BYTES), UDP_LIMIT_BYTES),
    )


def _name(data: bytes, at: int) -> tuple[Name, int]:
    labels: list[str] = []
    start = at
    while True:
        if at >= len(data) or at - start > NAME_LIMIT_BYTES:
            raise Malformed(Rcode.FORMERR)
        length = data[at]
        at += 1
        if not length:
            return tuple(labels), at
        if length > 63 or at + length > len(data):  # longer ones would be pointers, which a query has no use for
            raise Malformed(Rcode.FORMERR)
        labels.append(data[at : at + length].decode("latin-1").lower())
        at += length


def _edns(data: bytes, at: int) -> int | None:
    """Return the UDP size of an OPT record that stands first among the additional ones, None when another record does."""
    if at + 11 > len(data):
        raise Malformed(Rcode.FORMERR)
    if data[at] or int.from_bytes(data[at + 1 : at + 3], "big") != Type.OPT:
        return None
    if data[at + 6]:
        raise Malformed(Rcode.BADVERS)
    return int.from_bytes(data[at + 3 : at + 5], "big")


def encode(question: Question, answer: Answer, *, authoritative: bool = True, limit_bytes: int = 65535) -> bytes:
    """Return a response without its first two bytes, the query's identifier; too long, it says so and holds no records."""
    flags = _QR | _RA | answer.rcode & 0xF
    if authoritative:
        flags |= _AA
    if question.recursion_desired:
        flags |= _RD
    sections = (answer.answers, answer.authority, answer.additional)
    body = b"".join(_record(one) for section in sections for one in section)
    edns = _opt(answer.rcode) if question.has_edns else b""
    if HEADER_BYTES + len(question.raw) + len(body) + len(edns) > limit_bytes:
        flags, sections, body = flags | _TC, ((), (), ()), b""
    counts = (1, len(sections[0]), len(sections[1]), len(sections[2]) + bool(edns))
    return b"".join((struct.pack("!5H", flags, *counts), question.raw, body, edns))


def refuse(data: bytes, rcode: Rcode) -> bytes:
    """Return the response, identifier included, to a message that could not be read as a query."""
    flags = int.from_bytes(data[2:4], "big")
    answered = _QR | (flags & (_OPCODE | _RD)) | rcode & 0xF
    if rcode == Rcode.BADVERS:
        return data[:2] + struct.pack("!5H", answered, 0, 0, 0, 1) + _opt(rcode)
    return data[:2] + struct.pack("!5H", answered, 0, 0, 0, 0)


def truncated(response: bytes, question: Question, limit_bytes: int) -> bytes:
    """Return another server's response as far as UDP takes it: whole, or empty and marked so."""
    if len(response) <= limit_bytes:
        return response
    flags = int.from_bytes(response[2:4], "big") | _TC
    return response[:2] + struct.pack("!5H", flags, 1, 0, 0, 0) + question.raw


def _record(one: Record) -> bytes:
    name = _QUESTION_POINTER if one.is_question else encode_name(one.name)
    return name + struct.pack("!HHIH", one.type, _CLASS_IN, one.ttl, len(one.data)) + one.data


def _opt(rcode: Rcode) -> bytes:
    return b"\0" + struct.pack("!HHBBHH", Type.OPT, UDP_LIMIT_BYTES, rcode >> 4, 0, 0, 0)


def encode_name(name: Name) -> bytes:
    """Return a name as its labels, uncompressed."""
    return b"".join(bytes((len(label),)) + label.encode("latin-1") for label in name) + b"\0"


def address(text: str) -> tuple[Type, bytes]:
    """Return the type and the data of an address record."""
    if ":" in text:
        return Type.AAAA, socket.inet_pton(socket.AF_INET6, text)
    return Type.A, socket.inet_aton(text)
