"""Which taints a pod puts up with (upstream component-helpers/scheduling/corev1)."""

from collections.abc import Iterable

from pinnace.api import core_v1
from pinnace.scheduler.nodes import Taint


def tolerates(tolerations: Iterable[core_v1.Toleration], taint: Taint) -> bool:
    """Tell whether any toleration matches the taint."""
    return any(_matches(toleration, taint) for toleration in tolerations)


def _matches(toleration: core_v1.Toleration, taint: Taint) -> bool:
    if toleration.effect and toleration.effect != taint.effect:
        return False
    if toleration.key and toleration.key != taint.key:
        return False
    match toleration.operator:
        case "Exists":
            return True
        case "" | "Equal":
            return bool(toleration.key) and toleration.value == taint.value
        case _:
            return _compares(toleration, taint)


def _compares(toleration: core_v1.Toleration, taint: Taint) -> bool:
    """Lt and Gt compare the taint's value, as a whole number, with the toleration's."""
    try:
        offered, wanted = int(taint.value), int(toleration.value)
    except ValueError:
        return False
    return offered < wanted if toleration.operator == "Lt" else toleration.operator == "Gt" and offered > wanted
