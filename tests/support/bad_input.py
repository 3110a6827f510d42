"""A server for bad input: its API server whole, a few users who may do little, and a caller that lets nothing hang.

Time is virtual; whoever waits for it (a revision that has not come) gets it, so that a request that does not end is a defect.
"""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from pinnace.apiserver.admission import Plugin
from pinnace.apiserver.compose import api_server
from pinnace.apiserver.config import ApiServerConfig
from pinnace.apiserver.endpoints.router import Specials
from pinnace.apiserver.service_account_tokens import SigningKey
from pinnace.component.clock import VirtualClock
from pinnace.component.http import Connection, Handler, Headers, Request, Response, Upgrade, UserInfo
from pinnace.component.identity import Identity
from pinnace.store.memory import MemoryStore

ROOT = UserInfo("root", groups=("system:masters", "system:authenticated"))
_RBAC = "/apis/rbac.authorization.k8s.io/v1"
# Turns of the event loop in which an answer that waits for nothing but this process comes; real seconds for one that never comes.
_TURNS, _HANG_SECONDS = 200, 30.0


@dataclass(frozen=True)
class BadInputServer:
    """A running server."""

    handle: Handler
    clock: VirtualClock

    async def send(
        self,
        method: str,
        target: str,
        body: Any = b"",
        *,
        who: UserInfo | None = ROOT,
        headers: Mapping[str, str] | Sequence[tuple[str, str]] = (),
        certificate: bytes | None = None,
    ) -> Response | Upgrade:
        """Send a request, `who` None as it would come from a socket; a body that is no bytes goes as JSON."""
        path, _, query = target.partition("?")
        fields = dict(headers)
        if not isinstance(body, bytes):
            body = json.dumps(body).encode()
            fields.setdefault("Content-Type", "application/json")
        connection = Connection(user=who, certificate=certificate, secure=True)
        request = Request(method, path, query=query, headers=Headers(fields), body=body, connection=connection)
        return await self.ended(request)

    async def ended(self, request: Request) -> Response | Upgrade:
        """Return the answer to a request, giving it time when it waits for time."""
        async with asyncio.timeout(_HANG_SECONDS):
            task = asyncio.ensure_future(self.handle(request))
            for _ in range(_TURNS):
                await asyncio.sleep(0)
                if task.done():
                    break
            while not task.done():
                await self.clock.advance(seconds=10)
            return await task


@asynccontextmanager
async def bad_input_server(
    *,
    specials: Specials | None = None,
    key: SigningKey | None = None,
    tokens: Mapping[str, UserInfo] | None = None,
    config: ApiServerConfig | None = None,
    admission_plugins: Sequence[Plugin] = (),
) -> AsyncIterator[BadInputServer]:
    """Run a server in memory, with the namespace `default` and its service account as a controller would make it."""
    clock = VirtualClock()
    server = api_server(
        config or ApiServerConfig(),
        MemoryStore(clock),
        clock=clock,
        identity=Identity(random.Random(1)),
        signing_key=key or SigningKey(),
        specials=specials,
        tokens=tokens,
        admission_plugins=admission_plugins,
    )
    async with server.running():
        running = BadInputServer(server.handle, clock)
        for namespace in ("default", "kube-system"):
            await running.send(
                "POST", f"/api/v1/namespaces/{namespace}/serviceaccounts", {"metadata": {"name": "default"}}
            )
        yield running


def status_of(answer: Response | Upgrade) -> dict[str, Any]:
    """Return the Status that an answer holds."""
    assert isinstance(answer, Response)
    assert isinstance(answer.body, bytes)
    found: dict[str, Any] = json.loads(answer.body)
    return found


async def bind(server: BadInputServer, role: str, kind: str, user: str, namespace: str = "") -> None:
    """Give a role to a user, everywhere or in a namespace."""
    where = f"{_RBAC}/namespaces/{namespace}/rolebindings" if namespace else f"{_RBAC}/clusterrolebindings"
    body = {
        "metadata": {"name": f"{user}-{role}"},
        "subjects": [{"kind": "User", "name": user, "apiGroup": "rbac.authorization.k8s.io"}],
        "roleRef": {"kind": kind, "name": role, "apiGroup": "rbac.authorization.k8s.io"},
    }
    assert (await server.send("POST", where, body)).status == 201
