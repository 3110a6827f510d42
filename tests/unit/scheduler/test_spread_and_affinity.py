"""Where pods go that look at other pods: spread over domains, near some, apart from others."""

from __future__ import annotations

import random

import numpy as np
import pytest
from msgspec.structs import replace

from pinnace.api import core_v1
from pinnace.api.meta_v1 import LabelSelector, LabelSelectorRequirement, ObjectMeta
from pinnace.scheduler.cache import SchedulerCache
from pinnace.scheduler.framework import CycleState
from pinnace.scheduler.plugins.image_locality import ImageLocality
from pinnace.scheduler.plugins.inter_pod_affinity import InterPodAffinity
from pinnace.scheduler.plugins.pod_topology_spread import PodTopologySpread
from pinnace.scheduler.registry import default_profile
from pinnace.scheduler.schedule_one import Placement, Unschedulable, schedule

HOST, ZONE = "kubernetes.io/hostname", "topology.kubernetes.io/zone"
WEB = LabelSelector(match_labels={"app": "web"})
SPREAD_TEXT = "node(s) didn't match pod topology spread constraints"


def node(name, zone="", *, taints=(), images=(), **labels):
    zoned = {ZONE: zone} if zone else {}
    return core_v1.Node(
        metadata=ObjectMeta(name=name, labels={HOST: name, **zoned, **labels}),
        spec=core_v1.NodeSpec(taints=taints),
        status=core_v1.NodeStatus(
            allocatable={"cpu": "64", "memory": "256Gi", "pods": "500"},
            images=tuple(core_v1.ContainerImage(names=(name,), size_bytes=size) for name, size in images),
        ),
    )


def pod(name="new", *, on="", app="web", namespace="default", leaving=False, image="app", **spec):
    return core_v1.Pod(
        metadata=ObjectMeta(
            name=name,
            namespace=namespace,
            uid=f"{namespace}/{name}",
            labels={"app": app} if app else {},
            deletion_timestamp="2026-01-01T00:00:00Z" if leaving else None,
        ),
        spec=core_v1.PodSpec(containers=(core_v1.Container(name="c", image=image),), node_name=on, **spec),
    )


def spread(key=ZONE, *, skew=1, soft=False, selector=WEB, **fields):
    when = "ScheduleAnyway" if soft else "DoNotSchedule"
    return core_v1.TopologySpreadConstraint(
        topology_key=key, max_skew=skew, when_unsatisfiable=when, label_selector=selector, **fields
    )


def term(app="web", key=ZONE, **fields):
    return core_v1.PodAffinityTerm(topology_key=key, label_selector=LabelSelector(match_labels={"app": app}), **fields)


def near(*terms, preferred=()):
    return core_v1.Affinity(
        pod_affinity=core_v1.PodAffinity(
            required_during_scheduling_ignored_during_execution=terms,
            preferred_during_scheduling_ignored_during_execution=weighted(preferred),
        )
    )


def apart(*terms, preferred=()):
    return core_v1.Affinity(
        pod_anti_affinity=core_v1.PodAntiAffinity(
            required_during_scheduling_ignored_during_execution=terms,
            preferred_during_scheduling_ignored_during_execution=weighted(preferred),
        )
    )


def weighted(terms):
    return tuple(core_v1.WeightedPodAffinityTerm(weight=weight, pod_affinity_term=one) for weight, one in terms)


def cache_of(nodes, pods, namespaces=None):
    cache = SchedulerCache()
    for name, labels in (namespaces or {}).items():
        cache.nodes.pods.set_namespace(name, labels)
    for item in nodes:
        cache.nodes.set_node(item)
    for item in pods:
        cache.set_pod(item)
    return cache


def refusals(plugin, cache, item):
    """Which nodes a plug-in refuses, and with what text."""
    state = CycleState()
    status = plugin.pre_filter(state, item, cache.nodes)
    if not status.is_success or status.code == "Skip":
        return {}
    found = {}
    for rejection in plugin.filter(state, item, cache.nodes):
        for row in np.flatnonzero(rejection.nodes & cache.nodes.alive):
            assert cache.nodes.name(row) not in found, "one reason for each node"
            found[cache.nodes.name(row)] = rejection.reason
    return found


def scores(plugin, cache, item):
    """What a plug-in gives to each node; None when it has nothing to say."""
    state, feasible = CycleState(), cache.nodes.alive.copy()
    if hasattr(plugin, "pre_score") and plugin.pre_score(state, item, cache.nodes, feasible).code == "Skip":
        return None
    given = plugin.score(state, item, cache.nodes, feasible)
    return {cache.nodes.name(row): given[row] for row in np.flatnonzero(feasible)}


AB = [node("a1", "a"), node("a2", "a"), node("b1", "b")]
TAINT = core_v1.Taint(key="k", effect="NoSchedule")


@pytest.mark.parametrize(
    ("nodes", "standing", "constraint", "refused"),
    [
        pytest.param(AB, [], spread(), {}, id="the-first-goes-anywhere"),
        pytest.param(AB, [pod("x", on="a1")], spread(), {"a1", "a2"}, id="zone-ahead"),
        pytest.param(AB, [pod("x", on="a1")], spread(skew=2), set(), id="greater-skew"),
        pytest.param(AB, [pod("x", on="a1")], spread(HOST), {"a1"}, id="by-host"),
        pytest.param(AB, [pod("x", on="a1", leaving=True)], spread(), set(), id="leaving-pods-do-not-count"),
        pytest.param(AB, [pod("x", on="a1", namespace="other")], spread(), set(), id="other-namespaces-do-not-count"),
        pytest.param(AB, [pod("x", on="a1", app="db")], spread(), set(), id="other-pods-do-not-count"),
        pytest.param(AB, [pod("x", on="a1")], spread(selector=LabelSelector()), set(), id="everything-counts-none"),
        pytest.param(AB, [pod("x", on="a1")], spread(selector=None), set(), id="no-selector-counts-none"),
        pytest.param(
            AB, [pod("x", on="a1"), pod("y", on="b1")], spread(min_domains=3), {"a1", "a2", "b1"}, id="too-few-domains"
        ),
        pytest.param(AB, [pod("x", on="a1"), pod("y", on="b1")], spread(min_domains=2), set(), id="enough-domains"),
        pytest.param([*AB, node("n")], [pod("x", on="a1")], spread(), {"a1", "a2", "n"}, id="node-without-the-label"),
        pytest.param(
            [*AB, node("t", "c", taints=(TAINT,))],
            [pod("x", on="a1"), pod("y", on="b1")],
            spread(),
            {"a1", "a2", "b1"},
            id="tainted-nodes-are-domains",
        ),
        pytest.param(
            [*AB, node("t", "c", taints=(TAINT,))],
            [pod("x", on="a1"), pod("y", on="b1")],
            spread(node_taints_policy="Honor"),
            set(),
            id="unless-taints-are-honoured",
        ),
        pytest.param(
            AB,
            [pod("x", on="a1")],
            spread(match_label_keys=("app",), selector=LabelSelector()),
            {"a1", "a2"},
            id="keys-whose-values-are-the-pods-own",
        ),
    ],
)
def test_spread_refuses_domains_that_are_ahead(nodes, standing, constraint, refused):
    """The skew is counted over the pods that are spread and the nodes that are domains, and nothing else."""
    cache = cache_of(nodes, standing)
    found = refusals(PodTopologySpread(), cache, pod(topology_spread_constraints=(constraint,)))
    assert set(found) == set(refused)
    assert all(text.startswith(SPREAD_TEXT) for text in found.values())
    assert found.get("n", f"{SPREAD_TEXT} (missing required label)") == f"{SPREAD_TEXT} (missing required label)"


@pytest.mark.parametrize(
    ("policy", "refused"),
    [pytest.param("Honor", set(), id="honour"), pytest.param("Ignore", {"a1", "a2"}, id="ignore")],
)
def test_spread_counts_domains_that_the_pods_selector_takes(policy, refused):
    """Zone b is out of the pod's reach: it is a domain only when its selector is ignored."""
    cache = cache_of(AB, [pod("x", on="a1")])
    new = pod(topology_spread_constraints=(spread(node_affinity_policy=policy),), node_selector={ZONE: "a"})
    assert set(refusals(PodTopologySpread(), cache, new)) == refused


def test_spread_deals_pods_out_to_all_domains():
    """Six pods, one after the other, end up two in each of three zones, whatever chance says."""
    nodes = [node(f"{zone}{number}", zone) for zone in "abc" for number in range(2)]
    cache, profile = cache_of(nodes, []), default_profile(None)  # type: ignore[arg-type] - nothing is bound
    placed = []
    for number in range(6):
        new = pod(f"p{number}", topology_spread_constraints=(spread(), spread(HOST)))
        result = schedule(profile, new, cache.nodes, random.Random(number))
        assert isinstance(result, Placement)
        cache.assume(new, result.node)
        placed.append(result.node)
    assert sorted(placed) == sorted(one.metadata.name for one in nodes)


def test_spread_tells_why_nothing_fits():
    """The reasons stand in the message with the number of nodes."""
    cache = cache_of([*AB, node("n")], [pod("x", on="a1"), pod("y", on="b1")])
    result = schedule(
        default_profile(None),  # type: ignore[arg-type]
        pod(topology_spread_constraints=(spread(min_domains=3),)),
        cache.nodes,
        random.Random(0),
    )
    assert isinstance(result, Unschedulable)
    assert result.message.startswith(
        f"0/4 nodes are available: 1 {SPREAD_TEXT} (missing required label), 3 {SPREAD_TEXT}. "
    )


def test_soft_spread_prefers_the_emptier_domains():
    """ln(4) for each pod of a zone of two: 3, 3 and 0 pods score 4, 4 and 0, of which 0, 0 and 100 are left."""
    standing = [pod(f"x{number}", on="a1") for number in range(3)]
    cache = cache_of(AB, standing)
    new = pod(topology_spread_constraints=(spread(soft=True),))
    assert scores(PodTopologySpread(), cache, new) == {"a1": 0, "a2": 0, "b1": 100}
    by_host = pod(topology_spread_constraints=(spread(HOST, soft=True),))
    assert scores(PodTopologySpread(), cache, by_host) == {"a1": 0, "a2": 100, "b1": 100}
    assert scores(PodTopologySpread(), cache, pod()) is None


def test_soft_spread_gives_nothing_to_nodes_outside_of_all_domains():
    """A node without the label is in no domain, and where nobody stands all others are equally good."""
    cache = cache_of([*AB, node("n")], [])
    new = pod(topology_spread_constraints=(spread(soft=True),))
    assert scores(PodTopologySpread(), cache, new) == {"a1": 100, "a2": 100, "b1": 100, "n": 0}


AFFINITY_TEXT = "node(s) didn't match pod affinity rules"
ANTI_TEXT = "node(s) didn't match pod anti-affinity rules"
EXISTING_TEXT = "node(s) didn't satisfy existing pods anti-affinity rules"
ELSEWHERE = pod("x", on="a1", namespace="other")


@pytest.mark.parametrize(
    ("standing", "affinity", "text", "refused"),
    [
        pytest.param([pod("x", on="a1")], near(term()), AFFINITY_TEXT, {"b1", "n"}, id="near"),
        pytest.param([pod("x", on="a1")], near(term(key=HOST)), AFFINITY_TEXT, {"a2", "b1", "n"}, id="near-by-host"),
        pytest.param([], near(term("db")), AFFINITY_TEXT, {"a1", "a2", "b1", "n"}, id="near-nobody"),
        pytest.param([], near(term()), AFFINITY_TEXT, {"n"}, id="the-first-of-its-kind-goes-anywhere-with-the-label"),
        pytest.param(
            [pod("x", on="a1"), pod("y", on="b1", app="db")],
            near(term(), term("db")),
            AFFINITY_TEXT,
            {"a1", "a2", "b1", "n"},
            id="one-pod-must-be-all-that-is-wanted",
        ),
        pytest.param([ELSEWHERE], near(term("web", namespaces=("other",))), AFFINITY_TEXT, {"b1", "n"}, id="namespace"),
        pytest.param([ELSEWHERE], near(term("db")), AFFINITY_TEXT, {"a1", "a2", "b1", "n"}, id="own-namespace"),
        pytest.param(
            [ELSEWHERE],
            near(term(namespace_selector=LabelSelector(match_labels={"team": "x"}))),
            AFFINITY_TEXT,
            {"b1", "n"},
            id="namespace-by-labels",
        ),
        pytest.param(
            [ELSEWHERE],
            apart(
                term(
                    namespace_selector=LabelSelector(
                        match_expressions=(LabelSelectorRequirement(key="team", operator="DoesNotExist"),)
                    )
                )
            ),
            ANTI_TEXT,
            set(),
            id="namespace-that-labels-leave-out",
        ),
        pytest.param([pod("x", on="a1")], apart(term()), ANTI_TEXT, {"a1", "a2"}, id="apart"),
        pytest.param(
            [pod("x", on="a1", leaving=True)], apart(term()), ANTI_TEXT, {"a1", "a2"}, id="leaving-still-there"
        ),
        pytest.param([pod("x", on="a1")], apart(term(key=HOST)), ANTI_TEXT, {"a1"}, id="apart-by-host"),
        pytest.param(
            [pod("x", on="a1", app="db", affinity=apart(term()))], None, EXISTING_TEXT, {"a1", "a2"}, id="shunned"
        ),
        pytest.param(
            [pod("x", on="a1", app="db", affinity=apart(term("cache")))], None, EXISTING_TEXT, set(), id="not-meant"
        ),
    ],
)
def test_pods_keep_to_what_they_say_of_each_other(standing, affinity, text, refused):
    """Each node is refused for the first thing that is wrong with it, in upstream's words."""
    cache = cache_of([*AB, node("n")], standing, {"default": {}, "other": {"team": "x"}})
    assert refusals(InterPodAffinity(), cache, pod(affinity=affinity)) == dict.fromkeys(refused, text)


def test_terms_of_a_pod_that_has_gone_are_forgotten():
    """Once it is deleted, or done, nobody is kept away by it."""
    shunning = pod("x", on="a1", app="db", affinity=apart(term()))
    cache = cache_of(AB, [shunning])
    assert refusals(InterPodAffinity(), cache, pod())
    cache.set_pod(replace(shunning, status=core_v1.PodStatus(phase="Succeeded")))
    assert refusals(InterPodAffinity(), cache, pod()) == {}
    cache.set_pod(shunning)
    cache.remove_pod("default/x")
    assert refusals(InterPodAffinity(), cache, pod()) == {}


@pytest.mark.parametrize(
    ("standing", "affinity", "given"),
    [
        pytest.param([], None, None, id="nothing-to-say"),
        pytest.param([pod("x", on="a1")], near(preferred=[(5, term())]), (100, 100, 0), id="prefers-near"),
        pytest.param([pod("x", on="a1")], apart(preferred=[(5, term())]), (0, 0, 100), id="prefers-apart"),
        pytest.param(
            [pod("x", on="a1"), pod("y", on="a1"), pod("z", on="b1")],
            near(preferred=[(5, term())]),
            (100, 100, 0),
            id="two-are-more-than-one",
        ),
        pytest.param(
            [pod("x", on="a1", affinity=near(preferred=[(7, term())]))], None, (100, 100, 0), id="wanted-by-another"
        ),
        pytest.param([pod("x", on="a1", affinity=near(term()))], None, (100, 100, 0), id="needed-by-another"),
        pytest.param(
            [pod("x", on="a1", affinity=near(term(key="none")))], None, (0, 0, 0), id="no-domain-is-no-difference"
        ),
        pytest.param(
            [pod("x", on="a1", app="db"), pod("y", on="b1")],
            near(preferred=[(4, term("db")), (1, term())]),
            (100, 100, 0),
            id="weights-are-compared",
        ),
    ],
)
def test_preferences_about_other_pods_rank_nodes(standing, affinity, given):
    """Weights of both sides are added up by domain, and the sums spread from 0 to 100."""
    found = scores(InterPodAffinity(), cache_of(AB, standing), pod(affinity=affinity))
    assert found == (None if given is None else dict(zip(("a1", "a2", "b1"), given, strict=True)))


def test_nodes_that_have_the_image_come_first():
    """500 MiB on half of the nodes count as 250; with 1000 at most, 23 at least, that makes 23 of 100."""
    mebibytes = 500 * 1024 * 1024
    cache = cache_of([node("a", images=[("app:latest", mebibytes)]), node("b", images=[("other:1", mebibytes)])], [])
    assert scores(ImageLocality(), cache, pod()) == {"a": 23, "b": 0}
    assert scores(ImageLocality(), cache, pod(image="none:2")) == {"a": 0, "b": 0}


def test_image_that_comes_later_is_seen():
    """What a node tells of itself is taken over, also when a pod has asked for it before."""
    cache = cache_of([node("a"), node("b")], [])
    assert scores(ImageLocality(), cache, pod()) == {"a": 0, "b": 0}
    cache.nodes.set_node(node("b", images=[("app:latest", 10**9)]))
    assert scores(ImageLocality(), cache, pod())["b"] > 0
