"""Quotas, events, templates and what a pod takes from its own labels."""

import pytest
from tests.support.kind_rules import Rules

from pinnace.api.core_v1 import (
    Affinity,
    Pod,
    PodAffinity,
    PodAffinityTerm,
    PodSpec,
    TopologySpreadConstraint,
    WeightedPodAffinityTerm,
)
from pinnace.api.meta_v1 import LabelSelector, ObjectMeta
from pinnace.apiserver.registry.core.pod_label_keys import with_label_keys

QUALIFIED = (
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric "
    "character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "
    "'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
)


@pytest.mark.parametrize(
    ("plural", "changes", "complaints"),
    [
        pytest.param(
            "resourcequotas",
            {"spec.hard": {"pods": "1500m", "cpus": "1", "memory": "-1", "requests.example.com/gpu": "4"}},
            [
                'spec.hard[cpus]: Invalid value: "cpus": must be a standard resource type or fully qualified',
                'spec.hard[cpus]: Invalid value: "cpus": must be a standard resource for quota',
                'spec.hard[memory]: Invalid value: "-1": must be greater than or equal to 0',
                'spec.hard[pods]: Invalid value: "1500m": must be an integer',
            ],
            id="limits",
        ),
        pytest.param(
            "resourcequotas",
            {"spec.scopes": ["Odd"]},
            ['spec.scopes: Invalid value: ["Odd"]: unsupported scope'],
            id="unknown scope",
        ),
        pytest.param(
            "resourcequotas",
            {"spec.hard": {"services": "1"}, "spec.scopes": ["BestEffort", "NotBestEffort"]},
            [
                'spec.scopes: Invalid value: ["BestEffort","NotBestEffort"]: unsupported scope applied to resource',
                'spec.scopes: Invalid value: ["BestEffort","NotBestEffort"]: unsupported scope applied to resource',
                'spec.scopes: Invalid value: ["BestEffort","NotBestEffort"]: conflicting scopes',
            ],
            id="scopes that exclude each other",
        ),
        pytest.param(
            "resourcequotas",
            {
                "spec.scopeSelector": {
                    "matchExpressions": [
                        {"scopeName": "PriorityClass", "operator": "In"},
                        {"scopeName": "PriorityClass", "operator": "Exists", "values": ["x"]},
                        {"scopeName": "Odd", "operator": "Near"},
                    ]
                }
            },
            [
                (
                    "spec.scopeSelector.matchExpressions.values: Required value: must be at least one value when `operator` is "
                    "'In' or 'NotIn' for scope selector"
                ),
                (
                    'spec.scopeSelector.matchExpressions.values: Invalid value: ["x"]: must be no value when `operator` is '
                    "'Exist' or 'DoesNotExist' for scope selector"
                ),
                'spec.scopeSelector.matchExpressions.scopeName: Invalid value: "Odd": unsupported scope',
                'spec.scopeSelector.matchExpressions.operator: Invalid value: "Near": not a valid selector operator',
            ],
            id="scope selector",
        ),
        pytest.param(
            "events",
            {"involvedObject": {"kind": "Node", "name": "n"}, "metadata.namespace": "a"},
            ['involvedObject.namespace: Invalid value: "": does not match event.namespace'],
            id="event in another namespace",
        ),
        pytest.param(
            "events",
            {"eventTime": "2026-01-02T03:04:05.000000Z", "reason": "", "message": "m" * 1025},
            [
                "reportingComponent: Required value",
                'reportingComponent: Invalid value: "": name part must be non-empty',
                f'reportingComponent: Invalid value: "": {QUALIFIED}',
                "reportingInstance: Required value",
                "action: Required value",
                "reason: Required value",
                'message: Invalid value: "": can have at most 1024 characters',
            ],
            id="new event that says too little",
        ),
        pytest.param(
            "podtemplates",
            {"template.spec.volumes": [{"name": "v", "emptyDir": {}, "hostPath": {"path": "/x"}}]},
            ["template.spec.volumes[0].hostPath: Forbidden: may not specify more than 1 volume type"],
            id="template",
        ),
        pytest.param(
            "pods",
            {"metadata.annotations": {"kubernetes.io/config.mirror": "x"}},
            [
                (
                    'metadata.annotations[kubernetes.io/config.mirror]: Invalid value: "x": must set spec.nodeName if mirror pod '
                    "annotation is set"
                )
            ],
            id="mirror without a node",
        ),
        pytest.param(
            "endpoints",
            {"subsets": [{"addresses": [{"ip": "169.254.0.1"}], "ports": [{"port": 0}, {"name": "a", "port": 1}]}, {}]},
            [
                (
                    'subsets[0].addresses[0].ip: Invalid value: "169.254.0.1": may not be in the link-local range '
                    "(169.254.0.0/16, fe80::/10)"
                ),
                "subsets[0].ports[0].name: Required value",
                "subsets[0].ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive",
                "subsets[1]: Required value: must specify `addresses` or `notReadyAddresses`",
            ],
            id="endpoints",
        ),
    ],
)
def test_core_kind_is_refused(plural, changes, complaints):
    """The complaints are upstream's, in its order."""
    assert Rules(plural).refused(changes) == complaints


def test_scopes_of_a_quota_stay():
    """Limits may change, scopes not."""
    rules = Rules("resourcequotas")
    after = {"spec.hard": {"pods": "2"}, "spec.scopes": ["BestEffort"]}
    assert rules.refused_update({}, after) == ['spec.scopes: Invalid value: ["BestEffort"]: field is immutable']
    assert rules.refused_update(
        {}, {"metadata.resourceVersion": "1", "status.used": {"pods": "-1"}}, part="status"
    ) == ['status.used[pods]: Invalid value: "-1": must be greater than or equal to 0']


def test_endpoints_are_deprecated():
    """Every answer about them says what to use instead."""
    text = "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice"
    assert Rules("endpoints").strategy.deprecation == text


def test_pod_selects_by_its_own_labels():
    """Keys whose values a pod has become conditions, for terms of every sort; others are left alone."""
    term = PodAffinityTerm(
        topology_key="zone",
        label_selector=LabelSelector(),
        match_label_keys=("rev", "none"),
        mismatch_label_keys=("tenant",),
    )
    affinity = PodAffinity(
        required_during_scheduling_ignored_during_execution=(term,),
        preferred_during_scheduling_ignored_during_execution=(WeightedPodAffinityTerm(pod_affinity_term=term),),
    )
    spread = TopologySpreadConstraint(label_selector=LabelSelector(), match_label_keys=("rev",))
    pod = Pod(
        metadata=ObjectMeta(labels={"rev": "7", "tenant": "t"}),
        spec=PodSpec(affinity=Affinity(pod_affinity=affinity), topology_spread_constraints=(spread,)),
    )
    made = with_label_keys(pod).spec
    near = made.affinity.pod_affinity
    wanted = [("rev", "In", ("7",)), ("tenant", "NotIn", ("t",))]
    for one in (
        near.required_during_scheduling_ignored_during_execution[0],
        near.preferred_during_scheduling_ignored_during_execution[0].pod_affinity_term,
    ):
        assert [(item.key, item.operator, item.values) for item in one.label_selector.match_expressions] == wanted
    (rest,) = made.topology_spread_constraints
    assert [item.key for item in rest.label_selector.match_expressions] == ["rev"]
    plain = Pod(spec=PodSpec())
    assert with_label_keys(plain) is plain
