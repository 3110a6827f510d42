"""The service proxy of a real node: what it needs of the machine, and how it is taken out again.

Rules outlive the server, as containers do; only deleting the cluster takes them away. Without `nft` the node goes without, and says so
once.
"""

import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from pinnace.client import InformerFactory
from pinnace.cluster.cni import PodNetwork
from pinnace.component.clock import Clock
from pinnace.component.lifecycle import running
from pinnace.component.logging import get_logger
from pinnace.network.nftables import NftCommand
from pinnace.network.proxy import NodeFacts, Proxier

_BRIDGE_CALLS = Path("/proc/sys/net/bridge/bridge-nf-call-iptables")
_log = get_logger("cluster")


@asynccontextmanager
async def service_proxy(
    informers: InformerFactory, clock: Clock, node: str, network: PodNetwork, nft: NftCommand | None
) -> AsyncIterator[None]:
    """Keep Services reachable on this machine while the body runs; `informers` are run by the caller."""
    if nft is None:
        _log.warning("Services are not reachable by their addresses", reason="nft is not installed")
        yield
        return
    facts = NodeFacts(node, table=network.name, bridge=network.bridge, answers_bypass=not _sees_bridged_answers())
    proxier = Proxier(informers, clock, nft, facts)
    async with running("service proxy", proxier.run):
        yield


def _sees_bridged_answers() -> bool:
    """Have what crosses a bridge pass the kernel's connection tracking; tell whether it does."""
    try:
        if not _BRIDGE_CALLS.exists():
            subprocess.run(["/sbin/modprobe", "br_netfilter"], check=False, capture_output=True)
        _BRIDGE_CALLS.write_text("1")
    except OSError:
        return False
    return True


def remove_rules(network: PodNetwork) -> str:
    """Take the cluster's tables out; returns the complaint of nft, empty when all went well or there was nothing."""
    nft = NftCommand.find()
    if nft is None:
        return ""
    for family, table in (("ip", network.name), ("ip6", network.name), ("ip", network.masquerading)):
        script = f"add table {family} {table}\ndelete table {family} {table}\n"
        done = subprocess.run([nft.path, "-f", "-"], input=script, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            return f"nft: {done.stderr.strip()}"
    return ""
