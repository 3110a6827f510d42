"""Text that would be read as something else: as a header, as a line of a log, as far more bytes, or as another format (checks 31 and 32).

A whole server with authentication and RBAC on; where bytes matter, over a socket.
"""

import asyncio
import gzip
import io
import json
import logging
import random
import re

import pytest
import pytest_asyncio
import structlog
from tests.support.bad_input import ROOT, bad_input_server, status_of

from pinnace.api import protobuf
from pinnace.api.core_v1 import ConfigMap
from pinnace.apiserver.admission.functions import validating
from pinnace.component import logging as component_logging
from pinnace.component.clock import RealClock
from pinnace.component.http import UserInfo
from pinnace.component.http.server import serve

pytestmark = pytest.mark.asyncio(loop_scope="module")

JANE = UserInfo("jane", groups=("system:authenticated",))
MAPS = "/api/v1/namespaces/default/configmaps"
PROTOBUF = {"Content-Type": "application/vnd.kubernetes.protobuf"}
EVIL = "a\r\nSet-Cookie: b=c\r\n\r\nHTTP/1.1 200 OK"


def warn_of_the_name(request):
    request.warn(f"odd: {request.object.metadata.annotations.get('note', '')}")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server():
    """A server whose policy warns of what clients write; root and jane have tokens."""
    tokens = {"roots-token": ROOT, "janes-token": JANE}
    async with bad_input_server(tokens=tokens, admission_plugins=(validating(ConfigMap, warn_of_the_name),)) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def port(server):
    async with serve(server.handle, "127.0.0.1", 0, clock=RealClock()) as listening:
        yield listening.port


async def exchange(port, method, target, fields=(), body=b"", token="roots-token"):
    """Send a request over a socket; return the answer's head and body."""
    lines = [
        f"{method} {target} HTTP/1.1",
        "Host: x",
        "Connection: close",
        f"Authorization: Bearer {token}",
        f"Content-Length: {len(body)}",
        *fields,
    ]
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
    async with asyncio.timeout(20):
        answer = await reader.read()
    writer.close()
    return answer.partition(b"\r\n\r\n")[::2]


def quoted(text):
    return "".join(f"%{byte:02X}" for byte in text.encode())


BODIES = {
    "a field that nobody knows": (
        "POST",
        f"{MAPS}?fieldValidation=Warn&dryRun=All",
        {"metadata": {"name": "x"}, EVIL: 1},
    ),
    "a policy's warning": ("POST", f"{MAPS}?dryRun=All", {"metadata": {"name": "x", "annotations": {"note": EVIL}}}),
    "a name": ("POST", MAPS, {"metadata": {"name": EVIL}}),
    "a field manager": ("POST", f"{MAPS}?fieldManager={quoted(EVIL)}", {"metadata": {"name": "x"}}),
    "a selector": ("GET", f"{MAPS}?labelSelector={quoted(EVIL)}", None),
    "a path": ("GET", f"{MAPS}/{quoted(EVIL)}", None),
    "a path that is nobody's": ("GET", f"/{quoted(EVIL)}", None),
    "a proxy's path": ("GET", f"/api/v1/namespaces/default/services/{quoted(EVIL)}/proxy", None),
    "a continuation": ("GET", f"{MAPS}?continue={quoted(EVIL)}", None),
}


@pytest.mark.parametrize(("method", "target", "body"), BODIES.values(), ids=BODIES)
async def test_text_of_a_client_makes_no_header(port, method, target, body):
    """Whatever comes back of what was sent, in warnings, locations or messages, is one answer with the headers that the server wrote."""
    data = json.dumps(body).encode() if body is not None else b""
    head, rest = await exchange(port, method, target, ["Content-Type: application/json"], data)
    lines = head.split(b"\r\n")
    assert all(re.match(rb"[A-Za-z-]+: ", line) and not line.startswith(b"Set-Cookie") for line in lines[1:])
    assert not any(byte < 32 for line in lines for byte in line)
    assert b"\r\n" not in rest


ACTING = {
    "a line in the name": (["Impersonate-User: jane\r\n\tX: y"], {400}),
    "an encoded line in the name": ([f"Impersonate-User: {quoted(EVIL)}"], {403}),
    "an encoded line in a key": (["Impersonate-User: jane", f"Impersonate-Extra-{quoted(EVIL)}: x"], {403}),
    "an encoded line in a value": (["Impersonate-User: jane", f"Impersonate-Extra-a: {quoted(EVIL)}"], {403}),
    "two names": (["Impersonate-User: jane", "Impersonate-User: root"], {403}),
    "a name by another header": (["Impersonate-Name: root"], {400}),
    "masters by an encoded comma": (["Impersonate-User: jane", "Impersonate-Group: devs%2Csystem:masters"], {403}),
    "a zero byte": (["Impersonate-User: jane\0root"], {400}),
    "no text": (["Impersonate-User: jane\udcff".encode("utf-8", "surrogateescape").decode("latin-1")], {403}),
}


@pytest.mark.parametrize(("fields", "codes"), ACTING.values(), ids=ACTING)
@pytest.mark.parametrize("token", ["roots-token", "janes-token"])
async def test_who_acts_for_others_adds_nothing_to_the_request(port, fields, codes, token):
    """Names are taken as they stand: no line, list or escape in them is another name, and the first of two counts (CVE class of header injection)."""
    head, body = await exchange(port, "GET", f"{MAPS}?limit=1", fields, token=token)
    assert int(head.split()[1]) in codes, (head, body)
    assert b"Set-Cookie" not in head
    if b"403" in head[:20]:
        assert json.loads(body)["reason"] == "Forbidden"


@pytest.mark.parametrize("format_", list(component_logging.LogFormat), ids=str)
async def test_text_of_a_client_makes_no_line_of_the_log(server, request, format_):
    """Names, paths, agents and tokens that hold line ends or escapes of a terminal leave each event on a line of its own."""
    written = io.StringIO()
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    component_logging.configure(format_, level=logging.DEBUG, stream=written)

    def restore():
        structlog.reset_defaults()
        root.handlers[:] = handlers
        root.setLevel(level)

    request.addfinalizer(restore)
    forged = "x\n2026-01-01T00:00:00Z [info] forged\x1b[2J\u2028forged"
    fields = {"User-Agent": forged, "Authorization": f"Bearer {forged}", "Audit-ID": forged}
    await server.send("GET", f"{MAPS}/{quoted(forged)}", who=None, headers=fields)
    await server.send("GET", f"{MAPS}/{quoted(forged)}", who=UserInfo(forged))
    await server.send("POST", MAPS, {"metadata": {"name": forged}})
    await server.send("GET", f"{MAPS}?resourceVersion={quoted(forged)}")
    text = written.getvalue()
    assert "bearer token refused" in text
    assert not any(line.startswith(("2026-01-01T00:00:00Z [info] forged", "forged")) for line in text.splitlines())
    assert "\x1b[2J" not in text


BOMB = gzip.compress(b'{"metadata":{"name":"bomb"},"data":{"a":"' + b"a" * 20_000_000 + b'"}}', compresslevel=1)


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd", "gzip, gzip", "identity, gzip", "x-gzip"])
async def test_compressed_body_is_not_inflated(server, encoding):
    """Megabytes in a few kilobytes stay a few kilobytes, which are no object; upstream takes none either."""
    for method, target, media in (
        ("POST", MAPS, "application/json"),
        ("PATCH", f"{MAPS}/kube-root-ca.crt", "application/merge-patch+json"),
        ("POST", MAPS, "application/yaml"),
    ):
        answer = await server.send(method, target, BOMB, headers={"Content-Type": media, "Content-Encoding": encoding})
        assert answer.status in {400, 404, 415}
        assert len(answer.body) < 2000


def protobuf_map():
    """A config map as kubectl writes one."""

    def message(number, payload):
        return bytes([number << 3 | 2, len(payload)]) + payload

    meta = message(1, message(1, b"garbled"))
    raw = (
        meta
        + message(2, message(1, b"key") + message(2, b"value"))
        + message(3, message(1, b"bytes") + message(2, b"\0\1"))
    )
    return protobuf.MAGIC + message(1, message(1, b"v1") + message(2, b"ConfigMap")) + message(2, raw)


async def test_garbled_protobuf_is_a_clients_mistake(server):
    """Bytes changed, dropped, doubled and cut at every place make another object or 400, and never more of them than were sent."""
    whole, chance = protobuf_map(), random.Random(31)
    assert (await server.send("POST", f"{MAPS}?dryRun=All", whole, headers=PROTOBUF)).status == 201
    bodies = [whole[:at] for at in range(len(whole))]
    bodies += [
        whole[:at] + bytes([chance.randrange(256)]) + whole[at + chance.randrange(3) :]
        for at in range(len(whole))
        for _ in range(8)
    ]
    bodies += [protobuf.MAGIC + chance.randbytes(chance.randrange(64)) for _ in range(200)]
    bodies += [
        protobuf.MAGIC + b"\x12" + b"\xff" * 9 + b"\x01",
        protobuf.MAGIC + b"\x12\x80" * 100,
        protobuf.MAGIC + b"\x0b" * 5000,
    ]
    codes = set()
    for body in bodies:
        answer = await server.send("POST", f"{MAPS}?dryRun=All", body, headers=PROTOBUF)
        codes.add(answer.status)
        assert answer.status in {201, 400, 422}, (body, answer.body)
        if answer.status != 201:
            assert status_of(answer)["status"] == "Failure"
    assert codes == {201, 400, 422}


@pytest.mark.parametrize(
    "origin", ["http://elsewhere", "null", "https://kubernetes.default.svc", "https://kubernetes.default.svc.elsewhere"]
)
async def test_no_other_site_is_let_in(server, origin):
    """The server answers no site's questions about sharing, so there is no pattern to get around (CVE-2022-1996)."""
    fields = {
        "Origin": origin,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization",
    }
    for method in ("OPTIONS", "GET", "POST"):
        answer = await server.send(method, MAPS, headers=fields)
        assert not any(name.lower().startswith("access-control") for name in answer.headers)


@pytest.mark.parametrize("who", [None, JANE], ids=["anonymous", "jane"])
async def test_made_up_places_fill_no_memory(server, who):
    """What is remembered of requests is so much and no more, whatever paths, groups, verbs and parts of objects clients make up (CVE-2020-8552)."""
    whole = server.handle.__self__
    caches = (whole._counted._series, whole._flow_control._taken, whole.authorizer._authorizers[-1]._answers)
    for number in range(300):
        for path in (
            f"/{number}",
            f"/apis/g{number}/v1/x",
            f"/api/v1/namespaces/default/pods/p/part{number}",
            f"/api/v1/r{number}",
        ):
            assert (await server.send("GET", path, who=who)).status in {403, 404}
            assert (await server.send(f"VERB{number}", path, who=who)).status in {403, 404, 405}
    assert len(caches[0]) < 100
    for path in (
        f"/{'x' * 100_000}",
        f"/api/v1/namespaces/{'x' * 100_000}/pods",
        f"/api/v1/namespaces/default/pods/p/{'x' * 100_000}",
    ):
        assert (await server.send("GET", path, who=who)).status in {403, 404}
    review = {
        "spec": {
            "user": "u" * 100_000,
            "groups": ["g" * 100_000],
            "resourceAttributes": {"verb": "v" * 100_000, "resource": "r"},
        }
    }
    assert (await server.send("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", review)).status == 201
    for cache in caches:
        assert not any(len(repr(key)) > 10_000 for key in cache)
