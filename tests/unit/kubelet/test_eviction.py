"""When the node is under pressure, and who has to go."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from pinnace.api import core_v1, meta_v1
from pinnace.kubelet.config import KubeletConfig
from pinnace.kubelet.eviction import Met, Threshold, message, observe, ranked, thresholds
from pinnace.kubelet.machine import Disk, Machine, Memory, Pids
from pinnace.kubelet.network_usage import Interface

GIB = 1 << 30


class Described(Machine):
    def __init__(self, disk: Disk, memory: Memory, pids: Pids | None = None) -> None:
        self._disk, self._memory, self._pids = disk, memory, pids or Pids()

    def capacity(self) -> Mapping[str, str]:
        return {}

    def info(self) -> core_v1.NodeSystemInfo:
        return core_v1.NodeSystemInfo()

    def disk(self) -> Disk:
        return self._disk

    def memory(self) -> Memory:
        return self._memory

    def swap(self) -> Memory:
        return Memory()

    def interfaces(self) -> tuple[Interface, ...]:
        return ()

    def pids(self) -> Pids:
        return self._pids

    def cpu_nanos(self) -> int:
        return 0


@pytest.mark.parametrize(
    ("disk", "memory", "met"),
    [
        pytest.param(Disk(100, 50, 100, 50), Memory(GIB, GIB), [], id="plenty"),
        pytest.param(Disk(100, 14, 100, 50), Memory(GIB, GIB), ["imagefs.available"], id="images-first"),
        pytest.param(
            Disk(100, 9, 100, 50), Memory(GIB, GIB), ["nodefs.available", "imagefs.available"], id="disk-full"
        ),
        pytest.param(Disk(100, 50, 100, 4), Memory(GIB, GIB), ["nodefs.inodesFree", "imagefs.inodesFree"], id="inodes"),
        pytest.param(Disk(100, 50, 100, 50), Memory(GIB, 99 << 20), ["memory.available"], id="memory"),
        pytest.param(Disk(), Memory(), [], id="unknown"),
    ],
)
def test_thresholds_are_upstreams(disk: Disk, memory: Memory, met: list[str]) -> None:
    """Less than a tenth of the disk, 15 % for images, 5 % of the inodes, 100 Mi of memory."""
    watched = thresholds(KubeletConfig(node_name="n", node_ip=""))
    assert [each.threshold.name for each in observe(Described(disk, memory), watched)] == met


def test_thresholds_can_be_set() -> None:
    """Amounts and shares of each signal, hard and soft; memory is looked at first, and what is hard before what is soft."""
    config = KubeletConfig(
        node_name="n",
        node_ip="",
        eviction_hard={"pid.available": "5%", "memory.available": "1Gi"},
        eviction_soft={"memory.available": "2Gi"},
        eviction_soft_seconds={"memory.available": 90},
    )
    machine = Described(Disk(100, 1, 100, 1), Memory(4 * GIB, GIB - 1), Pids(1000, 951))
    assert [(each.threshold.name, each.threshold.grace_seconds) for each in observe(machine, thresholds(config))] == [
        ("memory.available", None),
        ("memory.available", 90),
        ("pid.available", None),
    ]


def pod(name: str, *, asked: str = "0", priority: int = 0) -> core_v1.Pod:
    resources = core_v1.ResourceRequirements(requests={"memory": asked})
    return core_v1.Pod(
        metadata=meta_v1.ObjectMeta(name=name, uid=name),
        spec=core_v1.PodSpec(containers=(core_v1.Container(name="c", resources=resources),), priority=priority),
    )


def test_those_over_their_requests_go_first() -> None:
    """Then by priority, then by how much is used above the request; critical pods stay."""
    pods = [
        pod("modest", asked="1Gi"),
        pod("important", priority=100),
        pod("greedy"),
        pod("greedier"),
        pod("system", priority=2_000_000_000),
    ]
    used = {"modest": GIB // 2, "important": GIB, "greedy": GIB, "greedier": 2 * GIB, "system": 9 * GIB}
    assert [each.metadata.name for each in ranked(pods, used, "memory")] == [
        "greedier",
        "greedy",
        "important",
        "modest",
    ]


def test_processes_count_by_priority_and_number() -> None:
    """Nobody asks for processes, so that only priority stands before their number."""
    pods = [pod("few"), pod("many"), pod("important", priority=5)]
    used = {"few": 3, "many": 300, "important": 3000}
    assert [each.metadata.name for each in ranked(pods, used, "pids")] == ["many", "few", "important"]


def met(name: str, available: int, threshold: int) -> Met:
    return Met(Threshold(name, str(threshold)), available, threshold)


@pytest.mark.parametrize(
    ("why", "used", "text"),
    [
        pytest.param(
            met("memory.available", 90 << 20, 100 << 20),
            {"small": 1 << 20, "large": 3 * GIB, "asking": GIB},
            "The node was low on resource: memory. Threshold quantity: 100Mi, available: 90Mi. "
            "Container small was using 1Mi, request is 0, has larger consumption of memory. "
            "Container large was using 3Gi, request is 1Gi, has larger consumption of memory. ",
            id="each-container-by-itself",
        ),
        pytest.param(
            met("nodefs.available", 1000, 1025),
            {},
            "The node was low on resource: ephemeral-storage. Threshold quantity: 1025, available: 1000. ",
            id="nobody-over",
        ),
        pytest.param(
            met("nodefs.inodesFree", 3, 5),
            {"small": 100},
            "The node was low on resource: inodes. Threshold quantity: 5, available: 3. ",
            id="inodes-are-not-asked-for",
        ),
    ],
)
def test_message_names_what_each_container_uses(why: Met, used: Mapping[str, int], text: str) -> None:
    """A container is named with its own use and request, and only when it uses more than it asked for."""
    asked = {"small": {}, "large": {"memory": "1024Mi"}, "asking": {"memory": "1Gi"}}
    containers = tuple(
        core_v1.Container(name=name, resources=core_v1.ResourceRequirements(requests=requests))
        for name, requests in asked.items()
    )
    assert message(core_v1.Pod(spec=core_v1.PodSpec(containers=containers)), why, used) == text
