"""Which endpoint stands in which slice: as few slices as possible are written, and none holds more than its limit.

Endpoints that are listed stay where they are; new ones fill slices that are written anyway, then one slice that has room, then new
ones. Pure. Upstream: `reconcileByPortMapping` in staging/src/k8s.io/endpointslice/reconciler.go and trafficdist.
"""

from collections.abc import Iterable, Sequence

from msgspec import Struct, field
from msgspec.structs import replace

from pinnace.api.discovery_v1 import Endpoint, EndpointHints, EndpointSlice, ForNode, ForZone

# Endpoints in one slice.
LIMIT = 100


class Plan(Struct):
    """What is to become of a Service's slices; `created` holds the endpoints of slices that do not exist yet."""

    created: list[list[Endpoint]] = field(default_factory=list)
    updated: list[tuple[EndpointSlice, list[Endpoint]]] = field(default_factory=list)
    deleted: list[EndpointSlice] = field(default_factory=list)
    kept: list[EndpointSlice] = field(default_factory=list)


def pack(slices: Iterable[EndpointSlice], desired: Iterable[Endpoint]) -> Plan:
    """Distribute the endpoints of one list of ports over its slices."""
    plan = Plan()
    left = {_identity(item): item for item in desired}
    for item in slices:
        listed = item.endpoints or ()
        staying = [(old, left.pop(_identity(old))) for old in listed if _identity(old) in left]
        now = [new for _, new in staying]
        if not now:
            plan.deleted.append(item)
        elif len(now) < len(listed) or any(not same(old, new) for old, new in staying):
            plan.updated.append((item, now))
        else:
            plan.kept.append(item)
    _place(plan, list(left.values()))
    return plan


def _place(plan: Plan, fresh: list[Endpoint]) -> None:
    for _, now in sorted(plan.updated, key=lambda entry: -len(entry[1])):
        room = LIMIT - len(now)
        now += fresh[:room]
        fresh = fresh[room:]
    while fresh:
        fitting = _fitting(plan.kept, len(fresh))
        if fitting is not None:
            plan.kept.remove(fitting)
            plan.updated.append((fitting, [*(fitting.endpoints or ()), *fresh]))
            return
        plan.created.append(fresh[:LIMIT])
        fresh = fresh[LIMIT:]


def _fitting(slices: Sequence[EndpointSlice], count: int) -> EndpointSlice | None:
    """Return the fullest slice that has room for so many."""
    fitting = [item for item in slices if len(item.endpoints or ()) + count <= LIMIT]
    return max(fitting, key=lambda item: len(item.endpoints or ()), default=None)


def _identity(item: Endpoint) -> tuple[object, ...]:
    target = item.target_ref
    return item.addresses, item.hostname, target.name if target is not None else "", target.uid if target else ""


def same(old: Endpoint, new: Endpoint) -> bool:
    """Tell whether two say the same but for their hints, which depend on all others."""
    return replace(old, hints=None) == replace(new, hints=None)


def with_hints(endpoints: Iterable[Endpoint], distribution: str | None) -> tuple[Endpoint, ...]:
    """Return endpoints that say for which zones and nodes they are."""
    return tuple(replace(item, hints=_hints(item, distribution)) for item in endpoints)


def _hints(item: Endpoint, distribution: str | None) -> EndpointHints | None:
    if not item.conditions.ready or distribution not in {"PreferClose", "PreferSameZone", "PreferSameNode"}:
        return None
    zones = (ForZone(name=item.zone),) if item.zone else ()
    nodes = (ForNode(name=item.node_name),) if item.node_name and distribution == "PreferSameNode" else ()
    return EndpointHints(for_zones=zones, for_nodes=nodes) if zones or nodes else None
