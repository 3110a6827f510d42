"""An API server in this process, over a store in memory, and an administrator who calls it."""

import json
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from pinnace.apiserver.compose import api_server
from pinnace.apiserver.config import ApiServerConfig
from pinnace.apiserver.service_account_tokens import SigningKey
from pinnace.component.clock import VirtualClock
from pinnace.component.healthz import Check
from pinnace.component.http import Connection, Headers, Request, Response, Upgrade, UserInfo
from pinnace.component.identity import Identity
from pinnace.store.memory import MemoryStore

ADMIN = Connection(user=UserInfo("admin", groups=("system:masters",)), secure=True)


class Caller:
    """Sends JSON to a server."""

    def __init__(self, handle: Any) -> None:
        self._handle = handle

    async def __call__(self, method: str, target: str, body: Any = None, **headers: str) -> Response:
        """Return the answer; headers are named with underscores. A PATCH is a merge patch unless they say otherwise.

        A body of bytes is sent as it is, anything else as JSON without blanks.
        """
        answer = await self.ask(method, target, body, **headers)
        assert isinstance(answer, Response)
        return answer

    async def ask(self, method: str, target: str, body: Any = None, **headers: str) -> Response | Upgrade:
        """Return the answer, which may be an upgrade."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        media = "application/merge-patch+json" if method == "PATCH" else "application/json"
        fields = Headers([*named.items(), *(() if "Content-Type" in named else (("Content-Type", media),))])
        path, _, query = target.partition("?")
        request = Request(method, path, query=query, headers=fields, body=_bytes(body), connection=ADMIN)
        answer: Response | Upgrade = await self._handle(request)
        return answer


def _bytes(body: Any) -> bytes:
    if isinstance(body, bytes):
        return body
    return b"" if body is None else json.dumps(body, separators=(",", ":")).encode()


@asynccontextmanager
async def running_server(components: Sequence[Check] = ()) -> AsyncIterator[Caller]:
    """Run a server while the block lasts; `components` are said to run beside it."""
    clock = VirtualClock()
    server = api_server(
        ApiServerConfig(),
        MemoryStore(clock),
        clock=clock,
        identity=Identity(random.Random(1)),
        signing_key=SigningKey(),
        components=components,
    )
    async with server.running():
        call = Caller(server.handle)
        # What a controller would make.
        await call("POST", "/api/v1/namespaces/default/serviceaccounts", {"metadata": {"name": "default"}})
        yield call


def tree(answer: Response) -> Any:
    """Return an answer's body."""
    return json.loads(answer.body)
