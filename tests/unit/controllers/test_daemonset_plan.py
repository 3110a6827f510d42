"""DaemonSets, without a server: which nodes are meant, what one look comes to, and what a revision keeps."""

from typing import Any

import pytest

from pinnace.api import core_v1 as v1
from pinnace.api.apps_v1 import DaemonSet, DaemonSetSpec, DaemonSetUpdateStrategy, RollingUpdateDaemonSet
from pinnace.api.meta_v1 import ObjectMeta
from pinnace.controllers import controller_history as history
from pinnace.controllers import daemonset_nodes as rules
from pinnace.controllers import daemonset_plan as plans
from pinnace.controllers import node_selection

NOW = 1000.0
NEW, OLD = "new", "old"


def expression(key: str, operator: str, *values: str) -> v1.NodeSelectorRequirement:
    return v1.NodeSelectorRequirement(key=key, operator=operator, values=values)


def required(*terms: v1.NodeSelectorTerm) -> v1.PodSpec:
    selector = v1.NodeSelector(node_selector_terms=terms)
    node = v1.NodeAffinity(required_during_scheduling_ignored_during_execution=selector)
    return v1.PodSpec(affinity=v1.Affinity(node_affinity=node))


def term(*expressions: v1.NodeSelectorRequirement, **fields: Any) -> v1.NodeSelectorTerm:
    return v1.NodeSelectorTerm(match_expressions=expressions, **fields)


@pytest.mark.parametrize(
    ("spec", "allowed"),
    [
        pytest.param(v1.PodSpec(), True, id="no wish"),
        pytest.param(v1.PodSpec(node_selector={"disk": "ssd"}), True, id="selected"),
        pytest.param(v1.PodSpec(node_selector={"disk": "ssd", "zone": "a"}), False, id="selected by more"),
        pytest.param(required(), False, id="no term"),
        pytest.param(required(term()), False, id="empty term"),
        pytest.param(
            required(term(expression("disk", "In", "hdd")), term(expression("disk", "Exists"))), True, id="or"
        ),
        pytest.param(required(term(expression("disk", "Exists"), expression("zone", "Exists"))), False, id="and"),
        pytest.param(required(term(expression("zone", "NotIn", "a"))), True, id="not in"),
        pytest.param(required(term(expression("zone", "DoesNotExist"))), True, id="does not exist"),
        pytest.param(required(term(expression("cores", "Gt", "3"))), True, id="greater"),
        pytest.param(required(term(expression("cores", "Lt", "4"))), False, id="not less"),
        pytest.param(required(term(expression("disk", "Gt", "3"))), False, id="no number"),
        pytest.param(required(term(match_fields=(expression("metadata.name", "In", "one"),))), True, id="name"),
        pytest.param(required(term(match_fields=(expression("metadata.uid", "In", "one"),))), False, id="other field"),
    ],
)
def test_node_selection_follows_selector_and_affinity(spec, allowed):
    """Selector and required terms must both let a node through."""
    node = v1.Node(metadata=ObjectMeta(name="one", labels={"disk": "ssd", "cores": "4"}))
    assert node_selection.allows(spec, node) is allowed


def pod(name: str, node: str, template: str = NEW, state: str = "ready", **meta: Any) -> v1.Pod:
    """Return a daemon pod: ready, starting, failed or deleted."""
    conditions = (v1.PodCondition(type="Ready", status="True"),) if state == "ready" else ()
    phase = {"ready": "Running", "starting": "Pending", "failed": "Failed", "deleted": "Running"}[state]
    gone = "2026-01-01T00:00:00Z" if state == "deleted" else None
    metadata = ObjectMeta(name=name, labels={rules.HASH: template}, deletion_timestamp=gone, **meta)
    return v1.Pod(
        metadata=metadata, spec=v1.PodSpec(node_name=node), status=v1.PodStatus(phase=phase, conditions=conditions)
    )


def daemon_set(
    surge: int | str = 0, unavailable: int | str = 1, kind: str = "RollingUpdate", **pod_spec: Any
) -> DaemonSet:
    rolling = RollingUpdateDaemonSet(max_surge=surge, max_unavailable=unavailable) if kind == "RollingUpdate" else None
    template = v1.PodTemplateSpec(spec=v1.PodSpec(**pod_spec))
    strategy = DaemonSetUpdateStrategy(type=kind, rolling_update=rolling)
    return DaemonSet(metadata=ObjectMeta(name="d"), spec=DaemonSetSpec(template=template, update_strategy=strategy))


def scene(owner: DaemonSet, *pods: v1.Pod, nodes: tuple[str, ...] = ("a", "b", "c")) -> plans.Scene:
    named = {name: v1.Node(metadata=ObjectMeta(name=name)) for name in nodes}
    return plans.Scene(owner, NEW, named, plans.by_node(pods), NOW)


def names(pods: list[v1.Pod]) -> list[str]:
    return [item.metadata.name for item in pods]


@pytest.mark.parametrize(
    ("owner", "pods", "created", "deleted"),
    [
        pytest.param(daemon_set(), [pod("1", "a")], ["b", "c"], [], id="missing ones"),
        pytest.param(
            daemon_set(),
            [pod("1", "a", state="deleted"), pod("2", "b"), pod("3", "c")],
            [],
            [],
            id="until the old one is gone",
        ),
        pytest.param(
            daemon_set(),
            [pod("1", "a"), pod("2", "a", creation_timestamp="2026-01-02T00:00:00Z"), pod("3", "b"), pod("4", "c")],
            [],
            ["2"],
            id="the younger of two",
        ),
        pytest.param(
            daemon_set(node_name="b"), [pod("1", "a"), pod("2", "b")], [], ["1"], id="where it does not belong"
        ),
        pytest.param(
            daemon_set(surge=1, unavailable=0),
            [pod("1", "a", state="deleted"), pod("2", "b"), pod("3", "c")],
            ["a"],
            [],
            id="at once when surging",
        ),
        pytest.param(
            daemon_set(surge=1, unavailable=0),
            [pod("1", "a"), pod("2", "a", OLD), pod("3", "b"), pod("4", "c")],
            [],
            ["2"],
            id="the old one when the new one serves",
        ),
        pytest.param(
            daemon_set(surge=1, unavailable=0),
            [pod("1", "a", state="starting"), pod("2", "a", OLD), pod("3", "b"), pod("4", "c")],
            [],
            [],
            id="both while the new one starts",
        ),
        pytest.param(
            daemon_set(surge=1, unavailable=0),
            [pod("1", "a", state="starting"), pod("2", "a", OLD, "starting"), pod("3", "b"), pod("4", "c")],
            [],
            ["2"],
            id="the new one when neither serves",
        ),
    ],
)
def test_nodes_are_put_in_order(owner, pods, created, deleted):
    """Every node gets the pod it lacks, and loses those too many."""
    plan = plans.keep(scene(owner, *pods))
    assert (plan.create, names(plan.delete)) == (created, deleted)


def test_failed_pods_are_told_apart():
    """Pods that have failed are deleted in their own time, and nothing replaces them before."""
    plan = plans.keep(scene(daemon_set(), pod("1", "a", state="failed"), nodes=("a",)))
    assert (plan.create, names(plan.delete), names(plan.failed)) == ([], [], ["1"])


@pytest.mark.parametrize(
    ("owner", "pods", "created", "deleted"),
    [
        pytest.param(
            daemon_set(kind="OnDelete"),
            [pod("1", "a", OLD), pod("2", "b", OLD), pod("3", "c", OLD)],
            [],
            [],
            id="by hand",
        ),
        pytest.param(
            daemon_set(), [pod("1", "a", OLD), pod("2", "b", OLD), pod("3", "c", OLD)], [], ["1"], id="one at a time"
        ),
        pytest.param(
            daemon_set(unavailable="50%"),
            [pod("1", "a", OLD), pod("2", "b", OLD), pod("3", "c", OLD)],
            [],
            ["1", "2"],
            id="half of them, rounded up",
        ),
        pytest.param(
            daemon_set(),
            [pod("1", "a", state="starting"), pod("2", "b", OLD), pod("3", "c", OLD)],
            [],
            [],
            id="not yet",
        ),
        pytest.param(
            daemon_set(),
            [pod("1", "a", OLD, "starting"), pod("2", "b", OLD, "starting"), pod("3", "c", OLD)],
            [],
            ["1", "2"],
            id="those that do not serve",
        ),
        pytest.param(
            daemon_set(unavailable=0),
            [pod("1", "a", OLD), pod("2", "b", OLD), pod("3", "c", OLD)],
            [],
            ["1"],
            id="one even when told none",
        ),
        pytest.param(
            daemon_set(surge=1, unavailable=0),
            [pod("1", "a", OLD), pod("2", "b", OLD), pod("3", "c", OLD, "starting")],
            ["c", "a"],
            [],
            id="surge beside one, and beside those that do not serve",
        ),
        pytest.param(
            daemon_set(surge=1, unavailable=0),
            [pod("1", "a", OLD), pod("2", "a", state="starting"), pod("3", "b", OLD), pod("4", "c", OLD)],
            [],
            [],
            id="surge no further",
        ),
        pytest.param(
            daemon_set(surge=1, unavailable=0, node_name="b"),
            [pod("1", "a", OLD), pod("2", "b", NEW)],
            [],
            ["1"],
            id="leave a node when others serve",
        ),
        pytest.param(
            daemon_set(surge=1, unavailable=0, node_name="b"),
            [pod("1", "a", OLD), pod("2", "b", NEW, "starting")],
            [],
            [],
            id="stay until others serve",
        ),
    ],
)
def test_update_takes_its_next_step(owner, pods, created, deleted):
    """Old pods make room as far as the strategy allows."""
    plan = plans.roll(scene(owner, *pods))
    assert (plan.create, names(plan.delete)) == (created, deleted)


def test_revision_keeps_a_template_as_go_would_write_it():
    """Equal templates have equal bytes: compact, sorted, with the characters of HTML escaped."""
    container = v1.Container(name="c", image="i", args=("a<b&c>d",))
    template = v1.PodTemplateSpec(
        metadata=ObjectMeta(labels={"b": "2", "a": "1"}), spec=v1.PodSpec(containers=(container,))
    )
    assert history.data_bytes(history.data_of(template)) == (
        b'{"spec":{"template":{"$patch":"replace","metadata":{"labels":{"a":"1","b":"2"}},"spec":{"containers":[{"args":'
        b'["a\\u003cb\\u0026c\\u003ed"],"image":"i","name":"c","resources":{}}]}}}}'
    )


def test_revision_of_another_collision_count_has_another_name():
    """A hash that is taken is left by counting."""
    owner = daemon_set()
    data = history.data_of(owner.spec.template)
    made = {history.new_revision(owner, data, 1, count, label=rules.HASH).metadata.name for count in (None, 0, 1)}
    assert len(made) == 3
