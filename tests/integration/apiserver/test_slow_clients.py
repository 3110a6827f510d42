"""Clients that take their time: heads and bodies that trickle cost their sender a bounded time, and nobody else anything (checks 16 and 32).

Where time is the API server's it is virtual; the socket's own limits are short and real, and the test waits for what happens.
"""

import asyncio

import pytest
import pytest_asyncio
from tests.support.bad_input import ROOT, bad_input_server, status_of

from pinnace.apiserver.server import MUTATING_SECONDS
from pinnace.component.clock import RealClock
from pinnace.component.http import Connection, Headers, Request, UserInfo
from pinnace.component.http.server import Limits, serve

pytestmark = pytest.mark.asyncio(loop_scope="module")

JANE = UserInfo("jane", groups=("system:authenticated",))
NODE = UserInfo("system:node:n1", groups=("system:nodes", "system:authenticated"))
MAPS = "/api/v1/namespaces/default/configmaps"
LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
JSON = {"Content-Type": "application/json"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server():
    """A server where jane may write config maps."""
    async with bad_input_server(tokens={"roots-token": ROOT}) as running:
        rbac = "/apis/rbac.authorization.k8s.io/v1/namespaces/default"
        rules = [{"verbs": ["*"], "apiGroups": [""], "resources": ["configmaps"]}]
        await running.send("POST", f"{rbac}/roles", {"metadata": {"name": "maps"}, "rules": rules})
        binding = {
            "metadata": {"name": "maps"},
            "subjects": [{"kind": "User", "name": "jane", "apiGroup": "rbac.authorization.k8s.io"}],
            "roleRef": {"kind": "Role", "name": "maps", "apiGroup": "rbac.authorization.k8s.io"},
        }
        await running.send("POST", f"{rbac}/rolebindings", binding)
        for name in ("kept", "other"):
            await running.send("POST", MAPS, {"metadata": {"name": name}})
        yield running


class Trickle:
    """A body that never ends, a byte a second of the server's clock."""

    def __init__(self, clock):
        self._clock = clock
        self.sent = 0
        self.is_over = False

    async def __aiter__(self):
        try:
            yield b'{"data":{"a":"'
            while True:
                await self._clock.sleep(1)
                self.sent += 1
                yield b"x"
        finally:
            self.is_over = True


def request(server, method, target, who, media="application/json"):
    body = Trickle(server.clock)
    path, _, query = target.partition("?")
    connection = Connection(user=who)
    return body, Request(
        method, path, query=query, headers=Headers({"Content-Type": media}), body=aiter(body), connection=connection
    )


WRITES = {
    "create": ("POST", MAPS, "application/json"),
    "update": ("PUT", f"{MAPS}/kept", "application/json"),
    "merge patch": ("PATCH", f"{MAPS}/kept", "application/merge-patch+json"),
    "apply": ("PATCH", f"{MAPS}/kept?fieldManager=m", "application/apply-patch+yaml"),
    "delete": ("DELETE", f"{MAPS}/kept", "application/json"),
    "deletion of all": ("DELETE", MAPS, "application/json"),
    "review": ("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", "application/json"),
    "longer by its own word": ("POST", f"{MAPS}?timeout=1h", "application/json"),
}


@pytest.mark.parametrize(("method", "target", "media"), WRITES.values(), ids=WRITES)
async def test_body_that_trickles_is_given_up_in_time(server, method, target, media):
    """After the time that a write may take it is 504, the body is let go, and nothing has been written or deleted."""
    body, wanted = request(server, method, target, JANE, media)
    before = server.clock.monotonic()
    answer = await server.ended(wanted)
    assert (answer.status, status_of(answer)["reason"]) == (504, "Timeout")
    assert server.clock.monotonic() - before <= MUTATING_SECONDS + 10
    assert body.is_over
    assert body.sent <= MUTATING_SECONDS + 1
    assert (await server.send("GET", f"{MAPS}/kept")).status == 200


@pytest.mark.parametrize(
    "who", [None, UserInfo("nobody", groups=("system:authenticated",))], ids=["anonymous", "without a role"]
)
async def test_body_of_who_may_not_write_is_not_read(server, who):
    """The refusal comes before the first byte of the body is asked for."""
    body, wanted = request(server, "POST", MAPS, who)
    answer = await server.handle(wanted)
    assert answer.status == 403
    assert body.sent == 0
    assert not body.is_over


async def test_flood_of_trickling_bodies_leaves_others_their_seats(server):
    """Hundreds of one user's bodies wait for their bytes, while a node's lease and an administrator are served at once."""
    async with asyncio.TaskGroup() as group:
        waiting = [group.create_task(server.handle(request(server, "POST", MAPS, JANE)[1])) for _ in range(300)]
        for _ in range(20):
            await asyncio.sleep(0)
        assert not any(task.done() for task in waiting)
        for who, target in ((ROOT, f"{MAPS}/other"), (NODE, f"{LEASES}/n1")):
            asked = group.create_task(
                server.handle(Request("GET", target, query="a=b", connection=Connection(user=who)))
            )
            for _ in range(20):
                await asyncio.sleep(0)
            assert asked.done()
            assert asked.result().status in {200, 404}
        await server.clock.advance(MUTATING_SECONDS + 40)
        codes = {task.result().status for task in waiting if task.done()}
        assert all(task.done() for task in waiting)
        assert codes <= {504, 429}
    assert (await server.send("POST", f"{MAPS}?dryRun=All", {"metadata": {"name": "after"}}, who=JANE)).status == 201


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def port(server):
    """The server on a socket that gives heads a fifth of a second."""
    limits = Limits(head_seconds=0.2, idle_seconds=0.2)
    async with serve(server.handle, "127.0.0.1", 0, clock=RealClock(), limits=limits) as listening:
        yield listening.port


GET = b"GET " + MAPS.encode() + b"/other HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer roots-token\r\n"
HEADS = {
    "nothing": b"",
    "half a line": b"GET /api",
    "half a head": GET,
    "half a field": GET + b"X-Slow: ",
    "a second head": GET + b"\r\n" + GET,
    "an end without a beginning": b"\r\n\r\n\r\n",
}


@pytest.mark.parametrize("head", HEADS.values(), ids=HEADS)
async def test_heads_that_do_not_come_are_given_up(port, head):
    """Forty connections that send part of a head are closed by the server; somebody who comes meanwhile is served at once."""
    lines = [await asyncio.open_connection("127.0.0.1", port) for _ in range(40)]
    for _, writer in lines:
        writer.write(head)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(GET + b"Connection: close\r\n\r\n")
    async with asyncio.timeout(20):
        assert (await reader.read()).startswith(b"HTTP/1.1 200 ")
        for slow, _ in lines:
            answer = await slow.read()
            assert answer.count(b"HTTP/1.1 200 ") == (1 if head is HEADS["a second head"] else 0)
    for _, each in (*lines, (reader, writer)):
        each.close()
