"""Which fields are stored and served, and change nothing yet.

Found rather than listed: a kind has no effect as long as no component names its type, a field as long as none reads its attribute.
Where a name says too little (it is read of another type, or its effect lies in the rules of the kind itself) a table below decides,
each line with its reason. The walk ends at a field that nobody reads, and visits each type once, at the first kind that holds it
(pods come first).
Status and metadata are the system's to write and are left out.
"""

from __future__ import annotations

import ast
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from msgspec import Struct

from pinnace.api.resources import RESOURCES, Resource

PACKAGE = Path(__file__).resolve().parents[1] / "src/pinnace"
# Whoever acts on objects. The registries of the API server complete, check and print them, which is no effect, but for the last few.
READERS = (
    "cluster",
    "controllers",
    "kubelet",
    "network",
    "scheduler",
    "apiserver/admission",
    "apiserver/authentication",
    "apiserver/authorization",
    "apiserver/endpoints",
    "apiserver/flowcontrol",
    "apiserver/streaming",
    "apiserver/hooks.py",
    "apiserver/registries.py",
    "apiserver/registry/core/config_map.py",
    "apiserver/registry/core/pod_label_keys.py",
    "apiserver/registry/core/secret.py",
    "apiserver/registry/core/service_allocation.py",
)
# Kinds that are there to be read by people and programs: nothing in a cluster acts on what they hold.
RECORDS = {
    ("", "events"): "told by components, read by people",
    ("events.k8s.io", "events"): "told by components, read by people",
    ("apps", "controllerrevisions"): "the memory of their owner",
    ("coordination.k8s.io", "leases"): "kept by whoever holds them",
    ("", "podtemplates"): "no controller reads them, upstream's neither",
    ("networking.k8s.io", "ingresses"): "read by ingress controllers, which a cluster adds",
    ("networking.k8s.io", "ingressclasses"): "read by ingress controllers, which a cluster adds",
    ("networking.k8s.io", "ipaddresses"): "kept by the API server: which Service has which address",
}
# (type, wire name): no effect, although the attribute is read of other types.
INERT = {
    ("Volume", "iscsi"): "no driver",
    ("Volume", "rbd"): "no driver",
    ("Volume", "flexVolume"): "no driver",
    ("Volume", "cinder"): "no driver",
    ("Volume", "cephfs"): "no driver",
    ("Volume", "azureFile"): "no driver",
    ("Volume", "scaleIO"): "no driver",
    ("Volume", "storageos"): "no driver",
    ("Volume", "csi"): "no driver",
    ("PersistentVolumeSpec", "iscsi"): "no driver",
    ("PersistentVolumeSpec", "rbd"): "no driver",
    ("PersistentVolumeSpec", "flexVolume"): "no driver",
    ("PersistentVolumeSpec", "cinder"): "no driver",
    ("PersistentVolumeSpec", "cephfs"): "no driver",
    ("PersistentVolumeSpec", "azureFile"): "no driver",
    ("PersistentVolumeSpec", "scaleIO"): "no driver",
    ("PersistentVolumeSpec", "storageos"): "no driver",
    ("PersistentVolumeSpec", "csi"): "no driver",
    ("Volume", "image"): "images are not mounted",
    ("VolumeProjection", "clusterTrustBundle"): "off by default upstream",
    ("PersistentVolumeSpec", "capacity"): "claims are not bound",
    ("PersistentVolumeSpec", "nodeAffinity"): "claims are not bound",
    ("PersistentVolumeSpec", "storageClassName"): "claims are not bound",
    ("PersistentVolumeClaimSpec", "selector"): "claims are not bound",
    ("PodSpec", "hostUsers"): "no user namespaces",
    ("PodSpec", "resourceClaims"): "no devices are handed out",
    ("ResourceRequirements", "claims"): "no devices are handed out",
    ("SecurityContext", "appArmorProfile"): "checked by PodSecurity, not given to the runtime",
    ("SecurityContext", "seLinuxOptions"): "checked by PodSecurity, not given to the runtime",
    ("PodSecurityContext", "appArmorProfile"): "checked by PodSecurity, not given to the runtime",
    ("PodSecurityContext", "seLinuxOptions"): "checked by PodSecurity, not given to the runtime",
    ("SecurityContext", "windowsOptions"): "nodes run Linux",
    ("PodSecurityContext", "windowsOptions"): "nodes run Linux",
    ("NodeSpec", "configSource"): "removed upstream",
    ("ResourceSlice", "spec"): "no devices are handed out",
    ("VolumeAttachment", "spec"): "no driver",
}
# (type, wire name): has its effect, or has none upstream, although no component reads the attribute.
SETTLED = {
    ("ContainerRestartRule", "action"): "has one value, which is what is done",
    ("ObjectMeta", "selfLink"): "not written since 1.20",
    ("NodeSpec", "externalID"): "deprecated, unused upstream",
    ("NodeSpec", "providerID"): "read by cloud providers",
    ("Endpoint", "deprecatedTopology"): "deprecated, unused upstream",
    ("EndpointSubset", "notReadyAddresses"): "read by clients, as the slices are by the proxy",
    ("ServiceSpec", "ipFamilyPolicy"): "decided with the addresses that a Service gets",
    ("ServiceSpec", "loadBalancerIP"): "read by load balancers' controllers",
    ("ServiceSpec", "loadBalancerClass"): "read by load balancers' controllers",
    ("ResourceQuotaSpec", "scopes"): "asked by admission and its controller for what is within",
    ("ResourceQuotaSpec", "scopeSelector"): "asked by admission and its controller for what is within",
    ("RoleRef", "apiGroup"): "has one value",
    ("Subject", "apiGroup"): "follows from the kind",
    ("RuntimeClass", "handler"): "named when a sandbox is made",
}
# What stands for a type's members when nothing of it is read.
EVERYTHING = ""


@dataclass(frozen=True, slots=True)
class InertField:
    """A field without effect: the kind that holds it, and the path by wire names (empty: all of the kind)."""

    resource: Resource
    path: str
    reason: str = ""


def inert_fields() -> list[InertField]:
    """Return every field without effect, by kind and path."""
    walk = _Walk(names_read())
    found: list[InertField] = []
    for resource in sorted(RESOURCES, key=lambda one: one.plural != "pods"):
        if resource.is_stored and (resource.group, resource.plural) not in RECORDS:
            found += [InertField(resource, path, reason) for path, reason in walk.of_kind(resource)]
    return found


@cache
def names_read() -> frozenset[str]:
    """Return the names of all attributes and types that the readers read."""
    names: set[str] = set()
    for reader in READERS:
        place = PACKAGE / reader
        for module in sorted(place.rglob("*.py")) if place.is_dir() else [place]:
            for node in ast.walk(ast.parse(module.read_text())):
                match node:
                    case ast.Attribute(attr=name) | ast.Name(id=name):
                        names.add(name)
    return frozenset(names)


class _Walk:
    """A walk over the types of all kinds that enters none twice."""

    def __init__(self, read: frozenset[str]) -> None:
        self._read = read
        self._seen: set[type[Struct]] = set()

    def of_kind(self, resource: Resource) -> Iterator[tuple[str, str]]:
        """Give path and reason of each member of a kind that has no effect."""
        if resource.kind not in self._read:
            yield EVERYTHING, ""
            return
        members = [one for one in _members(resource.type) if one[1] not in {"kind", "apiVersion", "metadata"}]
        parts = [self._member(resource.type, attribute, wire) for attribute, wire in members]
        yield from _joined(parts)

    def _of(self, cls: type[Struct]) -> list[tuple[str, str]]:
        if cls in self._seen:
            return []
        self._seen.add(cls)
        return list(_joined([self._member(cls, attribute, wire) for attribute, wire in _members(cls)]))

    def _member(self, cls: type[Struct], attribute: str, wire: str) -> list[tuple[str, str]]:
        """Return the paths without effect that begin with one member."""
        key = (cls.__name__, wire)
        if key in SETTLED:
            return [("", "")]
        if key in INERT or attribute not in self._read:
            return [(wire, INERT.get(key, ""))]
        found: list[tuple[str, str]] = [("", "")]
        for inner, mark in _structs(typing.get_type_hints(cls)[attribute]):
            found += [(f"{wire}{mark}.{path}" if path else wire, reason) for path, reason in self._of(inner)]
        return found


def _joined(parts: list[list[tuple[str, str]]]) -> Iterator[tuple[str, str]]:
    """Say "everything" where each member is without effect, else what is; a member that has some gives an empty path."""
    if parts and all(part and part[0][0] and "." not in part[0][0] for part in parts):
        yield EVERYTHING, ""
        return
    for part in parts:
        yield from (one for one in part if one[0])


def _members(cls: type[Struct]) -> list[tuple[str, str]]:
    """Return attributes and wire names without status; plain containers before those that are like them."""
    pairs = zip(cls.__struct_fields__, cls.__struct_encode_fields__, strict=True)
    return sorted((one for one in pairs if one[1] != "status"), key=lambda one: one[1] != "containers")


def _structs(hint: object) -> Iterator[tuple[type[Struct], str]]:
    """Return the structs inside an annotation, each with what marks a list or a map of it."""
    if isinstance(hint, type) and issubclass(hint, Struct):
        yield hint, ""
        return
    origin = typing.get_origin(hint)
    mark = "[]" if origin is tuple else "{}" if "Mapping" in str(origin) else ""
    for argument in typing.get_args(hint):
        for found, inner in _structs(argument):
            yield found, mark + inner
