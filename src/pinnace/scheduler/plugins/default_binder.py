"""DefaultBinder: binds by the pod's binding subresource (plugins/defaultbinder)."""

from pinnace.api import core_v1, meta_v1
from pinnace.client import Client
from pinnace.scheduler.framework import BindPlugin


class DefaultBinder(BindPlugin):
    """Posts a Binding for this very pod, uid included."""

    name = "DefaultBinder"
    events = frozenset()

    def __init__(self, client: Client) -> None:
        self._client = client

    async def bind(self, pod: core_v1.Pod, node_name: str) -> None:
        binding = core_v1.Binding(
            metadata=meta_v1.ObjectMeta(name=pod.metadata.name, namespace=pod.metadata.namespace, uid=pod.metadata.uid),
            target=core_v1.ObjectReference(kind="Node", name=node_name),
        )
        await self._client.create_subresource(
            core_v1.Pod, pod.metadata.name, "binding", binding, namespace=pod.metadata.namespace
        )
