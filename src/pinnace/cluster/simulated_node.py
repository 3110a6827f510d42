"""What makes a Node a simulated one, and how its object says what it has and how it behaves. Pure.

    label        simulated.pinnace.dev/node=true       the server runs an agent for this Node
    annotation   simulated.pinnace.dev/stopped=true    the machine is off: no lease, no status, pods as they were
    capacity     status.capacity of the object as it was made; what it leaves out is that of a small server
    behaviour    annotations `simulated.pinnace.dev/<what>` on the Node hold for its pods that say nothing themselves:
                 start-seconds, start-jitter-seconds, sandbox-seconds, pull-seconds, stop-seconds, and `stages`: rules
                 (`kubelet/simulated/stages.py`)

So simulated nodes are made, kept and removed like any other object of the API. In the manner of kwok, whose nodes are annotated.
"""

import ipaddress
from collections.abc import Mapping

from pinnace.api import core_v1
from pinnace.controllers.node_ipam import NodeRanges
from pinnace.kubelet.simulated import ANNOTATION_PREFIX, Simulation, parse

SIMULATED_LABEL = f"{ANNOTATION_PREFIX}node"
STAGES_ANNOTATION = f"{ANNOTATION_PREFIX}stages"
STOPPED_ANNOTATION = f"{ANNOTATION_PREFIX}stopped"
# Where simulated nodes get the ranges of their pods from: shared address space, RFC 6598; 16,384 nodes.
SIMULATED_RANGE = "100.64.0.0/10"
DEFAULT_PODS = 110
_PLAIN = frozenset({"cpu", "memory", "ephemeral-storage", "pods"})
_VERSION_SCHEME = "simulated://"
# Addresses of nodes that nobody can reach: TEST-NET-1 of RFC 5737, then the range for measurements of RFC 2544.
_ADDRESSES = tuple(ipaddress.ip_network(text) for text in ("192.0.2.0/24", "198.18.0.0/15"))


def is_simulated(node: core_v1.Node) -> bool:
    """Tell whether a Node asks for a simulated agent; one that a real agent has spoken for does so in vain."""
    runtime = node.status.node_info.container_runtime_version
    asked = node.metadata.labels.get(SIMULATED_LABEL) == "true"
    return asked and (runtime in {"", "Unknown"} or runtime.startswith(_VERSION_SCHEME))


def is_stopped(node: core_v1.Node) -> bool:
    """Tell whether a simulated machine is off."""
    return node.metadata.annotations.get(STOPPED_ANNOTATION) == "true"


def simulation(node: core_v1.Node) -> Simulation:
    """Return what a simulated node has and how it behaves.

    Raises:
        StageError: its rules make no sense.
    """
    has, annotations, small = node.status.capacity, node.metadata.annotations, Simulation()
    extended = {
        name: amount for name, amount in has.items() if name not in _PLAIN and not name.startswith("hugepages-")
    }
    return Simulation(
        start_seconds=_seconds(annotations, "start-seconds"),
        start_jitter_seconds=_seconds(annotations, "start-jitter-seconds"),
        sandbox_seconds=_seconds(annotations, "sandbox-seconds"),
        pull_seconds=_seconds(annotations, "pull-seconds"),
        stop_seconds=_seconds(annotations, "stop-seconds"),
        cpu=has.get("cpu", small.cpu),
        memory=has.get("memory", small.memory),
        ephemeral_storage=has.get("ephemeral-storage", small.ephemeral_storage),
        extended_resources=extended,
        stages=parse(annotations.get(STAGES_ANNOTATION, "[]")),
        architecture=node.metadata.labels.get("kubernetes.io/arch", small.architecture),
    )


def max_pods(node: core_v1.Node) -> int:
    """Return how many pods a simulated node takes."""
    said = node.status.capacity.get("pods", "")
    return int(said) if said.isdigit() else DEFAULT_PODS


def node_ranges(cluster_cidr: str) -> tuple[NodeRanges, ...]:
    """Return where nodes get the ranges of their pods from: simulated ones, of which there may be thousands, from space of their own."""
    simulated = NodeRanges((SIMULATED_RANGE,), lambda node: node.metadata.labels.get(SIMULATED_LABEL) == "true")
    return simulated, NodeRanges(cluster_cidr.split(","))


class NodeAddresses:
    """Gives each node an address of its own; a node that had one keeps it when nobody else has it."""

    def __init__(self) -> None:
        self._owners: dict[str, str] = {}
        self._next = 0
        self._sizes = [network.num_addresses - 2 for network in _ADDRESSES]

    def take(self, name: str, former: str = "") -> str:
        """Return the node's address.

        Raises:
            RuntimeError: all are given.
        """
        if former and self._owners.setdefault(former, name) == name:
            return former
        for _ in range(sum(self._sizes)):
            address = self._at(self._next)
            self._next = (self._next + 1) % sum(self._sizes)
            if address not in self._owners:
                self._owners[address] = name
                return address
        raise RuntimeError(f"no address is left for node {name}")

    def release(self, address: str) -> None:
        """Let somebody else have an address."""
        self._owners.pop(address, None)

    def _at(self, index: int) -> str:
        for network, size in zip(_ADDRESSES, self._sizes, strict=True):
            if index < size:
                return str(network[1 + index])
            index -= size
        raise AssertionError("an index below the sum of all sizes is in one of them")


def _seconds(annotations: Mapping[str, str], what: str) -> float:
    """Return what an annotation says; what is no number of seconds says nothing."""
    try:
        return max(float(annotations.get(ANNOTATION_PREFIX + what, "0")), 0.0)
    except ValueError:
        return 0.0
