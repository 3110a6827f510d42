"""Cluster DNS on a node: the process, its identity, and the Service that leads to it.

Each node has a DNS process of its own that outlives the server, so names resolve while the control plane is away. The Service
`kube-dns` keeps its traffic on the node (internalTrafficPolicy Local), and each node has a slice of its own with its process in it.
Names and labels are those of the usual add-on, which tools look for. Upstream: cmd/kubeadm/app/phases/addons/dns.
"""

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from pinnace.api.core_v1 import Service, ServiceAccount, ServicePort, ServiceSpec
from pinnace.api.discovery_v1 import Endpoint, EndpointConditions, EndpointPort, EndpointSlice
from pinnace.api.meta_v1 import ObjectMeta
from pinnace.api.rbac_v1 import ClusterRole, ClusterRoleBinding, PolicyRule, RoleRef, Subject
from pinnace.client import Client
from pinnace.cluster.detached import Detached
from pinnace.cluster.pki import ClusterPki
from pinnace.cluster.ports import free_port
from pinnace.component.clock import Clock
from pinnace.component.kubeconfig import Access, KubeconfigError, access, tree, write
from pinnace.component.tls import CertificateError, certificate_facts
from pinnace.machinery.errors import AlreadyExists, NotFound

NAMESPACE, SERVICE, ACCOUNT = "kube-system", "kube-dns", "coredns"
ROLE = "system:coredns"
_LABELS = {"k8s-app": "kube-dns", "kubernetes.io/cluster-service": "true", "kubernetes.io/name": "CoreDNS"}
_MANAGED_BY = {"endpointslice.kubernetes.io/managed-by": "pinnace-dns"}
# The file that the machine's real servers stand in where a local stub has taken the usual one.
_STUB_FREE = Path("/run/systemd/resolve/resolv.conf")


@dataclass(frozen=True, slots=True)
class DnsFiles:
    """Where a node's DNS keeps its things."""

    root: Path

    @property
    def kubeconfig(self) -> Path:
        return self.root / "kubeconfig"

    @property
    def log(self) -> Path:
        return self.root / "dns.log"


class NodeDns:
    """The DNS process of this machine."""

    def __init__(self, files: DnsFiles, clock: Clock, *, node: str, host: str, service_address: str) -> None:
        self._files = files
        self._clock = clock
        self._node = node
        self._host = host
        self._service_address = service_address
        self._process = Detached(str(files.kubeconfig), files.log, clock)

    async def start(self, pki: ClusterPki, url: str) -> tuple[int, int]:
        """Start the process, or go on with the one that runs when nothing about it has changed.

        Returns:
            The port for questions, and that of its pages.
        """
        self._files.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        kept = _kept_access(self._files.kubeconfig, pki, url, self._clock.time())
        running = self._ports() if kept else None
        if running is not None:
            return running
        await self._process.stop()
        if not kept:
            write(self._files.kubeconfig, tree("pinnace", _access(pki, url, self._clock.time())))
        port, metrics_port = free_port(), free_port()
        self._process.spawn(sys.executable, self._arguments(port, metrics_port), os.environ.get("PATH", os.defpath))
        return port, metrics_port

    async def announce(self, client: Client, ports: tuple[int, int]) -> None:
        """Let the Service lead to this node's process.

        Raises:
            ApiError: the objects cannot be written.
        """
        for obj in (*_identity(), _service(self._service_address)):
            try:
                await client.create(obj)
            except AlreadyExists:
                continue
        wanted = self._slice(ports)
        try:
            found = await client.get(EndpointSlice, wanted.metadata.name, NAMESPACE)
        except NotFound:
            await client.create(wanted)
            return
        if (found.endpoints, found.ports) != (wanted.endpoints, wanted.ports):
            await client.delete(EndpointSlice, wanted.metadata.name, NAMESPACE)
            await client.create(wanted)

    def _slice(self, ports: tuple[int, int]) -> EndpointSlice:
        port, metrics_port = ports
        return EndpointSlice(
            metadata=ObjectMeta(
                name=f"{SERVICE}-{self._node}",
                namespace=NAMESPACE,
                labels={"kubernetes.io/service-name": SERVICE, **_LABELS, **_MANAGED_BY},
            ),
            address_type="IPv6" if ":" in self._host else "IPv4",
            endpoints=(
                Endpoint(
                    addresses=(self._host,),
                    conditions=EndpointConditions(ready=True, serving=True, terminating=False),
                    node_name=self._node,
                ),
            ),
            ports=(
                EndpointPort(name="dns", protocol="UDP", port=port),
                EndpointPort(name="dns-tcp", protocol="TCP", port=port),
                EndpointPort(name="metrics", protocol="TCP", port=metrics_port),
            ),
        )

    def _arguments(self, port: int, metrics_port: int) -> Sequence[str]:
        resolv_conf = _STUB_FREE if _STUB_FREE.exists() else Path("/etc/resolv.conf")
        return (
            *("-m", "pinnace.cli.main", "dns"),
            *("--kubeconfig", str(self._files.kubeconfig)),
            *("--host", self._host),
            *("--port", str(port)),
            *("--metrics-port", str(metrics_port)),
            *("--service-address", self._service_address),
            *("--resolv-conf", str(resolv_conf)),
        )

    def _ports(self) -> tuple[int, int] | None:
        """Return the ports of the process that runs as it should, None when there is none."""
        words = self._process.words()
        given = dict(pairwise(words))
        try:
            ports = int(given["--port"]), int(given["--metrics-port"])
        except (KeyError, ValueError):
            return None
        return ports if tuple(words[1 : len(self._arguments(*ports)) + 1]) == tuple(self._arguments(*ports)) else None


async def stop_dns(files: DnsFiles, clock: Clock) -> None:
    """End a node's DNS process, if one runs."""
    await Detached(str(files.kubeconfig), files.log, clock).stop()


def _kept_access(kubeconfig: Path, pki: ClusterPki, url: str, now: float) -> bool:
    """Tell whether the file from an earlier start still says how to reach this server."""
    try:
        found = access(kubeconfig)
        if (found.server, found.ca_pem) != (url, pki.authority.certificate_pem):
            return False
        return not certificate_facts(found.certificate_pem).needs_renewal(now)
    except (KubeconfigError, CertificateError, ValueError):
        return False


def _access(pki: ClusterPki, url: str, now: float) -> Access:
    """Return how the DNS process reaches the API: as the add-on's service account, by certificate."""
    pair = pki.authority.issue_client(
        f"system:serviceaccount:{NAMESPACE}:{ACCOUNT}",
        ["system:serviceaccounts", f"system:serviceaccounts:{NAMESPACE}"],
        now,
    )
    return Access(url, pki.authority.certificate_pem, pair.certificate_pem, pair.key_pem)


def _service(address: str) -> Service:
    return Service(
        metadata=ObjectMeta(name=SERVICE, namespace=NAMESPACE, labels=_LABELS),
        spec=ServiceSpec(
            cluster_ip=address,
            cluster_ips=(address,),
            internal_traffic_policy="Local",
            ports=(
                ServicePort(name="dns", protocol="UDP", port=53, target_port=53),
                ServicePort(name="dns-tcp", protocol="TCP", port=53, target_port=53),
                ServicePort(name="metrics", protocol="TCP", port=9153, target_port=9153),
            ),
        ),
    )


def _identity() -> tuple[Any, ...]:
    """Return the service account, and the role that lets it watch what names are made of."""
    labels = {"kubernetes.io/bootstrapping": "rbac-defaults"}
    watched = ("endpoints", "services", "pods", "namespaces")
    read = ("list", "watch")
    return (
        ServiceAccount(metadata=ObjectMeta(name=ACCOUNT, namespace=NAMESPACE)),
        ClusterRole(
            metadata=ObjectMeta(name=ROLE, labels=labels),
            rules=(
                PolicyRule(api_groups=("",), resources=watched, verbs=read),
                PolicyRule(api_groups=("discovery.k8s.io",), resources=("endpointslices",), verbs=read),
            ),
        ),
        ClusterRoleBinding(
            metadata=ObjectMeta(name=ROLE, labels=labels),
            role_ref=RoleRef(api_group="rbac.authorization.k8s.io", kind="ClusterRole", name=ROLE),
            subjects=(Subject(kind="ServiceAccount", name=ACCOUNT, namespace=NAMESPACE),),
        ),
    )
