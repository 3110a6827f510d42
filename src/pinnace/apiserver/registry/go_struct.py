"""Structs as Go prints them inside messages: every field, under its name in Go.

Upstream's internal types carry no names for the wire, so a complaint that quotes a whole struct shows the names of Go's fields,
and null where a list, a map or a pointer is empty. Types of the meta group are the same inside and on the wire, and are shown as
on the wire. A pod's spec has a shape of its own inside: what it shares of the host is part of its security context. Upstream:
apimachinery `pkg/util/validation/field` (`Error.ErrorBody`), pkg/apis/core `types.go`.
"""

import difflib
from collections.abc import Mapping
from typing import Any

from msgspec import Struct, json, to_builtins

from pinnace.api import meta_v1
from pinnace.api.core_v1 import PodSecurityContext, PodSpec, PodTemplateSpec

# Where a field's name in Go is not its wire name with a capital letter.
_GO_NAMES = {
    "apiGroup": "APIGroup",
    "apiGroups": "APIGroups",
    "apiVersion": "APIVersion",
    "awsElasticBlockStore": "AWSElasticBlockStore",
    "bool": "BoolValue",
    "bools": "BoolValues",
    "cephfs": "CephFS",
    "csi": "CSI",
    "dnsConfig": "DNSConfig",
    "dnsPolicy": "DNSPolicy",
    "fc": "FC",
    "fsGroup": "FSGroup",
    "fsGroupChangePolicy": "FSGroupChangePolicy",
    "fsType": "FSType",
    "gcePersistentDisk": "GCEPersistentDisk",
    "grpc": "GRPC",
    "httpGet": "HTTPGet",
    "httpHeaders": "HTTPHeaders",
    "int": "IntValue",
    "ints": "IntValues",
    "ip": "IP",
    "iscsi": "ISCSI",
    "nfs": "NFS",
    "os": "OS",
    "rbd": "RBD",
    "seLinuxChangePolicy": "SELinuxChangePolicy",
    "seLinuxOptions": "SELinuxOptions",
    "storageos": "StorageOS",
    "string": "StringValue",
    "strings": "StringValues",
    "tcpSocket": "TCPSocket",
    "tty": "TTY",
    "uid": "UID",
    "version": "VersionValue",
    "versions": "VersionValues",
}
# What of a pod's spec is in its security context inside, in the order there.
_HOST_FIELDS = ("HostNetwork", "HostPID", "HostIPC", "ShareProcessNamespace", "HostUsers")
# Fields of a pod's spec and its security context that Go's structs have elsewhere than the wire's: each after another.
_POD_ORDER = {
    "SetHostnameAsFQDN": "Subdomain",
    "PreemptionPolicy": "Priority",
    "Overhead": "RuntimeClassName",
}
_CONTEXT_ORDER = {"Sysctls": "FSGroupChangePolicy"}


def go_struct(value: Struct) -> dict[str, Any]:
    """Return a struct as Go prints it, with every field."""
    if type(value).__module__ == meta_v1.__name__:
        shown: dict[str, Any] = to_builtins(value, order="deterministic")
        return shown
    if isinstance(value, PodTemplateSpec):
        return go_struct(value.metadata) | {"Spec": _pod_spec(value.spec)}
    return _pod_spec(value) if isinstance(value, PodSpec) else _fields(value)


def _fields(value: Struct) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for attribute, wire in zip(value.__struct_fields__, value.__struct_encode_fields__, strict=True):
        name = _GO_NAMES.get(wire, wire[0].upper() + wire[1:])
        tree[name] = _member(getattr(value, attribute))
    return tree


def _pod_spec(spec: PodSpec) -> dict[str, Any]:
    tree = _moved(_fields(spec), _POD_ORDER)
    del tree["ServiceAccount"]
    host = {name: tree.pop(name) for name in _HOST_FIELDS}
    if spec.security_context is not None or any(host.values()):
        context = _fields(spec.security_context or PodSecurityContext())
        tree["SecurityContext"] = host | _moved(context, _CONTEXT_ORDER)
    return tree


def _moved(tree: dict[str, Any], order: Mapping[str, str]) -> dict[str, Any]:
    """Return the fields in their order, but some of them right after others."""
    following = {before: name for name, before in order.items()}
    arranged: dict[str, Any] = {}
    for name, value in tree.items():
        if name not in order:
            arranged[name] = value
        if name in following:
            arranged[following[name]] = tree[following[name]]
    return arranged


def _member(value: Any) -> Any:
    if isinstance(value, Struct):
        return go_struct(value)
    if isinstance(value, tuple):
        return [_member(one) for one in value] or None
    if isinstance(value, Mapping):
        return {key: _member(value[key]) for key in sorted(value)} or None
    return to_builtins(value)


def go_difference(before: Struct, after: Struct) -> str:
    """Return what differs between two structs, line by line with some lines around."""
    old, new = (_lines(go_struct(spec)) for spec in (before, after))
    lines = difflib.unified_diff(old, new, lineterm="", n=3)
    return "\n".join(" " + line for line in lines if not line.startswith(("---", "+++", "@@"))) + "\n"


def _lines(tree: Any) -> list[str]:
    return json.format(json.encode(tree), indent=2).decode().split("\n")
