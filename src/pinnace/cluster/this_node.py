"""What this machine is as a node of its own cluster: one with containers, a simulated one, or none.

Asked for nothing in particular, it is what it can be; where that is less than real pods, the user is told in one line what is missing and
what to do. Asked for containers that it cannot have, the cluster does not start.
"""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct, field

from pinnace import VERSION
from pinnace.client import Client, InProcessTransport
from pinnace.cluster.certificates import Certificates
from pinnace.cluster.cluster_dns import issue_certificate, make_service
from pinnace.cluster.config import RuntimeKind
from pinnace.cluster.containerd_config import ContainerdError
from pinnace.cluster.local_addresses import local_addresses
from pinnace.cluster.paths import ClusterPaths
from pinnace.cluster.pki import ClusterPki
from pinnace.cluster.server_state import ClusterError
from pinnace.component.clock import Clock
from pinnace.component.http import Handler, UserInfo
from pinnace.component.identity import Identity
from pinnace.component.tls import KeyPair

if TYPE_CHECKING:
    from pinnace.cluster.node import Membership


class ThisNode(Struct, frozen=True):
    """The node's name, if there is one, what the user should know, and the kubelets that live in this process."""

    name: str = ""
    note: str = ""
    kubelets: dict[str, Handler] = field(default_factory=dict)


class Choice(Struct, frozen=True):
    """What this machine will be, and what to tell the user about it."""

    kind: RuntimeKind
    note: str = ""


def choose(wanted: RuntimeKind, missing: list[str]) -> Choice:
    """Return what this machine is as a node; `missing` is what real pods need and is not there.

    Raises:
        ClusterError: containers are wanted and cannot be had.
    """
    lacking = ", ".join(missing)
    mend = "run as root" if missing == ["root"] else "see `pinnace doctor`"
    if wanted is RuntimeKind.CONTAINERD and missing:
        raise ClusterError(f"real pods need {lacking}: {mend}, or use --runtime simulated")
    if wanted is not RuntimeKind.AUTO:
        return Choice(wanted)
    if missing:
        return Choice(RuntimeKind.SIMULATED, f"pods are simulated, as real ones need {lacking}: {mend}")
    return Choice(RuntimeKind.CONTAINERD)


def _member(name: str, handler: Handler, clock: Clock, certificates: Certificates, url: str) -> "Membership":
    """Return how the node beside the server belongs to the cluster: it calls in process, and the authority is at hand."""
    from pinnace.cluster.node import Membership  # noqa: PLC0415

    address = next(iter(local_addresses()), "127.0.0.1")
    user = UserInfo(f"system:node:{name}", groups=("system:nodes", "system:authenticated"))
    proxy = UserInfo("system:kube-proxy", groups=("system:authenticated",))

    def issue(pki: ClusterPki) -> KeyPair:
        return pki.authority.issue_server(user.name, [name, address], clock.time(), organizations=["system:nodes"])

    async def serving() -> ssl.SSLContext:
        return certificates.serving(issue)

    return Membership(
        name=name,
        address=address,
        server=url,
        ca_pem=certificates.pki.authority.certificate_pem,
        new_client=lambda user_agent: Client(InProcessTransport(handler, user), user_agent=user_agent),
        network_client=Client(InProcessTransport(handler, proxy), user_agent="kube-proxy"),
        serving=serving,
        issue_dns=lambda: issue_certificate(certificates.pki, clock.time()),
    )


@asynccontextmanager
async def this_node(
    choice: Choice,
    data_dir: Path,
    handler: Handler,
    clock: Clock,
    identity: Identity,
    certificates: Certificates,
    url: str,
) -> AsyncIterator[ThisNode]:
    """Be the chosen node while the body runs, Ready when it begins; a simulated one is run by the server's simulator.

    Raises:
        ClusterError: the node cannot start.
    """
    if choice.kind is RuntimeKind.NONE:
        yield ThisNode(note=choice.note)
        return
    # gRPC, which only containers need, would cost the others 20 MB.
    from pinnace.cluster.node_readiness import mark_control_plane, wait_ready  # noqa: PLC0415
    from pinnace.cluster.simulated_fleet import be_real, simulate  # noqa: PLC0415

    admin = Client(
        InProcessTransport(handler, UserInfo("kubernetes-admin", groups=("system:masters", "system:authenticated")))
    )
    name = ClusterPaths(data_dir).node_name
    try:
        if choice.kind is RuntimeKind.SIMULATED:
            await simulate(admin, name)
            notes = [choice.note, await wait_ready(admin, name, clock)]
            await mark_control_plane(admin, name)
            yield ThisNode(name, "; ".join(filter(None, notes)))
            return
        await be_real(admin, name)
        from pinnace.cluster.node import NodeFiles, node  # noqa: PLC0415
        from pinnace.cluster.node_runtime import ready_runtime  # noqa: PLC0415

        await make_service(admin)
        files = NodeFiles(data_dir, data_dir / "images")
        member = _member(name, handler, clock, certificates, url)
        runtime = await ready_runtime(files.containerd, files.archives, clock)
        async with node(files, runtime, member, clock, identity, VERSION) as kubelet:
            note = await wait_ready(admin, name, clock)
            await mark_control_plane(admin, name)
            yield ThisNode(name, note, {name: kubelet})
    except ContainerdError as error:
        raise ClusterError(str(error)) from error
