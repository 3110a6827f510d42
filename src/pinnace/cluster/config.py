"""What a cluster may be told: one frozen record that flags fill."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

API_PORT = 6443
SERVICE_RANGE, SERVICE_ADDRESS = "10.96.0.0/16", "10.96.0.1"
CLUSTER_RANGE = "10.244.0.0/16"


class StoreKind(StrEnum):
    """Where objects are kept."""

    SQLITE = "sqlite"
    MEMORY = "memory"


class RuntimeKind(StrEnum):
    """What runs pods on this machine: containers, nothing, or containers where the machine can."""

    AUTO = "auto"
    CONTAINERD = "containerd"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class ClusterConfig:
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
