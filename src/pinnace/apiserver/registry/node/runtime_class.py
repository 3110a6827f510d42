"""RuntimeClass (upstream pkg/registry/node/runtimeclass, pkg/apis/node/validation)."""

from collections.abc import Iterator, Sequence
from typing import Any

from pinnace.api.core_v1 import ResourceRequirements, Toleration
from pinnace.api.node_v1 import RuntimeClass, Scheduling
from pinnace.apiserver.registry.core.label_warnings import LABELS
from pinnace.apiserver.registry.core.validation.resources import requirement_errors
from pinnace.apiserver.registry.core.validation.scheduling import toleration_errors
from pinnace.apiserver.registry.go_struct import go_struct
from pinnace.apiserver.registry.immutable import unchanged
from pinnace.apiserver.registry.metadata import label_errors
from pinnace.apiserver.registry.printing import AGE, NAME, age, text
from pinnace.apiserver.registry.strategy import Strategy
from pinnace.machinery import names
from pinnace.machinery.field import FieldError, Path, duplicate, invalid, required

_HANDLER, _SCHEDULING = Path("handler"), Path("scheduling")


def validate(obj: RuntimeClass) -> Sequence[FieldError]:
    """Check the handler, what it costs, and where it is."""
    found = []
    if not obj.handler:
        found.append(required(_HANDLER))
    else:
        found += (invalid(_HANDLER, obj.handler, words) for words in names.dns_label(obj.handler))
    if obj.overhead is not None:
        # Upstream takes it for a container's limits.
        limits = ResourceRequirements(limits=obj.overhead.pod_fixed)
        found += requirement_errors(limits, Path("overhead"))
    if obj.scheduling is not None:
        found += _scheduling_errors(obj.scheduling)
    return found


def _scheduling_errors(scheduling: Scheduling) -> Iterator[FieldError]:
    yield from label_errors(scheduling.node_selector, _SCHEDULING.child("nodeSelector"))
    path = _SCHEDULING.child("tolerations")
    yield from toleration_errors(scheduling.tolerations, path)
    taken: list[Toleration] = []
    for index, toleration in enumerate(scheduling.tolerations):
        if toleration in taken:
            yield duplicate(path.index(index), go_struct(toleration))
        taken.append(toleration)


def validate_update(new: RuntimeClass, old: RuntimeClass) -> Sequence[FieldError]:
    """Hold the handler."""
    return tuple(unchanged(new.handler, old.handler, _HANDLER))


def warnings(new: RuntimeClass, old: RuntimeClass | None) -> Sequence[str]:  # noqa: ARG001
    """Warn of labels that went out of use."""
    if new.scheduling is None:
        return ()
    path = _SCHEDULING.child("nodeSelector")
    return tuple(f"{path}: {LABELS[key]}" for key in sorted(set(new.scheduling.node_selector) & set(LABELS)))


def cells(obj: RuntimeClass, now: float) -> Sequence[Any]:
    """Return the row."""
    return (obj.metadata.name, obj.handler, age(obj, now))


STRATEGY: Strategy[RuntimeClass] = Strategy(
    validate=validate,
    validate_update=validate_update,
    validates_update_fully=True,
    warnings=warnings,
    allow_create_on_update=True,
    allow_unconditional_update=False,
    columns=(NAME, text("Handler", "What the node's runtime calls it."), AGE),
    cells=cells,
)
