"""This machine as a Node: what it has, what it runs, how it is; and the lease that says it is alive.

The status is computed every 10 s and written when it changed, or after 5 minutes; the lease is renewed every 10 s. Upstream: kubelet
`kubelet_node_status.go`, `nodestatus/setters.go`, component-helpers `lease/controller.go`.
"""

import os
import platform
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from msgspec.structs import replace

from pinnace.api import coordination_v1, core_v1, meta_v1
from pinnace.client import Client, EventRecorder
from pinnace.component.clock import Clock
from pinnace.component.logging import get_logger
from pinnace.kubelet.config import KubeletConfig
from pinnace.kubelet.runtime import ContainerRuntime, Health, Image, Images, RuntimeFailure
from pinnace.machinery import timestamps
from pinnace.machinery.errors import AlreadyExists, ApiError, NotFound

UPDATE_SECONDS, REPORT_SECONDS, LEASE_SECONDS = 10.0, 300.0, 40
LEASE_NAMESPACE = "kube-node-lease"
_MAX_IMAGES, _MAX_NAMES = 50, 5
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
_PRESSURES = (
    (
        "MemoryPressure",
        "KubeletHasSufficientMemory",
        "kubelet has sufficient memory available",
        "NodeHasSufficientMemory",
    ),
    ("DiskPressure", "KubeletHasNoDiskPressure", "kubelet has no disk pressure", "NodeHasNoDiskPressure"),
    ("PIDPressure", "KubeletHasSufficientPID", "kubelet has sufficient PID available", "NodeHasSufficientPID"),
)
_log = get_logger("node-status")


def capacity(config: KubeletConfig) -> dict[str, str]:
    """Return what the machine has."""
    memory = next(
        (line.split()[1] for line in _read("/proc/meminfo").splitlines() if line.startswith("MemTotal:")), "0"
    )
    disk = os.statvfs(config.root_dir)
    return {
        "cpu": str(os.cpu_count() or 1),
        "ephemeral-storage": f"{disk.f_blocks * disk.f_frsize // 1024}Ki",
        "hugepages-1Gi": "0",
        "hugepages-2Mi": "0",
        "memory": f"{memory}Ki",
        "pods": str(config.max_pods),
    }


def allocatable(has: Mapping[str, str]) -> dict[str, str]:
    """Return what pods may ask for: all but the memory and disk that evictions keep free."""
    disk = int(has["ephemeral-storage"].removesuffix("Ki")) * 1024
    memory = int(has["memory"].removesuffix("Ki"))
    return {**has, "ephemeral-storage": str(disk - disk // 10), "memory": f"{max(0, memory - 100 * 1024)}Ki"}


def conditions(old: Iterable[core_v1.NodeCondition], health: Health | None, now: float) -> list[core_v1.NodeCondition]:
    """Return the node's conditions, Ready last; those of others are kept."""
    before = {item.type: item for item in old}
    stamp = timestamps.format(now)
    own = [(kind, "False", reason, message) for kind, reason, message, _ in _PRESSURES]
    problems = _problems(health)
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
        events: EventRecorder,
    ) -> None:
        self._config, self._client, self._clock = config, client, clock
        self._runtime, self._images, self._events = runtime, images, events
        self._reported = 0.0
        self.health: Health | None = None
        self.node: core_v1.Node | None = None
        has = capacity(config)
        self.capacity, self.allocatable = has, allocatable(has)

    async def register(self) -> core_v1.Node:
        """Create the Node, or take over the one of this name; tries until it works."""
        delay = 0.1
        while True:
            try:
                return await self._register()
            except ApiError as error:
                _log.warning("node not registered yet", node=self._config.node_name, error=str(error))
                await self._clock.sleep(delay)
                delay = min(delay * 2, 7.0)

    async def _register(self) -> core_v1.Node:
        name = self._config.node_name
        wanted = core_v1.Node(
            metadata=meta_v1.ObjectMeta(
                name=name,
                labels=self._labels(),
                annotations={"volumes.kubernetes.io/controller-managed-attach-detach": "true"},
            )
        )
        status = await self._status(wanted)
        try:
            self.node = await self._client.create(replace(wanted, status=status))
        except AlreadyExists:
            self.node = await self._client.get(core_v1.Node, name)
            labels = {**(self.node.metadata.labels or {}), **self._labels()}
            if labels != self.node.metadata.labels:
                metadata = replace(self.node.metadata, labels=labels)
                self.node = await self._client.update(replace(self.node, metadata=metadata))
            await self._write(await self._status(self.node))
        self._announce(core_v1.Node())
        return self.node

    async def update(self) -> core_v1.Node:
        """Look at the machine and write its status where it changed; returns the node as stored."""
        self.node = await self._client.get(core_v1.Node, self._config.node_name)
        old, status = self.node, await self._status(self.node)
        due = self._clock.monotonic() - self._reported >= REPORT_SECONDS
        if due or _without_heartbeats(status) != _without_heartbeats(self.node.status):
            await self._write(status)
            self._announce(old)
        return self.node

    async def renew_lease(self) -> None:
        """Say that this node is alive."""
        name, now = self._config.node_name, timestamps.format_micro(self._clock.time())
        try:
            lease = await self._client.get(coordination_v1.Lease, name, LEASE_NAMESPACE)
            spec = replace(lease.spec, holder_identity=name, lease_duration_seconds=LEASE_SECONDS, renew_time=now)
            await self._client.update(replace(lease, spec=spec))
        except NotFound:
            if self.node is None:
                return
            owner = meta_v1.OwnerReference(api_version="v1", kind="Node", name=name, uid=self.node.metadata.uid)
            spec = coordination_v1.LeaseSpec(holder_identity=name, lease_duration_seconds=LEASE_SECONDS, renew_time=now)
            metadata = meta_v1.ObjectMeta(name=name, namespace=LEASE_NAMESPACE, owner_references=(owner,))
            await self._client.create(coordination_v1.Lease(metadata=metadata, spec=spec))

    async def _write(self, status: core_v1.NodeStatus) -> None:
        assert self.node is not None
        self.node = await self._client.update(replace(self.node, status=status), subresource="status")
        self._reported = self._clock.monotonic()

    async def _status(self, node: core_v1.Node) -> core_v1.NodeStatus:
        try:
            self.health = await self._runtime.health()
            present: Sequence[Image] = await self._images.images()
        except RuntimeFailure as error:
            _log.warning("container runtime does not answer", error=str(error))
            self.health, present = None, ()
        ip, name = self._config.node_ip, self._config.node_name
        return replace(
            node.status,
            addresses=(
                core_v1.NodeAddress(type="InternalIP", address=ip),
                core_v1.NodeAddress(type="Hostname", address=name),
            ),
            capacity={**node.status.capacity, **self.capacity},
            allocatable={**node.status.allocatable, **self.allocatable},
            node_info=_node_info(self._config.version, self.health),
            daemon_endpoints=core_v1.NodeDaemonEndpoints(
                kubelet_endpoint=core_v1.DaemonEndpoint(port=self._config.port)
            ),
            images=_image_list(present),
            conditions=tuple(conditions(node.status.conditions, self.health, self._clock.time())),
        )

    def _labels(self) -> dict[str, str]:
        machine = _architecture()
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
        about = core_v1.Node(kind="Node", api_version="v1", metadata=meta_v1.ObjectMeta(name=name, uid=name))
        before = {item.type: item.status for item in old.status.conditions}
        for kind, _, _, reason in _PRESSURES:
            if kind not in before:
                self._events.event(about, "Normal", reason, f"Node {name} status is now: {reason}")
        now = next((item.status for item in self.node.status.conditions if item.type == "Ready"), "")
        if "Ready" in before and before["Ready"] != now:
            reason = "NodeReady" if now == "True" else "NodeNotReady"
            self._events.event(about, "Normal", reason, f"Node {name} status is now: {reason}")


def _without_heartbeats(status: core_v1.NodeStatus) -> core_v1.NodeStatus:
    plain = sorted((replace(item, last_heartbeat_time=None) for item in status.conditions), key=lambda item: item.type)
    return replace(status, conditions=tuple(plain))


def _node_info(version: str, health: Health | None) -> core_v1.NodeSystemInfo:
    release = dict(line.split("=", 1) for line in _read("/etc/os-release").splitlines() if "=" in line)
    return core_v1.NodeSystemInfo(
        machine_id=(_read("/etc/machine-id") or _read("/var/lib/dbus/machine-id")).strip(),
        system_uuid=_read("/sys/class/dmi/id/product_uuid").strip(),
        boot_id=_read("/proc/sys/kernel/random/boot_id").strip(),
        kernel_version=platform.release(),
        os_image=release.get("PRETTY_NAME", "Linux").strip('"'),
        container_runtime_version=health.version if health is not None else "Unknown",
        kubelet_version=version,
        operating_system="linux",
        architecture=_architecture(),
    )


def _image_list(present: Sequence[Image]) -> tuple[core_v1.ContainerImage, ...]:
    largest = sorted(present, key=lambda image: -image.size_bytes)[:_MAX_IMAGES]
    return tuple(
        core_v1.ContainerImage(names=(*image.digests, *image.tags)[:_MAX_NAMES], size_bytes=image.size_bytes)
        for image in largest
    )


def _architecture() -> str:
    machine = platform.machine()
    return _ARCHITECTURES.get(machine, machine)


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
