"""What the expressions of each part of the API may name, made when the first of them is compiled.

Upstream: apiserver pkg/admission/plugin/cel/compile.go, pkg/cel/mutation, dynamic-resource-allocation cel/compile.go.
"""

from collections.abc import Mapping
from functools import cache

from msgspec.structs import replace

from pinnace.apiserver.cel import kubernetes, standard
from pinnace.apiserver.cel.declarations import Environment, Functions, merged
from pinnace.apiserver.cel.types import (
    ANY,
    BOOL,
    DYN,
    INT,
    STRING,
    TIMESTAMP,
    Type,
    list_of,
    map_of,
    object_type,
    opaque,
)

VARIABLES = "kubernetes.variables"
OBJECT = object_type("Object")
JSON_PATCH = object_type("JSONPatch")
_KIND, _RESOURCE, _USER, _REQUEST = (
    object_type(f"kubernetes.{name}")
    for name in ("GroupVersionKind", "GroupVersionResource", "UserInfo", "AdmissionRequest")
)
_NAMESPACE, _METADATA, _SPEC, _STATUS, _CONDITION = (
    object_type(f"kubernetes.Namespace{name}") for name in ("", "Metadata", "Spec", "Status", "Condition")
)
_DEVICE = object_type("kubernetes.DRADevice")
_TEXTS = map_of(STRING, STRING)

_ADMISSION_FIELDS: Mapping[str, Mapping[str, Type]] = {
    _KIND.name: {"group": STRING, "version": STRING, "kind": STRING},
    _RESOURCE.name: {"group": STRING, "version": STRING, "resource": STRING},
    _USER.name: {
        "username": STRING,
        "uid": STRING,
        "groups": list_of(STRING),
        "extra": map_of(STRING, list_of(STRING)),
    },
    _REQUEST.name: {
        "kind": _KIND,
        "resource": _RESOURCE,
        "subResource": STRING,
        "requestKind": _KIND,
        "requestResource": _RESOURCE,
        "requestSubResource": STRING,
        "name": STRING,
        "namespace": STRING,
        "operation": STRING,
        "userInfo": _USER,
        "dryRun": BOOL,
        "options": DYN,
    },
    _NAMESPACE.name: {"metadata": _METADATA, "spec": _SPEC, "status": _STATUS},
    _METADATA.name: {
        "name": STRING,
        "generateName": STRING,
        "namespace": STRING,
        "labels": _TEXTS,
        "annotations": _TEXTS,
        "UID": STRING,
        "creationTimestamp": TIMESTAMP,
        "deletionGracePeriodSeconds": INT,
        "deletionTimestamp": TIMESTAMP,
        "generation": INT,
        "resourceVersion": STRING,
        "finalizers": list_of(STRING),
    },
    _SPEC.name: {"finalizers": list_of(STRING)},
    _STATUS.name: {"conditions": list_of(_CONDITION), "phase": STRING},
    _CONDITION.name: {
        "status": STRING,
        "type": STRING,
        "lastTransitionTime": TIMESTAMP,
        "message": STRING,
        "reason": STRING,
    },
}
_PATCH_FIELDS = {JSON_PATCH.name: {"op": STRING, "path": STRING, "from": STRING, "value": DYN}}


@cache
def _functions() -> Functions:
    return merged(standard.functions(), kubernetes.functions())


@cache
def _patch_functions() -> Functions:
    return merged(_functions(), kubernetes.patch_functions())


@cache
def admission(*, params: bool, authorizer: bool) -> Environment:
    """Return what conditions on requests may name, with a policy's parameters and an authorizer or without them."""
    variables = {"object": DYN, "oldObject": DYN, "namespaceObject": _NAMESPACE, "request": _REQUEST}
    if params:
        variables["params"] = DYN
    if authorizer:
        variables["authorizer"] = opaque(kubernetes.TYPES["Authorizer"])
        variables["authorizer.requestResource"] = opaque(kubernetes.TYPES["ResourceCheck"])
    return Environment(_functions(), variables, _ADMISSION_FIELDS)


def with_variables(environment: Environment, types: Mapping[str, Type]) -> Environment:
    """Return an environment whose expressions may name a policy's variables, as members of `variables`."""
    return replace(
        environment,
        variables={**environment.variables, "variables": object_type(VARIABLES)},
        fields={**environment.fields, VARIABLES: types},
    )


def with_patches(environment: Environment) -> Environment:
    """Return an environment whose expressions may make objects and patches."""
    return replace(
        environment,
        functions=_patch_functions(),
        fields={**environment.fields, **_PATCH_FIELDS},
        open_objects=frozenset({OBJECT.name}),
    )


@cache
def device() -> Environment:
    """Return what selectors of devices may name."""
    quantity = opaque(kubernetes.TYPES["Quantity"])
    fields = {
        "driver": STRING,
        "attributes": map_of(STRING, map_of(STRING, ANY)),
        "capacity": map_of(STRING, map_of(STRING, quantity)),
        "allowMultipleAllocations": BOOL,
    }
    return Environment(_functions(), {"device": _DEVICE}, {_DEVICE.name: fields}, binds=True)
