"""Namespace (upstream pkg/registry/core/namespace, pkg/apis/core/validation)."""

from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from pinnace.api.core_v1 import Namespace, NamespaceSpec
from pinnace.apiserver.registry import columns
from pinnace.apiserver.registry.defaulting import changed
from pinnace.apiserver.registry.strategy import (
    Column,
    Context,
    Part,
    Selectable,
    Strategy,
    take_only_status,
    unknown_field_own_table,
)
from pinnace.machinery.field import FieldError, Path, forbidden
from pinnace.machinery.names import dns_label

NAME_LABEL, FINALIZER = "kubernetes.io/metadata.name", "kubernetes"


def default(obj: Namespace) -> Namespace:
    """Restore the label that names the namespace."""
    name = obj.metadata.name
    if not name or obj.metadata.labels.get(NAME_LABEL) == name:
        return obj
    return changed(obj, metadata=replace(obj.metadata, labels={**obj.metadata.labels, NAME_LABEL: name}))


def prepare_create(ctx: Context, obj: Namespace) -> Namespace:  # noqa: ARG001
    """Begin active, held by the finalizer that the namespace controller takes away; a generated name gets its label, too."""
    finalizers = obj.spec.finalizers if FINALIZER in obj.spec.finalizers else (*obj.spec.finalizers, FINALIZER)
    obj = replace(obj, spec=NamespaceSpec(finalizers=finalizers), status=replace(obj.status, phase="Active"))
    return default(obj)


def prepare_update(ctx: Context, new: Namespace, old: Namespace) -> Namespace:  # noqa: ARG001
    """Keep the finalizers, which have a path of their own."""
    return replace(new, spec=old.spec, status=old.status)


def validate_status(new: Namespace, old: Namespace) -> Sequence[FieldError]:  # noqa: ARG001
    """Hold the phase to the deletion: it is Terminating exactly when the namespace is being deleted."""
    path = Path("status", "Phase")
    if new.metadata.deletion_timestamp is None and new.status.phase == "Terminating":
        return (forbidden(path, "may only be Terminating when metadata.deletionTimestamp is set"),)
    if new.metadata.deletion_timestamp is not None and new.status.phase != "Terminating":
        return (forbidden(path, "may only be Terminating when the namespace is being deleted"),)
    return ()


def mark_deleted(ctx: Context, obj: Namespace) -> Namespace:  # noqa: ARG001
    """Say in the phase that the end has begun."""
    return replace(obj, status=replace(obj.status, phase="Terminating"))


def finalize(ctx: Context, new: Namespace, old: Namespace) -> Namespace:  # noqa: ARG001
    """Take nothing but the finalizers of the spec."""
    return replace(old, metadata=replace(new.metadata, labels=old.metadata.labels), spec=new.spec)


def is_held(obj: Namespace) -> bool:
    """Tell whether somebody still has to empty it."""
    return bool(obj.spec.finalizers)


def cells(obj: Namespace, now: float) -> Sequence[Any]:
    """Return the row."""
    return (obj.metadata.name, obj.status.phase, columns.object_age(obj, now))


STRATEGY: Strategy[Namespace] = Strategy(
    default=default,
    prepare_create=prepare_create,
    prepare_update=prepare_update,
    name_errors=dns_label,
    mark_deleted=mark_deleted,
    is_held=is_held,
    delete_returns_object=True,
    selectable=Selectable(fields={"status.phase": lambda obj: obj.status.phase}, unknown=unknown_field_own_table),
    columns=(columns.NAME, Column("Status", description="The phase."), columns.AGE),
    cells=cells,
    parts={
        "status": Part(prepare_update=take_only_status, validate_update=validate_status),
        "finalize": Part(prepare_update=finalize),
    },
)
