"""What a cluster, and an agent, may be told: one frozen record each that flags fill."""

from enum import StrEnum
from pathlib import Path

from msgspec import Struct

from pinnace.cluster.ports import API_PORT

SERVICE_RANGE, SERVICE_ADDRESS, DNS_ADDRESS = "10.96.0.0/16", "10.96.0.1", "10.96.0.10"
CLUSTER_DOMAIN = "cluster.local"
CLUSTER_RANGE = "10.244.0.0/16"
# What simulated nodes are called when nobody says: `sim-1`, `sim-2` and so on.
DEFAULT_PREFIX = "sim"


class StoreKind(StrEnum):
    """Where objects are kept."""

    SQLITE = "sqlite"
    MEMORY = "memory"


class RuntimeKind(StrEnum):
    """What this machine is as a node: one with containers, a simulated one, none; auto: containers where it can, else simulated."""

    AUTO = "auto"
    CONTAINERD = "containerd"
    SIMULATED = "simulated"
    NONE = "none"


class ClusterConfig(Struct, frozen=True):
    """One cluster on this machine.

    Attributes:
        name: the cluster's, its context's and its data folder's.
        data_dir: where everything is kept.
        port: the API server's; 0 takes a free one.
        address: where the API server listens.
        store: the driver.
        keep_history: never forget old revisions.
        runtime: what this machine is as a node.
        with_controllers, with_scheduler: what runs beside the API server.
        lock_descriptor: the folder's lock, when the command that started this process has taken it.
    """

    name: str
    data_dir: Path
    port: int = API_PORT
    address: str = "0.0.0.0"  # noqa: S104 - nodes and pods reach the server by any of this machine's addresses
    store: StoreKind = StoreKind.SQLITE
    keep_history: bool = False
    runtime: RuntimeKind = RuntimeKind.AUTO
    with_controllers: bool = True
    with_scheduler: bool = True
    lock_descriptor: int | None = None


class AgentConfig(Struct, frozen=True):
    """One agent.

    Attributes:
        name: the node's.
        data_dir: where everything is kept.
        server: the API server's URL; empty for the one that was joined before.
        token: what lets a new node in.
        token_descriptor: a pipe from which the token comes, once the command that started this process has it.
        ca_pem: the cluster's authority, where it is known.
        ca_pin: the hash of its public key, where only that is known.
        archives: where images are imported from; None for a folder of its own.
        lock_descriptor: the folder's lock, when the command that started this process has taken it.
    """

    name: str
    data_dir: Path
    server: str = ""
    token: str = ""
    token_descriptor: int | None = None
    ca_pem: bytes = b""
    ca_pin: str = ""
    archives: Path | None = None
    lock_descriptor: int | None = None
