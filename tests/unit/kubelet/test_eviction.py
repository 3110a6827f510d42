"""When the node is under pressure, and who has to go."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from pinnace.api import core_v1, meta_v1
from pinnace.kubelet.eviction import observe, ranked
from pinnace.kubelet.machine import Disk, Machine, Memory

GIB = 1 << 30


class Described(Machine):
    def __init__(self, disk: Disk, memory: Memory) -> None:
        self._disk, self._memory = disk, memory

    def capacity(self) -> Mapping[str, str]:
        return {}

    def info(self) -> core_v1.NodeSystemInfo:
        return core_v1.NodeSystemInfo()

    def disk(self) -> Disk:
        return self._disk

    def memory(self) -> Memory:
        return self._memory

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
    assert [each.signal.name for each in observe(Described(disk, memory))] == met


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
