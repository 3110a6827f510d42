"""A machine's membership in a cluster elsewhere, from its token to a node that is Ready.

    token ──▶ authority of the cluster ──▶ certificate of the node ──▶ the node ──kept──▶ the next start needs no token

Upstream: kubeadm join, kubelet.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from msgspec import Struct

from pinnace.api.core_v1 import Node
from pinnace.client import Client, HttpTransport
from pinnace.cluster.config import AgentConfig
from pinnace.cluster.discovery import discover
from pinnace.cluster.local_addresses import local_addresses
from pinnace.cluster.node import Membership, NodeFiles, node
from pinnace.cluster.node_certificates import CertificateFiles, NodeCertificates
from pinnace.cluster.node_readiness import wait_ready
from pinnace.cluster.node_runtime import NodeRuntime
from pinnace.cluster.paths import ClusterPaths
from pinnace.cluster.server_state import JoinError
from pinnace.component.clock import Clock
from pinnace.component.http import HttpError
from pinnace.component.identity import Identity
from pinnace.component.kubeconfig import Access, KubeconfigError, access, load, tree, write
from pinnace.component.lifecycle import running
from pinnace.machinery.errors import ApiError, NotFound


class Joined(Struct, frozen=True):
    """A machine that the cluster has let in."""

    access: Access
    address: str
    certificates: NodeCertificates


async def join(config: AgentConfig, paths: ClusterPaths, clock: Clock) -> Joined:
    """Become a member, or remember to be one.

    Raises:
        JoinError: the cluster does not let this machine in.
    """
    known = await _known(config, paths.root / "cluster.kubeconfig")
    address = next(iter(local_addresses()), "")
    if not address:
        raise JoinError("this machine has no address that others could reach it by: it has no default route")
    certificates = NodeCertificates(CertificateFiles(paths.pki), clock, config.name, known.server, known.ca_pem)
    if not certificates.is_member:
        await _join(config, known, certificates)
    return Joined(known, address, certificates)


@asynccontextmanager
async def member_node(
    config: AgentConfig,
    paths: ClusterPaths,
    joined: Joined,
    containers: NodeRuntime,
    clock: Clock,
    identity: Identity,
    version: str,
) -> AsyncIterator[str]:
    """Be a node of the cluster while the body runs, Ready when it begins; gives what its user should know, if anything."""
    known, address, certificates = joined.access, joined.address, joined.certificates
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
    files = NodeFiles(paths.root, containers.images.archives)
    try:
        async with (
            node(files, containers, member, clock, identity, version),
            running("certificate renewal", lambda: certificates.run(client)),
        ):
            yield await wait_ready(client, config.name, clock)
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
    token = await _token(config)
    if not token:
        raise JoinError("this machine is no node of the cluster, or no longer: give --token")
    client = Client(HttpTransport.to(Access(known.server, known.ca_pem, token=token)), user_agent="pinnace-agent")
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
    await certificates.join(token)


async def _token(config: AgentConfig) -> str:
    """Return the token; waits for one that is still being made."""
    if config.token_descriptor is None:
        return config.token
    with open(config.token_descriptor, encoding="ascii") as pipe:  # noqa: ASYNC230, PTH123 - read in a thread; a pipe has no path
        return (await asyncio.to_thread(pipe.read)).strip()
