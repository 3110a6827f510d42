"""Requests made up from the server's own OpenAPI: most of them nearly right, some of them wrong in every way at once.

A seed gives the same requests again. Names come from a small pool, so that requests meet each other's objects; bodies follow the
schemas as far as they are followed, and are then broken on purpose. Nothing here knows what an answer should be.
"""

import json
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import yaml
from tests.support.manifests import manifest

from pinnace.api.resources import RESOURCES, Resource

NAMESPACES = (*["default"] * 12, "kube-system", "none", "a/b", "..", "%", "")
NAMES = (
    "a",
    "b",
    "c",
    "a",
    "b",
    "c",
    "a",
    "b",
    "a",
    "b",
    "default",
    "kube-root-ca.crt",
    "none",
    "..",
    ".",
    "A_b",
    "x" * 300,
    "a b",
    "é",
    "%00",
    "a:1:2",
)
TEXTS = (
    "", "a", "b", "x", "default", "a/b", "example.com/a", "1", "-1", "0", "10Gi", "100m", "1e309", "0x10", "None", "true", "*", "ClusterIP",
    "10.96.0.77", "10.0.0.0/8", "::ffff:1.2.3.4", "01.2.3.4", "https://x", "%s", "{{.}}", "$(HOST)", "..", "../..", "\x00", "\n", "\U0001f600",
    "a" * 64, "a" * 254, "2026-01-01T00:00:00Z", "2026-13-01T00:00:00Z", "0001-01-01T00:00:00Z", "* * * * *", "@every 1s", "(a+)+$", "[", "é", "9" * 5000, "9" * 5000 + "%", "1e999999999", "²",
)  # fmt: skip
NUMBERS = (
    0, 1, 2, 3, -1, 7, 80, 443, 1000, 65535, 65536, 2**31 - 1, 2**31, -(2**31) - 1, 2**53, 2**63 - 1, 2**63, -(2**63) - 1, 10**400, 0.5, -0.0, 1e300,
)  # fmt: skip
SELECTORS = (
    "a", "!a", "a=b", "a==b", "a!=b", "a in (b,c)", "a notin (b)", "a>1", "a<x", "a in (", ",", "=", "a=b,", "a" * 300, "metadata.name=a",
    "metadata.name!=a", "spec.nodeName=n", "status.phase=Running", "metadata.namespace=default", "type=Opaque", "\\", "a=\\,", "a=\x00", "involvedObject.name=a",
)  # fmt: skip
OPTIONS: Mapping[str, Sequence[str]] = {
    "dryRun": ("All", "All", "all", "", "None"),
    "fieldManager": ("me", "", "x" * 200, "a\nb"),
    "fieldValidation": ("Strict", "Warn", "Ignore", "strict", ""),
    "force": ("true", "false", "x", ""),
    "limit": ("1", "0", "-1", "9" * 30, "x", "9" * 5000),
    "continue": ("", "x", "eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJydiI6MSwic3RhcnQiOiIuLi8uLi8ifQ", "eyJ2", "bnVsbA", "W10"),
    "resourceVersion": ("0", "1", "5", "-1", "x", "9" * 30, "9" * 5000, "²"),
    "resourceVersionMatch": ("Exact", "NotOlderThan", "x"),
    "timeoutSeconds": ("1", "0", "-1", "x", "9" * 30),
    "timeout": ("1s", "0", "-1s", "x", "1h", "9" * 400 + "h", "1ns"),
    "allowWatchBookmarks": ("true", "false", "x"),
    "sendInitialEvents": ("true", "false", "x"),
    "watch": ("true", "1", "false", "x"),
    "gracePeriodSeconds": ("0", "30", "-1", "x", "9" * 30),
    "orphanDependents": ("true", "false", "x"),
    "propagationPolicy": ("Foreground", "Background", "Orphan", "x"),
    "pretty": ("1", "true", ""),
    "includeObject": ("None", "Object", "Metadata", "x"),
}
ACCEPTS = (
    "application/json", "*/*", "*/*", "application/yaml", "application/yaml;q=0.1", "application/vnd.kubernetes.protobuf", "application/json;as=Table;v=v1;g=meta.k8s.io",
    "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io", "application/json;as=Table;v=v9;g=x", "text/html", ";;,,q=", "application/json;q=x",
)  # fmt: skip
PATCHES = (
    "application/json-patch+json", "application/merge-patch+json", "application/strategic-merge-patch+json", "application/apply-patch+yaml",
)  # fmt: skip
MEDIA = (
    "application/json",
    "application/json",
    "application/json",
    "application/yaml",
    "application/vnd.kubernetes.protobuf",
    "text/plain",
    "",
    "a;b=",
)
DIRECTIVES = ("replace", "merge", "delete", "x", 1, None)
# Schemas are followed so deep; upstream's own recurse (JSONSchemaProps).
DEPTH = 7


@dataclass(frozen=True)
class Made:
    """One request."""

    method: str
    path: str
    query: str
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def __str__(self) -> str:
        return f"{self.method} {self.path}?{self.query} {dict(self.headers)} {self.body[:2000]!r}"


@dataclass(frozen=True)
class Operation:
    """A method on a path, with the names of its query's parameters and, where it takes one, the schema of its body."""

    method: str
    path: str
    parameters: tuple[str, ...]
    schema: Mapping[str, Any] | None
    schemas: Mapping[str, Any]
    resource: Resource | None


def operations(documents: Sequence[Mapping[str, Any]]) -> list[Operation]:
    """Return what OpenAPI 3 documents offer, and the subresources of the same kinds, which take the kind's own body."""
    found: list[Operation] = []
    kinds = {one.path("{namespace}", name): one for one in RESOURCES for name in ("", "{name}")}
    bodies: dict[str, tuple[Any, Any]] = {}
    for document in documents:
        schemas = document["components"]["schemas"]
        for path, item in document["paths"].items():
            for method, operation in item.items():
                if method == "parameters":
                    continue
                schema = None
                if "requestBody" in operation:
                    content = operation["requestBody"]["content"]
                    schema = next(iter(content.values()))["schema"]
                    if method == "put":
                        bodies[path] = (schema, schemas)
                names = tuple(one["name"] for one in operation.get("parameters", ()))
                found.append(Operation(method.upper(), path, names, schema, schemas, kinds.get(path)))
    return [*found, *_parts(bodies)]


def _parts(bodies: Mapping[str, tuple[Any, Any]]) -> Iterator[Operation]:
    methods = {"create": "POST", "get": "GET", "update": "PUT", "patch": "PATCH", "delete": "DELETE"}
    for resource in RESOURCES:
        path = resource.path("{namespace}", "{name}")
        schema, schemas = bodies.get(path, ({}, {}))
        for part in resource.subresources:
            for verb in part.verbs:
                if verb in methods:
                    yield Operation(
                        methods[verb], f"{path}/{part.name}", ("dryRun", "fieldManager"), schema, schemas, resource
                    )


class Maker:
    """Makes requests, one after the other."""

    def __init__(self, found: Sequence[Operation], seed: int) -> None:
        # Objects have to be there before anything else is of interest.
        self._operations = [*found, *(one for one in found if one.method == "POST" for _ in range(4))]
        self._chance = random.Random(seed)

    def make(self) -> Made:
        """Return the next request."""
        chance = self._chance
        operation = chance.choice(self._operations)
        name = chance.choice(NAMES)
        path = operation.path.replace("{namespace}", quote(chance.choice(NAMESPACES), safe=""))
        path = path.replace("{name}", quote(name, safe=""))
        if chance.random() < 0.02:
            path = self._bent(path)
        method = operation.method
        if chance.random() < 0.03:
            method = chance.choice((
                "GET",
                "HEAD",
                "POST",
                "PUT",
                "PATCH",
                "DELETE",
                "OPTIONS",
                "CONNECT",
                "TRACE",
                "X",
            ))
        headers = [("Accept", chance.choice(ACCEPTS))] if chance.random() < 0.2 else []
        if chance.random() < 0.05:
            headers.append(("Accept-Encoding", "gzip"))
        body = b""
        if method in {"POST", "PUT", "PATCH"} or (method == "DELETE" and chance.random() < 0.3):
            media, body = self._body(method, operation, name if "{name}" in operation.path else "")
            headers.append(("Content-Type", media))
        return Made(method, path, self._query(operation), tuple(headers), body)

    def _bent(self, path: str) -> str:
        chance = self._chance
        return chance.choice((
            path + "/", path + "/x", path + "//", path.replace("/", "//", 1), path.upper(), path + "/%2e%2e/", path + "/status/x", path + "%",
            path.replace("/v1", "/v2"), path.replace("/api", "/API"), path + "/" + "a/" * 50, path[: chance.randrange(len(path) + 1)] or "/",
            path.replace("v1/", "v1/watch/", 1),
        ))  # fmt: skip

    def _query(self, operation: Operation) -> str:
        chance = self._chance
        if chance.random() < 0.5:
            return ""
        names = [*operation.parameters, "timeout", "pretty", "includeObject"]
        parts = []
        for name in chance.sample(names, min(len(names), chance.randrange(1, 4))):
            pool = SELECTORS if name.endswith("Selector") else OPTIONS.get(name, TEXTS)
            parts.append(f"{name}={quote(chance.choice(pool), safe='')}")
        if chance.random() < 0.05:
            parts.append(chance.choice(("%", "%zz=1", "=", "&&", "a" * 500, "x=%ff%fe", "watch=1&watch=0", "\x7f")))
        return "&".join(parts)

    def _body(self, method: str, operation: Operation, name: str) -> tuple[str, bytes]:
        chance = self._chance
        tree: Any = self._object(operation, name)
        if method == "PATCH":
            media = chance.choice(PATCHES)
            if media == PATCHES[0]:
                tree = [self._json_operation() for _ in range(chance.randrange(4))]
            elif media == PATCHES[2]:
                tree = self._directed(tree)
        else:
            media = chance.choice(MEDIA)
        if chance.random() < 0.03:
            tree = chance.choice((None, [], "x", 1, {}, [tree], True))
        text = self._written(tree, as_yaml="yaml" in media and chance.random() < 0.7)
        return media, self._broken(text)

    def _written(self, tree: Any, *, as_yaml: bool) -> bytes:
        if as_yaml:
            return yaml.safe_dump(tree, allow_unicode=True).encode("utf-8", "surrogatepass")
        text = json.dumps(tree)
        if self._chance.random() < 0.03:
            # Keys twice, numbers and words that are no JSON, and half a character.
            old, new = self._chance.choice((
                ("{", '{"metadata":{"name":"a"},'), ("1", "NaN"), ("1", "1e999"), ("1", "-Infinity"), ('"a"', '"\\ud800"'), ("1", "9" * 5000), ('"a"', '"\\u0000"'),
            ))  # fmt: skip
            text = text.replace(old, new, 1)
        return text.encode()

    def _broken(self, data: bytes) -> bytes:
        chance = self._chance
        if chance.random() > 0.06:
            return data
        at = chance.randrange(len(data) + 1)
        return chance.choice((
            data[:at], data[:at] + bytes([chance.randrange(256)]) + data[at:], data + data, b"\xef\xbb\xbf" + data, b"k8s\x00" + data, b"[" * 5000, b"",
            data.decode("latin-1").encode("utf-16"),
        ))  # fmt: skip

    def _object(self, operation: Operation, name: str) -> Any:
        """Return an object: a valid one, a little changed, or one of the schema's own making, or a mixture."""
        chance = self._chance
        if operation.schema is None:
            return {"kind": "DeleteOptions", "apiVersion": "v1", "preconditions": {"uid": chance.choice(TEXTS)}}
        made = self._value(operation.schema, operation.schemas, 0) if chance.random() < 0.6 else {}
        if not isinstance(made, dict):
            return made
        tree = made
        if operation.resource is not None and chance.random() < 0.8:
            tree = _mixed(manifest(operation.resource), made) if chance.random() < 0.4 else manifest(operation.resource)
            for _ in range(chance.choice((0, 0, 1, 1, 2, 3))):
                tree = self._changed(tree)
        meta = tree.get("metadata") if isinstance(tree, dict) else None
        if not isinstance(meta, dict) or chance.random() < 0.05:
            return tree
        kept = {key: value for key, value in meta.items() if key not in {"namespace", "resourceVersion", "uid"}}
        return {**tree, "metadata": {**kept, "name": name or chance.choice(NAMES[:5])}}

    def _changed(self, tree: Any) -> Any:
        """Change one place of a tree, chosen on the way down."""
        chance = self._chance
        if isinstance(tree, dict) and tree and chance.random() < 0.85:
            key = chance.choice(list(tree))
            return {**tree, key: self._changed(tree[key])}
        if isinstance(tree, list) and tree and chance.random() < 0.85:
            at = chance.randrange(len(tree))
            return [*tree[:at], self._changed(tree[at]), *tree[at + chance.randrange(2) :]]
        if isinstance(tree, dict) and chance.random() < 0.5:
            return {**tree, chance.choice(TEXTS): chance.choice(TEXTS)}
        return chance.choice((
            None,
            [],
            {},
            chance.choice(TEXTS),
            chance.choice(NUMBERS),
            True,
            [tree, tree],
            [None],
            [{}],
        ))

    def _value(self, schema: Mapping[str, Any], schemas: Mapping[str, Any], depth: int) -> Any:
        chance = self._chance
        if chance.random() < 0.015:
            return chance.choice((
                None,
                [],
                {},
                "",
                chance.choice(TEXTS),
                chance.choice(NUMBERS),
                True,
                [[]],
                [None],
                {"": None},
            ))
        schema = _resolved(schema, schemas)
        if "enum" in schema and chance.random() < 0.8:
            return chance.choice(schema["enum"])
        if (options := schema.get("oneOf") or schema.get("anyOf")) and "type" not in schema:
            return self._value(chance.choice(options), schemas, depth)
        match schema.get("type"):
            case "object":
                return self._map(schema, schemas, depth)
            case "array":
                if depth >= DEPTH:
                    return []
                return [
                    self._value(schema.get("items", {}), schemas, depth + 1) for _ in range(chance.choice((0, 1, 1, 2)))
                ]
            case "integer" | "number":
                return chance.choice(NUMBERS)
            case "boolean":
                return chance.random() < 0.5
        return chance.choice(TEXTS)

    def _map(self, schema: Mapping[str, Any], schemas: Mapping[str, Any], depth: int) -> dict[str, Any]:
        chance = self._chance
        properties: Mapping[str, Any] = schema.get("properties", {})
        if not properties:
            inner = schema.get("additionalProperties")
            if not isinstance(inner, dict) or depth >= DEPTH:
                return {}
            return {chance.choice(TEXTS): self._value(inner, schemas, depth + 1) for _ in range(chance.randrange(3))}
        required = set(schema.get("required", ()))
        wanted = (
            set(properties)
            if depth == 0
            else set(chance.sample(list(properties), min(len(properties), chance.randrange(4))))
        )
        tree = {
            name: self._value(inner, schemas, depth + 1)
            for name, inner in properties.items()
            if depth < DEPTH and (name in wanted or (name in required and chance.random() < 0.95))
        }
        if chance.random() < 0.02:
            tree[chance.choice(TEXTS)] = chance.choice(NUMBERS)
        return tree

    def _directed(self, tree: Any) -> Any:
        chance = self._chance
        if not isinstance(tree, dict):
            return tree
        out = {key: self._directed(value) for key, value in tree.items()}
        if chance.random() < 0.1:
            out["$patch"] = chance.choice(DIRECTIVES)
        if chance.random() < 0.1:
            key = chance.choice([*tree, "x"])
            out[chance.choice(("$setElementOrder/", "$deleteFromPrimitiveList/")) + key] = chance.choice((
                tree.get(key),
                [],
                None,
                [None],
                [{"name": "a"}],
                ["a", {}],
                [[1]],
                "x",
            ))
        if chance.random() < 0.05:
            out["$retainKeys"] = chance.choice((list(tree), [], None, "x", [1], [{}]))
        return out

    def _json_operation(self) -> Any:
        chance = self._chance
        places = (
            "", "/", "/metadata/labels", "/metadata/labels/a", "/metadata/name", "/spec", "/spec/containers/0", "/spec/containers/-", "/spec/containers/-1",
            "/metadata/annotations/a~1b", "/kind", "/status", "/data/a", "/~2", "x", None, 1, "/metadata/finalizers/99999999999", "/spec/replicas",
        )  # fmt: skip
        operation = {
            "op": chance.choice(("add", "add", "replace", "remove", "test", "move", "copy", "x", None, [])),
            "path": chance.choice(places),
            "from": chance.choice(places),
            "value": chance.choice((None, {}, [], {"a": "b"}, "x", 1, [1, [2]], True, chance.choice(NUMBERS))),
        }
        if chance.random() < 0.1:
            del operation[chance.choice(list(operation))]
        return operation if chance.random() > 0.02 else chance.choice((None, 1, [], "x"))


def _resolved(schema: Mapping[str, Any], schemas: Mapping[str, Any]) -> Mapping[str, Any]:
    """Follow references, also the ones that stand alone in an allOf."""
    while True:
        if "$ref" in schema:
            schema = schemas.get(schema["$ref"].rpartition("/")[2], {})
        elif len(schema.get("allOf", ())) == 1:
            schema = schema["allOf"][0]
        else:
            return schema


def _mixed(first: Any, second: Any) -> Any:
    """Return a tree with the members of both, the second's where they meet."""
    if not isinstance(first, dict) or not isinstance(second, dict):
        return second
    return {**first, **{key: _mixed(first.get(key), value) for key, value in second.items()}}
