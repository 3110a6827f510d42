"""Requests that are wrong in every way that clients find: each gets upstream's Status, and nothing makes the server stumble.

Upstream itself answers some with 500 and a message that blames the client; these are told by their missing reason.
"""

import copy
import json
import random
from collections.abc import Iterator

import pytest
import pytest_asyncio
from tests.support.manifests import manifest

from pinnace.api.resources import RESOURCES
from pinnace.apiserver.compose import api_server
from pinnace.apiserver.config import ApiServerConfig
from pinnace.apiserver.service_account_tokens import SigningKey
from pinnace.component.clock import VirtualClock
from pinnace.component.http import Connection, Headers, Request, Response, UserInfo
from pinnace.component.identity import Identity
from pinnace.store.memory import MemoryStore

pytestmark = pytest.mark.asyncio(loop_scope="module")

ADMIN = Connection(user=UserInfo("admin", groups=("system:masters",)), secure=True)
MAPS = "/api/v1/namespaces/default/configmaps"
PODS = "/api/v1/namespaces/default/pods"
JSON, YAML, PROTOBUF = "application/json", "application/yaml", "application/vnd.kubernetes.protobuf"
MERGE, JSON_PATCH = "application/merge-patch+json", "application/json-patch+json"
STRATEGIC, APPLY = "application/strategic-merge-patch+json", "application/apply-patch+yaml"
UNRECOGNIZED = "the object provided is unrecognized (must be of type ConfigMap): "
UNHANDLED = 'ConfigMap in version "v1" cannot be handled as a ConfigMap: '
BAD, INVALID, MEDIA = (400, "BadRequest"), (422, "Invalid"), (415, "UnsupportedMediaType")
ANY_CLIENT_ERROR = range(400, 500)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def call():
    """A server that holds a config map named `there`; sends bytes to it."""
    clock = VirtualClock()
    server = api_server(
        ApiServerConfig(),
        MemoryStore(clock),
        clock=clock,
        identity=Identity(random.Random(1)),
        signing_key=SigningKey(),
    )

    async def send(method: str, target: str, body: bytes = b"", **headers: str) -> Response:
        path, _, query = target.partition("?")
        fields = Headers({name.replace("_", "-"): value for name, value in headers.items() if value})
        answer = await server.handle(Request(method, path, query=query, headers=fields, body=body, connection=ADMIN))
        assert isinstance(answer, Response)
        return answer

    async with server.running():
        # What a controller would make.
        await send("POST", "/api/v1/namespaces/default/serviceaccounts", sent({"metadata": {"name": "default"}}))
        await send("POST", MAPS, sent({"metadata": {"name": "there"}, "data": {"a": "1"}}))
        yield send


def sent(body: object) -> bytes:
    return json.dumps(body).encode()


def named(**fields: object) -> bytes:
    return sent({"metadata": {"name": "a"}} | fields)


def status(answer: Response) -> tuple[tuple[int, str | None], str]:
    """Return code and reason, and the message, of an answer that has to be a Status."""
    assert isinstance(answer.body, bytes)
    tree = json.loads(answer.body)
    assert (tree["kind"], tree["status"], tree["code"]) == ("Status", "Failure", answer.status)
    return (answer.status, tree.get("reason")), tree["message"]


@pytest.mark.parametrize(
    ("body", "media", "code", "message"),
    [
        pytest.param(
            b"{", JSON, BAD, UNRECOGNIZED + "couldn't get version/kind; json parse error: unexpected end of JSON input ({)",
            id="json-cut-short",
        ),
        pytest.param(b"", JSON, BAD, UNRECOGNIZED + "couldn't get version/kind; json parse error: unexpected end of", id="empty"),
        pytest.param(b"[]", JSON, BAD, UNRECOGNIZED + "couldn't get version/kind; json parse error: json: cannot unmarshal array", id="array"),
        pytest.param(b"5", JSON, BAD, UNRECOGNIZED + "couldn't get version/kind; json parse error: json: cannot unmarshal number", id="number"),
        pytest.param(b"\xff\xfe{}", JSON, BAD, UNRECOGNIZED + "couldn't get version/kind; json parse error: invalid character", id="no-utf-8"),
        pytest.param(b'{"a":' * 20_000, JSON, BAD, UNRECOGNIZED, id="deep-json"),
        pytest.param(b"a: b: c", YAML, BAD, UNRECOGNIZED + "yaml: mapping values are not allowed in this context", id="yaml"),
        pytest.param(b"&a [*a]", YAML, BAD, UNRECOGNIZED, id="yaml-of-itself"),
        pytest.param(b"[" * 20_000, YAML, BAD, UNRECOGNIZED, id="deep-yaml"),
        pytest.param(b"junk", PROTOBUF, BAD, UNHANDLED + "provided data does not appear to be a protobuf message", id="protobuf"),
        pytest.param(b"k8s\0\xff\xff", PROTOBUF, BAD, UNHANDLED, id="protobuf-cut-short"),
        pytest.param(
            named(kind="Secret", apiVersion="v1"), JSON, BAD, 'Secret in version "v1" cannot be handled as a ConfigMap: ', id="other-kind",
        ),
        pytest.param(
            named(kind="ConfigMap", apiVersion="v2"), JSON, BAD, 'ConfigMap in version "v2" cannot be handled as a ConfigMap: no kind ',
            id="other-version",
        ),
        pytest.param(
            sent({"metadata": []}), JSON, BAD,
            UNHANDLED + "json: cannot unmarshal array into Go struct field ConfigMap.metadata of type v1.ObjectMeta", id="metadata-as-array",
        ),
        pytest.param(
            sent({"metadata": {"name": 5}}), JSON, BAD,
            UNHANDLED + "json: cannot unmarshal number into Go struct field ObjectMeta.metadata.name of type string", id="name-as-number",
        ),
        pytest.param(
            named(data={"a": 1}), JSON, BAD, UNHANDLED + "json: cannot unmarshal number into Go struct field ConfigMap.data of type string",
            id="value-as-number",
        ),
        pytest.param(
            sent({"metadata": {"name": "a", "creationTimestamp": "nope"}}), JSON, BAD,
            UNHANDLED + 'parsing time "nope" as "2006-01-02T15:04:05Z07:00": cannot parse "nope" as "2006"', id="time",
        ),
        pytest.param(named(binaryData={"a": "!!"}), JSON, BAD, UNHANDLED + "illegal base64 data at input byte 0", id="base64"),
        pytest.param(
            sent({"metadata": {"name": "a", "generation": 10**19}}), JSON, BAD, UNHANDLED + "json: cannot unmarshal number 1",
            id="number-out-of-range",
        ),
        pytest.param(named(), "text/plain", MEDIA, "the body of the request was in an unknown format - accepted media types", id="media"),
        pytest.param(named(), ";;", MEDIA, "the body of the request was in an unknown format - accepted media types", id="no-media"),
        pytest.param(sent({"metadata": {"name": "A_b"}}), JSON, INVALID, 'ConfigMap "A_b" is invalid: metadata.name: Invalid', id="name"),
        pytest.param(
            sent({"metadata": {}}), JSON, INVALID, 'ConfigMap "" is invalid: metadata.name: Required value: name or generateName is required',
            id="no-name",
        ),
        pytest.param(sent({"metadata": {"name": "a" * 254}}), JSON, INVALID, "ConfigMap ", id="long-name"),
        pytest.param(sent({"metadata": {"name": "../x"}}), JSON, INVALID, 'ConfigMap "../x" is invalid: metadata.name: Invalid', id="path"),
        pytest.param(
            sent({"metadata": {"name": "a", "namespace": "other"}}), JSON, BAD,
            "the namespace of the provided object does not match the namespace sent on the request", id="namespace",
        ),
        pytest.param(
            sent({"metadata": {"name": "a", "labels": {"a b": "c"}}}), JSON, INVALID, 'ConfigMap "a" is invalid: metadata.labels: Invalid',
            id="label",
        ),
        pytest.param(named(data={"a/b": "c"}), JSON, INVALID, 'ConfigMap "a" is invalid: data[a/b]: Invalid value: "a/b": ', id="key"),
        pytest.param(
            sent({"metadata": {"name": "a", "resourceVersion": "5"}}), JSON, (500, None),
            "resourceVersion should not be set on objects to be created", id="version-on-create",
        ),
    ],
)  # fmt: skip
async def test_body_that_is_wrong_is_refused_in_upstreams_words(call, body, media, code, message):
    """Malformed, mistyped, misnamed: the code, the reason and the message say which."""
    found, said = status(await call("POST", MAPS, body, Content_Type=media))
    assert found == code
    assert said.startswith(message)


DOUBLED = b'{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"%s","foo":1},"data":{"a":"1","a":"2"},"dada":{}}'


async def test_unknown_and_duplicate_fields_are_refused_warned_of_or_ignored(call):
    """As fieldValidation says; the last of two values counts."""
    found, said = status(await call("POST", f"{MAPS}?fieldValidation=Strict", DOUBLED % b"strict", Content_Type=JSON))
    fields = ('unknown field "metadata.foo"', 'duplicate field "data.a"', 'unknown field "dada"')
    assert found == BAD
    assert said == f"{UNHANDLED}strict decoding error: {', '.join(fields)}"
    warned = await call("POST", f"{MAPS}?fieldValidation=Warn", DOUBLED % b"warned", Content_Type=JSON)
    texts = [value for name, value in warned.headers.items() if name.lower() == "warning"]
    assert texts == [f"299 - {json.dumps(field)}" for field in fields]
    ignored = await call("POST", f"{MAPS}?fieldValidation=Ignore", DOUBLED % b"ignored", Content_Type=JSON)
    assert (warned.status, ignored.status) == (201, 201)
    assert json.loads(ignored.body)["data"] == {"a": "2"}
    found, said = status(await call("POST", f"{MAPS}?fieldValidation=strict", named(), Content_Type=JSON))
    assert found == INVALID
    assert said.endswith(
        'fieldValidation: Unsupported value: "strict": supported values: "", "Ignore", "Strict", "Warn"'
    )


@pytest.mark.parametrize(
    ("target", "code", "message"),
    [
        pytest.param("?labelSelector=a%20b", BAD, "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt", id="label"),
        pytest.param("?labelSelector=%00", BAD, "unable to parse requirement: <nil>: Invalid value", id="label-nul"),
        pytest.param("?fieldSelector=a", BAD, "invalid selector: 'a'; can't understand 'a'", id="field"),
        pytest.param("?fieldSelector=data.x%3Dy", BAD, '"data.x" is not a known field selector: only', id="unknown-field"),
        pytest.param(
            "?resourceVersion=x", BAD,
            'invalid resource version: resourceVersion: Invalid value: "x": strconv.ParseUint: parsing "x": invalid syntax', id="version",
        ),
        pytest.param(
            f"?resourceVersion={10**20}", BAD,
            f'invalid resource version: resourceVersion: Invalid value: "{10**20}": strconv.ParseUint: parsing "{10**20}": value out of range',
            id="version-out-of-range",
        ),
        pytest.param("?resourceVersion=-1", BAD, "invalid resource version: ", id="negative-version"),
        pytest.param("?resourceVersion=%C2%B2", BAD, "invalid resource version: ", id="version-in-other-digits"),
        pytest.param(
            "?resourceVersionMatch=Exact", INVALID,
            'ListOptions.meta.k8s.io "" is invalid: resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden unless', id="match",
        ),
        pytest.param("?continue=x", BAD, "invalid continue token: continue key is not valid: ", id="continue"),
        pytest.param("?limit=x", BAD, 'strconv.ParseInt: parsing "x": invalid syntax', id="limit"),
        pytest.param(f"?limit={'9' * 5000}", BAD, "strconv.ParseInt: parsing ", id="endless-limit"),
        pytest.param("?watch=1&resourceVersion=x", (500, None), "invalid resource version: ", id="watch-version"),
        pytest.param("/A_b", (404, "NotFound"), 'configmaps "A_b" not found', id="name"),
        pytest.param("/a%00b", (404, "NotFound"), "configmaps ", id="name-nul"),
    ],
)  # fmt: skip
async def test_question_that_is_wrong_is_refused_in_upstreams_words(call, target, code, message):
    """Selectors, versions, numbers and names in the address are looked at as closely as a body."""
    found, said = status(await call("GET", MAPS + target))
    assert found == code
    assert said.startswith(message)


@pytest.mark.parametrize(
    ("body", "media", "code", "message"),
    [
        pytest.param(b"{}", "", MEDIA, "415: Unsupported Media Type", id="no-media"),
        pytest.param(b"{}", JSON, MEDIA, "415: Unsupported Media Type", id="plain-json"),
        pytest.param(b"{", MERGE, BAD, "error decoding patch: unexpected end of JSON input", id="merge-cut-short"),
        pytest.param(b"[]", MERGE, BAD, "error decoding patch: json: cannot unmarshal array into Go value of type map", id="merge-array"),
        pytest.param(b'{"data":5}', MERGE, INVALID, ' "" is invalid: patch: Invalid value: ', id="merge-type"),
        pytest.param(b"{}", JSON_PATCH, BAD, "error decoding patch: json: cannot unmarshal object into Go value", id="json-map"),
        pytest.param(
            b'[{"op":"add","path":"","value":"x"}]', JSON_PATCH, INVALID,
            ' "" is invalid: patch: Invalid value: "\\"x\\"": couldn\'t get version/kind; json parse error: json: cannot unmarshal string', id="json-text",
        ),
        pytest.param(b'[{"op":"replace","path":"","value":null}]', JSON_PATCH, INVALID, ' "" is invalid: patch: Invalid value: "null": ', id="json-null"),
        pytest.param(b'[{"op":"nope"}]', JSON_PATCH, INVALID, "the server rejected our request due to an error", id="json-op"),
        pytest.param(b'[{"op":"test","path":"/kind","value":1}]', JSON_PATCH, INVALID, "the server rejected our request", id="json-test"),
        pytest.param(
            sent([{"op": "test", "path": "/kind", "value": "ConfigMap"}] * 10_001), JSON_PATCH, (413, "RequestEntityTooLarge"),
            "Request entity too large: The allowed maximum operations in a JSON patch is 10000, got 10001", id="json-length",
        ),
        pytest.param(b"[]", STRATEGIC, BAD, "json: cannot unmarshal array into Go value of type map", id="strategic-array"),
        pytest.param(b'{"data":{"$patch":"nope"}}', STRATEGIC, (500, None), "unknown patch type: nope in map: map[$patch:nope]", id="strategic-directive"),
        pytest.param(b"{}", APPLY, INVALID, 'PatchOptions.meta.k8s.io "" is invalid: fieldManager: Required value', id="apply-of-nobody"),
    ],
)  # fmt: skip
async def test_patch_that_is_wrong_is_refused_in_upstreams_words(call, body, media, code, message):
    """Each type of patch has errors of its own."""
    found, said = status(await call("PATCH", f"{MAPS}/there", body, Content_Type=media))
    assert found == code
    assert said.startswith(message)


@pytest.mark.parametrize(
    ("metadata", "code", "message"),
    [
        pytest.param({"name": "other"}, BAD, "the name of the object (other) does not match the name on the URL (there)", id="other-name"),
        pytest.param({}, BAD, "the name of the object (there based on URL) was undeterminable: name must be provided", id="no-name"),
        pytest.param({"name": "there", "resourceVersion": "1"}, (409, "Conflict"), 'Operation cannot be fulfilled on configmaps "there"', id="stale"),
        pytest.param({"name": "there", "resourceVersion": "x"}, (500, None), 'resourceVersion: Invalid value: "x": strconv.ParseUint', id="version"),
        pytest.param({"name": "there", "resourceVersion": "²"}, (500, None), 'resourceVersion: Invalid value: "²": strconv.Parse', id="digits"),
        pytest.param({"name": "there", "uid": "1"}, (409, "Conflict"), 'Operation cannot be fulfilled on configmaps "there"', id="uid"),
    ],
)  # fmt: skip
async def test_update_that_is_wrong_is_refused_in_upstreams_words(call, metadata, code, message):
    """Name, version and uid of a body have to fit what is there."""
    found, said = status(await call("PUT", f"{MAPS}/there", sent({"metadata": metadata}), Content_Type=JSON))
    assert found == code
    assert said.startswith(message)


@pytest.mark.parametrize(
    ("query", "body", "code", "message"),
    [
        pytest.param("", b"{", BAD, "the object provided is unrecognized (must be of type DeleteOptions)", id="cut-short"),
        pytest.param("", b'{"gracePeriodSeconds":"x"}', BAD, 'DeleteOptions in version "v1" cannot be handled', id="type"),
        pytest.param("?gracePeriodSeconds=x", b"", BAD, 'strconv.ParseInt: parsing "x": invalid syntax', id="grace"),
        pytest.param("?propagationPolicy=x", b"", INVALID, 'DeleteOptions.meta.k8s.io "" is invalid: propagationPolicy', id="policy"),
        pytest.param("", b'{"preconditions":{"uid":"x"}}', (409, "Conflict"), "Operation cannot be fulfilled on ConfigMap", id="uid"),
        pytest.param("", b'{"kind":"Pod","apiVersion":"v1"}', BAD, 'no kind "Pod" is registered for version "v1"', id="kind"),
    ],
)  # fmt: skip
async def test_delete_that_is_wrong_deletes_nothing(call, query, body, code, message):
    """Options that make no sense are refused before anything happens."""
    found, said = status(await call("DELETE", f"{MAPS}/there{query}", body, Content_Type=JSON))
    assert found == code
    assert said.startswith(message)
    assert (await call("GET", f"{MAPS}/there")).status == 200


WRONG = (
    None,
    True,
    0,
    -1,
    10**30,
    1.5,
    "",
    "\0",
    "a" * 300,
    "../..",
    [],
    [None],
    [[]],
    {},
    {"": None},
    [{"a": {"b": []}}],
)


def spoilt(body: object, chance: random.Random) -> Iterator[dict[str, object]]:
    """Yield an object once for each of its fields, with that field replaced by something wrong."""

    def places(value: object, path: tuple[str | int, ...]) -> Iterator[tuple[str | int, ...]]:
        children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        for key, child in children:
            yield (*path, key)
            yield from places(child, (*path, key))

    for path in places(body, ()):
        changed = copy.deepcopy(body)
        holder = changed
        for key in path[:-1]:
            holder = holder[key]
        holder[path[-1]] = chance.choice(WRONG)
        yield changed


@pytest.mark.parametrize(
    "resource", [one for one in RESOURCES if one.is_stored], ids=lambda one: f"{one.plural}.{one.group}".rstrip(".")
)
async def test_no_field_of_any_kind_makes_the_server_stumble(call, resource):
    """Whatever stands in a field, a creation is done or refused as the client's mistake; so are a merge patch and an apply of it."""
    chance = random.Random(resource.plural)
    collection = resource.path("default")
    body = manifest(resource)
    name = body["metadata"]["name"]
    for number, wrong in enumerate(spoilt(body, chance)):
        answer = await call("POST", f"{collection}?dryRun=All", sent(wrong), Content_Type=JSON)
        assert answer.status in {201, *ANY_CLIENT_ERROR}, (number, wrong, answer.body)
        if answer.status != 201:
            status(answer)
    made = await call("POST", collection, sent(body), Content_Type=JSON)
    assert made.status in {201, 409}, made.body
    for number, wrong in enumerate(spoilt(body, chance)):
        answer = await call("PATCH", f"{resource.path('default', name)}?dryRun=All", sent(wrong), Content_Type=MERGE)
        assert answer.status in {200, 201, *ANY_CLIENT_ERROR} or is_upstreams(answer), (number, wrong, answer.body)


def is_upstreams(answer: Response) -> bool:
    """Tell whether a 500 is one that upstream gives, too: it has no reason, and says what the client did wrong."""
    (code, reason), message = status(answer)
    return code == 500 and reason is None and "resource" in message
