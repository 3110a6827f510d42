"""Owners of a workload's replicas as its scale shows them, and back.

A scale has no owners of its own: whoever owns the replicas of the workload owns those of the scale, in terms of the scale's version.
What a write of the scale does to them is carried over to the workload. Upstream: apimachinery
`util/managedfields/scalehandler.go`.
"""

from msgspec.structs import replace

from pinnace.machinery.managedfields import NOTHING, UPDATE, Manager, Managers, Owned, Tree, sets

VERSION = "autoscaling/v1"
# Of the scale, and of every built-in workload that has one.
REPLICAS: Tree = {"f:spec": {"f:replicas": {}}}


def to_scale(managers: Managers, api_version: str) -> dict[Manager, Owned]:
    """Return the owners of a workload's replicas as owners of its scale."""
    return {
        _in_version(manager, VERSION): Owned(REPLICAS, VERSION, owned.time)
        for manager, owned in managers.items()
        if owned.api_version == api_version and _owns_replicas(owned)
    }


def to_workload(managers: Managers, scale_managers: Managers, api_version: str) -> dict[Manager, Owned]:
    """Return a workload's owners after a write of its scale, given the scale's owners."""
    owners = {
        _in_version(manager, api_version): owned for manager, owned in scale_managers.items() if _owns_replicas(owned)
    }
    out = {}
    for manager, owned in managers.items():
        if owned.api_version != api_version:
            continue
        if not _owns_replicas(owned) or owners.pop(manager, None) is not None:
            out[manager] = owned
        elif fields := sets.difference(owned.fields, REPLICAS):
            out[manager] = replace(owned, fields=fields)
    # Upstream does not know when: the times that it looks at are the workload's.
    out.update((manager, Owned(REPLICAS, api_version)) for manager in owners)
    return out


def _owns_replicas(owned: Owned) -> bool:
    return sets.intersection(owned.fields, REPLICAS) != NOTHING


def _in_version(manager: Manager, api_version: str) -> Manager:
    return manager._replace(api_version=api_version) if manager.operation == UPDATE else manager
