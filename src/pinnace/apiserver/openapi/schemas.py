"""Schemas as the two versions of OpenAPI want them.

The packed ones are JSON Schema with `null` among the types of optional fields; OpenAPI as Kubernetes publishes it has one type, and
puts a reference that has a description beside it into `allOf` (version 3).
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from pinnace.apiserver.openapi.paths import Kind

_META = "io.k8s.apimachinery.pkg.apis.meta.v1"
_SCALARS: Mapping[str, Mapping[str, Any]] = {
    "io.k8s.apimachinery.pkg.api.resource.Quantity": {"type": "string"},
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString": {"type": "string", "format": "int-or-string"},
    f"{_META}.Time": {"type": "string", "format": "date-time"},
    f"{_META}.MicroTime": {"type": "string", "format": "date-time"},
    f"{_META}.FieldsV1": {"type": "object"},
    f"{_META}.Patch": {"type": "object"},
    "io.k8s.apimachinery.pkg.runtime.RawExtension": {"type": "object"},
}
# Version 3 can say that a value has one of two types, which kubectl then shows by the name of the schema.
_EITHER: Mapping[str, Mapping[str, Any]] = {
    "io.k8s.apimachinery.pkg.api.resource.Quantity": {"oneOf": [{"type": "string"}, {"type": "number"}]},
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString": {
        "format": "int-or-string",
        "oneOf": [{"type": "integer"}, {"type": "string"}],
    },
}

Reference = Callable[[str], str]


def converted(name: str, schema: Mapping[str, Any], reference: Reference, *, wrap: bool) -> dict[str, Any]:
    """Return a named schema with its references made by `reference`; `wrap` puts described references into allOf."""
    scalar = (_EITHER.get(name) if wrap else None) or _SCALARS.get(name)
    if scalar is not None:
        described = {"description": schema["description"]} if "description" in schema else {}
        return {**described, **scalar}
    return _convert(schema, reference, wrap=wrap)


def _convert(schema: Mapping[str, Any], reference: Reference, *, wrap: bool) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for key, value in schema.items():
        match key:
            case "$ref":
                continue
            case "type" if isinstance(value, list):
                out["type"] = next((item for item in value if item != "null"), "object")
            case "properties":
                out["properties"] = {name: _convert(item, reference, wrap=wrap) for name, item in value.items()}
            case "items" | "additionalProperties" if isinstance(value, Mapping):
                out[key] = _convert(value, reference, wrap=wrap)
            case "enum":
                values = [item for item in value if item is not None]
                if values and "description" not in schema:
                    out["enum"] = values
            case "oneOf" | "anyOf" | "$schema":
                continue
            case _:
                out[key] = value
    if "$ref" in schema:
        target = {"$ref": reference(schema["$ref"].rsplit("/", 1)[-1])}
        if wrap and out:
            return {**out, "allOf": [target]}
        return {**out, **target} if not wrap else target
    return out


class Names:
    """The names of schemas by the kind that they describe."""

    def __init__(self, schemas: Mapping[str, Any]) -> None:
        self._schemas = schemas
        self._by_kind = {
            Kind(kind["group"], kind["version"], kind["kind"]): name
            for name, schema in schemas.items()
            for kind in schema.get("x-kubernetes-group-version-kind", ())
        }

    def of(self, what: Kind | str | None) -> str | None:
        """Return the name of a kind's schema, or of a schema that was named; None where there is none."""
        if isinstance(what, Kind):
            return self._by_kind.get(what)
        return what if what in self._schemas else None


def closure(schemas: Mapping[str, Any], roots: Iterable[str]) -> list[str]:
    """Return the names that the roots refer to, themselves included, sorted."""
    found: set[str] = set()
    waiting = [name for name in roots if name in schemas]
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found.add(name)
        waiting += (target for target in _references(schemas[name]) if target in schemas)
    return sorted(found)


def _references(tree: Any) -> Iterable[str]:
    if isinstance(tree, Mapping):
        for key, value in tree.items():
            if key == "$ref" and isinstance(value, str):
                yield value.rsplit("/", 1)[-1]
            else:
                yield from _references(value)
    elif isinstance(tree, list):
        for item in tree:
            yield from _references(item)


def kind_tree(kind: Kind) -> dict[str, str]:
    """Return the extension that ties an operation to a kind."""
    return {"group": kind.group, "kind": kind.kind, "version": kind.version}
