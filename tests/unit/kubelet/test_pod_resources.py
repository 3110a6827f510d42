"""What a pod asks for as a whole, and the limits of its control group."""

from __future__ import annotations

from pathlib import Path

import pytest

from pinnace.api import core_v1, meta_v1
from pinnace.kubelet import pod_resources
from pinnace.kubelet.cgroups import KernelCgroups, Limits, pod_limits, weight
from pinnace.kubelet.config import KubeletConfig


def container(
    cpu: str = "", memory: str = "", limit_cpu: str = "", limit_memory: str = "", *, sidecar: bool = False
) -> core_v1.Container:
    asked = {key: value for key, value in (("cpu", cpu), ("memory", memory)) if value}
    most = {key: value for key, value in (("cpu", limit_cpu), ("memory", limit_memory)) if value}
    return core_v1.Container(
        name="c",
        resources=core_v1.ResourceRequirements(requests=asked, limits=most),
        restart_policy="Always" if sidecar else None,
    )


def make_pod(
    *regular: core_v1.Container, init: tuple[core_v1.Container, ...] = (), qos: str = "Burstable", **spec: object
) -> core_v1.Pod:
    return core_v1.Pod(
        metadata=meta_v1.ObjectMeta(uid="u1"),
        spec=core_v1.PodSpec(containers=regular, init_containers=init, **spec),  # type: ignore[arg-type]
        status=core_v1.PodStatus(qos_class=qos),
    )


@pytest.mark.parametrize(
    ("pod", "millis"),
    [
        pytest.param(make_pod(container("100m"), container("1")), 1100, id="sum"),
        pytest.param(make_pod(container("100m"), init=(container("2"),)), 2000, id="larger-init"),
        pytest.param(
            make_pod(container("100m"), init=(container("300m", sidecar=True), container("500m"))), 800, id="sidecar"
        ),
        pytest.param(
            make_pod(container("700m"), init=(container("300m", sidecar=True), container("500m"))), 1000, id="beside"
        ),
        pytest.param(make_pod(container("100m"), overhead={"cpu": "50m", "memory": "1Mi"}), 150, id="overhead"),
        pytest.param(
            make_pod(container("100m"), resources=core_v1.ResourceRequirements(requests={"cpu": "3"})), 3000, id="own"
        ),
    ],
)
def test_pod_asks_for_what_runs_at_the_same_time(pod: core_v1.Pod, millis: int) -> None:
    """Regular containers and sidecars add up, init containers take turns."""
    assert pod_resources.requests(pod)["cpu"] == millis


def test_limits_of_a_group_follow_the_quality_of_service() -> None:
    """A limit holds only where every container has one; without any request there is the least weight."""
    full = container("500m", "64Mi", "500m", "64Mi")
    assert pod_limits(make_pod(full, qos="Guaranteed")) == Limits(shares=512, quota=50000, memory_bytes=64 << 20)
    half = make_pod(full, container("500m", "1Mi", "", "1Mi"))
    assert pod_limits(half) == Limits(shares=1024, quota=None, memory_bytes=65 << 20)
    assert pod_limits(make_pod(container(), qos="BestEffort")) == Limits(shares=2)


@pytest.mark.parametrize(("shares", "expected"), [(2, 1), (1024, 39), (102, 4), (262144, 10000)])
def test_shares_become_weights(shares: int, expected: int) -> None:
    """Version 2's weight is upstream's agent's."""
    assert weight(shares) == expected


def test_groups_of_version_1_lie_in_a_tree_per_controller(tmp_path: Path) -> None:
    """Limits are written where each controller has its tree, and the group is taken away again."""
    for controller in ("cpu", "memory", "pids"):
        (tmp_path / controller).mkdir()
    groups = KernelCgroups(KubeletConfig(node_name="n", node_ip="", cgroup_root="/root"), tmp_path)
    pod = make_pod(container("500m", "64Mi", "1", "64Mi"))
    groups.create(pod)
    folder = tmp_path / "cpu/root/burstable/podu1"
    assert (folder / "cpu.shares").read_text() == "512"
    assert (folder / "cpu.cfs_quota_us").read_text() == "100000"
    assert (tmp_path / "memory/root/burstable/podu1/memory.limit_in_bytes").read_text() == str(64 << 20)
    groups.balance([pod])
    assert (tmp_path / "cpu/root/burstable/cpu.shares").read_text() == "512"
    assert (tmp_path / "cpu/root/besteffort/cpu.shares").read_text() == "2"
    groups.remove(pod)
    assert not (tmp_path / "pids/root/burstable/podu1").exists()


def test_all_pods_together_get_what_the_node_has(tmp_path: Path) -> None:
    """The group above all others is limited, and it is told when there is none."""
    for controller in ("cpu", "memory"):
        (tmp_path / controller).mkdir()
    config = KubeletConfig(node_name="n", node_ip="", cgroup_root="/root")
    amounts = {"cpu": "2", "memory": "64Mi", "pods": "110"}
    assert KernelCgroups(config, tmp_path).limit_all(amounts)
    assert (tmp_path / "cpu/root/cpu.shares").read_text() == "2048"
    assert (tmp_path / "memory/root/memory.limit_in_bytes").read_text() == str(64 << 20)
    assert not KernelCgroups(config, tmp_path / "cpu/root/cpu.shares").limit_all(amounts)


def test_groups_of_version_2_lie_in_one_tree(tmp_path: Path) -> None:
    """Each folder on the way hands its controllers on; limits have version 2's names."""
    for folder in (tmp_path, tmp_path / "root", tmp_path / "root/podu1"):
        folder.mkdir(exist_ok=True)
        (folder / "cgroup.controllers").write_text("cpu memory io\n")
    groups = KernelCgroups(KubeletConfig(node_name="n", node_ip="", cgroup_root="/root"), tmp_path)
    groups.create(make_pod(container("1", "64Mi", "1", "64Mi"), qos="Guaranteed"))
    folder = tmp_path / "root/podu1"
    assert (folder / "cpu.weight").read_text() == "39"
    assert (folder / "cpu.max").read_text() == "100000 100000"
    assert (folder / "memory.max").read_text() == str(64 << 20)
    assert (tmp_path / "root/cgroup.subtree_control").read_text() == "+memory"


def test_group_holds_a_pod_to_its_number_of_processes(tmp_path: Path) -> None:
    """Where a limit is set, each pod has it; how many there are is read from the same place."""
    for controller in ("cpu", "memory", "pids"):
        (tmp_path / controller).mkdir()
    config = KubeletConfig(node_name="n", node_ip="", cgroup_root="/root", pod_pids_limit=7)
    groups, pod = KernelCgroups(config, tmp_path), make_pod(container("1"))
    assert groups.processes(pod) == 0
    groups.create(pod)
    folder = tmp_path / "pids/root/burstable/podu1"
    assert (folder / "pids.max").read_text() == "7"
    (folder / "pids.current").write_text("3\n")
    assert groups.processes(pod) == 3


def test_unwritable_groups_stop_no_pod(tmp_path: Path) -> None:
    """Without rights the pod runs in what the runtime makes."""
    (tmp_path / "cpu").write_text("no folder")
    (tmp_path / "memory").mkdir()
    groups = KernelCgroups(KubeletConfig(node_name="n", node_ip="", cgroup_root="/root"), tmp_path)
    groups.create(make_pod(container("1")))
    groups.remove(make_pod(container("1")))
