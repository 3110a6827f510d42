"""What pods may have of a machine: all but what is reserved, and what evictions keep free. Pure.

Upstream: kubelet `cm/node_container_manager_linux.go`, `nodestatus/setters.go`.
"""

from collections.abc import Mapping

from pinnace.kubelet.config import KubeletConfig
from pinnace.machinery import quantity

_HUGE = "hugepages-"
# Of a resource, the signal whose hard threshold pods may not come below.
_SIGNALS = {"memory": "memory.available", "ephemeral-storage": "nodefs.available"}


def of_capacity(amount: str, capacity: int) -> int:
    """Return a threshold in bytes or pieces; a share like `10%` is one of the capacity."""
    if amount.endswith("%"):
        return int(capacity * float(amount.removesuffix("%")) / 100)
    return quantity.parse(amount).value()


def most_pods(has: Mapping[str, str], config: KubeletConfig) -> str:
    """Return how many pods a machine of this capacity takes."""
    if not config.pods_per_core:
        return str(config.max_pods)
    return str(min(quantity.parse(has["cpu"]).value() * config.pods_per_core, config.max_pods))


def enforced(capacity: Mapping[str, str], config: KubeletConfig) -> dict[str, str]:
    """Return what all pods together may use: the capacity without what is reserved."""
    return {name: _less(name, amount, _reserved(name, config)) for name, amount in capacity.items()}


def allocatable(capacity: Mapping[str, str], config: KubeletConfig) -> dict[str, str]:
    """Return what the scheduler may give to pods."""
    found = {}
    for name, amount in capacity.items():
        taken = _reserved(name, config)
        if (signal := _SIGNALS.get(name)) is not None:
            threshold = config.eviction_hard.get(signal, "0")
            taken += of_capacity(threshold, quantity.parse(amount).value()) * quantity.NANO
        if name == "memory":
            taken += sum(quantity.parse(pages).nanos for kind, pages in capacity.items() if kind.startswith(_HUGE))
        found[name] = _less(name, amount, taken)
    return found


def _reserved(name: str, config: KubeletConfig) -> int:
    """Return what is reserved of a resource, in billionths."""
    parts = (config.system_reserved, config.kube_reserved)
    return sum(quantity.parse(part[name]).nanos for part in parts if name in part)


def _less(name: str, amount: str, nanos: int) -> str:
    if not nanos:
        return amount
    left = max(quantity.parse(amount).nanos - nanos, 0)
    if name == "cpu":
        return str(quantity.of_milli(left * 1000 // quantity.NANO))
    return str(quantity.of_value(left // quantity.NANO, "binary"))
