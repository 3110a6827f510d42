"""The node that this machine is: its containerd, images, network and kubelet, as one block inside the server's.

    containerd ▷ images ▷ DNS ▷ CRI ▷ service proxy ▷ kubelet and its HTTPS server

When the block ends, containerd, containers, DNS and the proxy's rules stay; the next block finds them. Who may use the kubelet's
server is the API server's to say.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from pinnace.client import Client, InProcessTransport
from pinnace.cluster import cni
from pinnace.cluster.certificates import Certificates
from pinnace.cluster.cluster_dns import DnsFiles, NodeDns
from pinnace.cluster.config import CLUSTER_DOMAIN, DNS_ADDRESS
from pinnace.cluster.containerd import Containerd
from pinnace.cluster.containerd_config import ContainerdPaths, detect
from pinnace.cluster.images import Images
from pinnace.cluster.node_readiness import node_name
from pinnace.cluster.pki import MASTERS, ClusterPki, local_addresses
from pinnace.cluster.ports import KUBELET_PORT, free_port
from pinnace.cluster.service_proxy import service_proxy
from pinnace.component.clock import Clock
from pinnace.component.http import Handler, UserInfo
from pinnace.component.http.server import serve
from pinnace.component.identity import Identity
from pinnace.component.logging import get_logger
from pinnace.component.tls import KeyPair
from pinnace.kubelet import Kubelet, KubeletConfig
from pinnace.kubelet.cri import CriRuntime
from pinnace.network.node_condition import report_network_up

_log = get_logger("cluster")


@dataclass(frozen=True, slots=True)
class NodeFiles:
    """Where a node keeps its things, below the cluster's folder."""

    root: Path

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
    def pod_logs(self) -> Path:
        return self.root / "pods-logs"

    @property
    def archives(self) -> Path:
        return self.root / "images"

    @property
    def network(self) -> cni.PodNetwork:
        return cni.pod_network(self.root)

    @property
    def cgroup(self) -> str:
        return f"/{self.network.name}"


@asynccontextmanager
async def node(
    files: NodeFiles,
    certificates: Certificates,
    handler: Handler,
    clock: Clock,
    identity: Identity,
    version: str,
    url: str,
) -> AsyncIterator[Handler]:
    """Run this machine as a node while the body runs; gives its kubelet. The API server answers at `url`, too.

    Raises:
        ContainerdError: the runtime cannot be started, or its images cannot be made.
    """
    paths, name = files.containerd, node_name()
    await Containerd(paths, detect(), clock).start()
    images = Images(paths, files.archives)
    imported = await images.import_new()
    for failure in imported.failures:
        _log.warning("image archive left out", reason=failure)
    address = next(iter(local_addresses()), "127.0.0.1")

    admin = Client(InProcessTransport(handler, UserInfo("kubernetes-admin", groups=(MASTERS,))))
    dns = NodeDns(files.dns, clock, node=name, host=address, service_address=DNS_ADDRESS)
    await dns.announce(admin, await dns.start(certificates.pki, url))

    user = UserInfo(f"system:node:{name}", groups=("system:nodes", "system:authenticated"))
    network_client = Client(InProcessTransport(handler, user), user_agent="pinnace-network")
    async with CriRuntime(str(paths.socket)) as runtime, asyncio.TaskGroup() as group:

        def follow(pod_cidr: str) -> None:
            cni.write(paths.cni_conf, paths.cni_data, files.network, pod_cidr)
            group.create_task(report_network_up(network_client, clock, name), name="network condition")

        def issue(pki: ClusterPki) -> KeyPair:
            subject = f"system:node:{name}"
            return pki.authority.issue_server(subject, [name, address], clock.time(), organizations=["system:nodes"])

        port = free_port(KUBELET_PORT)
        kubelet = Kubelet(
            KubeletConfig(
                node_name=name,
                node_ip=address,
                root_dir=files.kubelet,
                log_dir=files.pod_logs,
                cgroup_root=files.cgroup,
                cluster_dns=(DNS_ADDRESS,),
                cluster_domain=CLUSTER_DOMAIN,
                port=port,
                version=version,
                kept_images=images.kept,
            ),
            Client(InProcessTransport(handler, user), user_agent="kubelet"),
            clock,
            identity,
            runtime,
            on_pod_cidr=follow,
        )
        context = certificates.serving(issue)
        async with (
            service_proxy(handler, clock, name, files.network),
            serve(kubelet.handle, "0.0.0.0", port, ssl_context=context, clock=clock),  # noqa: S104 - as upstream's
        ):
            task = group.create_task(kubelet.run(), name="kubelet")
            try:
                yield kubelet.handle
            finally:
                task.cancel()
