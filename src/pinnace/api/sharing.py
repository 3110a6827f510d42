"""One frozen spec for all pods that carry the same one.

The pods of a ReplicaSet or a Job have specs that are equal byte for byte, when they are sent as when they are stored. The decoder
for pods keeps the bytes of recent specs beside the structs that they decoded to, and gives equal bytes the same struct. What is
derived from a spec can then be remembered by its identity (`machinery.memo`), and pods in memory share it.
"""

from threading import Lock
from typing import Any

import msgspec
from msgspec import Raw, Struct

from pinnace.api.core_v1 import Pod, PodSpec, PodStatus
from pinnace.api.meta_v1 import ObjectMeta

# Specs kept, and the bytes of one: together at most 8 MiB.
SPECS_LIMIT, SPEC_LIMIT_BYTES = 512, 16 * 1024


class _Unread(Struct, gc=False):
    """A pod whose spec has not been read."""

    kind: str = ""
    api_version: str = msgspec.field(name="apiVersion", default="")
    metadata: ObjectMeta = ObjectMeta()
    spec: Raw = Raw(b"")
    status: PodStatus = PodStatus()


class PodDecoder:
    """Decodes pods as `msgspec.json.Decoder(Pod)` does, with equal specs shared."""

    def __init__(self) -> None:
        self._pods = msgspec.json.Decoder(Pod)
        self._unread = msgspec.json.Decoder(_Unread)
        self._specs = msgspec.json.Decoder(PodSpec)
        self._known: dict[bytes, PodSpec] = {}
        # Large bodies are read beside the event loop.
        self._changing = Lock()

    def decode(self, data: bytes) -> Any:
        """Return the pod.

        Raises:
            msgspec.DecodeError: as the plain decoder.
        """
        sent = self._unread.decode(data)
        raw = bytes(sent.spec)
        if not 0 < len(raw) <= SPEC_LIMIT_BYTES:
            return self._pods.decode(data)
        spec = self._known.get(raw)
        if spec is None:
            spec = self._specs.decode(raw)
            with self._changing:
                if len(self._known) >= SPECS_LIMIT:
                    del self._known[next(iter(self._known))]
                self._known[raw] = spec
        return Pod(kind=sent.kind, api_version=sent.api_version, metadata=sent.metadata, spec=spec, status=sent.status)
