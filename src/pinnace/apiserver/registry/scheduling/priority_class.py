"""PriorityClass (upstream pkg/registry/scheduling/priorityclass, pkg/apis/scheduling/validation)."""

from collections.abc import Sequence
from typing import Any

from pinnace.api.scheduling_v1 import PriorityClass
from pinnace.apiserver.registry.defaulting import filled
from pinnace.apiserver.registry.immutable import unchanged
from pinnace.apiserver.registry.printing import AGE, NAME, age, boolean, integer, text
from pinnace.apiserver.registry.strategy import Strategy, never_changes
from pinnace.machinery.field import FieldError, Path, forbidden, not_supported

SYSTEM_PREFIX = "system-"
HIGHEST_USER_PRIORITY = 1_000_000_000
SYSTEM_CRITICAL_PRIORITY = 2 * HIGHEST_USER_PRIORITY
_POLICIES = ("Never", "PreemptLowerPriority")

# The classes that are there from the beginning, as they must be.
SYSTEM_CLASSES = {
    "system-node-critical": (
        SYSTEM_CRITICAL_PRIORITY + 1000,
        "Used for system critical pods that must not be moved from their current node.",
    ),
    "system-cluster-critical": (
        SYSTEM_CRITICAL_PRIORITY,
        "Used for system critical pods that must run in the cluster, but can be moved to another node if necessary.",
    ),
}


def default(obj: PriorityClass) -> PriorityClass:
    """Let pods preempt unless the class says otherwise."""
    return filled(obj, preemption_policy="PreemptLowerPriority")


def validate(obj: PriorityClass) -> Sequence[FieldError]:
    """Keep the system's names and values to the system."""
    name, found = obj.metadata.name, []
    if name.startswith(SYSTEM_PREFIX):
        wrong = _system_difference(obj)
        if wrong:
            text = (
                f"priority class names with '{SYSTEM_PREFIX}' prefix are reserved for system use only. error: {wrong}"
            )
            found.append(forbidden(Path("metadata", "name"), text))
    elif obj.value > HIGHEST_USER_PRIORITY:
        text = f"maximum allowed value of a user defined priority is {HIGHEST_USER_PRIORITY}"
        found.append(forbidden(Path("value"), text))
    if obj.preemption_policy is not None and obj.preemption_policy not in _POLICIES:
        found.append(not_supported(Path("preemptionPolicy"), obj.preemption_policy, _POLICIES))
    return found


def _system_difference(obj: PriorityClass) -> str:
    known = SYSTEM_CLASSES.get(obj.metadata.name)
    if known is None:
        return f"{obj.metadata.name} is not a known system priority class"
    if obj.value != known[0]:
        return f"value of {obj.metadata.name} PriorityClass must be {known[0]}"
    return f"globalDefault of {obj.metadata.name} PriorityClass must be false" if obj.global_default else ""


def validate_update(new: PriorityClass, old: PriorityClass) -> Sequence[FieldError]:
    """Hold the value and the policy."""
    found = [forbidden(Path("value"), "may not be changed in an update.")] if new.value != old.value else []
    return (*found, *unchanged(new.preemption_policy, old.preemption_policy, Path("preemptionPolicy")))


def refuse_delete(obj: PriorityClass) -> str:
    """Keep the system's classes."""
    return "this is a system priority class and cannot be deleted" if obj.metadata.name in SYSTEM_CLASSES else ""


def cells(obj: PriorityClass, now: float) -> Sequence[Any]:
    """Return the row."""
    return (
        obj.metadata.name,
        obj.value,
        obj.global_default,
        age(obj, now),
        obj.preemption_policy or "PreemptLowerPriority",
    )


STRATEGY: Strategy[PriorityClass] = Strategy(
    default=default,
    validate=validate,
    validate_update=validate_update,
    validates_update_fully=True,
    generation=never_changes,
    refuse_delete=refuse_delete,
    columns=(
        NAME,
        integer("Value", "The priority of its pods."),
        boolean("Global-Default", "Whether pods without a class get this one."),
        AGE,
        text("PreemptionPolicy", "Whether its pods take the place of others."),
    ),
    cells=cells,
)
