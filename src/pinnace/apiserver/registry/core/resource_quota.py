"""ResourceQuota (upstream pkg/registry/core/resourcequota, pkg/printers `printResourceQuota`)."""

from collections.abc import Sequence
from typing import Any

from pinnace.api.core_v1 import ResourceQuota
from pinnace.apiserver.registry.printing import AGE, NAME, age, text
from pinnace.apiserver.registry.strategy import Strategy


def cells(obj: ResourceQuota, now: float) -> Sequence[Any]:
    """Return the row: what is used of what there is, limits apart from the rest."""
    requests: list[str] = []
    limits: list[str] = []
    for name in sorted(obj.status.hard):
        used = obj.status.used.get(name, "0")
        shown = limits if name.startswith("limits.") else requests
        shown.append(f"{name}: {used}/{obj.status.hard[name]}")
    return (obj.metadata.name, ", ".join(requests), ", ".join(limits), age(obj, now))


STRATEGY: Strategy[ResourceQuota] = Strategy(
    delete_returns_object=True,
    columns=(
        NAME,
        text("Request", "Requests and counts, used of allowed."),
        text("Limit", "Limits, used of allowed."),
        AGE,
    ),
    cells=cells,
)
