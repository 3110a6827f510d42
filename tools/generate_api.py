"""Writes the wire types of `pinnace.api`: one module a group-version, one frozen struct a schema.

Sources: the JSON schemas of API v1.36 in the package kubernetes-validate (field types, merge keys), joined with
`tools/data/presence.tsv` (what is written when; field order is that of the wire). Types and names only: descriptions are packed
apart, into the file that OpenAPI and `explain` read (`tools/pack_schemas.py`).

    python -m tools.generate_api           write
    python -m tools.generate_api --check   exit 1 when the committed files differ
"""

from __future__ import annotations

import importlib.util
import json
import keyword
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "src/pinnace/api"
PRESENCE = ROOT / "tools/data/presence.tsv"
VERSION = "v1.36.0-local"

META = "io.k8s.apimachinery.pkg.apis.meta.v1"
# JSON that is kept as it came.
RAW = "io.k8s.apimachinery.pkg.runtime.RawExtension"
# Schemas that are no structs: how they stand in Python, and the module-level alias that carries their meaning.
SCALARS = {
    "io.k8s.apimachinery.pkg.api.resource.Quantity": "Quantity",
    f"{META}.Time": "Time",
    f"{META}.MicroTime": "MicroTime",
    f"{META}.FieldsV1": "FieldsV1",
    f"{META}.Patch": "AnyJSON",
    RAW: "RawExtension",
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString": "IntOrString",
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSON": "AnyJSON",
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrArray": "AnyJSON",
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrBool": "AnyJSON",
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaPropsOrStringArray": "AnyJSON",
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceSubresourceStatus": "AnyJSON",
}
# What a field of these has that was not given.
UNREAD = {"FieldsV1": "NO_FIELDS", "RawExtension": "NO_EXTENSION"}
# Go writes null for these when they are empty, but a valid object never has them empty: a plain tuple serves its readers better.
NEVER_EMPTY = {("io.k8s.api.core.v1.PodSpec", "containers"), ("io.k8s.api.core.v1.NodeSelector", "nodeSelectorTerms")}
# Lists that a client may send empty and mean something by it: unset they are None.
EMPTY_SAYS_SOMETHING = {
    (f"{META}.ObjectMeta", "managedFields"),
    ("io.k8s.api.autoscaling.v2.HPAScalingRules", "policies"),
}
MODULES = {
    META: "meta_v1",
    "io.k8s.apimachinery.pkg.version": "version_info",
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1": "apiextensions_v1",
    "io.k8s.kube-aggregator.pkg.apis.apiregistration.v1": "apiregistration_v1",
}
# Names that the class body itself needs.
TAKEN = {"bool", "int", "str", "float", "tuple", "field"}
ZERO = {"str": "str", "Bytes": "str", "Int32": "int", "Int64": "int", "float": "float", "bool": "bool"}
SPECIAL_ZERO = {
    "Quantity": "zero_quantity",
    "IntOrString": "int",
    "Time": "NoneType",
    "MicroTime": "NoneType",
    "str": "zero_duration",
}


@dataclass(frozen=True, slots=True)
class Field:
    """One attribute: how it is called, on the wire and here, its type, and the code of its default."""

    wire: str
    attribute: str
    annotation: str
    default: str
    needs: frozenset[str]


def schemas_folder() -> Path:
    """The folder of schemas in the installed package, which the generator does not import."""
    spec = importlib.util.find_spec("kubernetes_validate")
    if spec is None or spec.origin is None:
        sys.exit("the generator needs the package kubernetes-validate: pip install -e '.[dev]'")
    return Path(spec.origin).parent / "kubernetes-json-schema" / VERSION


def definitions() -> dict[str, Any]:
    """Every schema of the version by its upstream name."""
    loaded: dict[str, Any] = json.loads((schemas_folder() / "_definitions.json").read_text())["$defs"]
    return loaded


def presence() -> dict[str, dict[str, tuple[str, str, str]]]:
    """Schema → wire name → (upstream type, class, protobuf field number), in wire order."""
    table: dict[str, dict[str, tuple[str, str, str]]] = defaultdict(dict)
    for line in PRESENCE.read_text().splitlines():
        if not line.startswith("#"):
            schema, wire, upstream, kind, number = line.split("\t")
            table[schema][wire] = (upstream, kind, number)
    return dict(table)


def module_of(schema: str) -> str:
    """The module that a schema's struct lives in."""
    package = schema.rsplit(".", 1)[0]
    return MODULES.get(package) or "_".join(package.split(".")[3:5])


def snake(wire: str) -> str:
    """PodCIDRs → pod_cidrs, hostIP → host_ip, x-kubernetes-list-type → x_kubernetes_list_type, continue → continue_."""
    name = wire.lstrip("$").replace("-", "_")
    name = re.sub(r"([A-Z]{2,})s(?=$|[A-Z])", lambda match: match[1].capitalize() + "s", name)
    name = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name)
    name = re.sub(r"([A-Z]+)([A-Z][a-z])", r"\1_\2", name).lower()
    return name + "_" if keyword.iskeyword(name) or name in TAKEN else name


class Writer:
    """Turns the schemas of one module into its text."""

    def __init__(self, module: str, schemas: dict[str, Any], table: dict[str, dict[str, tuple[str, str, str]]]) -> None:
        self.module = module
        self.schemas = {
            name: schema for name, schema in schemas.items() if module_of(name) == module and name not in SCALARS
        }
        self.table = table
        self.imports: set[str] = set()
        self.aliases: set[str] = set()

    def text(self) -> str:
        """The whole module."""
        fields = {name: self.fields(name) for name in self.schemas}
        bodies = []
        done: set[str] = set()
        for name in self.ordered(fields):
            bodies.append(self.struct(name, fields[name], done))
            done.add(short(name))
        siblings = "".join(f", {item}" for item in sorted(self.imports))
        heads = [
            f'"""Generated by tools/generate_api.py from the schemas of API v1.36; not to be edited: {self.module}."""',
            "from collections.abc import Mapping\nfrom types import NoneType\nfrom typing import Any",
            "from msgspec import Struct, field",
            f"from pinnace.api.scalars import {', '.join(sorted(self.aliases))}" if self.aliases else "",
            f"from pinnace.api import {siblings[2:]}" if siblings else "",
        ]
        everything = ", ".join(f'"{short(name)}"' for name in sorted(self.schemas))
        return "\n\n".join(filter(None, heads)) + f"\n\n__all__ = ({everything},)\n\n\n" + "\n\n\n".join(bodies) + "\n"

    def ordered(self, fields: dict[str, list[Field]]) -> list[str]:
        """Dependencies first, so that few annotations have to be text; cycles in the order of names."""
        order: list[str] = []
        visiting: set[str] = set()

        def visit(name: str) -> None:
            if name in order or name in visiting:
                return
            visiting.add(name)
            for item in fields[name]:
                for need in sorted(item.needs):
                    visit(need)
            order.append(name)

        for name in sorted(fields):
            visit(name)
        return order

    def struct(self, name: str, fields: list[Field], done: set[str]) -> str:
        lines = [f"class {short(name)}(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):"]
        for item in fields:
            later = any(short(need) not in done for need in item.needs)
            annotation = f'"{item.annotation}"' if later else item.annotation
            lines.append(f"    {item.attribute}: {annotation} = {item.default}")
        if not fields:
            lines.append("    pass")
        return "\n".join(lines)

    def fields(self, name: str) -> list[Field]:
        properties = self.schemas[name].get("properties", {})
        order = [wire for wire in self.table.get(name, {}) if wire in properties]
        order += [wire for wire in properties if wire not in order]
        first = [wire for wire in ("kind", "apiVersion") if wire in properties and "metadata" in properties]
        rest = [wire for wire in order if wire not in first]
        return [self.field(name, wire, properties[wire]) for wire in first + rest]

    def field(self, schema: str, wire: str, prop: dict[str, Any]) -> Field:
        _, kind, _ = self.table.get(schema, {}).get(wire, ("", self.guess(prop), ""))
        annotation, needs = self.annotation(prop)
        if annotation in UNREAD:
            optional, default = False, UNREAD[annotation]
            self.aliases.add(default)
        elif (schema, wire) in EMPTY_SAYS_SOMETHING:
            optional, default = True, "None"
        elif kind == "list-null" and (wire == "items" or (schema, wire) in NEVER_EMPTY):
            optional, default = False, "field({}default_factory=lambda: ())"
        else:
            optional, default = self.default(f"{schema}.{wire}", kind, annotation, needs)
        attribute = snake(wire)
        rename = f'name="{wire}", ' if attribute != wire else ""
        if "{}" in default:
            default = default.format(rename)
        elif rename:
            default = f"field({rename}default={default})"
        if optional and annotation != "AnyJSON":
            annotation += " | None"
        return Field(wire, attribute, annotation, default, frozenset(needs))

    def default(self, name: str, kind: str, annotation: str, needs: set[str]) -> tuple[bool, str]:
        """Whether a field of this presence may be None, and its default; `{}` in it takes the wire name."""
        free = annotation in {"AnyJSON", "Time", "MicroTime", "IntOrString", "Quantity"}
        match kind:
            case "value-omit" | "special-omit":
                if free or "." in annotation or needs:
                    return True, "None"
                return False, {"str": '""', "Bytes": '""', "bool": "False", "float": "0.0"}.get(annotation, "0")
            case "value-always":
                return annotation not in ZERO, f"field({{}}default_factory={ZERO.get(annotation, 'NoneType')})"
            case "pointer" | "time-omit":
                return True, "None"
            case "pointer-null" | "time-null" | "map-null" | "list-null":
                return True, "field({}default_factory=NoneType)"
            case "list-omit":
                if annotation == "AnyJSON":
                    return True, "None"
                return False, '""' if annotation == "Bytes" else "()"
            case "map-omit":
                return False, "field({}default_factory=dict)"
            case "struct-always" | "struct-omit":
                if free:
                    return True, "None"
                return False, f"field({{}}default_factory={f'lambda: {annotation}()' if needs else annotation})"
            case "special-always":
                if SPECIAL_ZERO[annotation].startswith("zero"):
                    self.aliases.add(SPECIAL_ZERO[annotation])
                return False, f"field({{}}default_factory={SPECIAL_ZERO[annotation]})"
            case _:
                sys.exit(f"{name}: unknown presence class {kind}")

    @staticmethod
    def guess(prop: dict[str, Any]) -> str:
        return "list-omit" if "items" in prop else "value-omit"

    def annotation(self, prop: dict[str, Any]) -> tuple[str, set[str]]:
        """The Python type of a property, and the structs of this module that it names."""
        if "$ref" in prop:
            target = prop["$ref"].rsplit("/", 1)[-1]
            if target in SCALARS:
                self.aliases.add(SCALARS[target])
                return SCALARS[target], set()
            module = module_of(target)
            if module == self.module:
                return short(target), {target}
            self.imports.add(module)
            return f"{module}.{short(target)}", set()
        declared = prop.get("type")
        kind = (
            declared if isinstance(declared, str) else next((item for item in declared or () if item != "null"), None)
        )
        match kind, prop.get("format"):
            case "string", "byte":
                self.aliases.add("Bytes")
                return "Bytes", set()
            case "string", _:
                return "str", set()
            case "boolean", _:
                return "bool", set()
            case "number", _:
                return "float", set()
            case "integer", size:
                alias = "Int32" if size == "int32" else "Int64"
                self.aliases.add(alias)
                return alias, set()
            case "array", _:
                inner, needs = self.annotation(prop["items"])
                return f"tuple[{inner}, ...]", needs
            case "object", _ if "additionalProperties" in prop:
                inner, needs = self.annotation(prop["additionalProperties"])
                return f"Mapping[str, {inner}]", needs
        return "Mapping[str, Any]", set()


def short(schema: str) -> str:
    """The struct's name."""
    return schema.rsplit(".", 1)[-1]


def merge_rules(schemas: dict[str, Any]) -> str:
    """The data that strategic merge and server-side apply go by: (struct, field) → rules, where there are any."""
    lines = []
    for name, schema in sorted(schemas.items()):
        for wire, prop in sorted(schema.get("properties", {}).items()):
            strategy = prop.get("x-kubernetes-patch-strategy", "")
            keys = tuple(prop.get("x-kubernetes-list-map-keys", ()))
            kind = prop.get("x-kubernetes-list-type", prop.get("x-kubernetes-map-type", ""))
            merge_key = prop.get("x-kubernetes-patch-merge-key", "")
            target = (
                prop.get("$ref")
                or prop.get("items", {}).get("$ref")
                or prop.get("additionalProperties", {}).get("$ref")
                or ""
            )
            if not kind and "$ref" in prop:
                kind = schemas.get(target.rsplit("/", 1)[-1], {}).get("x-kubernetes-map-type", "")
            if strategy or keys or kind or merge_key:
                lines.append(
                    f"    ({python_name(name)!r}, {wire!r}): Rule({strategy!r}, {merge_key!r}, {kind!r}, {keys!r}),"
                )
    body = "\n".join(lines)
    atomic = [
        f"    {python_name(name)!r},"
        for name, schema in sorted(schemas.items())
        if schema.get("x-kubernetes-map-type") == "atomic"
    ]
    return (
        '"""Generated by tools/generate_api.py from the schemas of API v1.36; not to be edited: merge rules of lists and maps."""\n\n'
        "from pinnace.api.merge_rule import Rule\n\n"
        f"RULES: dict[tuple[str, str], Rule] = {{\n{body}\n}}\n\n"
        "# Structs that are owned as one wherever they stand.\n"
        "ATOMIC: frozenset[str] = frozenset({\n" + "\n".join(atomic) + "\n})\n"
    )


def raw_holders(schemas: dict[str, Any]) -> str:
    """The structs in which, at any depth, JSON stands that is kept as it came."""
    named = {name: set(references(schema)) for name, schema in schemas.items()}
    holders: set[str] = set()
    found = {RAW}
    while found:
        holders |= found
        found = {name for name, refs in named.items() if refs & found} - holders
    lines = [f"    {python_name(name)!r}," for name in sorted(holders - {RAW})]
    return (
        '"""Generated by tools/generate_api.py from the schemas of API v1.36; not to be edited: who holds JSON that is kept as it came."""\n\n'
        "RAW_HOLDERS: frozenset[str] = frozenset({\n" + "\n".join(lines) + "\n})\n"
    )


def references(schema: Any) -> Iterator[str]:
    """Yield the name of each schema that one refers to."""
    if isinstance(schema, dict):
        if isinstance(schema.get("$ref"), str):  # a schema has a field of that name
            yield schema["$ref"].rsplit("/", 1)[-1]
        for part in schema.values():
            yield from references(part)


def proto_fields(schemas: dict[str, Any], table: dict[str, dict[str, tuple[str, str, str]]]) -> str:
    """The data that protobuf bodies are read by: struct → (path of field numbers, wire name, form) of each field."""
    lines = []
    for name in sorted(schemas):
        rows = table.get(name, {})
        numbers = {wire: proto_path(number) for wire, (_, _, number) in rows.items() if number}
        # Kind and apiVersion of an object stand in the envelope around it, not in its message.
        inline = {"kind", "apiVersion"} if "metadata" in rows or has_clash(numbers) else set()
        fields = [
            (numbers[wire], wire, proto_form(upstream))
            for wire, (upstream, _, _) in rows.items()
            if wire in numbers and wire not in inline
        ]
        if fields and name not in SCALARS:
            lines.append(f"    {python_name(name)!r}: {tuple(fields)!r},")
    body = "\n".join(lines)
    return (
        '"""Generated by tools/generate_api.py from tools/data/presence.tsv; not to be edited: protobuf field numbers."""\n\n'
        "Field = tuple[tuple[int, ...], str, str]\n\n"
        f"FIELDS: dict[str, tuple[Field, ...]] = {{\n{body}\n}}\n"
    )


def proto_path(text: str) -> tuple[int, ...]:
    """Read a row's number, the outermost message first: `1 via Rule (message field 2)` is (2, 1)."""
    own, *through = text.split(" via ")
    outer = [int(re.search(r"message field (\d+)", part)[1]) for part in reversed(through)]  # type: ignore[index]
    return (*outer, int(own))


def has_clash(numbers: dict[str, tuple[int, ...]]) -> bool:
    """Whether two fields seem to have one number, because the type's own members come from an envelope."""
    return len(set(numbers.values())) < len(numbers)


def proto_form(upstream: str) -> str:
    """What the Go type says that the schema does not."""
    bare = upstream.rpartition("]")[2] if upstream.startswith("map[") else upstream
    if upstream.endswith("[]byte"):
        return "bytes"
    if bare.endswith("Duration"):
        return "duration"
    if bare.endswith(("FieldsV1", "RawExtension")):
        return "json"
    return "strings" if bare == "ExtraValue" else ""


def python_name(schema: str) -> str:
    """module.Struct, the key under which the rules of a type are found."""
    return f"{module_of(schema)}.{short(schema)}"


def generate() -> dict[Path, str]:
    """Every generated file and its text, formatted."""
    schemas, table = definitions(), presence()
    modules = sorted({module_of(name) for name in schemas if name not in SCALARS})
    files = {PACKAGE / f"{module}.py": Writer(module, schemas, table).text() for module in modules}
    files[PACKAGE / "merge_rules.py"] = merge_rules(schemas)
    files[PACKAGE / "raw_holders.py"] = raw_holders(schemas)
    files[PACKAGE / "proto_fields.py"] = proto_fields(schemas, table)
    return {path: formatted(path, text) for path, text in files.items()}


def formatted(path: Path, text: str) -> str:
    """The text as ruff would leave it."""
    command = [sys.executable, "-m", "ruff"]
    name = ["--stdin-filename", str(path), "-"]
    fixed = subprocess.run(
        [*command, "check", "--fix-only", "--quiet", "--select", "F401,I", *name],
        input=text,
        capture_output=True,
        text=True,
        check=True,
    )
    return subprocess.run(
        [*command, "format", "--quiet", *name], input=fixed.stdout, capture_output=True, text=True, check=True
    ).stdout


def main() -> None:
    """Write, or compare with what is there."""
    files = generate()
    if "--check" in sys.argv[1:]:
        stale = [
            str(path.relative_to(ROOT)) for path, text in files.items() if not path.exists() or path.read_text() != text
        ]
        if stale:
            sys.exit("not as generated (make update writes them): " + ", ".join(stale))
        return
    for path, text in files.items():
        path.write_text(text)


if __name__ == "__main__":
    main()
