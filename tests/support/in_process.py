"""An API server in the test's own process, over the memory store and under a clock that the test moves."""

import json
import random
from contextlib import asynccontextmanager

from pinnace.apiserver.compose import api_server
from pinnace.apiserver.config import ApiServerConfig
from pinnace.apiserver.service_account_tokens import SigningKey
from pinnace.component.clock import VirtualClock
from pinnace.component.http import Connection, Headers, Request, UserInfo
from pinnace.component.identity import Identity
from pinnace.store.memory import MemoryStore

ADMIN = UserInfo("admin", groups=("system:masters", "system:authenticated"))
MAPS = "/api/v1/namespaces/default/configmaps"


class Running:
    """A server in this process, and a way to ask it."""

    def __init__(self, server, clock, store):
        self.server = server
        self.clock = clock
        self.store = store

    async def __call__(self, method, path, body=None, *, user=ADMIN, query="", **headers):
        fields = Headers([(name.replace("_", "-"), value) for name, value in headers.items()])
        data = json.dumps(body).encode() if body is not None else b""
        connection = Connection(user=user, secure=True)
        return await self.server.handle(
            Request(method, path, query=query, headers=fields, body=data, connection=connection)
        )

    async def json(self, method, path, body=None, **kinds):
        answer = await self(method, path, body, **kinds)
        return json.loads(answer.body)

    async def make_map(self, name, size=1, **labels):
        body = {"metadata": {"name": name, "labels": labels}, "data": {"x": "y" * size}}
        answer = await self("POST", MAPS, body)
        assert answer.status == 201
        return json.loads(answer.body)


@asynccontextmanager
async def running_server(config=None):
    clock = VirtualClock()
    store = MemoryStore(clock)
    server = api_server(
        config or ApiServerConfig(),
        store,
        clock=clock,
        identity=Identity(random.Random(1)),
        signing_key=SigningKey(),
    )
    async with server.running():
        yield Running(server, clock, store)
