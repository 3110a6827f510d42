"""What admission adds to pods and nodes besides the service account: priority, default tolerations, and the taint of a new node.

Upstream: `plugin/pkg/admission/{priority,defaulttolerationseconds,nodetaint}`.
"""

from typing import Any

from msgspec.structs import replace

from pinnace.api.core_v1 import Node, Pod, Taint, Toleration
from pinnace.api.scheduling_v1 import PriorityClass
from pinnace.apiserver.admission.interface import CREATE, DELETE, UPDATE, Attributes, Objects, Plugin

NOT_READY = "node.kubernetes.io/not-ready"
UNREACHABLE = "node.kubernetes.io/unreachable"
DEFAULT_PREEMPTION = "PreemptLowerPriority"
# Seconds that a pod stays on a node that is lost.
TOLERATION_SECONDS = 300
SYSTEM_CLASSES = frozenset({"system-node-critical", "system-cluster-critical"})


class TaintNodesByCondition(Plugin):
    """Keeps pods off a node until its controller has seen it ready."""

    async def mutate(self, attributes: Attributes, obj: Any, old: Any) -> Any:  # noqa: ARG002
        if (attributes.operation, attributes.resource, attributes.subresource) != (CREATE, "nodes", ""):
            return obj
        node: Node = obj
        if any(taint.key == NOT_READY and taint.effect == "NoSchedule" for taint in node.spec.taints):
            return node
        taints = (*node.spec.taints, Taint(key=NOT_READY, effect="NoSchedule"))
        return replace(node, spec=replace(node.spec, taints=taints))


class DefaultTolerationSeconds(Plugin):
    """Lets a pod stay five minutes on a lost node, unless it says otherwise."""

    async def mutate(self, attributes: Attributes, obj: Any, old: Any) -> Any:  # noqa: ARG002
        if attributes.resource != "pods" or attributes.subresource or attributes.operation not in {CREATE, UPDATE}:
            return obj
        pod: Pod = obj
        added = tuple(
            Toleration(key=key, operator="Exists", effect="NoExecute", toleration_seconds=TOLERATION_SECONDS)
            for key in (NOT_READY, UNREACHABLE)
            if not any(_covers(toleration, key) for toleration in pod.spec.tolerations)
        )
        if not added:
            return pod
        return replace(pod, spec=replace(pod.spec, tolerations=(*pod.spec.tolerations, *added)))


def _covers(toleration: Toleration, key: str) -> bool:
    return toleration.key in {key, ""} and toleration.effect in {"NoExecute", ""}


class Priority(Plugin):
    """Turns a priority class into a number, and keeps the classes consistent."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    async def mutate(self, attributes: Attributes, obj: Any, old: Any) -> Any:
        if attributes.subresource:
            return obj
        if attributes.resource == "priorityclasses" and attributes.operation == DELETE:
            if attributes.name in SYSTEM_CLASSES:
                raise attributes.refuse("this is a system priority class and cannot be deleted")
            return obj
        if attributes.resource != "pods":
            return obj
        if attributes.operation == CREATE:
            return await self._prioritised(attributes, obj)
        if attributes.operation == UPDATE and old is not None:
            # Clients that do not know these fields leave them out of what they send back.
            spec = obj.spec
            if spec.priority is None and old.spec.priority is not None:
                spec = replace(spec, priority=old.spec.priority)
            if spec.preemption_policy is None and old.spec.preemption_policy is not None:
                spec = replace(spec, preemption_policy=old.spec.preemption_policy)
            return obj if spec is obj.spec else replace(obj, spec=spec)
        return obj

    async def validate(self, attributes: Attributes, obj: Any, old: Any) -> None:  # noqa: ARG002
        if attributes.resource != "priorityclasses" or attributes.operation not in {CREATE, UPDATE} or obj is None:
            return
        klass: PriorityClass = obj
        if not klass.global_default:
            return
        for other in await self._objects.list(PriorityClass):
            if other.global_default and other.metadata.name != klass.metadata.name:
                raise attributes.refuse(
                    f"PriorityClass {other.metadata.name} is already marked as default. Only one default can exist",
                    name=klass.metadata.name,
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
                name=pod.metadata.name,
            )
        if spec.preemption_policy is not None and spec.preemption_policy != policy:
            raise attributes.refuse(
                f"the string value of PreemptionPolicy ({spec.preemption_policy}) must not be provided in pod spec; "
                f"priority admission controller computed {policy} from the given PriorityClass name",
                name=pod.metadata.name,
            )
        name = spec.priority_class_name or (klass.metadata.name if klass is not None else "")
        return replace(pod, spec=replace(spec, priority_class_name=name, priority=value, preemption_policy=policy))

    async def _class_of(self, attributes: Attributes, pod: Pod) -> PriorityClass | None:
        """Return the pod's class, or the default one of the lowest value, None when there is neither."""
        name = pod.spec.priority_class_name
        if name:
            klass = await self._objects.get(PriorityClass, name)
            if klass is None:
                raise attributes.refuse(f"no PriorityClass with name {name} was found", name=pod.metadata.name)
            return klass
        defaults = [klass for klass in await self._objects.list(PriorityClass) if klass.global_default]
        return min(defaults, key=lambda klass: klass.value, default=None)
