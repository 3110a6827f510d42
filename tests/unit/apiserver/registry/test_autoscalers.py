"""HorizontalPodAutoscaler: exact complaints, defaults, rows, and what version 1 carries in annotations."""

import pytest
from msgspec.structs import replace
from tests.support.kind_rules import Rules

from pinnace.api import autoscaling_v1, codec
from pinnace.apiserver.registry.autoscaling import version_1

METRIC = {"name": "hits"}
CPU = {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 70}}}
MEMORY = {"type": "Resource", "resource": {"name": "memory", "target": {"type": "AverageValue", "averageValue": "1Gi"}}}
PART = {
    "type": "ContainerResource",
    "containerResource": {"name": "cpu", "container": "c", "target": {"type": "Utilization", "averageUtilization": 50}},
}
PODS = {"type": "Pods", "pods": {"metric": METRIC, "target": {"type": "AverageValue", "averageValue": "1k"}}}
OBJECT = {
    "type": "Object",
    "object": {
        "describedObject": {"apiVersion": "v1", "kind": "Service", "name": "s"},
        "metric": {"name": "hits", "selector": {"matchLabels": {"a": "b"}}},
        "target": {"type": "Value", "value": "30"},
    },
}
EXTERNAL = {"type": "External", "external": {"metric": METRIC, "target": {"type": "AverageValue", "averageValue": "3"}}}
POLICY = {"type": "Pods", "value": 1, "periodSeconds": 1}
NOT_SOURCE = 'supported values: "ContainerResource", "External", "Object", "Pods", "Resource"'


def rules():
    """Return the rules of the kind."""
    return Rules("horizontalpodautoscalers")


@pytest.mark.parametrize(
    ("changes", "complaints"),
    [
        pytest.param({}, [], id="no metrics"),
        pytest.param({"spec.metrics": [CPU, MEMORY, PART, PODS, OBJECT, EXTERNAL]}, [], id="metrics of every type"),
        pytest.param(
            {"spec.maxReplicas": -1},
            [
                "spec.maxReplicas: Invalid value: -1: must be greater than 0",
                "spec.maxReplicas: Invalid value: -1: must be greater than or equal to `minReplicas`",
            ],
            id="fewer than none",
        ),
        pytest.param(
            {"spec.scaleTargetRef.apiVersion": "a/b/c"},
            ['spec.scaleTargetRef.apiVersion: Invalid value: "a/b/c": unexpected GroupVersion string: a/b/c'],
            id="version that is none",
        ),
        pytest.param(
            {"spec.scaleTargetRef": {"apiVersion": "v1", "kind": "Pod", "name": "a"}},
            ['spec.scaleTargetRef.apiVersion: Invalid value: "v1": apiVersion must specify API group'],
            id="kind of the core group",
        ),
        pytest.param(
            {"spec.scaleTargetRef": {"apiVersion": "v1", "kind": "ReplicationController", "name": "a"}},
            [],
            id="the one core kind that scales",
        ),
        pytest.param(
            {"spec.metrics": [{"type": ""}]},
            [
                "spec.metrics[0].type: Required value: must specify a metric source type",
                f'spec.metrics[0].type: Unsupported value: "": {NOT_SOURCE}',
                f'spec.metrics[0].type: Unsupported value: "": {NOT_SOURCE}',
            ],
            id="metric without a type",
        ),
        pytest.param(
            {"spec.metrics": [{**PODS, "type": "Resource", "external": EXTERNAL["external"]}]},
            [
                "spec.metrics[0].resource: Required value: must populate information for the given metric source",
                "spec.metrics[0].external: Forbidden: must populate the given metric source only",
                "spec.metrics[0].pods: Forbidden: must populate the given metric source only",
            ],
            id="metric with other sources",
        ),
        pytest.param(
            {"spec.metrics": [{"type": "Object", "object": {"metric": {"name": "a/b"}, "target": {}}}]},
            [
                "spec.metrics[0].object.describedObject.kind: Required value",
                "spec.metrics[0].object.describedObject.name: Required value",
                "spec.metrics[0].object.metric.name: Invalid value: \"a/b\": may not contain '/'",
                "spec.metrics[0].object.target.type: Required value: must specify a metric target type",
                (
                    'spec.metrics[0].object.target.type: Invalid value: "": must be either Utilization, Value, or '
                    "AverageValue"
                ),
                (
                    "spec.metrics[0].object.target.averageValue: Required value: must set either a target value or "
                    "averageValue"
                ),
            ],
            id="object of nothing",
        ),
        pytest.param(
            {
                "spec.metrics": [
                    {"type": "External", "external": {"metric": {}, "target": {"type": "Value"}}},
                    {
                        "type": "External",
                        "external": {"metric": METRIC, "target": {"type": "Value", "value": "1", "averageValue": "-1"}},
                    },
                ]
            },
            [
                "spec.metrics[0].external.metric.name: Required value: must specify a metric name",
                (
                    "spec.metrics[0].external.target.averageValue: Required value: must set either a target value for metric "
                    "or a per-pod target"
                ),
                'spec.metrics[1].external.target.averageValue: Invalid value: "-1": must be positive',
                (
                    "spec.metrics[1].external.target.value: Forbidden: may not set both a target value for metric and a "
                    "per-pod target"
                ),
            ],
            id="external metrics",
        ),
        pytest.param(
            {"spec.metrics": [{"type": "Pods", "pods": {"metric": METRIC, "target": {"type": "Value", "value": "0"}}}]},
            [
                'spec.metrics[0].pods.target.value: Invalid value: "0": must be positive',
                "spec.metrics[0].pods.target.averageValue: Required value: must specify a positive target averageValue",
            ],
            id="pods without an average",
        ),
        pytest.param(
            {
                "spec.metrics": [
                    {"type": "Resource", "resource": {"target": {"type": "Utilization"}}},
                    {
                        "type": "Resource",
                        "resource": {
                            "name": "cpu",
                            "target": {"type": "Utilization", "averageUtilization": 0, "averageValue": "1"},
                        },
                    },
                    {
                        "type": "ContainerResource",
                        "containerResource": {"container": "A_", "target": CPU["resource"]["target"]},
                    },
                ]
            },
            [
                "spec.metrics[0].resource.name: Required value: must specify a resource name",
                (
                    "spec.metrics[0].resource.target.averageUtilization: Required value: must set either a target raw value or "
                    "a target utilization"
                ),
                "spec.metrics[1].resource.target.averageUtilization: Invalid value: 0: must be greater than 0",
                (
                    "spec.metrics[1].resource.target.averageValue: Forbidden: may not set both a target raw value and a target "
                    "utilization"
                ),
                "spec.metrics[2].containerResource.name: Required value: must specify a resource name",
                (
                    'spec.metrics[2].containerResource.container: Invalid value: "A_": a lowercase RFC 1123 label must consist '
                    "of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. "
                    "'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
                ),
            ],
            id="resources",
        ),
        pytest.param(
            {"spec.behavior": {"scaleUp": {"policies": [], "tolerance": "-1"}, "scaleDown": {"policies": [POLICY]}}},
            [
                "spec.behavior.scaleUp.policies: Required value: must specify at least one Policy",
                'spec.behavior.scaleUp.tolerance: Invalid value: "-1": must be greater than or equal to 0',
            ],
            id="behavior without policies",
        ),
    ],
)
def test_autoscaler_is_refused(changes, complaints):
    """The complaints are upstream's, in its order."""
    assert rules().refused(changes) == complaints


@pytest.mark.parametrize(
    ("before", "after", "complaints"),
    [
        pytest.param(
            {"spec.scaleTargetRef.apiVersion": "v1"}, {"spec.maxReplicas": 9}, [], id="target from an older server"
        ),
        pytest.param(
            {"spec.scaleTargetRef.apiVersion": "v1"},
            {"spec.scaleTargetRef.kind": "StatefulSet"},
            ['spec.scaleTargetRef.apiVersion: Invalid value: "v1": apiVersion must specify API group'],
            id="target that changes",
        ),
        pytest.param(
            {"spec.minReplicas": 0, "spec.metrics": [EXTERNAL]},
            {"spec.maxReplicas": 9},
            [],
            id="none, as it was before",
        ),
        pytest.param(
            {"spec.minReplicas": 0, "spec.metrics": [EXTERNAL]},
            {"spec.metrics": [CPU]},
            [
                (
                    "spec.metrics: Forbidden: must specify at least one Object or External metric to support scaling to zero "
                    "replicas"
                )
            ],
            id="none, with nothing to see it by",
        ),
    ],
)
def test_autoscaler_from_an_older_server_may_change(before, after, complaints):
    """What was let in once does not stop an update."""
    assert rules().refused_update(before, {**before, **after}) == complaints


def test_counts_of_an_autoscaler_are_not_negative():
    """The status is held to whole pods."""
    after = {"status": {"currentReplicas": -1, "desiredReplicas": -2}}
    assert rules().refused_update({}, after, part="status") == [
        "status.currentReplicas: Invalid value: -1: must be greater than or equal to 0",
        "status.desiredReplicas: Invalid value: -2: must be greater than or equal to 0",
    ]


def test_autoscaler_looks_at_the_cpu_when_at_nothing_else():
    """A metric and the least number of pods are filled in; a behavior that is not given stays so."""
    spec = rules().make({}).spec
    (metric,) = spec.metrics
    assert (spec.min_replicas, metric.resource.name, metric.resource.target.average_utilization) == (1, "cpu", 80)
    assert spec.behavior is None


def test_behavior_is_completed_in_both_directions():
    """One direction given, the other gets upstream's rules; only down has no window."""
    behavior = rules().make({"spec.behavior": {"scaleDown": {"selectPolicy": "Min"}}}).spec.behavior
    up, down = behavior.scale_up, behavior.scale_down
    assert (up.stabilization_window_seconds, up.select_policy) == (0, "Max")
    assert [(one.type, one.value, one.period_seconds) for one in up.policies] == [("Pods", 4, 15), ("Percent", 100, 15)]
    assert (down.stabilization_window_seconds, down.select_policy) == (None, "Min")
    assert [(one.type, one.value, one.period_seconds) for one in down.policies] == [("Percent", 100, 15)]


@pytest.mark.parametrize(
    ("metrics", "states", "cell"),
    [
        pytest.param([CPU], [], "cpu: <unknown>/70%", id="usage that is not known"),
        pytest.param(
            [MEMORY, CPU],
            [{"type": "Resource", "resource": {"name": "memory", "current": {"averageValue": "2Gi"}}}],
            "memory: 2Gi/1Gi, cpu: <unknown>/70%",
            id="amount",
        ),
        pytest.param(
            [PODS, PART, OBJECT],
            [{"type": "Pods", "pods": {"metric": METRIC, "current": {"averageValue": "7"}}}],
            "7/1k, cpu: <unknown>/50% + 1 more...",
            id="more than two",
        ),
        pytest.param(
            [OBJECT, EXTERNAL],
            [{"type": "Object", "object": {"metric": METRIC, "current": {"value": "5"}}}],
            "5/30, <unknown>/3 (avg)",
            id="value and average",
        ),
    ],
)
def test_autoscaler_shows_its_targets(metrics, states, cell):
    """Each metric stands beside its state; two are shown."""
    row = rules().row({"spec.metrics": metrics, "status.currentMetrics": states})
    assert row["Targets"] == cell
    assert (row["Reference"], row["MinPods"], row["MaxPods"]) == ("Deployment/a", "1", 3)


def stored(**changes):
    """Return an autoscaler as it is stored."""
    return rules().make({path.replace("__", "."): value for path, value in changes.items()})


def test_version_1_carries_what_it_has_no_field_for():
    """Everything beyond the CPU's target is in annotations, in the shapes that upstream writes."""
    shown = version_1.to_served(
        stored(
            spec__metrics=[CPU, MEMORY, PART, PODS, OBJECT, EXTERNAL],
            status={"desiredReplicas": 2, "conditions": [{"type": "A", "status": "True"}]},
        )
    )
    assert shown.spec.target_cpu_utilization_percentage == 70
    assert dict(shown.metadata.annotations) == {
        version_1.METRICS: (
            '[{"type":"Resource","resource":{"name":"memory","targetAverageValue":"1Gi"}},'
            '{"type":"ContainerResource","containerResource":'
            '{"name":"cpu","targetAverageUtilization":50,"container":"c"}},'
            '{"type":"Pods","pods":{"metricName":"hits","targetAverageValue":"1k"}},'
            '{"type":"Object","object":{"target":{"kind":"Service","name":"s","apiVersion":"v1"},'
            '"metricName":"hits","targetValue":"30","selector":{"matchLabels":{"a":"b"}}}},'
            '{"type":"External","external":{"metricName":"hits","targetAverageValue":"3"}}]'
        ),
        version_1.CONDITIONS: '[{"type":"A","status":"True","lastTransitionTime":null}]',
    }


def test_version_1_writes_back_all_that_it_read():
    """Metrics, their state, behavior and conditions survive the way to version 1 and back; the CPU goes last."""
    states = [
        {"type": "Resource", "resource": {"name": "cpu", "current": {"averageValue": "1", "averageUtilization": 4}}},
        {"type": "Pods", "pods": {"metric": METRIC, "current": {"averageValue": "7"}}},
        {
            "type": "ContainerResource",
            "containerResource": {"name": "cpu", "container": "c", "current": {"averageValue": "1"}},
        },
        {
            "type": "Object",
            "object": {
                "describedObject": {"kind": "Service", "name": "s"},
                "metric": METRIC,
                "current": {"value": "5"},
            },
        },
        {"type": "External", "external": {"metric": METRIC, "current": {"value": "5", "averageValue": "1"}}},
    ]
    before = stored(
        spec__metrics=[MEMORY, PART, PODS, OBJECT, EXTERNAL, CPU],
        spec__behavior={"scaleUp": {"tolerance": "100m"}},
        status={"currentReplicas": 1, "desiredReplicas": 2, "currentMetrics": states, "conditions": [{"type": "A"}]},
    )
    shown = version_1.to_served(before)
    assert shown.status.current_cpu_utilization_percentage == 4
    assert version_1.to_stored(version_1.default(shown)) == replace(before, api_version="autoscaling/v2")


def test_version_1_without_annotations_speaks_of_the_cpu():
    """Its own fields become a metric and a state; none of them, and the CPU is kept at 80 percent."""
    target = autoscaling_v1.CrossVersionObjectReference(kind="Deployment", name="a", api_version="apps/v1")
    spec = autoscaling_v1.HorizontalPodAutoscalerSpec(scale_target_ref=target, max_replicas=3)
    status = autoscaling_v1.HorizontalPodAutoscalerStatus(current_cpu_utilization_percentage=5)
    sent = version_1.default(autoscaling_v1.HorizontalPodAutoscaler(spec=spec, status=status))
    made = version_1.VERSION.strategy.default(version_1.to_stored(sent))
    assert (made.spec.min_replicas, made.spec.metrics[0].resource.target.average_utilization) == (1, 80)
    assert made.status.current_metrics[0].resource.current.average_utilization == 5


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nonsense",
        "7",
        '[{"type":7}]',
        '{"ScaleUp":7}',
        "[null]",
        "\x00",
        "[" * 100_000,
        '[{"type":"Resource","resource":{"name":"cpu","targetAverageValue":"x","currentAverageValue":"x"}}]',
        '{"ScaleUp":{"Tolerance":"x"}}',
        '[{"type":"A","lastTransitionTime":"yesterday"}]',
    ],
)
def test_version_1_takes_nonsense_in_annotations_for_nothing(text):
    """An annotation that holds no metrics says nothing, and is gone afterwards."""
    shown = version_1.to_served(stored(spec__metrics=[CPU]))
    annotations = dict.fromkeys(
        (version_1.METRICS, version_1.BEHAVIOR, version_1.CURRENT_METRICS, version_1.CONDITIONS), text
    )
    sent = replace(shown, metadata=replace(shown.metadata, annotations={"a": "b", **annotations}))
    made = version_1.to_stored(sent)
    assert made.metadata.annotations == {"a": "b"}
    assert made.spec.behavior is None
    assert {one.last_transition_time for one in made.status.conditions} <= {None}
    assert made.spec.metrics[-1].resource.name == "cpu"
    assert codec.encode(made)
