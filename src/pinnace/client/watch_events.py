"""What a watch tells, line by line: each object read once, for whoever of this process watches the same.

A controller manager, a scheduler and a simulator in one process each follow the same nodes and pods; values are frozen, so one struct serves
all of them. Who wrote which field is left out, as upstream's controllers and scheduler leave it out of their caches: nothing there asks for
it, and it is half of what an object weighs. A write without it keeps what is stored.
"""

from collections.abc import AsyncIterator
from typing import Any, Generic, TypeVar

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from pinnace.api import codec
from pinnace.machinery.errors import from_status

T = TypeVar("T", bound=Struct)

# Objects remembered, and bytes of one: watches of one process are a few events apart, and together these are at most 4 MiB.
RECENT_LIMIT, RECENT_LIMIT_BYTES = 512, 8 * 1024


class WatchEvent(Struct, Generic[T], frozen=True):
    """ADDED, MODIFIED, DELETED or BOOKMARK, with the object."""

    type: str
    object: T


class _WatchLine(Struct):
    type: str
    object: msgspec.Raw


class _Recent:
    """The objects that were read last, by type and bytes."""

    def __init__(self) -> None:
        self._known: dict[tuple[type[Struct], bytes], Any] = {}

    def read(self, cls: type[T], data: bytes) -> T:
        """Return the object that these bytes are."""
        if len(data) > RECENT_LIMIT_BYTES:
            return without_managed_fields(codec.decode(cls, data))
        key = (cls, data)
        found: T | None = self._known.get(key)
        if found is None:
            if len(self._known) >= RECENT_LIMIT:
                del self._known[next(iter(self._known))]
            found = self._known[key] = without_managed_fields(codec.decode(cls, data))
        return found


_LINE = msgspec.json.Decoder(_WatchLine)
_RECENT = _Recent()


def without_managed_fields(obj: T) -> T:
    """Return an object without the owners of its fields."""
    metadata: Any = obj.metadata  # type: ignore[attr-defined]
    if metadata.managed_fields is None:
        return obj
    return replace(obj, metadata=replace(metadata, managed_fields=None))


async def events(cls: type[T], chunks: AsyncIterator[bytes]) -> AsyncIterator[WatchEvent[T]]:
    """Yield the events of a stream of lines.

    Raises:
        ApiError: the server told of an error, which ends the watch.
    """
    rest = b""
    async for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            if not line:
                continue
            event = _LINE.decode(line)
            if event.type == "ERROR":
                status = msgspec.json.decode(event.object)
                raise from_status(int(status.get("code") or 500), status)
            yield WatchEvent(event.type, _RECENT.read(cls, bytes(event.object)))
