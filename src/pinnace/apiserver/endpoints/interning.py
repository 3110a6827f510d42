"""One frozen spec for all pods that were sent with the same one.

The pods of a ReplicaSet or a Job come one by one with specs that are equal byte for byte. The bytes of a spec that was read and
found clean are kept beside the struct that they decode to; a body with the same bytes gets the same struct, and only its metadata
is read. What is derived from a spec can then be remembered by its identity (`machinery.memo`), and pods share memory. Invariant: a
body is answered from here only if reading it in full would give an equal object and no complaint.
"""

from typing import Any

import msgspec
from msgspec import Raw, Struct

from pinnace.api import codec
from pinnace.api.core_v1 import Pod, PodSpec
from pinnace.api.meta_v1 import ObjectMeta
from pinnace.apiserver.endpoints import scalars, strict

# Specs kept, and the bytes of one: together at most 8 MiB.
_SPECS, _SPEC_BYTES = 512, 16 * 1024
_NO_STATUS = frozenset({b"", b"{}"})


class _Sent(Struct, forbid_unknown_fields=True, omit_defaults=True, gc=False):
    """A pod as sent, its members unread."""

    kind: str = ""
    api_version: str = msgspec.field(name="apiVersion", default="")
    metadata: Raw = Raw(b"")
    spec: Raw = Raw(b"")
    status: Raw = Raw(b"")


_DECODER = msgspec.json.Decoder(_Sent)
_known: dict[bytes, PodSpec] = {}


def shared(data: bytes) -> Pod | None:
    """Return the pod that a clean JSON body holds, when its spec is known; None says to read it in full."""
    sent = _sent(data)
    if sent is None or sent.kind not in {"Pod", ""} or sent.api_version not in {"v1", ""}:
        return None
    spec = _known.get(bytes(sent.spec))
    if spec is None or bytes(sent.status) not in _NO_STATUS or not _is_whole(sent, data):
        return None
    meta = _metadata(bytes(sent.metadata))
    return None if meta is None else Pod(kind="Pod", api_version="v1", metadata=meta, spec=spec)


def remember(data: bytes, pod: Pod) -> Pod:
    """Keep the spec of a body that was read in full without complaint, and return the pod."""
    sent = _sent(data)
    if sent is None or not 0 < len(bytes(sent.spec)) <= _SPEC_BYTES:
        return pod
    if len(_known) >= _SPECS:
        del _known[next(iter(_known))]
    _known[bytes(sent.spec)] = pod.spec
    return pod


def has_no_duplicates(data: bytes) -> bool:
    """Tell cheaply that no key comes twice: written again, a tree is as long as its source is without blanks.

    False means that it cannot be told this way, not that there is a duplicate.
    """
    length = len(msgspec.json.encode(msgspec.json.decode(data)))
    return length == len(data) or length == _length_without_blanks(data)


def _length_without_blanks(data: bytes) -> int:
    return len(msgspec.json.format(data, indent=-1))


def _sent(data: bytes) -> _Sent | None:
    try:
        return _DECODER.decode(data)
    except (msgspec.DecodeError, RecursionError):
        return None


def _is_whole(sent: _Sent, data: bytes) -> bool:
    """Tell that the members are all that the body holds, each once."""
    again = msgspec.json.encode(sent)
    return len(again) == len(data) or _length_without_blanks(again) == _length_without_blanks(data)


def _metadata(data: bytes) -> ObjectMeta | None:
    try:
        meta = codec.decode(ObjectMeta, data)
        if not strict.has_only_known_fields(ObjectMeta, data) or not has_no_duplicates(data):
            return None
        return scalars.canonical(meta)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return None


def shares(cls: type[Any]) -> bool:
    """Tell whether a type's specs are kept."""
    return cls is Pod
