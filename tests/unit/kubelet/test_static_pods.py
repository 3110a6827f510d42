"""What files of static pods become."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pinnace.api import core_v1
from pinnace.cluster.static_pod_rules import complete
from pinnace.component.clock import VirtualClock
from pinnace.kubelet.static_pods import PodFolder, StaticPods

POD = "{apiVersion: v1, kind: Pod, metadata: {name: %s}, spec: {containers: [{name: c, image: i, %s}]}}"


def folder(path: Path) -> PodFolder:
    return PodFolder(path, "node-1", VirtualClock(), complete)


def test_pods_are_named_after_the_node_and_have_defaults(tmp_path: Path) -> None:
    """A file's pod is in the default namespace, on this node, and complete as if the API server had stored it."""
    (tmp_path / "a.json").write_text(POD % ("a", ""))
    pod = folder(tmp_path).read()["default/a-node-1"]
    assert len(pod.metadata.uid) == 32
    assert pod.metadata.annotations["kubernetes.io/config.hash"] == pod.metadata.uid
    assert (pod.spec.node_name, pod.spec.restart_policy) == ("node-1", "Always")
    assert (pod.status.phase, pod.status.qos_class) == ("Pending", "BestEffort")


def test_uid_is_the_same_for_the_same_file_and_no_other(tmp_path: Path) -> None:
    """A restarted agent finds the pod of a file again; a changed file is another pod."""
    (tmp_path / "a").write_text(POD % ("a", ""))
    first, again = (folder(tmp_path).read()["default/a-node-1"].metadata.uid for _ in range(2))
    (tmp_path / "a").write_text(POD % ("a", "tty: true"))
    assert first == again != folder(tmp_path).read()["default/a-node-1"].metadata.uid


def test_one_file_can_stand_for_the_folder(tmp_path: Path) -> None:
    """The path may be that of a single file."""
    (tmp_path / "a").write_text(POD % ("a", ""))
    assert list(folder(tmp_path / "a").read()) == ["default/a-node-1"]


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("{", id="no-yaml"),
        pytest.param("[]", id="no-object"),
        pytest.param("{apiVersion: v1, kind: Service, metadata: {name: a}}", id="another-kind"),
        pytest.param("{apiVersion: v1, kind: Pod, metadata: {name: a}, spec: {}}", id="no-containers"),
        pytest.param(POD % ("a", "envFrom: [{secretRef: {name: s}}]"), id="refers-to-a-secret"),
        pytest.param(POD % ("b", ""), id="name-of-another-file"),
    ],
)
def test_bad_file_is_left_out_and_the_others_count(tmp_path: Path, text: str) -> None:
    """One file cannot keep the pods of others from running."""
    (tmp_path / "a").write_text(POD % ("b", "tty: true"))
    (tmp_path / "z").write_text(text)
    (tmp_path / ".hidden").write_text(POD % ("hidden", ""))
    (tmp_path / "nested").mkdir()
    pods = folder(tmp_path).read()
    assert list(pods) == ["default/b-node-1"]
    assert pods["default/b-node-1"].spec.containers[0].tty


def test_missing_folder_has_no_pods(tmp_path: Path) -> None:
    """The folder may be made later."""
    assert folder(tmp_path / "later").read() == {}


def test_unchanged_pod_is_the_same_object_when_another_file_changes(tmp_path: Path) -> None:
    """What has not changed is not begun anew."""
    (tmp_path / "a").write_text(POD % ("a", ""))
    pods = folder(tmp_path)
    before = pods.read()["default/a-node-1"]
    (tmp_path / "b").write_text(POD % ("b", ""))
    assert pods.read()["default/a-node-1"] is before


def test_pod_of_a_changed_file_begins_when_the_old_one_has_left(tmp_path: Path) -> None:
    """Two versions of one pod do not run side by side."""
    (tmp_path / "a").write_text(POD % ("a", ""))
    started: list[core_v1.Pod] = []
    ended: list[core_v1.Pod] = []
    pods = StaticPods(folder(tmp_path), VirtualClock(), start=started.append, end=ended.append)
    pods.look()
    (tmp_path / "a").write_text(POD % ("a", "tty: true"))
    os.utime(tmp_path / "a", (1, 1))
    pods.look()
    assert (len(started), ended) == (1, started)
    pods.left(started[0].metadata.uid)
    assert [bool(pod.spec.containers[0].tty) for pod in started] == [False, True]
