"""The ends of containers, from containerd's own event stream on the socket of CRI.

CRI has no such events before containerd 1.7, and learns of an end some 40 ms after the event. Source: containerd `api/services/events/v1`,
`api/events/task.proto`.
"""

from collections.abc import AsyncIterator
from typing import Any

from msgspec import Struct

from pinnace.kubelet.cri import events_pb2
from pinnace.kubelet.cri.calls import Calls

_pb: Any = events_pb2
_SUBSCRIBE = "/containerd.services.events.v1.Events/Subscribe"
# CRI keeps its containers in this namespace of containerd.
_EXIT, _OOM = "/tasks/exit", "/tasks/oom"
_FILTERS = [f'namespace=="k8s.io",topic=="{topic}"' for topic in (_EXIT, _OOM)]


class Exit(Struct, frozen=True):
    """The first process of a container, or of a sandbox, has ended; the time is in nanoseconds since the epoch."""

    id: str
    exit_code: int
    finished_at: int


class OutOfMemory(Struct, frozen=True):
    """The kernel has ended a process of a container, as its memory was over."""

    id: str


async def subscribe(calls: Calls) -> AsyncIterator[Exit | OutOfMemory]:
    """Yield ends as they happen.

    Raises:
        RuntimeFailure: the stream broke, or the runtime is not containerd.
    """
    request = _pb.SubscribeRequest(filters=_FILTERS)
    async for envelope in calls.stream(_SUBSCRIBE, request, _pb.Envelope):
        data = envelope.event.value
        if envelope.topic == _OOM:
            yield OutOfMemory(_pb.TaskOOM.FromString(data).container_id)
            continue
        ended = _pb.TaskExit.FromString(data)
        # The end of a command that was run in a container has an ID of its own.
        if ended.id == ended.container_id:
            at = ended.exited_at
            yield Exit(ended.container_id, ended.exit_status, at.seconds * 1_000_000_000 + at.nanos)
