"""Priority: a pod's class becomes a number and a preemption policy, and one class at most is the default.

Upstream: `plugin/pkg/admission/priority`.
"""

from typing import Any

from msgspec.structs import replace

from pinnace.api.core_v1 import Pod, PodSpec
from pinnace.api.scheduling_v1 import PriorityClass
from pinnace.apiserver.admission.interface import CREATE, DELETE, UPDATE, Attributes, Objects, Plugin, Target
from pinnace.machinery.memo import Memo

DEFAULT_PREEMPTION = "PreemptLowerPriority"
SYSTEM_CLASSES = frozenset({"system-node-critical", "system-cluster-critical"})
_GROUP = "scheduling.k8s.io"


class Priority(Plugin):
    """Turns a priority class into a number, and keeps the classes consistent."""

    name = "Priority"

    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    def handles(self, target: Target) -> bool:
        if target.is_on(_GROUP, "priorityclasses"):
            return True
        return target.is_on("", "pods") and target.operation in {CREATE, UPDATE}

    async def mutate(self, attributes: Attributes, obj: Any, old: Any) -> Any:
        if attributes.resource == "pods":
            if attributes.operation == CREATE:
                return await self._prioritised(attributes, obj)
            return _kept(obj, old)
        if attributes.operation == DELETE and attributes.name in SYSTEM_CLASSES:
            raise attributes.refuse("this is a system priority class and cannot be deleted")
        return obj

    async def validate(self, attributes: Attributes, obj: Any, old: Any) -> None:  # noqa: ARG002
        if attributes.resource != "priorityclasses" or attributes.operation == DELETE or not obj.global_default:
            return
        for other in await self._objects.list(PriorityClass):
            if other.global_default and other.metadata.name != obj.metadata.name:
                raise attributes.refuse(
                    f"PriorityClass {other.metadata.name} is already marked as default. Only one default can exist", obj
                )

    async def _prioritised(self, attributes: Attributes, pod: Pod) -> Pod:
        spec = pod.spec
        klass = await self._class_of(attributes, pod)
        value = klass.value if klass is not None else 0
        policy = (klass.preemption_policy if klass is not None else None) or DEFAULT_PREEMPTION
        if spec.priority is not None and spec.priority != value:
            raise attributes.refuse(
                f"the integer value of priority ({spec.priority}) must not be provided in pod spec; priority "
                f"admission controller computed {value} from the given PriorityClass name",
                pod,
            )
        if spec.preemption_policy is not None and spec.preemption_policy != policy:
            raise attributes.refuse(
                f"the string value of PreemptionPolicy ({spec.preemption_policy}) must not be provided in pod spec; "
                f"priority admission controller computed {policy} from the given PriorityClass name",
                pod,
            )
        name = spec.priority_class_name or (klass.metadata.name if klass is not None else "")
        changed = _with_priority(spec, name, value, policy)
        return pod if changed is spec else replace(pod, spec=changed)

    async def _class_of(self, attributes: Attributes, pod: Pod) -> PriorityClass | None:
        """Return the pod's class, or the default one of the lowest value, None when there is neither."""
        name = pod.spec.priority_class_name
        if name:
            klass = await self._objects.get(PriorityClass, name)
            if klass is None:
                raise attributes.refuse(f"no PriorityClass with name {name} was found", pod)
            return klass
        chosen: PriorityClass | None = None
        for klass in await self._objects.list(PriorityClass):
            if klass.global_default and (chosen is None or klass.value < chosen.value):
                chosen = klass
        return chosen


def _set_priority(spec: PodSpec, name: str, value: int, policy: str) -> PodSpec:
    if (spec.priority_class_name, spec.priority, spec.preemption_policy) == (name, value, policy):
        return spec
    return replace(spec, priority_class_name=name, priority=value, preemption_policy=policy)


_with_priority: Memo[PodSpec, PodSpec] = Memo(_set_priority)


def _kept(pod: Pod, old: Pod) -> Pod:
    """Keep what clients that do not know these fields leave out of what they send back."""
    changes: dict[str, Any] = {}
    if pod.spec.priority is None and old.spec.priority is not None:
        changes["priority"] = old.spec.priority
    if pod.spec.preemption_policy is None and old.spec.preemption_policy is not None:
        changes["preemption_policy"] = old.spec.preemption_policy
    return replace(pod, spec=replace(pod.spec, **changes)) if changes else pod
