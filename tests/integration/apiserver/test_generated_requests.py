"""Requests that nobody would think of, made from the server's own OpenAPI, as every kind of user (check 30).

The seeds are fixed, so that a failure comes again; the number of requests that were sent is printed. The long run sends a million.
"""

import asyncio
import collections
import gzip
import json
import pathlib
import re
import resource

import msgspec
import pytest
import yaml
from tests.support.bad_input import ROOT, bad_input_server
from tests.support.generated_requests import Maker, operations

from pinnace.api import codec, resources
from pinnace.component.http import Connection, Headers, Request, Response, UserInfo

USERS = {
    "root": ROOT,
    "jane": UserInfo("jane", groups=("system:authenticated",)),
    "node": UserInfo("system:node:n1", groups=("system:nodes", "system:authenticated")),
    "account": UserInfo(
        "system:serviceaccount:default:default",
        groups=("system:serviceaccounts", "system:serviceaccounts:default", "system:authenticated"),
    ),
    "nobody": None,
}
# What upstream, too, answers with 500, and without a reason: a version that is no number, a directive, a binding or a configuration that makes no
# sense, a component that there is not.
UPSTREAMS_OWN = re.compile(
    r"(invalid resource version|resourceVersion): |failed to (create typed patch|convert new typed) object |resourceVersion should not be set on objects to be created|unknown patch type: |merging lists cannot yet|map: map\[.*"
    r"does not contain declared merge key|target\.(kind|name): |Component not found: ",
    re.DOTALL,
)
# Bytes that the process may grow by: the objects of a few names, caches that are bounded, and what the allocator keeps.
GROWTH_LIMIT_BYTES = 300 * 1024 * 1024


class Judge:
    """Looks at every answer."""

    def __init__(self):
        self.codes = collections.Counter()

    async def judge(self, made, answer):
        self.codes[answer.status] += 1
        assert isinstance(answer, Response), made
        if not isinstance(answer.body, bytes):
            await self._first_lines(made, answer.body)
            return
        body = answer.body
        if answer.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        assert b"Traceback" not in body, made
        if answer.status >= 500:
            message = self._tree(made, answer, body)["message"]
            assert answer.status == 500, (str(made), message)
            assert UPSTREAMS_OWN.match(message), (str(made), message)
        elif (
            made.method != "HEAD"
            and not answer.headers.get("Content-Type").startswith("text/plain")
            and answer.status != 204
        ):
            self._check_schema(made, answer, self._tree(made, answer, body))

    @staticmethod
    def _tree(made, answer, body):
        if "yaml" in answer.headers.get("Content-Type"):
            return yaml.load(body, Loader=yaml.CSafeLoader)
        return json.loads(body)

    @staticmethod
    def _check_schema(made, answer, tree):
        """Every object fits the type that it says it is, every refusal is a Status of the same code."""
        where = (str(made), answer.status, str(tree)[:500])
        if answer.status >= 400:
            assert (tree["kind"], tree["apiVersion"], tree["status"]) == ("Status", "v1", "Failure"), where
            assert tree["code"] == answer.status, where
            assert tree["message"], where
            return
        found = resources.by_kind(tree.get("apiVersion", ""), tree.get("kind", ""))
        if found is not None:
            try:
                codec.convert(found.type, tree)
            except msgspec.ValidationError as error:
                raise AssertionError(where) from error

    @staticmethod
    async def _first_lines(made, body):
        """Read what a watch has to say at once."""
        reading = asyncio.ensure_future(anext(body, b""))
        for _ in range(20):
            await asyncio.sleep(0)
            if reading.done():
                break
        if reading.done():
            for line in reading.result().splitlines():
                assert json.loads(line)["type"] in {"ADDED", "MODIFIED", "DELETED", "BOOKMARK", "ERROR"}, made
        else:
            reading.cancel()
            await asyncio.wait([reading])
        await body.aclose()


async def documents(server):
    """Return the OpenAPI 3 document of each group-version."""
    index = json.loads((await server.send("GET", "/openapi/v3")).body)
    found = [json.loads((await server.send("GET", one["serverRelativeURL"])).body) for one in index["paths"].values()]
    return [one for one in found if one.get("paths")]


async def run(seed, count, capsys):
    """Send requests of one seed, as each user in turn, and look at what the server has become."""
    judge = Judge()
    async with bad_input_server() as server:
        maker = Maker(operations(await documents(server)), seed)
        before = resident_bytes()
        for number in range(count):
            made = maker.make()
            # The administrator gets furthest, so most requests are the administrator's.
            who = list(USERS.values())[number % 25 if number % 25 < len(USERS) else 0]
            connection = Connection(user=who)
            headers = Headers(list(made.headers))
            request = Request(
                made.method, made.path, query=made.query, headers=headers, body=made.body, connection=connection
            )
            try:
                answer = await server.ended(request)
            except TimeoutError:
                pytest.fail(f"no answer to {made}")
            await judge.judge(made, answer)
        assert resident_bytes() - before < GROWTH_LIMIT_BYTES
        assert (await server.send("GET", "/readyz")).status == 200
        still = await server.send(
            "POST", "/api/v1/namespaces/default/configmaps", {"metadata": {"generateName": "still-"}}
        )
        assert still.status == 201
    with capsys.disabled():
        print(f"\nseed {seed}: {count} generated requests, answered {dict(sorted(judge.codes.items()))}")
    # A run that only ever is refused tests nothing.
    assert judge.codes[201] > count / 100
    assert judge.codes[200] > count / 20


def resident_bytes():
    with pathlib.Path("/proc/self/statm").open(encoding="ascii") as numbers:
        return int(numbers.read().split()[1]) * resource.getpagesize()


@pytest.mark.parametrize("seed", [1, 2])
async def test_generated_requests_never_fail_the_server(seed, capsys):
    """No answer is a server's error or breaks its schema, none fails to come, and the server goes on."""
    await run(seed, 2000, capsys)


@pytest.mark.long
@pytest.mark.timeout(0)
@pytest.mark.parametrize("seed", range(100, 150))
async def test_a_million_generated_requests_never_fail_the_server(seed, capsys):
    """The same, fifty times twenty thousand requests."""
    await run(seed, 20_000, capsys)
