"""Calls to the runtime's socket, each with a time limit.

gRPC's errors become `RuntimeFailure` here and nowhere else; gRPC itself opens a new channel when the runtime restarts.
"""

import os
from collections.abc import AsyncIterator
from typing import Any

# gRPC's fork handlers abort a process that starts children under uvloop.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

import grpc
import grpc.aio

from pinnace.kubelet.cri import api_pb2
from pinnace.kubelet.runtime import NotThere, RuntimeFailure

# The generated module makes its classes at run time, so that no type checker sees them.
_pb: Any = api_pb2
# Seconds: upstream's limit for a call.
CALL_SECONDS = 120.0
# Seconds for a runtime that is well to say so: the node's status waits for that.
HEALTH_SECONDS = 5.0


class Calls:
    """One channel."""

    def __init__(self, socket: str) -> None:
        self._channel = grpc.aio.insecure_channel(f"unix://{socket}")

    async def close(self) -> None:
        """End all calls."""
        await self._channel.close()

    async def runtime(self, method: str, request: Any, limit_seconds: float = CALL_SECONDS) -> Any:
        """Call CRI's runtime service.

        Raises:
            RuntimeFailure: the call failed; `NotThere` when what it names is not known.
        """
        return await self._call("RuntimeService", method, request, limit_seconds)

    async def image(self, method: str, request: Any, limit_seconds: float = CALL_SECONDS) -> Any:
        """Call CRI's image service; errors as for `runtime`."""
        return await self._call("ImageService", method, request, limit_seconds)

    async def stream(self, path: str, request: Any, answer: Any) -> AsyncIterator[Any]:
        """Yield the answers to a call that has many; errors as for `runtime`."""
        call = self._channel.unary_stream(
            path, request_serializer=type(request).SerializeToString, response_deserializer=answer.FromString
        )
        try:
            async for item in call(request):
                yield item
        except grpc.aio.AioRpcError as error:
            raise RuntimeFailure(_text(error)) from error

    async def _call(self, service: str, method: str, request: Any, limit_seconds: float) -> Any:
        described = _pb.DESCRIPTOR.services_by_name[service].methods_by_name[method]
        answer = getattr(_pb, described.output_type.name)
        call = self._channel.unary_unary(
            f"/runtime.v1.{service}/{method}",
            request_serializer=type(request).SerializeToString,
            response_deserializer=answer.FromString,
        )
        try:
            return await call(request, timeout=limit_seconds)
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.NOT_FOUND:
                raise NotThere(_text(error)) from error
            raise RuntimeFailure(_text(error)) from error


def _text(error: grpc.aio.AioRpcError) -> str:
    """Return an error as Go's gRPC prints it."""
    code = "".join(word.capitalize() for word in error.code().name.split("_"))
    return f"rpc error: code = {code} desc = {error.details()}"
