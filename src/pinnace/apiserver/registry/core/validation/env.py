"""Environment variables of containers and references to a pod's own fields.

Upstream: pkg/apis/core/validation `ValidateEnv`, `validateObjectFieldSelector`, pkg/apis/core/pods.
"""

import re
from collections.abc import Iterator, Sequence

from pinnace.api import core_v1 as v1
from pinnace.apiserver.registry.core.validation.paths import local
from pinnace.machinery import names, quantity
from pinnace.machinery.field import FieldError, Path, invalid, not_supported, required

Errors = Iterator[FieldError]

ENV_FIELDS = (
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
)
# Labels that a field path may name at all; which of them are allowed depends on the place.
_KNOWN = {
    *ENV_FIELDS,
    "metadata.annotations",
    "metadata.labels",
    "spec.restartPolicy",
    "spec.schedulerName",
    "status.phase",
}
_RESOURCES = tuple(
    f"{side}.{name}" for side in ("limits", "requests") for name in ("cpu", "ephemeral-storage", "memory")
)
_SUBSCRIPT = re.compile(r"(.*)\['(.*)'\]")
_DIVISORS = {
    "cpu": ("1m", "1"),
    "memory": ("1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei"),
}
_SOURCES = "`fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`"


def env_errors(env: Sequence[v1.EnvVar], path: Path) -> Errors:
    """Check a container's variables."""
    for index, variable in enumerate(env):
        at = path.index(index)
        if not variable.name:
            yield required(at.child("name"))
        else:
            yield from (invalid(at.child("name"), variable.name, text) for text in names.env_name(variable.name))
        yield from _source_errors(variable, at.child("valueFrom"))


def _source_errors(variable: v1.EnvVar, path: Path) -> Errors:
    source = variable.value_from
    if source is None:
        return
    count = 0
    if source.field_ref is not None:
        count += 1
        yield from field_ref_errors(source.field_ref, path.child("fieldRef"), ENV_FIELDS)
    if source.resource_field_ref is not None:
        count += 1
        yield from resource_field_ref_errors(source.resource_field_ref, path.child("resourceFieldRef"), in_volume=False)
    for selector, wire in ((source.config_map_key_ref, "configMapKeyRef"), (source.secret_key_ref, "secretKeyRef")):
        if selector is not None:
            count += 1
            yield from _key_errors(selector, path.child(wire))
    if source.file_key_ref is not None:
        count += 1
        yield from _file_errors(source.file_key_ref, path.child("fileKeyRef"))
    if not count:
        yield invalid(path, "", f"must specify one of: {_SOURCES}")
    elif variable.value:
        yield invalid(path, "", "may not be specified when `value` is not empty")
    elif count > 1:
        yield invalid(path, "", "may not have more than one field specified at a time")


def _key_errors(selector: v1.ConfigMapKeySelector | v1.SecretKeySelector, path: Path) -> Errors:
    yield from (invalid(path.child("name"), selector.name, text) for text in names.dns_subdomain(selector.name))
    if not selector.key:
        yield required(path.child("key"))
    else:
        yield from (invalid(path.child("key"), selector.key, text) for text in names.config_key(selector.key))


def _file_errors(selector: v1.FileKeySelector, path: Path) -> Errors:
    if not selector.volume_name:
        yield required(path.child("volumeName"))
    if not selector.key:
        yield required(path.child("key"))
    else:
        yield from (invalid(path.child("key"), selector.key, text) for text in names.env_name(selector.key))
    if not selector.path:
        yield required(path.child("path"))
    else:
        yield from local(selector.path, path.child("path"))


def env_from_errors(sources: Sequence[v1.EnvFromSource], path: Path) -> Errors:
    """Check the config maps and secrets that all variables are taken from."""
    for index, source in enumerate(sources):
        at = path.index(index)
        if source.prefix:
            yield from (invalid(at.child("prefix"), source.prefix, text) for text in names.env_name(source.prefix))
        count = 0
        for ref, wire in ((source.config_map_ref, "configMapRef"), (source.secret_ref, "secretRef")):
            if ref is not None:
                count += 1
                name = at.child(wire).child("name")
                yield from (invalid(name, ref.name, text) for text in names.dns_subdomain(ref.name))
        if not count:
            yield invalid(path, "", "must specify one of: `configMapRef` or `secretRef`")
        elif count > 1:
            yield invalid(path, "", "may not have more than one field specified at a time")


def field_ref_errors(ref: v1.ObjectFieldSelector, path: Path, allowed: Sequence[str]) -> Errors:
    """Check a reference to a field of the pod."""
    if not ref.api_version:
        yield required(path.child("apiVersion"))
        return
    if not ref.field_path:
        yield required(path.child("fieldPath"))
        return
    at = path.child("fieldPath")
    match = _SUBSCRIPT.fullmatch(ref.field_path)
    field, subscript = (match[1], match[2]) if match else (ref.field_path, None)
    problem = _conversion_problem(ref, field, subscript)
    if problem:
        yield invalid(at, ref.field_path, f"error converting fieldPath: {problem}")
    elif subscript is not None:
        key = subscript.lower() if field == "metadata.annotations" else subscript
        yield from (invalid(path, subscript, text) for text in names.qualified_name(key))
    elif field not in allowed:
        yield not_supported(at, field, sorted(allowed))


def _conversion_problem(ref: v1.ObjectFieldSelector, field: str, subscript: str | None) -> str:
    if ref.api_version != "v1":
        return f"unsupported pod version: {ref.api_version}"
    if subscript is not None:
        takes_key = field in {"metadata.annotations", "metadata.labels"}
        return "" if takes_key else f"field label does not support subscript: {ref.field_path}"
    return "" if field in _KNOWN else f"field label not supported: {ref.field_path}"


def resource_field_ref_errors(ref: v1.ResourceFieldSelector, path: Path, *, in_volume: bool) -> Errors:
    """Check a reference to a container's requests or limits; in a volume the container must be named."""
    if in_volume and not ref.container_name:
        yield required(path.child("containerName"))
        return
    if not ref.resource:
        yield required(path.child("resource"))
        return
    name = ref.resource.partition(".")[2]
    if ref.resource not in _RESOURCES and not name.startswith("hugepages-"):
        yield not_supported(path.child("resource"), ref.resource, _RESOURCES)
        return
    divisor = quantity.parse(ref.divisor)
    allowed = _DIVISORS["cpu" if name == "cpu" else "memory"]
    if divisor and divisor.nanos not in {quantity.parse(text).nanos for text in allowed}:
        listed = ", ".join(f'"{text}"' for text in allowed)
        yield invalid(
            path.child("divisor"),
            ref.resource,
            f"only divisor's values {listed} are supported with the {name} resource",
        )
