"""A machine as a Node: what it has, what it runs, how it is; and the lease that says it is alive.

The status is computed every 10 s and written when it changed, or after 5 minutes; the lease is renewed every 10 s. Upstream: kubelet
`kubelet_node_status.go`, `nodestatus/setters.go`, component-helpers `lease/controller.go`.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from pinnace.api import coordination_v1, core_v1, meta_v1
from pinnace.client import Client, EventRecorder, PatchType
from pinnace.component.clock import Clock
from pinnace.component.http import HttpError
from pinnace.component.logging import get_logger
from pinnace.kubelet.config import KubeletConfig
from pinnace.kubelet.machine import Machine
from pinnace.kubelet.node_allocatable import allocatable, most_pods
from pinnace.kubelet.runtime import ContainerRuntime, Health, Image, Images, RuntimeFailure
from pinnace.machinery import quantity, timestamps
from pinnace.machinery.errors import AlreadyExists, ApiError, Conflict, NotFound

UPDATE_SECONDS, REPORT_SECONDS, RENEW_SECONDS, LEASE_SECONDS = 10.0, 300.0, 10.0, 40
# Up to this share, the looks at the status and the renewals come later than that: many nodes do not speak all at once.
HEARTBEAT_JITTER = 0.04
LEASE_NAMESPACE = "kube-node-lease"
# How often a renewal is tried before the lease is looked up anew.
_RENEW_TRIES = 5
# After so long without a sign of it the runtime is down.
RUNTIME_DOWN_SECONDS = 30.0
MAX_IMAGES, _MAX_NAMES = 50, 5
_ANNOTATIONS = {"volumes.kubernetes.io/controller-managed-attach-detach": "true"}
# Of each pressure: reason, message and event when it is not there, then when it is.
_PRESSURES = {
    "MemoryPressure": (
        ("KubeletHasSufficientMemory", "kubelet has sufficient memory available", "NodeHasSufficientMemory"),
        ("KubeletHasInsufficientMemory", "kubelet has insufficient memory available", "NodeHasInsufficientMemory"),
    ),
    "DiskPressure": (
        ("KubeletHasNoDiskPressure", "kubelet has no disk pressure", "NodeHasNoDiskPressure"),
        ("KubeletHasDiskPressure", "kubelet has disk pressure", "NodeHasDiskPressure"),
    ),
    "PIDPressure": (
        ("KubeletHasSufficientPID", "kubelet has sufficient PID available", "NodeHasSufficientPID"),
        ("KubeletHasInsufficientPID", "kubelet has insufficient PID available", "NodeHasInsufficientPID"),
    ),
}
_log = get_logger("node-status")


def conditions(
    old: Iterable[core_v1.NodeCondition],
    health: Health | None,
    now: float,
    pressures: frozenset[str] = frozenset(),
    *,
    troubles: Sequence[str] = (),
) -> list[core_v1.NodeCondition]:
    """Return the node's conditions, Ready last; those of others are kept.

    `pressures` are the ones that are true, `troubles` what keeps the node from being ready beside the runtime.
    """
    before = {item.type: item for item in old}
    stamp = timestamps.format(now)
    own = []
    for kind, texts in _PRESSURES.items():
        reason, message, _ = texts[kind in pressures]
        own.append((kind, "True" if kind in pressures else "False", reason, message))
    problems = [*_problems(health), *troubles]
    if problems:
        text = problems[0] if len(problems) == 1 else f"[{', '.join(problems)}]"
        own.append(("Ready", "False", "KubeletNotReady", text))
    else:
        own.append(("Ready", "True", "KubeletReady", "kubelet is posting ready status"))
    names = {kind for kind, *_ in own}
    made = [item for item in before.values() if item.type not in names]
    for kind, value, reason, message in own:
        kept = before.get(kind)
        since = kept.last_transition_time if kept is not None and kept.status == value else stamp
        made.append(
            core_v1.NodeCondition(
                type=kind,
                status=value,
                reason=reason,
                message=message,
                last_heartbeat_time=stamp,
                last_transition_time=since,
            )
        )
    return made


def _problems(health: Health | None) -> list[str]:
    if health is None:
        return ["container runtime is down"]
    found = []
    if health.runtime_reason:
        found.append(f"container runtime not ready: {health.runtime_reason}")
    if health.network_reason:
        found.append(f"container runtime network not ready: {health.network_reason}")
    return found


class NodeStatus:
    """Registers the node and keeps its status and lease."""

    def __init__(
        self,
        config: KubeletConfig,
        client: Client,
        clock: Clock,
        runtime: ContainerRuntime,
        images: Images,
        machine: Machine,
        events: EventRecorder,
    ) -> None:
        self._config, self._client, self._clock = config, client, clock
        self._runtime, self._images, self._machine, self._events = runtime, images, machine, events
        self._reported = 0.0
        self._images_seen: Sequence[Image] = ()
        self._heard_of_runtime = -math.inf
        self._lease: coordination_v1.Lease | None = None
        self.health: Health | None = None
        # The pressures that are there; set by who watches over them.
        self.pressures: Callable[[], frozenset[str]] = frozenset
        # What else keeps the node from being ready; set by who knows.
        self.troubles: Callable[[], Sequence[str]] = tuple
        self.node: core_v1.Node | None = None
        has = machine.capacity()
        has = {**has, "pods": most_pods(has, config)}
        # Written as the API server writes them: another spelling would look like a change at every look.
        self.capacity, self.allocatable = _canonical(has), _canonical(allocatable(has, config))

    async def register(self, seen: core_v1.Node | None = None) -> core_v1.Node:
        """Create the Node, or take over the one of this name, `seen` when it is known already; tries until it works."""
        delay = 0.1
        while True:
            try:
                return await self._register(seen)
            except (ApiError, HttpError, OSError, TimeoutError) as error:
                _log.warning("node not registered yet", node=self._config.node_name, error=str(error))
                await self._clock.sleep(delay)
                seen, delay = None, min(delay * 2, 7.0)

    async def _register(self, seen: core_v1.Node | None) -> core_v1.Node:
        name = self._config.node_name
        wanted = core_v1.Node(
            metadata=meta_v1.ObjectMeta(name=name, labels=self._labels(), annotations=self._annotations())
        )
        try:
            if seen is None:
                self.node = await self._client.create(replace(wanted, status=await self._status(wanted)))
            else:
                await self._adopt(seen)
        except AlreadyExists:
            await self._adopt(await self._client.get(core_v1.Node, name))
        assert self.node is not None
        self._announce(core_v1.Node())
        return self.node

    async def _adopt(self, found: core_v1.Node) -> None:
        """Take over a Node that is there: its labels and annotations are completed, its status is this machine's."""
        self.node = found
        labels = _missing(found.metadata.labels, self._labels())
        annotations = _missing(found.metadata.annotations, self._annotations())
        metadata = {key: value for key, value in (("labels", labels), ("annotations", annotations)) if value}
        await self._write(await self._status(self.node), metadata)
        booted, before = self._machine.info().boot_id, found.status.node_info.boot_id
        if before and before != booted:
            name = self._config.node_name
            text = f"Node {name} has been rebooted, boot id: {booted}"
            self._events.event(about(name), "Warning", "Rebooted", text)

    async def update(self, seen: core_v1.Node | None) -> core_v1.Node:
        """Look at the machine and write its status where it changed; returns the node as stored.

        `seen` is the node as the caller follows it, which may be a little old.
        """
        self.node = seen if seen is not None else await self.read()
        old, status = self.node, await self._status(self.node)
        due = self._clock.monotonic() - self._reported >= REPORT_SECONDS
        if due or _without_heartbeats(status) != _without_heartbeats(self.node.status):
            await self._write(status)
            self._announce(old)
        return self.node

    async def read(self) -> core_v1.Node:
        """Return the node as it is stored now."""
        self.node = await self._client.get(core_v1.Node, self._config.node_name)
        return self.node

    async def renew_lease(self) -> None:
        """Say that this node is alive; writes what it wrote last, and reads only when that was not the last word.

        What fails is tried again at once, a few times: a request that is lost now and then must not cost a whole period. Without a Node
        there is nobody to speak for.
        """
        if self.node is None:
            return
        for _ in range(_RENEW_TRIES if self._lease is not None else 0):
            try:
                await self._put_lease()
            except Conflict:
                self._lease = await self._client.get(coordination_v1.Lease, self._config.node_name, LEASE_NAMESPACE)
            except NotFound:
                break
            except (ApiError, HttpError) as error:
                _log.warning("lease not renewed", error=str(error))
            else:
                return
        self._lease = None
        await self._ensure_lease(self.node)

    async def _ensure_lease(self, node: core_v1.Node) -> None:
        """Create the lease, or take over the one that is there."""
        name = self._config.node_name
        owner = meta_v1.OwnerReference(api_version="v1", kind="Node", name=name, uid=node.metadata.uid)
        metadata = meta_v1.ObjectMeta(name=name, namespace=LEASE_NAMESPACE, owner_references=(owner,))
        made = coordination_v1.Lease(metadata=metadata, spec=self._lease_spec(coordination_v1.LeaseSpec()))
        try:
            self._lease = await self._client.create(made)
        except AlreadyExists:
            self._lease = await self._client.get(coordination_v1.Lease, name, LEASE_NAMESPACE)
            await self._put_lease()

    async def _put_lease(self) -> None:
        lease = self._lease
        assert lease is not None
        self._lease = await self._client.update(replace(lease, spec=self._lease_spec(lease.spec)))

    def _lease_spec(self, spec: coordination_v1.LeaseSpec) -> coordination_v1.LeaseSpec:
        return replace(
            spec,
            holder_identity=self._config.node_name,
            lease_duration_seconds=LEASE_SECONDS,
            renew_time=timestamps.format_micro(self._clock.time()),
        )

    async def _write(self, status: core_v1.NodeStatus, metadata: Mapping[str, Any] | None = None) -> None:
        """Store what differs from the status last seen, and what is missing of the metadata, which the path of the status takes, too.

        Whoever else writes to the node keeps what it wrote.
        """
        assert self.node is not None
        patch: dict[str, Any] = {"status": _difference(self.node.status, status)}
        if metadata:
            patch["metadata"] = metadata
        name, kind = self._config.node_name, PatchType.STRATEGIC
        self.node = await self._client.patch(core_v1.Node, name, patch, type=kind, subresource="status")
        self._reported = self._clock.monotonic()

    async def _status(self, node: core_v1.Node) -> core_v1.NodeStatus:
        try:
            self.health = await self._runtime.health()
            self._heard_of_runtime = self._clock.monotonic()
            self._images_seen = await self._images.images()
        except RuntimeFailure as error:
            _log.warning("container runtime does not answer", error=str(error))
            # One that is started anew is soon there again: its node stays what it was until then.
            if self._clock.monotonic() - self._heard_of_runtime >= RUNTIME_DOWN_SECONDS:
                self.health = None
        ip, name = self._config.node_ip, self._config.node_name
        return replace(
            node.status,
            addresses=(
                core_v1.NodeAddress(type="InternalIP", address=ip),
                core_v1.NodeAddress(type="Hostname", address=name),
            ),
            capacity={**node.status.capacity, **self.capacity},
            allocatable={**node.status.allocatable, **self.allocatable},
            node_info=replace(
                self._machine.info(),
                container_runtime_version=self.health.version if self.health is not None else "Unknown",
                kubelet_version=self._config.version,
            ),
            daemon_endpoints=core_v1.NodeDaemonEndpoints(
                kubelet_endpoint=core_v1.DaemonEndpoint(port=self._config.port)
            ),
            images=_image_list(self._images_seen),
            conditions=tuple(
                conditions(
                    node.status.conditions,
                    self.health,
                    self._clock.time(),
                    self.pressures(),
                    troubles=self.troubles(),
                )
            ),
        )

    def _annotations(self) -> dict[str, str]:
        return {**_ANNOTATIONS, **self._config.node_annotations}

    def _labels(self) -> dict[str, str]:
        machine = self._machine.info().architecture
        return {
            "kubernetes.io/hostname": self._config.node_name,
            "kubernetes.io/os": "linux",
            "kubernetes.io/arch": machine,
            "beta.kubernetes.io/os": "linux",
            "beta.kubernetes.io/arch": machine,
            **self._config.node_labels,
        }

    def _announce(self, old: core_v1.Node) -> None:
        """Send the events that a change of conditions calls for."""
        assert self.node is not None
        name = self._config.node_name
        node = about(name)
        before = {item.type: item.status for item in old.status.conditions}
        after = {item.type: item.status for item in self.node.status.conditions}
        for kind, texts in _PRESSURES.items():
            if before.get(kind) != after.get(kind):
                reason = texts[after.get(kind) == "True"][2]
                self._events.event(node, "Normal", reason, f"Node {name} status is now: {reason}")
        now = after.get("Ready", "")
        if "Ready" in before and before["Ready"] != now:
            reason = "NodeReady" if now == "True" else "NodeNotReady"
            self._events.event(node, "Normal", reason, f"Node {name} status is now: {reason}")


def about(name: str) -> core_v1.Node:
    """Return a node as events are about it: by its name, which stands for its UID, too."""
    return core_v1.Node(kind="Node", api_version="v1", metadata=meta_v1.ObjectMeta(name=name, uid=name))


def _canonical(amounts: Mapping[str, str]) -> dict[str, str]:
    return {name: quantity.canonical(amount) for name, amount in amounts.items()}


def _missing(there: Mapping[str, str], wanted: Mapping[str, str]) -> dict[str, str]:
    return {key: value for key, value in wanted.items() if there.get(key) != value}


def _difference(old: core_v1.NodeStatus, new: core_v1.NodeStatus) -> dict[str, Any]:
    """Return the strategic patch from one status to another. Upstream: component-helpers `node/util/status.go`."""
    patch: dict[str, Any] = {}
    for field, wire in zip(new.__struct_fields__, new.__struct_encode_fields__, strict=True):
        value = getattr(new, field)
        if value == getattr(old, field):
            continue
        if field == "conditions":
            value = [item for item in new.conditions if item not in old.conditions]
        elif field == "addresses":
            # Addresses of one type would be merged into each other.
            value = [{"$patch": "replace"}, *new.addresses]
        patch[wire] = value or None
    return patch


def _without_heartbeats(status: core_v1.NodeStatus) -> core_v1.NodeStatus:
    plain = sorted((replace(item, last_heartbeat_time=None) for item in status.conditions), key=lambda item: item.type)
    return replace(status, conditions=tuple(plain))


def _image_list(present: Sequence[Image]) -> tuple[core_v1.ContainerImage, ...]:
    largest = sorted(present, key=lambda image: -image.size_bytes)[:MAX_IMAGES]
    return tuple(
        core_v1.ContainerImage(names=(*image.digests, *image.tags)[:_MAX_NAMES], size_bytes=image.size_bytes)
        for image in largest
    )
