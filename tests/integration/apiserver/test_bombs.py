"""Bodies that cost far more than they weigh: each is answered, and the event loop goes on serving others meanwhile (check 31).

What others get done is counted, not timed: while a large body is worked on, a second client reads an object again and again.
A reader whose time grows with the square of a body would not come back within the limit of a test.
"""

import asyncio
import json

import pytest
import pytest_asyncio
from tests.support.bad_input import ROOT, bad_input_server

from pinnace.apiserver.endpoints.body import BODY_LIMIT_BYTES
from pinnace.apiserver.registry.admissionregistration import expressions
from pinnace.component.http import Connection, Headers, Request
from pinnace.machinery.codec.bounds import DEPTH_LIMIT, WIDTH_LIMIT

pytestmark = pytest.mark.asyncio(loop_scope="module")

MAPS, PODS = "/api/v1/namespaces/default/configmaps", "/api/v1/namespaces/default/pods"
JSON, YAML, PROTOBUF = "application/json", "application/yaml", "application/vnd.kubernetes.protobuf"
JSON_PATCH, MERGE = "application/json-patch+json", "application/merge-patch+json"
STRATEGIC, APPLY = "application/strategic-merge-patch+json", "application/apply-patch+yaml"
M = BODY_LIMIT_BYTES
# Requests that somebody else gets answered at least while a heavy body is worked on.
LEAST_PROGRESS = 3


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server():
    """A server with a config map that is patched, and one that somebody reads."""
    async with bad_input_server() as running:
        for name in ("patched", "read"):
            await running.send("POST", MAPS, {"metadata": {"name": name}, "data": {"a": "1"}})
        yield running


async def sent(server, method, target, body, media):
    """Send a bomb while somebody else reads; return its code, what it was told, and how often the other was answered."""
    path, _, query = target.partition("?")
    fields = Headers({"Content-Type": media})
    request = Request(method, path, query=query, headers=fields, body=body, connection=Connection(user=ROOT))
    bomb = asyncio.ensure_future(server.handle(request))
    progress = 0
    await asyncio.sleep(0)
    while not bomb.done():
        answer = await server.handle(Request("GET", f"{MAPS}/read", connection=Connection(user=ROOT)))
        assert answer.status == 200
        progress += 1
        await asyncio.sleep(0)
    answer = await bomb
    return answer.status, answer.body, progress


def wide(item, size=M):
    return b",".join([item] * (size // (len(item) + 1)))


def aliases(levels):
    lines = [b"a0: &a0 [x,x,x,x,x,x,x,x,x]"]
    lines += [b"a%d: &a%d [%b]" % (n, n, b",".join([b"*a%d" % (n - 1)] * 9)) for n in range(1, levels)]
    return b"\n".join(lines)


BODIES = {
    "json, brackets": (b"[" * (M - 1), JSON, 400),
    "json, nested maps": (b'{"a":' * (M // 5), JSON, 400),
    "json, as deep as Python reads": (b'{"a":' * 900 + b"0" + b"}" * 900, JSON, 400),
    "json, one deeper than the limit": (b'{"metadata":' + b"[" * DEPTH_LIMIT + b"]" * DEPTH_LIMIT + b"}", JSON, 400),
    "json, empty maps": (b'{"x":[' + wide(b"{}", M - 100) + b"]}", JSON, 400),
    "json, millions of digits": (b'{"metadata":{"generation":' + b"9" * (M - 100) + b"}}", JSON, 400),
    "json, beyond a float": (b'{"metadata":{"generation":1e999}}', JSON, 400),
    "json, NaN": (b'{"metadata":{"generation":NaN}}', JSON, 400),
    "json, one key again and again": (b'{"data":{' + wide(b'"a":"1"', M - 100) + b"}}", JSON, 422),
    "json, one map again and again": (b'{"x":{' + b",".join(b'"m":{"k%d":1}' % n for n in range(90_000)) + b"}}", JSON, 422),
    "json, unknown fields": (b"{" + b",".join(b'"f%d":1' % n for n in range(200_000)) + b"}", JSON, 422),
    "json, escapes": (b'{"data":{"a":"' + b"\\u0041" * (M // 6 - 10) + b'"}}', JSON, 422),
    "json, ends too soon": (b"[" + wide(b"0", M - 100) + b"x", JSON, 400),
    "yaml, brackets": (b"[" * 2_000_000, YAML, 400),
    "yaml, nested blocks": (b"- " * 1_000_000, YAML, 400),
    "yaml, keys of keys": (b"? " * 1_000_000, YAML, 400),
    "yaml, aliases of aliases": (aliases(12), YAML, 400),
    "yaml, aliases of a long text": (b"a: &a " + b"x" * 100_000 + b"\nb: [" + b"*a," * 100_000 + b"]", YAML, 400),
    "yaml, merges of merges": (b"a0: &a0 {x: 1}\n" + b"\n".join(b"a%d: &a%d {<<: [%b], k: 1}" % (n, n, b",".join([b"*a%d" % (n - 1)] * 9)) for n in range(1, 12)), YAML, 400),
    "yaml, itself": (b"a: &a [*a]", YAML, 400),
    "yaml, flat": (b"data:\n" + b"".join(b"  k%d: v\n" % n for n in range(40_000)), YAML, 422),
    "yaml, lists": (b"x: [" + wide(b"[]", 400_000) + b"]", YAML, 400),
    "yaml, objects of Python": (b"metadata: !!python/object/apply:os.system ['touch /tmp/never']", YAML, 400),
    "protobuf, nested": (b"k8s\x00\x12" + b"\x80\x80\x40" + b"\x0a\x80\x01" * 300_000, PROTOBUF, 400),
}  # fmt: skip
HEAVY = {
    "json, one key again and again",
    "json, unknown fields",
    "json, one map again and again",
    "json, empty maps",
    "yaml, flat",
    "yaml, lists",
}


@pytest.mark.parametrize("name", BODIES)
async def test_body_that_explodes_is_refused_beside_the_loop(server, name):
    """It is answered as the client's mistake, and others are served while it is worked on."""
    body, media, code = BODIES[name]
    status, text, progress = await sent(server, "POST", MAPS, body, media)
    assert status == code, text[:300]
    if name in HEAVY:
        assert progress >= LEAST_PROGRESS


async def test_body_may_be_three_mebibytes_and_no_more(server):
    """The limit is upstream's, to the byte."""
    filled = b'{"metadata":{"name":"big"},"data":{"a":"%b"}}'
    for size, code in ((M, 422), (M + 1, 413)):
        status, _, _ = await sent(server, "POST", MAPS, filled % (b"x" * (size - len(filled) + 2)), JSON)
        assert status == code


async def test_surrogate_halves_are_stored_as_something_that_can_be_read(server):
    """Half a character becomes the replacement character, and the object can be listed."""
    body = b'{"metadata":{"name":"half"},"data":{"a":"x\\ud800y"}}'
    status, text, _ = await sent(server, "POST", MAPS, body, JSON)
    assert status == 201
    assert json.loads(text)["data"] == {"a": "x\ufffdy"}


async def test_expressions_are_compiled_beside_the_loop_and_once(server, monkeypatch):
    """Few bytes of expressions are much work: others are served meanwhile, and an update that leaves them alone compiles none."""
    policies = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies"
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
    spec = {
        "matchConstraints": {"resourceRules": [rule]},
        "matchConditions": [{"name": "m", "expression": "&&".join(["true"] * 2000)}],
        "validations": [{"expression": "&&".join(["true"] * 3000)}],
    }
    body = json.dumps({"metadata": {"name": "long"}, "spec": spec}).encode()
    status, told, progress = await sent(server, "POST", policies, body, JSON)
    assert status == 201, told
    assert progress >= LEAST_PROGRESS

    def refuse(*_):
        raise AssertionError("compiled again")

    monkeypatch.setattr(expressions, "complaint", refuse)
    monkeypatch.setattr(expressions, "value_type", refuse)
    for target, patch in (
        (f"{policies}/long", {"metadata": {"labels": {"a": "b"}}}),
        (f"{policies}/long/status", {"status": {"observedGeneration": 1}}),
    ):
        status, told, _ = await sent(server, "PATCH", target, json.dumps(patch).encode(), MERGE)
        assert status == 200, told
    changed = json.dumps({"spec": {"failurePolicy": "Ignore"}}).encode()
    assert (await sent(server, "PATCH", f"{policies}/long", changed, MERGE))[0] == 500


async def test_wide_pod_is_worked_on_beside_the_loop(server):
    """Tens of thousands of containers are complained about while others are served."""
    body = b'{"metadata":{"name":"wide"},"spec":{"containers":[' + b",".join([b"{}"] * 30_000) + b"]}}"
    status, _, progress = await sent(server, "POST", PODS, body, JSON)
    assert status == 422
    assert progress >= LEAST_PROGRESS
    status, _, _ = await sent(server, "POST", PODS, body.replace(b"{}", wide(b"{}", 3 * WIDTH_LIMIT), 1), JSON)
    assert status == 400


def operations(*found):
    return json.dumps(found).encode()


DOUBLING = [{"op": "copy", "from": "/data", "path": "/data/a"}] * 10_000
PATCHES = {
    "operations over the limit": (operations(*[{"op": "test", "path": "/kind", "value": "ConfigMap"}] * 10_001), JSON_PATCH, 413),
    "copies of copies": (operations(*DOUBLING), JSON_PATCH, 422),
    "a document in itself": (operations(*[{"op": "copy", "from": "", "path": "/x"}] * 400), JSON_PATCH, 422),
    "insertions in front": (
        operations({"op": "add", "path": "/l", "value": [0] * 50_000}, *[{"op": "add", "path": "/l/0", "value": 0}] * 5_000), JSON_PATCH, 200,
    ),
    "a pointer of many steps": (operations({"op": "add", "path": "/a" * 300_000, "value": 0}), JSON_PATCH, 422),
    "a merge of brackets": (b'{"a":' * 100_000, MERGE, 400),
    "a merge as deep as Python reads": (b'{"a":' * 900 + b"0" + b"}" * 900, MERGE, 400),
    "a merge of empty maps": (b'{"x":[' + wide(b"{}", 600_000) + b"]}", MERGE, 400),
    "directives": (b'{"data":{' + b",".join(b'"$setElementOrder/k%d":[]' % n for n in range(20_000)) + b"}}", STRATEGIC, 200),
    "an apply of aliases": (aliases(12), APPLY, 400),
    "an apply of brackets": (b"[" * 1_000_000, APPLY, 400),
}  # fmt: skip


@pytest.mark.parametrize("name", PATCHES)
async def test_patch_that_explodes_is_bounded(server, name):
    """No patch makes more of an object than its author could have sent, and the object stays readable."""
    body, media, code = PATCHES[name]
    status, text, _ = await sent(server, "PATCH", f"{MAPS}/patched?fieldManager=me&dryRun=All", body, media)
    assert status == code, text[:300]
    assert (await server.send("GET", f"{MAPS}/patched")).status == 200


LONG = 30_000
TEXTS = [
    "a" * LONG + "!",
    "1" * LONG + "x",
    "-" * LONG,
    "." * LONG,
    "/" * LONG,
    "a." * LONG + "!",
    "$(" * LONG,
    " " * LONG,
    "0:" * LONG,
    "*/" * LONG,
]


@pytest.mark.parametrize(
    ("target", "make"),
    [
        pytest.param(MAPS, lambda text: {"metadata": {"name": text}}, id="name"),
        pytest.param(MAPS, lambda text: {"metadata": {"name": "a", "labels": {text: "b"}}}, id="label key"),
        pytest.param(MAPS, lambda text: {"metadata": {"name": "a", "labels": {"b": text}}}, id="label"),
        pytest.param(MAPS, lambda text: {"metadata": {"name": "a", "creationTimestamp": text}}, id="time"),
        pytest.param(MAPS, lambda text: {"metadata": {"name": "a"}, "binaryData": {"a": text}}, id="base64"),
        pytest.param(
            "/api/v1/namespaces/default/limitranges",
            lambda text: {"metadata": {"name": "a"}, "spec": {"limits": [{"type": "Pod", "max": {"cpu": text}}]}}, id="quantity",
        ),
        pytest.param(
            "/apis/batch/v1/namespaces/default/cronjobs", lambda text: {"metadata": {"name": "a"}, "spec": {"schedule": text}}, id="schedule",
        ),
        pytest.param(
            "/api/v1/namespaces/default/services", lambda text: {"metadata": {"name": "a"}, "spec": {"clusterIP": text}}, id="address",
        ),
        pytest.param(
            PODS, lambda text: {"metadata": {"name": "a"}, "spec": {"containers": [{"name": "c", "image": text, "env": [{"name": text}]}]}},
            id="image",
        ),
        pytest.param(
            "/apis/certificates.k8s.io/v1/certificatesigningrequests",
            lambda text: {"metadata": {"name": "a"}, "spec": {"request": text, "signerName": text, "usages": [text]}}, id="request",
        ),
    ],
)  # fmt: skip
async def test_long_text_is_looked_at_in_linear_time(server, target, make):
    """No pattern that a field is held against takes the square of its length."""
    for text in TEXTS:
        answer = await server.send("POST", f"{target}?dryRun=All", make(text))
        assert answer.status < 500, text[:3]


@pytest.mark.parametrize(
    "selector",
    [
        "a in (" + "b," * 50_000 + "c)",
        "a!=b," * 20_000 + "c",
        "!a," * 20_000 + "b",
        "(" * 100_000,
        "a=" + "\\" * 100_000,
    ],
)
@pytest.mark.parametrize("kind", ["labelSelector", "fieldSelector"])
async def test_long_selector_is_answered(server, kind, selector):
    """A selector as long as a head may be is read, or refused, once."""
    answer = await server.send("GET", f"{MAPS}?{kind}={selector}")
    assert answer.status in {200, 400}
