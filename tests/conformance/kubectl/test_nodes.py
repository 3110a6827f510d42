"""kubectl on nodes: taints, cordon, drain and labels, as administrators use them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support.kubectl import Kubectl
from support.waiting import eventually

BUDGET = ("create", "poddisruptionbudget", "web", "--selector=app=web", "--min-available=1")


@pytest.fixture
def node(kubectl_now: Kubectl) -> Iterator[str]:
    """The name of the cluster's node, which is left as it was."""
    name = kubectl_now("get", "nodes", "-o", "jsonpath={.items[0].metadata.name}")
    yield name
    kubectl_now.run("uncordon", name)
    kubectl_now.run("taint", "node", name, "mine-")


def test_taint_adds_changes_and_removes(kubectl: Kubectl, node: str) -> None:
    """A taint keeps pods away; its effect is part of its identity, its value is not."""
    assert kubectl("taint", "nodes", node, "mine=a:NoSchedule") == f"node/{node} tainted\n"
    assert "already has mine taint(s)" in kubectl.run("taint", "nodes", node, "mine=b:NoSchedule").stderr
    assert kubectl("taint", "nodes", node, "mine=b:NoSchedule", "--overwrite") == f"node/{node} modified\n"
    assert "mine=b:NoSchedule" in kubectl("describe", "node", node)
    kubectl("run", "web", "--image=example.org/web:1")
    eventually(lambda: kubectl("describe", "pod", "web"), lambda text: "untolerated taint" in text)
    assert kubectl("taint", "nodes", node, "mine:NoSchedule-") == f"node/{node} untainted\n"
    kubectl("wait", "--for=condition=Ready", "pod/web", "--timeout=30s")
    assert 'taint "mine:NoSchedule" not found' in kubectl.run("taint", "nodes", node, "mine:NoSchedule-").stderr


def test_taint_that_evicts_drives_pods_away(kubectl_now: Kubectl, node: str) -> None:
    """NoExecute ends what runs and does not tolerate it."""
    kubectl_now(
        "run", "web", "--image=example.org/web:1", "--overrides", '{"spec":{"terminationGracePeriodSeconds":1}}'
    )
    kubectl_now("wait", "--for=condition=Ready", "pod/web", "--timeout=30s")
    kubectl_now("taint", "nodes", node, "mine=a:NoExecute")
    kubectl_now("wait", "--for=delete", "pod/web", "--timeout=30s")


def test_cordon_keeps_new_pods_away(kubectl: Kubectl, node: str) -> None:
    """A cordoned node is shown as such and takes nothing new until it is uncordoned."""
    assert kubectl("cordon", node) == f"node/{node} cordoned\n"
    assert kubectl("cordon", node) == f"node/{node} already cordoned\n"
    assert "Ready,SchedulingDisabled" in kubectl("get", "node", node)
    assert "node.kubernetes.io/unschedulable:NoSchedule" in eventually(
        lambda: kubectl("describe", "node", node), lambda text: "unschedulable:NoSchedule" in text
    )
    kubectl("run", "web", "--image=example.org/web:1")
    eventually(lambda: kubectl("describe", "pod", "web"), lambda text: "node(s) were unschedulable" in text)
    assert kubectl("uncordon", node) == f"node/{node} uncordoned\n"
    kubectl("wait", "--for=condition=Ready", "pod/web", "--timeout=30s")
    assert kubectl("uncordon", node) == f"node/{node} already uncordoned\n"


def test_drain_evicts_and_asks_before_it_destroys(kubectl_now: Kubectl, node: str) -> None:
    """Pods without a controller stop a drain unless forced; dry runs only tell."""
    kubectl_now("run", "alone", "--image=example.org/web:1")
    kubectl_now("create", "deployment", "web", "--image=example.org/web:1")
    kubectl_now("rollout", "status", "deployment/web", "--timeout=30s")
    chosen = "--pod-selector=run=alone"
    refused = kubectl_now.run("drain", node, "--ignore-daemonsets", chosen)
    assert refused.code == 1
    assert "declare no controller (use --force to override)" in refused.stderr
    told = kubectl_now.run("drain", node, "--ignore-daemonsets", "--force", chosen, "--dry-run=server")
    assert "(server dry run)" in told.stdout
    assert kubectl_now("get", "pod", "alone", "-o", "name")
    drained = kubectl_now("drain", node, "--ignore-daemonsets", "--force", chosen, "--grace-period=1", "--timeout=40s")
    assert "pod/alone evicted" in drained
    assert drained.endswith(f"node/{node} drained\n")
    assert kubectl_now("get", "pods", "-l", "app=web", "-o", "name")


def test_drain_waits_for_a_disruption_budget(kubectl_now: Kubectl, node: str) -> None:
    """A budget that allows no disruption is kept, and said so in upstream's words."""
    kubectl_now("create", "deployment", "web", "--image=example.org/web:1")
    kubectl_now("rollout", "status", "deployment/web", "--timeout=30s")
    kubectl_now(*BUDGET)
    kubectl_now("wait", "--for=jsonpath={.status.currentHealthy}=1", "pdb/web", "--timeout=30s")
    refused = kubectl_now.run("drain", node, "--ignore-daemonsets", "--pod-selector=app=web", "--timeout=2s")
    assert refused.code == 1
    assert "Cannot evict pod as it would violate the pod's disruption budget." in refused.stderr
    assert "global timeout reached: 2s" in refused.stderr
    kubectl_now("scale", "deployment/web", "--replicas=2")
    kubectl_now("uncordon", node)
    kubectl_now("wait", "--for=jsonpath={.status.disruptionsAllowed}=1", "pdb/web", "--timeout=30s")
    kubectl_now("delete", "pdb", "web")


def test_label_a_node_and_schedule_by_it(kubectl: Kubectl, node: str) -> None:
    """A pod with a node selector waits for the label."""
    kubectl("run", "web", "--image=example.org/web:1", "--overrides", '{"spec":{"nodeSelector":{"disk":"ssd"}}}')
    eventually(
        lambda: kubectl("describe", "pod", "web"), lambda text: "didn't match Pod's node affinity/selector" in text
    )
    try:
        assert kubectl("label", "node", node, "disk=ssd") == f"node/{node} labeled\n"
        kubectl("wait", "--for=condition=Ready", "pod/web", "--timeout=30s")
    finally:
        kubectl("label", "node", node, "disk-")


def test_drain_and_cordon_choose_by_label(kubectl_now: Kubectl, node: str) -> None:
    """Of the chosen nodes, page by page, the chosen pods go and no others; dry runs of each command change nothing."""
    for name, labels in (("one", "kind=test,go=yes"), ("two", "kind=test")):
        overrides = '{"spec":{"terminationGracePeriodSeconds":1}}'
        kubectl_now("run", name, "--image=i", f"--labels={labels}", "--overrides", overrides)
        kubectl_now("wait", "--for=condition=Ready", f"pod/{name}", "--timeout=30s")
    label = f"chosen={kubectl_now.namespace}"
    kubectl_now("label", "node", node, label)
    dry = ("--selector", label, "--pod-selector=kind=test", "--force", "--chunk-size=1", "--dry-run=client", "-v=6")
    done = kubectl_now.run("drain", *dry)
    for request in ("/nodes?labelSelector=chosen%3D", "/pods?continue=", "labelSelector=kind%3Dtest&limit=1"):
        assert request in done.stderr
    for name in ("one", "two"):
        assert f"evicting pod {kubectl_now.namespace}/{name}" in done.stdout
    assert "(server dry run)" in kubectl_now("cordon", node, "--dry-run=server")
    assert "tainted" in kubectl_now("taint", "node", node, "mine:NoSchedule", "--dry-run=server")
    spec = kubectl_now.json("get", "node", node)["spec"]
    assert "unschedulable" not in spec
    assert "mine" not in {taint["key"] for taint in spec.get("taints", [])}
    kubectl_now("drain", node, "--force", "--pod-selector=go in (yes)", "--timeout=30s")
    assert "(NotFound)" in kubectl_now.run("get", "pod", "one").stderr
    assert kubectl_now("get", "pod", "two", "-o", "jsonpath={.metadata.deletionTimestamp}") == ""
    both = kubectl_now.run("drain", node, "--selector", label)
    assert "cannot specify both a node name" in both.stderr
    kubectl_now("uncordon", node)
    assert kubectl_now("cordon", "--selector", label) == f"node/{node} cordoned\n"
    assert "already cordoned" in kubectl_now("cordon", "--selector", label)
    kubectl_now("patch", "node", node, "-p", '{"spec":{"unschedulable":null}}')
    assert "unschedulable" not in kubectl_now.json("get", "node", node)["spec"]
    kubectl_now("label", "node", node, "chosen-")


# What stands before the first colon, or the first word where there is none, of each row that upstream has for such a node.
ROWS = (
    """
Name Roles Labels Annotations CreationTimestamp Taints Unschedulable
Lease HolderIdentity AcquireTime RenewTime
Conditions Type ---- MemoryPressure DiskPressure PIDPressure Ready
Addresses InternalIP Hostname
Capacity cpu ephemeral-storage hugepages-1Gi hugepages-2Mi memory pods
Allocatable cpu ephemeral-storage hugepages-1Gi hugepages-2Mi memory pods
System\xa0Info Machine\xa0ID System\xa0UUID Boot\xa0ID Kernel\xa0Version OS\xa0Image Operating\xa0System Architecture
Container\xa0Runtime\xa0Version Kubelet\xa0Version Kube-Proxy\xa0Version
PodCIDR PodCIDRs Non-terminated\xa0Pods
Allocated\xa0resources Resource -------- cpu memory ephemeral-storage hugepages-1Gi hugepages-2Mi
Events
"""
    .replace("\n", " ")
    .strip()
    .split(" ")
)


def test_describe_has_every_row(kubectl: Kubectl, node: str) -> None:
    """Sections and rows are upstream's, in its order; the agent's events are found by old clients, too, which look for a node's name."""
    text = kubectl("describe", "node", node)
    found = []
    for line in text.partition("Events:")[0].splitlines():
        words = line.strip()
        if words.startswith(("(", "Namespace ", "---------")) or line.startswith(" " * 12):
            continue
        found.append(words.partition(":")[0] if ":" in words.partition("  ")[0] else words.split()[0])
    rows = [row.replace("\xa0", " ") for row in ROWS]
    assert [row for row in found if row in rows] == rows[:-1]
    events = text.partition("Events:")[2]
    for reason in ("Starting", "NodeHasSufficientMemory", "NodeHasNoDiskPressure", "NodeHasSufficientPID"):
        assert f"  {reason} " in events
    assert "Starting kubelet." in events
