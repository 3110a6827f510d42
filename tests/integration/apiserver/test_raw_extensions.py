"""What objects carry for others (`data` of ControllerRevisions) keeps the bytes it was sent with, as far as upstream keeps them."""

import json

import pytest
import pytest_asyncio
from tests.support.callers import running_server

pytestmark = pytest.mark.asyncio(loop_scope="module")

REVISIONS = "/apis/apps/v1/namespaces/default/controllerrevisions"
JSON_PATCH = "application/json-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
APPLY = "application/apply-patch+yaml"
# Neither sorted nor spelled as an encoder would write it, but without blanks.
ODD = b'{"z":1.50,"a":{"y":[1e2,"<b>"],"x":null}}'


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def call():
    async with running_server() as call:
        yield call


def revision(name: str, data: bytes, number: int = 1, metadata: bytes = b"") -> bytes:
    head = b'{"apiVersion":"apps/v1","kind":"ControllerRevision","metadata":{"name":"%b"%b},"revision":%d,"data":%b}'
    return head % (name.encode(), metadata, number, data)


def cause(answer) -> str:
    status = json.loads(answer.body)
    assert status["code"] == 422, status
    return status["details"]["causes"][0]["message"]


@pytest.mark.parametrize(
    "metadata", [pytest.param(b"", id="clean"), pytest.param(b',"creationTimestamp":null', id="mended")]
)
async def test_revision_keeps_order_and_spelling(call, metadata):
    """An object is shown with the data that was sent; only blanks are missing, and characters of HTML are escaped."""
    name = f"odd{len(metadata)}"
    blank = ODD.replace(b":", b" : ").replace(b",", b",\n ")
    created = await call("POST", REVISIONS, revision(name, blank, metadata=metadata))
    assert created.status == 201
    shown = b'"data":' + ODD.replace(b"<", b"\\u003c").replace(b">", b"\\u003e")
    assert shown in created.body
    assert shown in (await call("GET", f"{REVISIONS}/{name}")).body
    assert shown in (await call("GET", REVISIONS)).body
    watched = await call("GET", f"{REVISIONS}?watch=1&fieldSelector=metadata.name={name}")
    assert shown + b',"revision":1}}\n' in await anext(watched.body)
    await watched.body.aclose()


async def test_revision_with_blanks_in_its_data_cannot_be_patched(call):
    """Upstream compares bytes, and a patch is made on what is shown; the very bytes that were sent are no change."""
    data = b'{"spec": {"a": 1}}'
    await call("POST", REVISIONS, revision("blanks", data))
    patched = await call("PATCH", f"{REVISIONS}/blanks", {"revision": 2})
    assert cause(patched) == 'Invalid value: {"spec":{"a":1}}: field is immutable'
    again = await call("PUT", f"{REVISIONS}/blanks", revision("blanks", data, 3))
    assert (again.status, json.loads(again.body)["revision"]) == (200, 3)
    other = await call("PUT", f"{REVISIONS}/blanks", revision("blanks", b'{"spec":{"a":1}}', 4))
    assert cause(other) == 'Invalid value: {"spec":{"a":1}}: field is immutable'


@pytest.mark.parametrize(
    ("media", "body"),
    [
        pytest.param("application/merge-patch+json", {"revision": 2}, id="merge"),
        pytest.param(JSON_PATCH, [{"op": "replace", "path": "/revision", "value": 2}], id="json-patch"),
    ],
)
async def test_patch_leaves_data_that_it_does_not_touch(call, media, body):
    """A patch of another field passes: the data comes out of it byte for byte."""
    name = f"patched-{len(media)}"
    data = b'{"z":1.50,"a":{"y":[1e2],"x":null}}'
    await call("POST", REVISIONS, revision(name, data))
    answer = await call("PATCH", f"{REVISIONS}/{name}", body, Content_Type=media)
    assert answer.status == 200, answer.body
    assert b'"data":' + data + b',"revision":2' in answer.body


@pytest.mark.parametrize(
    ("media", "body"),
    [
        pytest.param(STRATEGIC, {"revision": 2}, id="strategic"),
        pytest.param(
            APPLY,
            {"apiVersion": "apps/v1", "kind": "ControllerRevision", "metadata": {"labels": {"a": "b"}}},
            id="apply",
        ),
    ],
)
async def test_patch_by_way_of_a_plain_tree_asks_for_canonical_data(call, media, body):
    """Strategic patches and applies write the data anew: of data in another form they are refused, as upstream refuses them."""
    path = f"{REVISIONS}/%s?fieldManager=m"
    await call("POST", REVISIONS, revision(f"canonical-{len(media)}", b'{"a":[1.5,1],"z":{}}'))
    await call("POST", REVISIONS, revision(f"other-{len(media)}", b'{"z":{},"a":[1.5,1.0]}'))
    passed = await call("PATCH", path % f"canonical-{len(media)}", body, Content_Type=media)
    assert passed.status == 200, passed.body
    refused = await call("PATCH", path % f"other-{len(media)}", body, Content_Type=media)
    assert cause(refused) == 'Invalid value: {"a":[1.5,1],"z":{}}: field is immutable'


async def test_revision_from_yaml_is_canonical(call):
    """YAML has no bytes to keep: its data is sorted."""
    text = b"apiVersion: apps/v1\nkind: ControllerRevision\nmetadata: {name: yaml}\nrevision: 1\ndata: {z: 1.50, a: {c: 1, b: 2}}\n"
    created = await call("POST", REVISIONS, text, Content_Type="application/yaml")
    assert b'"data":{"a":{"b":2,"c":1},"z":1.5}' in created.body


async def test_revision_needs_data_and_null_is_none(call):
    """Null says nothing."""
    assert cause(await call("POST", REVISIONS, revision("null", b" null"))) == "Required value: data is mandatory"


async def test_strict_reading_does_not_look_into_data(call):
    """What looks unknown or double inside of the data is the business of its reader."""
    path = f"{REVISIONS}?fieldValidation=Strict"
    assert (await call("POST", path, revision("double", b'{"a":1,"a":2}'))).status == 201


async def test_owners_sent_with_blanks_are_shown_without(call):
    """managedFields that a client sends back come out compact, so that no event of a watch spans lines."""
    entry = b'{"manager":"m","operation":"Update","apiVersion":"apps/v1","fieldsType":"FieldsV1","fieldsV1":{ "f:metadata":\n{"f:gone":{}}}}'
    metadata = b',"managedFields":[' + entry + b"]"
    created = await call("POST", REVISIONS, revision("owners", b"{}", metadata=metadata))
    assert created.status == 201, created.body
    assert b"\n" not in created.body.rstrip()
    assert b'"manager":"m"' in created.body
