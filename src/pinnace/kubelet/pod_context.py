"""One pod as the parts of its worker see it, and what all pods of a node share."""

from collections.abc import Awaitable, Callable, Iterable, Mapping

from msgspec import Struct

from pinnace.api import core_v1
from pinnace.client import Client, EventRecorder
from pinnace.component.clock import Clock
from pinnace.kubelet.admission import Refusal
from pinnace.kubelet.cgroups import PodCgroups
from pinnace.kubelet.config import KubeletConfig
from pinnace.kubelet.environment import PodFacts, Source
from pinnace.kubelet.handlers import Handlers
from pinnace.kubelet.images import ImageManager
from pinnace.kubelet.pleg import Pleg
from pinnace.kubelet.pod_containers import everyone, find
from pinnace.kubelet.pod_files import PodFiles
from pinnace.kubelet.prober import Prober
from pinnace.kubelet.runtime import ContainerRuntime, Instance, PodRecord, State
from pinnace.kubelet.status_manager import StatusManager

# Of all containers of a pod together, upstream's limit.
_LAST_WORDS_BYTES = 12288


class Node(Struct, frozen=True, kw_only=True):
    """What all workers of a node share."""

    config: KubeletConfig
    client: Client
    clock: Clock
    runtime: ContainerRuntime
    images: ImageManager
    files: PodFiles
    cgroups: PodCgroups
    source: Source
    events: EventRecorder
    handlers: Handlers
    pleg: Pleg
    prober: Prober
    statuses: StatusManager
    services: Callable[[], Iterable[core_v1.Service]]
    network_reason: Callable[[], str]
    runtime_name: Callable[[], str]
    allocatable: Mapping[str, str]
    # When the agent began, in seconds since the epoch.
    began_at: float
    admit: Callable[[core_v1.Pod], Awaitable[Refusal | None]]


class PodContext:
    """One pod: its latest version, what the runtime has of it, and why containers wait."""

    def __init__(self, node: Node, pod: core_v1.Pod) -> None:
        self.node, self.pod = node, pod
        # Reason and message by container.
        self.waiting: dict[str, tuple[str, str]] = {}
        self._last_words: dict[str, str] = {}

    @property
    def uid(self) -> str:
        return self.pod.metadata.uid

    @property
    def record(self) -> PodRecord:
        """What the runtime has of the pod, as last seen."""
        return self.node.pleg.record(self.uid)

    @property
    def full_name(self) -> str:
        """The pod as upstream's messages name it."""
        meta = self.pod.metadata
        return f"{meta.name}_{meta.namespace}({meta.uid})"

    async def refresh(self) -> None:
        """Look at the runtime."""
        await self.node.pleg.refresh(self.uid)

    def latest(self, name: str) -> Instance | None:
        """Return the newest run of a container in the newest sandbox."""
        record = self.record
        sandbox = record.sandbox
        return next((run for run in record.of(name) if sandbox is not None and run.sandbox_id == sandbox.id), None)

    def last_words(self) -> Mapping[str, str]:
        """Return the termination messages of all runs that have ended, by their IDs; each is read once."""
        found = {}
        for run in self.record.instances:
            if run.state is not State.EXITED:
                continue
            text = self._last_words.get(run.id)
            if text is None:
                text = self.node.files.message(self.pod, run)
                text = f"{run.message}: {text}" if run.message and text else text or run.message
                text = text[: _LAST_WORDS_BYTES // max(len(list(everyone(self.pod))), 1)]
            found[run.id] = text
        self._last_words = found
        return found

    def ips(self) -> tuple[str, ...]:
        """Return the pod's addresses; none before it has a sandbox."""
        if self.pod.spec.host_network:
            return (self.node.config.node_ip,)
        sandbox = self.record.sandbox
        return sandbox.ips if sandbox is not None else ()

    def facts(self) -> PodFacts:
        """Return what the pod may know of where it runs."""
        config = self.node.config
        return PodFacts(self.pod, config.node_name, config.node_ip, self.ips(), self.node.allocatable)

    def grace_seconds(self) -> int:
        """Return how long the pod may take to end."""
        meta, spec = self.pod.metadata, self.pod.spec
        if meta.deletion_grace_period_seconds is not None:
            return max(meta.deletion_grace_period_seconds, 1)
        return spec.termination_grace_period_seconds if spec.termination_grace_period_seconds is not None else 30

    def event(self, kind: str, reason: str, message: str, container: str = "") -> None:
        """Record an event about the pod, or about one of its containers."""
        found = find(self.pod, container) if container else None
        path = f"spec.{found[0]}{{{container}}}" if found is not None else ""
        self.node.events.event(self.pod, kind, reason, message, field_path=path)
