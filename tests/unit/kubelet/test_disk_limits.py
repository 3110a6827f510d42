"""When a pod fills more of the disk than its own limits allow."""

from __future__ import annotations

from pathlib import Path

import pytest

from pinnace.api import core_v1, meta_v1
from pinnace.kubelet.config import KubeletConfig
from pinnace.kubelet.disk_limits import DiskLimits

MIB = 1 << 20


def pod(limits: dict[str, str], size_limit: str | None = None, medium: str = "") -> core_v1.Pod:
    containers = tuple(
        core_v1.Container(
            name=name,
            resources=core_v1.ResourceRequirements(limits={"ephemeral-storage": limit} if limit else {}),
        )
        for name, limit in limits.items()
    )
    volume = core_v1.Volume(name="v", empty_dir=core_v1.EmptyDirVolumeSource(size_limit=size_limit, medium=medium))
    return core_v1.Pod(
        metadata=meta_v1.ObjectMeta(name="p", namespace="default", uid="u"),
        spec=core_v1.PodSpec(containers=containers, volumes=(volume,)),
    )


@pytest.mark.parametrize(
    ("subject", "written", "volume_mib", "log_mib", "text"),
    [
        pytest.param(pod({"a": "", "b": ""}), {"a": 50 * MIB}, 9, 9, "", id="no-limits"),
        pytest.param(pod({"a": "4Mi"}), {"a": MIB}, 1, 1, "", id="below"),
        pytest.param(
            pod({"a": "9Mi"}, size_limit="1024Ki"),
            {},
            2,
            0,
            'Usage of EmptyDir volume "v" exceeds the limit "1Mi". ',
            id="volume",
        ),
        pytest.param(pod({"a": "9Mi"}, size_limit="0"), {}, 2, 0, "", id="no-limit-is-zero"),
        pytest.param(pod({"a": "9Mi"}, size_limit="1Mi", medium="Memory"), {}, 2, 0, "", id="volume-in-memory"),
        pytest.param(
            pod({"a": "2Mi", "b": "2Mi"}),
            {"a": MIB, "b": MIB},
            3,
            0,
            "Pod ephemeral local storage usage exceeds the total limit of containers 4Mi. ",
            id="pod-with-its-volume",
        ),
        pytest.param(
            pod({"a": "2Mi", "b": "9M"}),
            {"a": MIB},
            0,
            2,
            'Container a exceeded its local ephemeral storage limit "2Mi". ',
            id="container-with-its-log",
        ),
        pytest.param(
            pod({"a": "", "b": "1M"}),
            {"a": MIB // 2, "b": MIB - 1},
            0,
            0,
            "Pod ephemeral local storage usage exceeds the total limit of containers 1M. ",
            id="suffixes-as-written",
        ),
    ],
)
async def test_pod_over_its_limits_is_told_which(
    tmp_path: Path, subject: core_v1.Pod, written: dict[str, int], volume_mib: int, log_mib: int, text: str
) -> None:
    """The volume's own limit comes first, then the pod's, then each container's; layers, logs and volumes on the disk count."""
    fill(tmp_path / "root/pods/u/volumes/kubernetes.io~empty-dir/v/data", volume_mib)
    fill(tmp_path / "logs/default_p_u/a/0.log", log_mib)
    config = KubeletConfig(node_name="n", node_ip="192.0.2.1", root_dir=tmp_path / "root", log_dir=tmp_path / "logs")
    assert await DiskLimits(config).exceeded(subject, written) == text


def fill(path: Path, mib: int) -> None:
    path.parent.mkdir(parents=True)
    path.write_bytes(b"x" * (mib * MIB))
