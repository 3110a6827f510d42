r"""Tokens that continue a list: the revision it was begun at, and the key that comes next.

The form is upstream's (apiserver `pkg/storage/continue.go`): base64url without padding of
`{"v":"meta.k8s.io/v1","rv":N,"start":"ns/name\u0000"}`, the start relative to the list's prefix. A revision of -1 means that the
rest is wanted as it is now.
"""

import base64
import binascii
from dataclasses import dataclass

import msgspec

from pinnace.machinery.errors import BadRequest

VERSION = "meta.k8s.io/v1"
NEWEST = -1


@dataclass(frozen=True, slots=True)
class ContinueToken:
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
        BadRequest: it is none of ours.
    """
    try:
        padded = text + "=" * (-len(text) % 4)
        wire = msgspec.json.decode(base64.b64decode(padded, altchars=b"-_", validate=True), type=_Wire)
    except (binascii.Error, msgspec.DecodeError, UnicodeError) as error:
        raise BadRequest(f"continue key is not valid: {error}") from error
    if wire.v != VERSION:
        raise BadRequest(f'continue key is not valid: server does not recognize this encoded version "{wire.v}"')
    if not wire.rv:
        raise BadRequest("continue key is not valid: incorrect encoded start resourceVersion (version meta.k8s.io/v1)")
    if not wire.start:
        raise BadRequest("continue key is not valid: encoded start key empty (version meta.k8s.io/v1)")
    start = wire.start.removeprefix("/")
    if ".." in start.rstrip("\0").split("/"):
        raise BadRequest(f"continue key is not valid: {start}")
    return ContinueToken(wire.rv, start)
