"""What the agent follows of the API server: its pods, its node, the services.

An agent alone opens three small watches of its own. Many agents in one process share three larger ones: each event is handed to the
node it is about by one look-up. Upstream: kubelet `config/apiserver.go`.
"""

import asyncio
from abc import abstractmethod
from collections.abc import Callable, Iterable
from typing import Never, Protocol

from msgspec import Struct

from pinnace.api import core_v1
from pinnace.client import Client, InformerFactory, SharedInformer
from pinnace.component.clock import Clock


class PodHandler(Struct, frozen=True):
    """What an agent does about changes of its pods and of its node; in one uninterrupted step each."""

    on_seen: Callable[[core_v1.Pod], None]
    on_gone: Callable[[core_v1.Pod], None]
    on_node: Callable[[], None] = lambda: None


class Sources(Protocol):
    """What one agent sees of the API server."""

    @abstractmethod
    def pods(self) -> Iterable[core_v1.Pod]:
        """Return the pods that are bound to the node."""

    @abstractmethod
    def node(self) -> core_v1.Node | None:
        """Return the node as last seen."""

    @abstractmethod
    def services(self) -> Iterable[core_v1.Service]:
        """Return all services."""

    @abstractmethod
    async def run(self, handler: PodHandler, synced: asyncio.Event) -> Never:
        """Follow for ever; tells the handler of each pod there is first, then sets `synced`."""


class OwnSources(Sources):
    """Watches of one agent's own, as the node authorizer lets it."""

    def __init__(self, client: Client, clock: Clock, node_name: str) -> None:
        self._informers, self._name = InformerFactory(client, clock), node_name
        self._pods = self._informers.informer(core_v1.Pod, field_selector=f"spec.nodeName={node_name}")
        self._nodes = self._informers.informer(core_v1.Node, field_selector=f"metadata.name={node_name}")
        self._services = self._informers.informer(core_v1.Service)

    def pods(self) -> Iterable[core_v1.Pod]:
        return self._pods.cache.list()

    def node(self) -> core_v1.Node | None:
        return self._nodes.cache.get(self._name)

    def services(self) -> Iterable[core_v1.Service]:
        return self._services.cache.list()

    async def run(self, handler: PodHandler, synced: asyncio.Event) -> Never:
        self._pods.add_handler(handler.on_seen, lambda _, pod: handler.on_seen(pod), handler.on_gone)
        self._nodes.add_handler(lambda _: handler.on_node(), lambda *_: handler.on_node())
        async with asyncio.TaskGroup() as group:
            group.create_task(self._informers.run(), name="kubelet informers")
            await self._informers.wait_synced()
            synced.set()
        raise AssertionError("informers run until they are cancelled")


class SharedSources:
    """Three watches for any number of agents, opened with the first of them."""

    def __init__(self, informers: InformerFactory, nodes: SharedInformer[core_v1.Node]) -> None:
        """Follow with informers that somebody runs, and that may list all pods and services; `nodes` has the agents' own."""
        self._informers, self._nodes = informers, nodes
        self._pods: SharedInformer[core_v1.Pod] = informers.informer(core_v1.Pod, field_selector="spec.nodeName!=")
        self._pods.cache.add_index("node", lambda pod: (pod.spec.node_name,))
        self._services = informers.informer(core_v1.Service)
        self._handlers: dict[str, PodHandler] = {}
        self._pods.add_handler(self._seen, lambda _, pod: self._seen(pod), self._gone)
        nodes.add_handler(self._node_seen, lambda _, node: self._node_seen(node))

    def of(self, node_name: str) -> Sources:
        """Return what the agent of one node sees."""
        return _View(self, node_name)

    def pods_of(self, node_name: str) -> Iterable[core_v1.Pod]:
        """Return the pods that are bound to a node."""
        return self._pods.cache.by_index("node", node_name)

    def node(self, name: str) -> core_v1.Node | None:
        """Return a node as last seen."""
        return self._nodes.cache.get(name)

    def services(self) -> Iterable[core_v1.Service]:
        """Return all services."""
        return self._services.cache.list()

    async def join(self, node_name: str, handler: PodHandler) -> None:
        """Tell an agent of its pods from now on, of those there are first."""
        await self._informers.wait_synced()
        self._handlers[node_name] = handler
        for pod in self.pods_of(node_name):
            handler.on_seen(pod)

    def leave(self, node_name: str) -> None:
        """Tell an agent no more."""
        self._handlers.pop(node_name, None)

    def _node_seen(self, node: core_v1.Node) -> None:
        if (handler := self._handlers.get(node.metadata.name)) is not None:
            handler.on_node()

    def _seen(self, pod: core_v1.Pod) -> None:
        if (handler := self._handlers.get(pod.spec.node_name)) is not None:
            handler.on_seen(pod)

    def _gone(self, pod: core_v1.Pod) -> None:
        if (handler := self._handlers.get(pod.spec.node_name)) is not None:
            handler.on_gone(pod)


class _View(Sources):
    """One node's share."""

    def __init__(self, shared: SharedSources, name: str) -> None:
        self._shared, self._name = shared, name

    def pods(self) -> Iterable[core_v1.Pod]:
        return self._shared.pods_of(self._name)

    def node(self) -> core_v1.Node | None:
        return self._shared.node(self._name)

    def services(self) -> Iterable[core_v1.Service]:
        return self._shared.services()

    async def run(self, handler: PodHandler, synced: asyncio.Event) -> Never:
        await self._shared.join(self._name, handler)
        synced.set()
        try:
            await asyncio.Event().wait()
        finally:
            self._shared.leave(self._name)
        raise AssertionError("an agent leaves by cancellation")
