"""A node's settings from a KubeletConfiguration."""

from __future__ import annotations

from pathlib import Path

import pytest

from pinnace.kubelet.config import KubeletConfig, ShutdownGroup
from pinnace.kubelet.config_file import ConfigFileError, load, parse

HEAD = "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\n"
USUAL = KubeletConfig(node_name="n", node_ip="", max_pods=50)


def read(text: str) -> KubeletConfig:
    return parse((HEAD + text).encode(), USUAL)


def test_file_changes_what_it_names_and_nothing_else() -> None:
    """Quantities, durations, numbers and paths are read as upstream's file has them."""
    found = read("""
staticPodPath: /etc/kubernetes/manifests
kubeReserved: {cpu: 200m, memory: 1Gi}
evictionHard: {memory.available: 5%, pid.available: "100"}
evictionSoft: {nodefs.available: 20%}
evictionSoftGracePeriod: {nodefs.available: 1m30s}
containerLogMaxSize: 1Mi
podPidsLimit: 128
imageMaximumGCAge: 168h
""")
    assert found.static_pod_path == Path("/etc/kubernetes/manifests")
    assert found.kube_reserved == {"cpu": "200m", "memory": "1Gi"}
    assert found.eviction_hard == {"memory.available": "5%", "pid.available": "100"}
    assert (found.eviction_soft, found.eviction_soft_seconds) == (
        {"nodefs.available": "20%"},
        {"nodefs.available": 90.0},
    )
    assert (found.container_log_max_bytes, found.pod_pids_limit) == (1 << 20, 128)
    assert found.image_max_age_seconds == 7 * 24 * 3600
    assert (found.max_pods, found.system_reserved) == (50, {})


@pytest.mark.parametrize(
    ("text", "groups"),
    [
        pytest.param("maxPods: 1", (), id="off"),
        pytest.param(
            "shutdownGracePeriod: 30s\nshutdownGracePeriodCriticalPods: 10s",
            (ShutdownGroup(0, 20), ShutdownGroup(2_000_000_000, 10)),
            id="two-groups",
        ),
        pytest.param(
            "shutdownGracePeriodByPodPriority: [{priority: 7, shutdownGracePeriodSeconds: 5}]",
            (ShutdownGroup(7, 5),),
            id="groups-of-their-own",
        ),
    ],
)
def test_shutdown_is_in_groups(text: str, groups: tuple[ShutdownGroup, ...]) -> None:
    """Critical pods have their share at the end of the whole time."""
    assert read(text).shutdown_groups == groups


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        pytest.param("nodeStatusMaximages: 3", 'unknown field "nodeStatusMaximages"', id="unknown"),
        pytest.param("maxPods: many", "maxPods: 'many' is no number", id="no-number"),
        pytest.param("imageMinimumGCAge: 5", "imageMinimumGCAge: 5 is no text", id="no-duration"),
        pytest.param("evictionHard: {memory.free: 5%}", "evictionHard: unknown signal memory.free", id="signal"),
        pytest.param("evictionHard: {memory.available: 101%}", "is not between 0% and 100%", id="share"),
        pytest.param("evictionSoft: {memory.available: 5%}", "has no evictionSoftGracePeriod", id="no-grace"),
        pytest.param("kubeReserved: {disk: 1Gi}", "kubeReserved: disk cannot be reserved", id="resource"),
        pytest.param("imageGCLowThresholdPercent: 90", "must be less than imageGCHighThresholdPercent", id="low"),
        pytest.param("shutdownGracePeriodCriticalPods: 1s", "must be at most shutdownGracePeriod", id="critical"),
        pytest.param(
            "shutdownGracePeriod: 1s\nshutdownGracePeriodByPodPriority: [{priority: 0, shutdownGracePeriodSeconds: 1}]",
            "cannot be given together",
            id="both",
        ),
    ],
)
def test_file_that_cannot_be_obeyed_is_refused(text: str, complaint: str) -> None:
    """No field is passed over in silence; the complaint names it."""
    with pytest.raises(ConfigFileError, match=complaint):
        read(text)


def test_missing_file_changes_nothing_and_a_wrong_one_is_named(tmp_path: Path) -> None:
    """A node needs no file; one that holds something else is told with its path."""
    file = tmp_path / "kubelet.yaml"
    assert load(file, USUAL) is USUAL
    file.write_text("kind: Pod")
    with pytest.raises(ConfigFileError, match=rf"{file}: it holds no KubeletConfiguration"):
        load(file, USUAL)
