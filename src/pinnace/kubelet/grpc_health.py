"""Asks gRPC's health service. The two messages have one field each and are written and read by hand.

    HealthCheckRequest { string service = 1 }     HealthCheckResponse { ServingStatus status = 1 }

Source: grpc `health/v1/health.proto`.
"""

import os

# gRPC's fork handlers abort a process that starts children under uvloop.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

import grpc
import grpc.aio

_METHOD = "/grpc.health.v1.Health/Check"
_STATUSES = ("UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN")
# The tags of field 1: a string in the request, a number in the answer.
_SERVICE_TAG, _STATUS_TAG = 0x0A, 0x08


async def check(target: str, service: str) -> str:
    """Return the status of a service by its name; the empty service is the server itself.

    Raises:
        OSError: no answer came, or no health service is there.
    """
    async with grpc.aio.insecure_channel(target, options=(("grpc.enable_retries", 0),)) as channel:
        call = channel.unary_unary(_METHOD, request_serializer=_request, response_deserializer=_status)
        try:
            return str(await call(service))
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.NOT_FOUND:
                return "SERVICE_UNKNOWN"
            raise OSError(f"rpc error: code = {error.code().name} desc = {error.details()}") from error


def _request(service: str) -> bytes:
    data = service.encode()
    length, prefix = len(data), bytearray()
    while length > 0x7F:
        prefix.append(length & 0x7F | 0x80)
        length >>= 7
    prefix.append(length)
    return bytes((_SERVICE_TAG,)) + bytes(prefix) + data if data else b""


def _status(data: bytes) -> str:
    if len(data) >= 2 and data[0] == _STATUS_TAG and data[1] < len(_STATUSES):
        return _STATUSES[data[1]]
    return _STATUSES[0]
