"""A node with containers: its containerd, images, network, DNS, service proxy and kubelet, as one block inside a process.

    containerd ▷ images ▷ DNS ▷ CRI ▷ routes and service proxy ▷ kubelet ▷ its HTTPS server

The process is the server for the node on the server's own machine, and an agent for every other; a `Membership` says what differs. While
the block lasts, containerd and DNS are started anew should they end; when it ends they stay, as containers, rules and routes do, and the
next block finds them. Who may use the kubelet's server is the API server's to say.
"""

import asyncio
import hashlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Never

from msgspec import Struct, field

from pinnace.client import Client, InformerFactory
from pinnace.cluster import cni, logind
from pinnace.cluster.cluster_dns import DnsFiles, NodeDns
from pinnace.cluster.config import CLUSTER_DOMAIN, DNS_ADDRESS
from pinnace.cluster.containerd_config import ContainerdPaths
from pinnace.cluster.node_runtime import NodeRuntime
from pinnace.cluster.ports import KUBELET_PORT, free_port
from pinnace.cluster.server_state import ClusterError
from pinnace.cluster.service_proxy import service_proxy
from pinnace.cluster.static_pod_rules import complete
from pinnace.component.clock import Clock
from pinnace.component.http import Handler
from pinnace.component.http.server import serve
from pinnace.component.identity import Identity
from pinnace.component.lifecycle import running
from pinnace.component.tls import KeyPair
from pinnace.controllers.dns_endpoints import PORTS_ANNOTATION
from pinnace.kubelet import Kubelet, KubeletConfig
from pinnace.kubelet.config_file import ConfigFileError, load
from pinnace.kubelet.cri import CriRuntime
from pinnace.kubelet.static_pods import PodFolder
from pinnace.network.netlink import KernelRoutes
from pinnace.network.nftables import NftCommand
from pinnace.network.node_condition import report_network_up
from pinnace.network.pod_routes import PodRoutes

# Before a lock of logind is asked for again, which it refuses while the machine goes down.
_LOGIND_SECONDS = 5.0
# One pod that makes processes without end must not take all of the machine's; upstream has no limit of its own.
_POD_PIDS_LIMIT = 4096


class NodeFiles(Struct, frozen=True):
    """Where a node keeps its things, below the folder of its cluster or agent.

    `archives` is where images are imported from; a user may put pods of the node's own into `static_pods`, and
    its settings into `kubelet_config`.
    """

    root: Path
    archives: Path

    @property
    def containerd(self) -> ContainerdPaths:
        return ContainerdPaths(self.root / "containerd")

    @property
    def dns(self) -> DnsFiles:
        return DnsFiles(self.root / "dns")

    @property
    def kubelet(self) -> Path:
        return self.root / "kubelet"

    @property
    def kubelet_config(self) -> Path:
        return self.root / "kubelet.yaml"

    @property
    def static_pods(self) -> Path:
        return self.root / "manifests"

    @property
    def pod_logs(self) -> Path:
        return self.root / "pods-logs"

    @property
    def network(self) -> cni.PodNetwork:
        return cni.pod_network(self.root)

    @property
    def cgroup(self) -> str:
        return f"/{self.network.name}"


class Membership(Struct, frozen=True):
    """How a node belongs to its cluster.

    Attributes:
        name, address: what it is called, and where the others reach it.
        server, ca_pem: the API server as processes of their own reach it, and whom to believe about it.
        new_client: a client that calls as the node, by its user agent.
        network_client: the one for routes and the service proxy.
        serving: gives the context of the kubelet's server, once the node is known to the cluster.
        issue_dns: a certificate that may read what names are made of.
        labels: what the node says of itself beyond the usual.
    """

    name: str
    address: str
    server: str
    ca_pem: bytes
    new_client: Callable[[str], Client]
    network_client: Client
    serving: Callable[[], Awaitable[ssl.SSLContext]]
    issue_dns: Callable[[], KeyPair]
    labels: dict[str, str] = field(default_factory=dict)


@asynccontextmanager
async def node(
    files: NodeFiles, containers: NodeRuntime, member: Membership, clock: Clock, identity: Identity, version: str
) -> AsyncIterator[Handler]:
    """Run this machine, whose containerd runs, as a node while the body runs; gives its kubelet.

    Raises:
        ClusterError: the file of the node's settings cannot be obeyed.
    """
    paths = files.containerd
    dns = NodeDns(files.dns, clock, host=member.address, service_address=DNS_ADDRESS)
    dns_ports = await dns.start(member.server, member.ca_pem, member.issue_dns)
    port, nft = free_port(KUBELET_PORT), NftCommand.find()

    def follow(pod_cidr: str) -> None:
        cni.write(paths.cni_conf, paths.cni_data, files.network, pod_cidr, masquerade=nft is None)

    config = _settings(
        files,
        KubeletConfig(
            node_name=member.name,
            node_ip=member.address,
            root_dir=files.kubelet,
            log_dir=files.pod_logs,
            cgroup_root=files.cgroup,
            cluster_dns=(DNS_ADDRESS,),
            cluster_domain=CLUSTER_DOMAIN,
            port=port,
            version=version,
            kept_images=containers.images.kept,
            node_labels=member.labels,
            node_annotations={PORTS_ANNOTATION: ",".join(map(str, dns_ports))},
            static_pod_path=files.static_pods,
            pod_pids_limit=_POD_PIDS_LIMIT,
        ),
    )
    async with (
        CriRuntime(str(paths.socket)) as runtime,
        running("containerd", containers.daemon.keep),
        running("dns", dns.keep),
        _network(files.network, member, clock, nft),
    ):
        kubelet = Kubelet(
            config,
            member.new_client("kubelet"),
            clock,
            identity,
            runtime,
            static=PodFolder(config.static_pod_path, member.name, clock, complete) if config.static_pod_path else None,
            on_pod_cidr=follow,
        )
        async with (
            running("kubelet", kubelet.run),
            serve(kubelet.handle, "0.0.0.0", port, ssl_context=await member.serving(), clock=clock),  # noqa: S104 - as upstream's
            _graceful_shutdown(kubelet, config, clock),
        ):
            yield kubelet.handle


def _settings(files: NodeFiles, usual: KubeletConfig) -> KubeletConfig:
    try:
        return load(files.kubelet_config, usual)
    except ConfigFileError as error:
        raise ClusterError(str(error)) from error


@asynccontextmanager
async def _graceful_shutdown(kubelet: Kubelet, config: KubeletConfig, clock: Clock) -> AsyncIterator[None]:
    """End the pods before the machine goes down, if that is configured: when logind says so, or without it when the body ends."""
    if not config.shutdown_groups:
        yield
    elif logind.is_there():
        async with running("node shutdown", lambda: _follow_logind(kubelet, clock)):
            yield
    else:
        try:
            yield
        finally:
            await kubelet.shut_down()


async def _follow_logind(kubelet: Kubelet, clock: Clock) -> Never:
    while True:
        async with aclosing(logind.announcements()) as announcements:
            async for goes_down in announcements:
                if goes_down:
                    await kubelet.shut_down()
                    break
                await kubelet.call_off_shutdown()
        await clock.sleep(_LOGIND_SECONDS)


@asynccontextmanager
async def _network(
    network: cni.PodNetwork, member: Membership, clock: Clock, nft: NftCommand | None
) -> AsyncIterator[None]:
    """Keep the node's routes and Services while the body runs."""
    informers = InformerFactory(member.network_client, clock)
    reporter = member.new_client("pinnace-network")
    async with asyncio.TaskGroup() as group:
        reporting: list[asyncio.Task[None]] = []

        def report() -> None:
            reporting.append(
                group.create_task(report_network_up(reporter, clock, member.name), name="network condition")
            )

        routes = PodRoutes(
            informers,
            clock,
            KernelRoutes(network.metric, network.tunnel, network_id(member.ca_pem)),
            nft,
            node=member.name,
            table=network.masquerading,
            on_ready=report,
        )
        async with (
            service_proxy(informers, clock, member.name, network, nft),
            running("pod routes", routes.run),
            running("network informers", informers.run),
        ):
            try:
                yield
            finally:
                for task in reporting:
                    task.cancel()


def network_id(ca_pem: bytes) -> int:
    """Return the number of a cluster's VXLAN, the same on all of its nodes: 24 bits of what only they have in common."""
    return int.from_bytes(hashlib.sha256(ca_pem).digest()[:3]) or 1
