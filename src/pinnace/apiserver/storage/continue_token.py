r"""Tokens that continue a list: the revision it was begun at, and the key that comes next.

The form is upstream's (apiserver `pkg/storage/continue.go`): base64url without padding of
`{"v":"meta.k8s.io/v1","rv":N,"start":"ns/name\u0000"}`, the start relative to the list's prefix. A revision of -1 means that the
rest is wanted as it is now.
"""

import base64
import posixpath
import string

import msgspec
from msgspec import Struct

from pinnace.machinery.codec import json as json_codec
from pinnace.machinery.errors import BadRequest

VERSION = "meta.k8s.io/v1"
NEWEST = -1
_INVALID = "continue key is not valid"
_ALPHABET = frozenset(string.ascii_letters + string.digits + "-_")


class ContinueToken(Struct, frozen=True):
    """Where a list goes on: `start` is relative to the prefix, the first key that belongs to the rest."""

    revision: int
    start: str

    def encode(self) -> str:
        text = msgspec.json.encode({"v": VERSION, "rv": self.revision, "start": self.start})
        return base64.urlsafe_b64encode(text).rstrip(b"=").decode()


class _Wire(msgspec.Struct):
    v: str = ""
    rv: int = 0
    start: str = ""


def decode(text: str) -> ContinueToken:
    """Read a token.

    Raises:
        BadRequest: it is none of ours; the text is upstream's.
    """
    try:
        wire = msgspec.convert(json_codec.parse(_unpacked(text)).tree, _Wire)
    except ValueError as error:
        raise BadRequest(f"{_INVALID}: {error}") from error
    if wire.v != VERSION:
        raise BadRequest(f"{_INVALID}: server does not recognize this encoded version {wire.v}")
    if not wire.rv:
        raise BadRequest(f"{_INVALID}: incorrect encoded start resourceVersion (version {VERSION})")
    if not wire.start:
        raise BadRequest(f"{_INVALID}: encoded start key empty (version {VERSION})")
    start = wire.start.removeprefix("/")
    if posixpath.normpath(f"/{start}") != f"/{start}":  # a key that leaves its prefix, or is not written plainly
        raise BadRequest(f"{_INVALID}: {wire.start}")
    return ContinueToken(wire.rv, start)


def _unpacked(text: str) -> bytes:
    bad = next((at for at, char in enumerate(text) if char not in _ALPHABET), None)
    if bad is None and len(text) % 4 == 1:
        bad = len(text) - 1
    if bad is not None:
        raise ValueError(f"illegal base64 data at input byte {bad}")
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
