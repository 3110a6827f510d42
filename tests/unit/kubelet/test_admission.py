"""Which pods the node takes."""

from __future__ import annotations

import pytest

from pinnace.api import core_v1, meta_v1
from pinnace.kubelet.admission import admit

HAS = {"cpu": "2", "memory": "1Gi", "pods": "2", "ephemeral-storage": "10Gi"}
NODE = core_v1.Node(
    metadata=meta_v1.ObjectMeta(name="n", labels={"disk": "ssd"}),
    spec=core_v1.NodeSpec(taints=(core_v1.Taint(key="k", value="v", effect="NoExecute"),)),
)
TOLERATION = core_v1.Toleration(key="k", operator="Equal", value="v", effect="NoExecute")


def groups(policy: str) -> core_v1.PodSecurityContext:
    return core_v1.PodSecurityContext(supplemental_groups=(4000,), supplemental_groups_policy=policy)


def make_pod(uid: str = "new", *, cpu: str = "0", port: int = 0, phase: str = "Pending", **spec: object) -> core_v1.Pod:
    main = core_v1.Container(
        name="c",
        resources=core_v1.ResourceRequirements(requests={"cpu": cpu}),
        ports=(core_v1.ContainerPort(container_port=80, host_port=port),),
    )
    given = {"tolerations": (TOLERATION,), **spec}
    return core_v1.Pod(
        metadata=meta_v1.ObjectMeta(uid=uid),
        spec=core_v1.PodSpec(containers=(main,), **given),  # type: ignore[arg-type]
        status=core_v1.PodStatus(phase=phase),
    )


@pytest.mark.parametrize(
    ("pod", "others", "reason"),
    [
        pytest.param(make_pod(cpu="1"), [make_pod("o", cpu="1")], None, id="fits"),
        pytest.param(make_pod(cpu="1500m"), [make_pod("o", cpu="1")], "OutOfcpu", id="too-much-cpu"),
        pytest.param(make_pod(cpu="1500m"), [make_pod("o", cpu="1", phase="Failed")], None, id="ended-do-not-count"),
        pytest.param(make_pod(), [make_pod("o"), make_pod("p")], "OutOfpods", id="too-many"),
        pytest.param(make_pod(node_selector={"disk": "hdd"}), [], "NodeAffinity", id="label"),
        pytest.param(make_pod(port=8080), [make_pod("o", port=8080)], "NodePorts", id="port-taken"),
        pytest.param(make_pod(port=8080), [make_pod("o", port=8081)], None, id="other-port"),
        pytest.param(make_pod(tolerations=()), [], "TaintToleration", id="taint"),
        pytest.param(make_pod(security_context=groups("Merge")), [], None, id="groups-merged"),
        pytest.param(
            make_pod(security_context=groups("Strict")), [], "SupplementalGroupsPolicyNotSupported", id="groups-strict"
        ),
    ],
)
def test_node_takes_what_fits(pod: core_v1.Pod, others: list[core_v1.Pod], reason: str | None) -> None:
    """Each refusal has upstream's reason."""
    refused = admit(pod, others, NODE, HAS)
    assert (refused.reason if refused is not None else None) == reason


def test_refusal_says_how_much_is_missing() -> None:
    """The message has upstream's numbers, in thousandths of a core."""
    refused = admit(make_pod(cpu="1500m"), [make_pod("o", cpu="1")], None, HAS)
    assert refused is not None
    text = "Node didn't have enough resource: cpu, requested: 1500, used: 1000, capacity: 2000"
    assert refused.message == text
