"""What the agent stands on beside the runtime: the machine, the pods' files and groups, the way into pods."""

from msgspec import Struct

from pinnace.kubelet.cgroups import PodCgroups
from pinnace.kubelet.machine import Machine
from pinnace.kubelet.pod_files import PodFiles
from pinnace.kubelet.pod_network import PodNetwork


class Host(Struct, frozen=True):
    """One node's own side; `upkeep` says that it has logs, images and a disk that need looking after."""

    machine: Machine
    files: PodFiles
    network: PodNetwork
    cgroups: PodCgroups
    upkeep: bool = False
