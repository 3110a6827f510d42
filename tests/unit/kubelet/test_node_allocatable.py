"""What is left of a machine for pods."""

from __future__ import annotations

from typing import Any

import pytest

from pinnace.kubelet.config import KubeletConfig
from pinnace.kubelet.node_allocatable import allocatable, enforced, most_pods

HAS = {"cpu": "4", "memory": "8Gi", "ephemeral-storage": "100Gi", "hugepages-2Mi": "1Gi", "pods": "110"}
RESERVED: dict[str, Any] = {
    "kube_reserved": {"cpu": "250m", "memory": "512Mi", "ephemeral-storage": "1Gi"},
    "system_reserved": {"cpu": "250m", "memory": "256Mi", "pid": "100"},
}


def config(**settings: Any) -> KubeletConfig:
    return KubeletConfig(node_name="n", node_ip="", **settings)


@pytest.mark.parametrize(
    ("settings", "left"),
    [
        pytest.param({}, {"memory": "7068Mi", "ephemeral-storage": "90Gi"}, id="evictions-and-huge-pages"),
        pytest.param(
            RESERVED, {"cpu": "3500m", "memory": "6300Mi", "ephemeral-storage": "89Gi"}, id="reservations-as-well"
        ),
        pytest.param({"eviction_hard": {}}, {"memory": "7Gi"}, id="no-evictions"),
        pytest.param({"system_reserved": {"memory": "9Gi"}}, {"memory": "0", "ephemeral-storage": "90Gi"}, id="all"),
    ],
)
def test_allocatable_is_what_nobody_else_has(settings: dict[str, Any], left: dict[str, str]) -> None:
    """Reservations, hard thresholds and huge pages are taken off, down to nothing; all else is as it was."""
    assert allocatable(HAS, config(**settings)) == {**HAS, **left}


def test_enforced_limit_leaves_evictions_their_room() -> None:
    """The kernel's limit for all pods is above what evictions keep free, or it would come first."""
    assert enforced(HAS, config(**RESERVED)) == {
        **HAS,
        "cpu": "3500m",
        "memory": "7424Mi",
        "ephemeral-storage": "99Gi",
    }


@pytest.mark.parametrize(
    ("settings", "pods"),
    [
        pytest.param({}, "110", id="default"),
        pytest.param({"pods_per_core": 10}, "40", id="by-processors"),
        pytest.param({"pods_per_core": 10, "max_pods": 20}, "20", id="at-most"),
    ],
)
def test_pods_are_limited_by_number_and_by_processors(settings: dict[str, Any], pods: str) -> None:
    """The smaller of both limits counts."""
    assert most_pods(HAS, config(**settings)) == pods
