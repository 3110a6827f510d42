"""The scale of a workload: its replicas under one shape for every kind.

Upstream: pkg/registry/apps/*/storage (ScaleREST). A Scale is never stored; writing it writes the workload's replicas, under the
Scale's resourceVersion when it has one.
"""

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from pinnace.api import codec
from pinnace.api.autoscaling_v1 import Scale, ScaleSpec, ScaleStatus
from pinnace.api.meta_v1 import ObjectMeta
from pinnace.apiserver.endpoints import body as bodies
from pinnace.apiserver.endpoints.apply import AppliedConfiguration
from pinnace.apiserver.endpoints.field_manager import Place
from pinnace.apiserver.endpoints.kind_versions import Form, KindVersions
from pinnace.apiserver.endpoints.managed_entries import decode, encode, with_entries
from pinnace.apiserver.endpoints.options import write_options
from pinnace.apiserver.endpoints.patch import apply_patch, patch_type
from pinnace.apiserver.endpoints.responses import respond, tree_bytes
from pinnace.apiserver.endpoints.scale_fields import VERSION, to_scale, to_workload
from pinnace.apiserver.endpoints.scope import Scope
from pinnace.apiserver.endpoints.table import META, partial
from pinnace.apiserver.endpoints.write import check_name, check_namespace
from pinnace.apiserver.registry.store import Call
from pinnace.apiserver.storage import Entry
from pinnace.component.http import Response
from pinnace.machinery import errors, human, timestamps
from pinnace.machinery.errors import NotFound, route_not_found
from pinnace.machinery.field import Path, invalid

GROUP = "autoscaling"
_PLACE = Place(Scale, VERSION, "scale", lambda fields: fields, KindVersions({VERSION: Form(Scale)}))


async def scale(scope: Scope) -> Response:
    """Answer GET, PUT or PATCH of a scale.

    Raises:
        ApiError: no such workload, a conflict, or negative replicas.
    """
    if scope.registry.strategy.scale is None:
        raise route_not_found()
    if scope.info.verb == "get":
        entry = scope.registry.storage.get(scope.info.name, scope.info.namespace)
        if entry is None:
            raise scope.registry.not_found(scope.info.name)
        return _answer(scope, _scale_of(scope, entry.object))
    return await (_put(scope) if scope.info.verb == "update" else _patch(scope))


def _scale_of(scope: Scope, obj: Any) -> Scale:
    rule = scope.registry.strategy.scale
    assert rule is not None
    meta: ObjectMeta = obj.metadata
    return Scale(
        kind="Scale",
        api_version=VERSION,
        metadata=ObjectMeta(
            name=meta.name,
            namespace=meta.namespace,
            uid=meta.uid,
            resource_version=meta.resource_version,
            creation_timestamp=meta.creation_timestamp,
        ),
        spec=ScaleSpec(replicas=rule.replicas(obj)),
        status=ScaleStatus(replicas=rule.status_replicas(obj), selector=rule.selector(obj)),
    )


async def _put(scope: Scope) -> Response:
    options = write_options(scope.request, "UpdateOptions")
    wanted = await bodies.read_object(scope, Scale, VERSION, validation=options.field_validation)
    check_name(scope, wanted)
    check_namespace(scope, wanted)
    call = scope.call("UPDATE", dry_run=options.dry_run, options=options)
    manager = scope.field_manager(options, call.context.now, _PLACE)
    return await _write(scope, call, lambda current: manager(wanted, current))


async def _patch(scope: Scope) -> Response:
    kind = patch_type(scope.request)
    options = write_options(scope.request, "PatchOptions", apply=kind.is_apply)
    data = await bodies.read(scope.request)
    call = scope.call("UPDATE", dry_run=options.dry_run, options=options)
    manager = scope.field_manager(options, call.context.now, _PLACE)
    configuration = AppliedConfiguration(manager, options, data)

    def change(current: Scale) -> Scale:
        tree = codec.to_tree(with_entries(current, None))
        if not kind.is_apply:
            wanted: Scale = manager(bodies.convert(apply_patch(kind, tree, data, Scale), Scale, VERSION), current)
            return wanted
        wanted = configuration.apply_to(current, tree)
        scope.warnings += (text for text in configuration.warnings if text not in scope.warnings)
        check_namespace(scope, wanted)
        check_name(scope, wanted)
        return wanted

    return await _write(scope, call, change)


async def _write(scope: Scope, call: Call, change: Callable[[Scale], Scale]) -> Response:
    async def build(entry: Entry[Any]) -> Any:
        obj = entry.object
        owners = decode(obj.metadata.managed_fields)
        version = scope.resource.api_version
        current = with_entries(_scale_of(scope, obj), encode(to_scale(owners, version), None))
        wanted = change(current)
        owners = to_workload(owners, decode(wanted.metadata.managed_fields), version)
        return with_entries(_scaled(scope, obj, wanted), encode(owners, obj.metadata.managed_fields))

    try:
        written = await scope.registry.update(call, scope.info.name, scope.info.namespace, build)
    except NotFound as error:
        raise scope.registry.not_found(scope.info.name) from error
    return _answer(scope, _scale_of(scope, written.object))


def _scaled(scope: Scope, obj: Any, wanted: Scale) -> Any:
    rule = scope.registry.strategy.scale
    assert rule is not None
    replicas, meta, old = wanted.spec.replicas, wanted.metadata, obj.metadata
    if replicas < 0:
        found = [invalid(Path("spec", "replicas"), replicas, "must be greater than or equal to 0")]
        raise errors.invalid(GROUP, "Scale", scope.info.name, found)
    if meta.uid and meta.uid != old.uid:
        text = f"Precondition failed: UID in precondition: {meta.uid}, UID in object meta: {old.uid}"
        raise errors.conflict(scope.resource.group, f"{scope.resource.plural}/scale", old.name, text)
    return replace(rule.with_replicas(obj, replicas), metadata=replace(old, resource_version=meta.resource_version))


def _answer(scope: Scope, found: Scale) -> Response:
    if scope.output.transform == "Table":
        return respond(scope.request, tree_bytes(_table(scope, found)), scope.output, warnings=scope.warnings)
    if scope.output.transform:
        return respond(scope.request, tree_bytes(partial(found)), scope.output, warnings=scope.warnings)
    return respond(scope.request, codec.encode(found), scope.output, warnings=scope.warnings)


def _table(scope: Scope, found: Scale) -> dict[str, Any]:
    names = (
        ("Name", "string", "name"),
        ("Desired", "integer", ""),
        ("Available", "integer", ""),
        ("Age", "string", ""),
    )
    age = _age(found, scope.services.clock.time())
    return {
        "kind": "Table",
        "apiVersion": META + scope.output.transform_version,
        "metadata": {"resourceVersion": found.metadata.resource_version},
        "columnDefinitions": [
            {"name": name, "type": kind, "format": form, "description": "", "priority": 0} for name, kind, form in names
        ],
        "rows": [
            {
                "cells": [found.metadata.name, found.spec.replicas, found.status.replicas, age],
                "object": partial(found),
            }
        ],
    }


def _age(found: Scale, now: float) -> str:
    """Return the age of the workload as tables show it."""
    return human.duration(timestamps.age_seconds(found.metadata.creation_timestamp, now))
