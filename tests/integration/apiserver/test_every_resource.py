"""Every resource with every one of its subresources and verbs: each answers, and none with a server error."""

import pytest
from tests.support.callers import running_server, tree
from tests.support.manifests import manifest

from pinnace.api.resources import RESOURCES

METHODS = {"create": "POST", "get": "GET", "update": "PUT", "patch": "PATCH", "delete": "DELETE"}
STORED = [resource for resource in RESOURCES if resource.is_stored]
# Upstream, too, answers a binding without a target with 500.
TARGET = {"metadata": {"name": "a"}, "target": {"kind": "Node", "name": "none"}}
# Parts of the object itself: writing them back as they were read succeeds.
PARTS = {"status", "scale", "approval", "finalize", "ephemeralcontainers", "resize"}


def resource_id(resource):
    return f"{resource.plural}.{resource.version}.{resource.group}".rstrip(".")


async def test_every_kind_can_be_created_read_written_and_deleted():
    """A small valid object passes through all verbs; its tables have a cell for each column."""
    async with running_server() as call:
        for resource in STORED:
            body = manifest(resource)
            where = resource_id(resource)
            collection = resource.path("default")
            created = await call("POST", collection, body)
            assert created.status == 201, (where, created.body)
            one = resource.path("default", body["metadata"]["name"])
            answer = await call("GET", one)
            assert answer.status == 200, where
            same = await call("PUT", one, tree(answer))
            assert same.status == 200, (where, same.body)
            assert tree(same)["metadata"]["resourceVersion"] == tree(answer)["metadata"]["resourceVersion"], where
            patched = await call("PATCH", one, {"metadata": {"labels": {"x": "y"}}})
            assert patched.status == 200, (where, patched.body)
            assert tree(patched)["metadata"]["labels"]["x"] == "y", where
            table = tree(await call("GET", collection, Accept="application/json;as=Table;v=v1;g=meta.k8s.io"))
            widths = {len(row["cells"]) for row in table["rows"]}
            assert len(widths) == 1, where
            for column in table["columnDefinitions"]:
                assert column["description"], (where, column["name"])
            assert (await call("DELETE", one)).status == 200, where


@pytest.mark.parametrize("resource", [pytest.param(one, id=resource_id(one)) for one in RESOURCES if one.subresources])
async def test_every_subresource_answers_every_verb(resource):
    """No verb of a subresource ends in a server error; parts of the object take back what was read from them."""
    async with running_server() as call:
        body = manifest(resource)
        name = body["metadata"]["name"]
        assert (await call("POST", resource.path("default"), body)).status == 201
        for part in resource.subresources:
            path = resource.path("default", name, part.name)
            read = tree(await call("GET", path)) if "get" in part.verbs and part.name in PARTS else None
            current = read or tree(await call("GET", resource.path("default", name)))
            for verb, method in METHODS.items():
                sent = {"create": TARGET if part.name == "binding" else {}, "update": current, "patch": {}}.get(verb)
                answer = await call(method, path, sent)
                assert answer.status < 500, (part.name, verb, answer.body)
                if verb not in part.verbs:
                    assert answer.status == 405, (part.name, verb, answer.body)
                elif part.name in PARTS:
                    assert answer.status == 200, (part.name, verb, answer.body)


async def test_kinds_that_are_not_stored_answer_a_creation():
    """Reviews and bindings refuse or grant, and do not fail."""
    async with running_server() as call:
        for resource in RESOURCES:
            if resource.is_stored or "create" not in resource.verbs:
                continue
            body = {"kind": resource.kind, "apiVersion": resource.api_version, **TARGET}
            answer = await call("POST", resource.path("default"), body)
            assert answer.status < 500, (resource_id(resource), answer.body)
            assert (await call("GET", resource.path("default"))).status == 405
