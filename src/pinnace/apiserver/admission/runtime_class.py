"""RuntimeClass: a pod of a runtime class costs what the class says, and runs where the class can.

Upstream: `plugin/pkg/admission/runtimeclass`.
"""

from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from pinnace.api.core_v1 import Pod, PodSpec, Toleration
from pinnace.api.node_v1 import RuntimeClass, Scheduling
from pinnace.apiserver.admission.interface import CREATE, Attributes, Objects, Plugin, Target
from pinnace.machinery import quantity

_MISMATCH = "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead"
_UNFOUNDED = "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead"


class RuntimeClassAdmission(Plugin):
    """Gives pods the overhead and the constraints of their runtime class."""

    name = "RuntimeClass"

    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    def handles(self, target: Target) -> bool:
        return target.is_on("", "pods") and target.operation == CREATE

    async def mutate(self, attributes: Attributes, obj: Any, old: Any) -> Any:  # noqa: ARG002
        pod: Pod = obj
        klass = await self._class_of(attributes, pod)
        if klass is None:
            return pod
        spec = pod.spec
        if klass.overhead is not None:
            overhead = klass.overhead.pod_fixed
            if spec.overhead and not _equal(spec.overhead, overhead):
                raise attributes.refuse(_MISMATCH, pod)
            spec = spec if spec.overhead else replace(spec, overhead=overhead)
        if klass.scheduling is not None:
            spec = _placed(attributes, pod, spec, klass.scheduling)
        return pod if spec is pod.spec else replace(pod, spec=spec)

    async def validate(self, attributes: Attributes, obj: Any, old: Any) -> None:  # noqa: ARG002
        pod: Pod = obj
        overhead = pod.spec.overhead
        klass = await self._class_of(attributes, pod)
        if klass is None or klass.overhead is None:
            if overhead:
                raise attributes.refuse(_UNFOUNDED, pod)
        elif not _equal(overhead, klass.overhead.pod_fixed):
            raise attributes.refuse(_MISMATCH, pod)

    async def _class_of(self, attributes: Attributes, pod: Pod) -> RuntimeClass | None:
        name = pod.spec.runtime_class_name
        if not name:
            return None
        klass = await self._objects.get(RuntimeClass, name)
        if klass is None:
            raise attributes.refuse(f'pod rejected: RuntimeClass "{name}" not found', pod)
        return klass


def _equal(one: Mapping[str, str], other: Mapping[str, str]) -> bool:
    """Compare amounts, however they are written."""
    return one.keys() == other.keys() and all(
        quantity.parse(one[name]).nanos == quantity.parse(other[name]).nanos for name in one
    )


def _placed(attributes: Attributes, pod: Pod, spec: PodSpec, scheduling: Scheduling) -> PodSpec:
    selector = spec.node_selector or {}
    for key, value in sorted(scheduling.node_selector.items()):
        own = selector.get(key, value)
        if own != value:
            raise attributes.refuse(
                f"conflict: runtimeClass.scheduling.nodeSelector[{key}] = {value}; pod.spec.nodeSelector[{key}] = {own}",
                pod,
            )
    more: list[Toleration] = [one for one in scheduling.tolerations if one not in spec.tolerations]
    changes: dict[str, Any] = {}
    if scheduling.node_selector.keys() - selector.keys():
        changes["node_selector"] = {**selector, **scheduling.node_selector}
    if more:
        changes["tolerations"] = (*spec.tolerations, *more)
    return replace(spec, **changes) if changes else spec
