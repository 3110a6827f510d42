"""Cluster DNS on a node: the process, its identity, and the Service that leads to it.

Each node has a DNS process of its own that outlives the server, so names resolve while the control plane is away. The Service
`kube-dns` keeps its traffic on the node (internalTrafficPolicy Local); a controller leads it to the ports that the node names.
Names and labels are those of the usual add-on, which tools look for. Upstream: cmd/kubeadm/app/phases/addons/dns.
"""

import os
import sys
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Never

from msgspec import Struct

from pinnace.api.core_v1 import Service, ServiceAccount, ServicePort, ServiceSpec
from pinnace.api.meta_v1 import ObjectMeta
from pinnace.api.rbac_v1 import ClusterRole, ClusterRoleBinding, PolicyRule, RoleRef, Subject
from pinnace.client import Client
from pinnace.cluster.config import DNS_ADDRESS
from pinnace.cluster.detached import Detached
from pinnace.cluster.pki import ClusterPki
from pinnace.cluster.ports import free_port
from pinnace.component.clock import Clock
from pinnace.component.kubeconfig import Access, KubeconfigError, access, tree, write
from pinnace.component.tls import CertificateError, KeyPair, certificate_facts
from pinnace.controllers.dns_endpoints import NAMESPACE, SERVICE
from pinnace.machinery.errors import AlreadyExists

ACCOUNT = "coredns"
ROLE = "system:coredns"
_LABELS = {"k8s-app": "kube-dns", "kubernetes.io/cluster-service": "true", "kubernetes.io/name": "CoreDNS"}
# The file that the machine's real servers stand in where a local stub has taken the usual one.
_STUB_FREE = Path("/run/systemd/resolve/resolv.conf")


class DnsFiles(Struct, frozen=True):
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

    def __init__(self, files: DnsFiles, clock: Clock, *, host: str, service_address: str) -> None:
        self._files = files
        self._clock = clock
        self._host = host
        self._service_address = service_address
        self._process = Detached(str(files.kubeconfig), files.log, clock)
        self._ports = (0, 0)

    async def start(self, url: str, ca_pem: bytes, issue: Callable[[], KeyPair]) -> tuple[int, int]:
        """Start the process, or go on with the one that runs when nothing about it has changed.

        Args:
            url: the API server.
            ca_pem: whom to believe about it.
            issue: gives the certificate by which the process reads names, when the one that it has is too old.

        Returns:
            The port for questions, and that of its pages.
        """
        self._files.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        kept = _kept_access(self._files.kubeconfig, ca_pem, url, self._clock.time())
        running = self._ports_of_process() if kept else None
        if running is not None:
            self._ports = running
            return running
        await self._process.stop()
        if not kept:
            pair = issue()
            write(self._files.kubeconfig, tree("pinnace", Access(url, ca_pem, pair.certificate_pem, pair.key_pem)))
        self._ports = free_port(), free_port()
        self._spawn()
        return self._ports

    async def keep(self) -> Never:
        """Start the process anew whenever it has ended, for ever, on the ports by which the node is known."""

        async def start() -> None:
            self._spawn()

        await self._process.keep("dns", start)

    def _spawn(self) -> None:
        self._process.spawn(sys.executable, self._arguments(*self._ports), os.environ.get("PATH", os.defpath))

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

    def _ports_of_process(self) -> tuple[int, int] | None:
        """Return the ports of the process that runs as it should, None when there is none."""
        words = self._process.words()
        given = dict(pairwise(words))
        try:
            ports = int(given["--port"]), int(given["--metrics-port"])
        except (KeyError, ValueError):
            return None
        return ports if tuple(words[1 : len(self._arguments(*ports)) + 1]) == tuple(self._arguments(*ports)) else None


async def make_service(client: Client) -> None:
    """Make the Service and who the processes are, where they are not there yet.

    Raises:
        ApiError: the objects cannot be written.
    """
    for obj in (*_identity(), _service(DNS_ADDRESS)):
        try:
            await client.create(obj)
        except AlreadyExists:
            continue


async def stop_dns(files: DnsFiles, clock: Clock) -> None:
    """End a node's DNS process, if one runs."""
    await Detached(str(files.kubeconfig), files.log, clock).stop()


def _kept_access(kubeconfig: Path, ca_pem: bytes, url: str, now: float) -> bool:
    """Tell whether the file from an earlier start still says how to reach this server."""
    try:
        found = access(kubeconfig)
        if (found.server, found.ca_pem) != (url, ca_pem):
            return False
        return not certificate_facts(found.certificate_pem).needs_renewal(now)
    except (KubeconfigError, CertificateError, ValueError):
        return False


def issue_certificate(pki: ClusterPki, now: float) -> KeyPair:
    """Return the certificate of the add-on's service account, for a process on the machine of the authority."""
    return pki.authority.issue_client(
        f"system:serviceaccount:{NAMESPACE}:{ACCOUNT}",
        ["system:serviceaccounts", f"system:serviceaccounts:{NAMESPACE}"],
        now,
    )


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
