"""ComponentStatus, which is asked for and never stored (upstream pkg/printers/internalversion `printComponentStatus`)."""

from collections.abc import Sequence
from typing import Any

from pinnace.api.core_v1 import ComponentStatus
from pinnace.apiserver.registry.printing import NAME, text
from pinnace.apiserver.registry.strategy import Strategy

HEALTHY = "Healthy"


def cells(obj: ComponentStatus, now: float) -> Sequence[Any]:
    """Return the row."""
    del now
    for condition in obj.conditions:
        if condition.type == HEALTHY:
            state = HEALTHY if condition.status == "True" else "Unhealthy"
            return (obj.metadata.name, state, condition.message, condition.error)
    return (obj.metadata.name, "Unknown", "", "")


STRATEGY: Strategy[ComponentStatus] = Strategy(
    deprecation="v1 ComponentStatus is deprecated in v1.19+",
    columns=(NAME, text("Status"), text("Message"), text("Error")),
    cells=cells,
)
