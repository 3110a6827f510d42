"""Which taints a pod puts up with, and for how long (component-helpers/scheduling/corev1)."""

from collections.abc import Iterable, Sequence

from pinnace.api.core_v1 import Taint, Toleration


def tolerates(toleration: Toleration, taint: Taint) -> bool:
    """Tell whether a toleration is about a taint."""
    if toleration.effect and toleration.effect != taint.effect:
        return False
    if toleration.key and toleration.key != taint.key:
        return False
    if toleration.operator == "Exists":
        return True
    if toleration.operator in ("", "Equal"):
        return bool(toleration.key) and toleration.value == taint.value
    try:
        offered, wanted = int(taint.value), int(toleration.value)
    except ValueError:
        return False
    return offered < wanted if toleration.operator == "Lt" else toleration.operator == "Gt" and offered > wanted


def untolerated(taints: Iterable[Taint], tolerations: Sequence[Toleration], effects: Sequence[str]) -> list[Taint]:
    """Return the taints of these effects that no toleration is about."""
    return [
        taint for taint in taints if taint.effect in effects and not any(tolerates(item, taint) for item in tolerations)
    ]


def tolerated_seconds(taints: Sequence[Taint], tolerations: Sequence[Toleration]) -> float | None:
    """Return for how long a pod may stay under these NoExecute taints: 0.0 not at all, None for ever."""
    if untolerated(taints, tolerations, ("NoExecute",)):
        return 0.0
    used = [
        next(item for item in tolerations if tolerates(item, taint)) for taint in taints if taint.effect == "NoExecute"
    ]
    limits = [max(float(item.toleration_seconds), 0.0) for item in used if item.toleration_seconds is not None]
    return min(limits, default=None)
