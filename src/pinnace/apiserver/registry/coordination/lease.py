"""Lease (upstream pkg/registry/coordination/lease)."""

from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from pinnace.api.coordination_v1 import Lease
from pinnace.apiserver.registry import columns
from pinnace.apiserver.registry.strategy import Column, Context, Strategy
from pinnace.machinery.field import FieldError, Path, invalid


def prepare_create(ctx: Context, obj: Lease) -> Lease:  # noqa: ARG001
    """Drop what candidates for a lease would be weighed by: upstream keeps it behind a gate that is off by default."""
    if obj.spec.strategy is None and obj.spec.preferred_holder is None:
        return obj
    return replace(obj, spec=replace(obj.spec, strategy=None, preferred_holder=None))


def prepare_update(ctx: Context, new: Lease, old: Lease) -> Lease:  # noqa: ARG001
    """Drop it from a changed lease as from a new one."""
    return prepare_create(ctx, new)


def validate(obj: Lease) -> Sequence[FieldError]:
    """Check the numbers."""
    found = []
    seconds, transitions = obj.spec.lease_duration_seconds, obj.spec.lease_transitions
    if seconds is not None and seconds <= 0:
        found.append(invalid(Path("spec", "leaseDurationSeconds"), seconds, "must be greater than 0"))
    if transitions is not None and transitions < 0:
        text = "must be greater than or equal to 0"
        found.append(invalid(Path("spec", "leaseTransitions"), transitions, text))
    return found


def cells(obj: Lease, now: float) -> Sequence[Any]:
    """Return the row."""
    return (obj.metadata.name, obj.spec.holder_identity or "", columns.object_age(obj, now))


STRATEGY: Strategy[Lease] = Strategy(
    prepare_create=prepare_create,
    prepare_update=prepare_update,
    validate=validate,
    allow_create_on_update=True,
    allow_unconditional_update=False,
    columns=(columns.NAME, Column("Holder", description="Who holds it."), columns.AGE),
    cells=cells,
)
