"""Connections of the agent into pods, for probes and hooks: HTTP, TCP and gRPC health.

`PodNetwork` is the seam: `SocketNetwork` connects, the simulated node answers by itself. Nothing is kept between two calls, certificates
are not looked at, as upstream has it. Upstream: `pkg/probe/{http,tcp,grpc}`.
"""

import asyncio
import ssl
from abc import abstractmethod
from typing import Protocol

from msgspec import Struct

from pinnace.component.http import Headers
from pinnace.component.http.client import HttpClient
from pinnace.component.http.errors import HttpError


class HttpCall(Struct, frozen=True, kw_only=True):
    """One GET."""

    host: str
    port: int
    path: str = "/"
    secure: bool = False
    headers: tuple[tuple[str, str], ...] = ()


class HttpAnswer(Struct, frozen=True):
    """What came back."""

    status: int
    location: str
    body: bytes


class PodNetwork(Protocol):
    """Reaches into pods; whoever calls sets the time limit."""

    @abstractmethod
    async def get(self, call: HttpCall) -> HttpAnswer:
        """Ask over HTTP.

        Raises:
            OSError: no answer came.
        """

    @abstractmethod
    async def connect(self, host: str, port: int) -> None:
        """Open a connection and close it.

        Raises:
            OSError: nobody listens.
        """

    @abstractmethod
    async def health(self, host: str, port: int, service: str) -> str:
        """Ask gRPC's health service, in the clear; returns the status by its name, `SERVING` when all is well.

        Raises:
            OSError: no answer came.
        """


class SocketNetwork(PodNetwork):
    """The node's own network."""

    async def get(self, call: HttpCall) -> HttpAnswer:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        url = f"{'https' if call.secure else 'http'}://{_bracketed(call.host)}:{call.port}"
        client = HttpClient(url, context if call.secure else None)
        path, _, query = call.path.partition("?")
        try:
            answer = await client.request("GET", path or "/", query=query, headers=Headers(list(call.headers)))
        except HttpError as error:
            raise OSError(str(error) or "no answer") from error
        finally:
            await client.close()
        body = answer.body if isinstance(answer.body, bytes) else b""
        return HttpAnswer(answer.status, answer.headers.get("Location") or "", body)

    async def connect(self, host: str, port: int) -> None:
        _, writer = await asyncio.open_connection(host, port)
        writer.close()

    async def health(self, host: str, port: int, service: str) -> str:
        # gRPC takes 40 ms to import, which most agents never need.
        from pinnace.kubelet.grpc_health import check  # noqa: PLC0415

        return await check(f"{_bracketed(host)}:{port}", service)


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
