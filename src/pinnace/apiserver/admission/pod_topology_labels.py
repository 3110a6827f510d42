"""PodTopologyLabels: a pod that is bound learns from its labels in which zone and region it runs.

The labels are put on the binding, from where the pod gets them. Upstream: `plugin/pkg/admission/podtopologylabels`.
"""

from typing import Any

from msgspec.structs import replace

from pinnace.api.core_v1 import Binding, Node, Pod
from pinnace.apiserver.admission.interface import CREATE, Attributes, Objects, Plugin, Target

LABELS = ("topology.kubernetes.io/zone", "topology.kubernetes.io/region")


class PodTopologyLabels(Plugin):
    """Copies a node's topology to what is bound to it."""

    name = "PodTopologyLabels"

    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    def handles(self, target: Target) -> bool:
        if target.operation != CREATE:
            return False
        return target.is_on("", "pods") or target.is_on("", "pods", "binding") or target.is_on("", "bindings")

    async def mutate(self, attributes: Attributes, obj: Any, old: Any) -> Any:  # noqa: ARG002
        bound: Pod | Binding = obj
        name = bound.spec.node_name if isinstance(bound, Pod) else bound.target.name
        node = await self._objects.get(Node, name) if name else None
        if node is None:
            return bound
        topology = {key: node.metadata.labels[key] for key in LABELS if key in node.metadata.labels}
        own = bound.metadata.labels
        if all(own.get(key) == value for key, value in topology.items()):
            return bound
        return replace(bound, metadata=replace(bound.metadata, labels={**own, **topology}))
