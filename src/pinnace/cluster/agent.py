"""A node that is not beside its server: joins by a token, then lives by its own certificates, over HTTPS.

    no certificate ──token, authority──▶ CSR approved and signed ──▶ node Ready ──a restart──▶ the same node, without a token

The folder is like a cluster's: locked while the agent lives, so that the same commands stop and remove it. Upstream: kubeadm join, kubelet.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from msgspec import Struct

from pinnace.api.core_v1 import Node
from pinnace.client import Client, HttpTransport
from pinnace.cluster.discovery import JoinError, discover
from pinnace.cluster.node import Membership, NodeFiles, node
from pinnace.cluster.node_certificates import CertificateFiles, NodeCertificates
from pinnace.cluster.node_readiness import wait_ready
from pinnace.cluster.paths import ClusterPaths
from pinnace.cluster.pki import local_addresses
from pinnace.cluster.server_state import ServerState, announced, locked, sign
from pinnace.component.clock import Clock
from pinnace.component.http import HttpError
from pinnace.component.identity import Identity
from pinnace.component.kubeconfig import Access, KubeconfigError, access, load, tree, write
from pinnace.component.lifecycle import running
from pinnace.machinery.errors import ApiError, NotFound


class AgentConfig(Struct, frozen=True):
    """One agent.

    Attributes:
        name: the node's.
        data_dir: where everything is kept.
        server: the API server's URL; empty for the one that was joined before.
        token: what lets a new node in.
        ca_pem: the cluster's authority, where it is known.
        ca_pin: the hash of its public key, where only that is known.
        archives: where images are imported from; None for a folder of its own.
        lock_descriptor: the folder's lock, when the command that started this process has taken it.
    """

    name: str
    data_dir: Path
    server: str = ""
    token: str = ""
    ca_pem: bytes = b""
    ca_pin: str = ""
    archives: Path | None = None
    lock_descriptor: int | None = None


@asynccontextmanager
async def agent(config: AgentConfig, clock: Clock, identity: Identity, version: str) -> AsyncIterator[str]:
    """Be a node of a cluster while the body runs, Ready when it begins; gives what its user should know, if anything.

    Raises:
        JoinError: the cluster does not let this machine in.
        ClusterError: another agent runs in this folder.
        ContainerdError: this machine cannot run containers.
    """
    paths = ClusterPaths(config.data_dir)
    paths.make()
    with locked(paths, config.lock_descriptor) as lock:
        sign(lock)
        known = await _known(config, paths.root / "cluster.kubeconfig")
        address = next(iter(local_addresses()), "")
        if not address:
            raise JoinError("this machine has no address that others could reach it by: it has no default route")
        certificates = NodeCertificates(CertificateFiles(paths.pki), clock, config.name, known.server, known.ca_pem)
        if not certificates.is_member:
            await _join(config, known, certificates)
        client = certificates.new_client("pinnace-agent")
        member = Membership(
            name=config.name,
            address=address,
            server=known.server,
            ca_pem=known.ca_pem,
            new_client=certificates.new_client,
            network_client=certificates.new_client("kube-proxy"),
            serving=lambda: certificates.serving(client, (config.name, address)),
            issue_dns=lambda: certificates.client_pair,
        )
        files = NodeFiles(paths.root, config.archives or paths.root / "images")
        try:
            async with node(files, member, clock, identity, version):
                note = await wait_ready(client, config.name, clock)
                with announced(paths, ServerState(os.getpid(), known.server, version, config.name, note)):
                    async with running("certificate renewal", lambda: certificates.run(client)):
                        yield note
        finally:
            await certificates.close()


async def _known(config: AgentConfig, remembered: Path) -> Access:
    """Return the cluster to belong to: the one that is asked for, else the one that was joined before."""
    try:
        before = access(remembered)
    except KubeconfigError as error:
        if load(remembered):
            raise JoinError(f"{error}: remove it, and give --server and --token") from error
        before = None
    if not config.server or (before is not None and not config.token and not config.ca_pem):
        if before is None:
            raise JoinError("this machine has not joined a cluster yet: give --server and --token")
        return Access(config.server or before.server, before.ca_pem)
    if not config.ca_pem and not config.token:
        raise JoinError("this machine has not joined a cluster yet: give --token")
    ca_pem = config.ca_pem or await discover(config.server, config.token, config.ca_pin)
    known = Access(config.server, ca_pem)
    write(remembered, tree("cluster", known))
    return known


async def _join(config: AgentConfig, known: Access, certificates: NodeCertificates) -> None:
    if not config.token:
        raise JoinError("this machine is no node of the cluster, or no longer: give --token")
    client = Client(
        HttpTransport.to(Access(known.server, known.ca_pem, token=config.token)), user_agent="pinnace-agent"
    )
    try:
        found = await client.get(Node, config.name)
    except NotFound:
        pass
    except (ApiError, HttpError) as error:
        raise JoinError(f"{known.server} does not let this machine in: {error}") from error
    else:
        ready = next((one.status for one in found.status.conditions if one.type == "Ready"), "Unknown")
        if ready == "True":
            raise JoinError(
                f'a Node with name "{config.name}" and status "Ready" already exists in the cluster: '
                "delete it, or choose another --node-name"
            )
    finally:
        await client.close()
    await certificates.join(config.token)
