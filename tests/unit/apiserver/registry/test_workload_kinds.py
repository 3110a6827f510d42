"""apps: exact complaints, defaults, warnings and rows of workloads and their revisions."""

import pytest
from tests.support.kind_rules import DROP, Rules

from pinnace.apiserver.endpoints.table import partial
from pinnace.apiserver.registry.strategy import Context
from pinnace.component.http import UserInfo

CONTEXT = Context(user=UserInfo("a"), now=0.0, identity=None, objects=None)
MISMATCH = "spec.template.metadata.labels: Invalid value: {}: `selector` does not match template `labels`"
NEGATIVE = "Invalid value: -1: must be greater than or equal to 0"
PERCENT = (
    "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex used for validation "
    "is '[0-9]+%')"
)
LABEL_KEY = (
    "a valid label key must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric "
    "character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "
    "'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]') with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
)
DNS_LABEL = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an "
    "alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
)
REPLICATED = ["deployments", "replicasets"]


@pytest.mark.parametrize("plural", REPLICATED)
@pytest.mark.parametrize(
    ("changes", "complaints"),
    [
        pytest.param({}, [], id="nothing wrong"),
        pytest.param(
            {"spec.selector": DROP}, ["spec.selector: Required value", MISMATCH.format('{"app":"a"}')], id="no selector"
        ),
        pytest.param(
            {"spec.selector": {}},
            ["spec.selector: Invalid value: {}: empty selector is invalid for deployment"],
            id="empty selector",
        ),
        pytest.param({"spec.template.metadata": DROP}, [MISMATCH.format("null")], id="no labels"),
        pytest.param(
            {"spec.selector": {"matchLabels": {"a/b/c": "a"}}, "spec.template.spec.restartPolicy": "Never"},
            [
                f'spec.selector.matchLabels: Invalid value: "a/b/c": {LABEL_KEY}',
                'spec.selector: Invalid value: {"matchLabels":{"a/b/c":"a"}}: invalid label selector',
            ],
            id="unusable selector hides the template",
        ),
        pytest.param(
            {
                "spec.template.metadata.annotations": {"a b": ""},
                "spec.template.spec": {"containers": [], "restartPolicy": "Never", "activeDeadlineSeconds": 1},
            },
            [
                (
                    "spec.template.annotations: Invalid value: \"a b\": name part must consist of alphanumeric characters, '-', '_' "
                    "or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', "
                    "regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
                ),
                "spec.template.spec.containers: Required value",
                'spec.template.spec.restartPolicy: Unsupported value: "Never": supported values: "Always"',
                (
                    "spec.template.spec.activeDeadlineSeconds: Forbidden: activeDeadlineSeconds in ReplicaSet is not "
                    "Supported"
                ),
            ],
            id="template",
        ),
    ],
)
def test_replicated_workload_is_refused(plural, changes, complaints):
    """Deployments and ReplicaSets have the rules of selectors and templates in common."""
    assert Rules(plural).refused(changes) == complaints


@pytest.mark.parametrize(
    ("plural", "changes", "complaints"),
    [
        pytest.param(
            "replicasets",
            {"spec.replicas": -1, "spec.minReadySeconds": -1},
            [f"spec.replicas: {NEGATIVE}", f"spec.minReadySeconds: {NEGATIVE}"],
            id="set below nothing",
        ),
        pytest.param(
            "deployments",
            {
                "spec.replicas": -1,
                "spec.strategy": {"type": "Other"},
                "spec.minReadySeconds": 5,
                "spec.revisionHistoryLimit": -1,
                "spec.progressDeadlineSeconds": -1,
            },
            [
                f"spec.replicas: {NEGATIVE}",
                (
                    'spec.strategy: Unsupported value: {"Type":"Other","RollingUpdate":null}: supported values: "Recreate", '
                    '"RollingUpdate"'
                ),
                f"spec.revisionHistoryLimit: {NEGATIVE}",
                f"spec.progressDeadlineSeconds: {NEGATIVE}",
                "spec.progressDeadlineSeconds: Invalid value: -1: must be greater than minReadySeconds",
            ],
            id="deployment in the order of its fields",
        ),
        pytest.param(
            "deployments",
            {"spec.strategy": {"type": "Recreate", "rollingUpdate": {"maxSurge": 1}}},
            ["spec.strategy.rollingUpdate: Forbidden: may not be specified when strategy `type` is 'Recreate'"],
            id="recreating and rolling",
        ),
        pytest.param(
            "deployments",
            {"spec.strategy": {"rollingUpdate": {"maxSurge": "0%", "maxUnavailable": 0}}},
            ["spec.strategy.rollingUpdate.maxUnavailable: Invalid value: 0: may not be 0 when `maxSurge` is 0"],
            id="standing still",
        ),
        pytest.param(
            "deployments",
            {"spec.strategy": {"rollingUpdate": {"maxSurge": "x", "maxUnavailable": "200%"}}},
            [
                f'spec.strategy.rollingUpdate.maxSurge: Invalid value: "x": {PERCENT}',
                'spec.strategy.rollingUpdate.maxUnavailable: Invalid value: "200%": must not be greater than 100%',
            ],
            id="odd shares",
        ),
        pytest.param(
            "daemonsets",
            {"spec.selector": {}, "spec.template.spec.restartPolicy": "Never", "spec.minReadySeconds": -1},
            [
                "spec.selector: Invalid value: {}: empty selector is invalid for daemonset",
                'spec.template.spec.restartPolicy: Unsupported value: "Never": supported values: "Always"',
                f"spec.minReadySeconds: {NEGATIVE}",
            ],
            id="daemon set",
        ),
        pytest.param(
            "daemonsets",
            {"spec.updateStrategy": {"rollingUpdate": {"maxSurge": 1}}, "spec.revisionHistoryLimit": -1},
            [
                "spec.updateStrategy.rollingUpdate.maxSurge: Invalid value: 1: may not be set when maxUnavailable is non-zero",
                f"spec.revisionHistoryLimit: {NEGATIVE}",
            ],
            id="daemon set with two shares",
        ),
        pytest.param(
            "daemonsets",
            {"spec.updateStrategy": {"rollingUpdate": {"maxSurge": 0, "maxUnavailable": 0}}},
            ["spec.updateStrategy.rollingUpdate.maxUnavailable: Required value: cannot be 0 when maxSurge is 0"],
            id="daemon set standing still",
        ),
        pytest.param(
            "daemonsets",
            {"spec.updateStrategy": {"type": "Other"}},
            [
                (
                    'spec.updateStrategy: Unsupported value: {"Type":"Other","RollingUpdate":null}: supported values: '
                    '"RollingUpdate", "OnDelete"'
                )
            ],
            id="daemon set with an odd strategy",
        ),
        pytest.param(
            "statefulsets",
            {
                "spec.podManagementPolicy": "Any",
                "spec.updateStrategy": {"type": "OnDelete", "rollingUpdate": {"partition": 1}},
                "spec.persistentVolumeClaimRetentionPolicy": {"whenDeleted": "Keep"},
                "spec.volumeClaimTemplates": [{"metadata": {"name": "v"}, "spec": {"accessModes": ["ReadWriteOnce"]}}],
                "spec.ordinals": {"start": -1},
                "spec.serviceName": "A",
            },
            [
                "spec.podManagementPolicy: Invalid value: \"Any\": must be 'OrderedReady' or 'Parallel'",
                (
                    'spec.updateStrategy.rollingUpdate: Invalid value: {"Partition":1,"MaxUnavailable":null}: only allowed for '
                    "updateStrategy 'RollingUpdate'"
                ),
                (
                    'spec.persistentVolumeClaimRetentionPolicy.whenDeleted: Unsupported value: "Keep": supported values: '
                    '"Retain", "Delete"'
                ),
                "spec.volumeClaimTemplates[0].spec.resources[storage]: Required value",
                f"spec.ordinals.start: {NEGATIVE}",
                f'spec.serviceName: Invalid value: "A": {DNS_LABEL}',
            ],
            id="stateful set in the order of its fields",
        ),
        pytest.param(
            "statefulsets",
            {"spec.template.spec.containers.0.volumeMounts": [{"name": "v", "mountPath": "/v"}]},
            ['spec.template.spec.containers[0].volumeMounts[0].name: Not found: "v"'],
            id="stateful set without the volume",
        ),
        pytest.param(
            "statefulsets",
            {
                "spec.template.spec.containers.0.volumeMounts": [{"name": "v", "mountPath": "/v"}],
                "spec.volumeClaimTemplates": [
                    {
                        "metadata": {"name": "v"},
                        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
                    }
                ],
            },
            [],
            id="stateful set with a claim for the volume",
        ),
        pytest.param(
            "controllerrevisions",
            {"data": DROP, "revision": -1},
            ["data: Required value: data is mandatory", f"revision: {NEGATIVE}"],
            id="empty revision",
        ),
    ],
)
def test_workload_is_refused(plural, changes, complaints):
    """The complaints are upstream's, in its order."""
    assert Rules(plural).refused(changes) == complaints


FROZEN = (
    "spec: Forbidden: updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', "
    "'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden"
)
OTHER = {"spec.selector": {"matchLabels": {"app": "b"}}, "spec.template.metadata": {"labels": {"app": "b"}}}
HELD = 'spec.selector: Invalid value: {"matchLabels":{"app":"b"}}: field is immutable'


@pytest.mark.parametrize(
    ("plural", "before", "after", "complaints"),
    [
        pytest.param("deployments", {}, OTHER, [HELD], id="deployment's selector"),
        pytest.param("replicasets", {}, OTHER, [HELD], id="set's selector"),
        pytest.param("daemonsets", {}, OTHER, [HELD], id="daemon set's selector"),
        pytest.param(
            "replicasets",
            {},
            {"spec.replicas": -1},
            [f"spec.replicas: {NEGATIVE}"] * 2,
            id="what upstream says twice",
        ),
        pytest.param(
            "statefulsets", {}, {"spec.podManagementPolicy": "Parallel"}, [FROZEN], id="stateful set's policy"
        ),
        pytest.param(
            "statefulsets",
            {},
            {
                "spec.replicas": 3,
                "spec.ordinals": {"start": 2},
                "spec.template.spec.containers.0.image": "other:1",
                "spec.updateStrategy": {"type": "OnDelete"},
                "spec.revisionHistoryLimit": 3,
                "spec.persistentVolumeClaimRetentionPolicy": {"whenScaled": "Delete"},
                "spec.minReadySeconds": 3,
            },
            [],
            id="what may change of a stateful set",
        ),
        pytest.param(
            "statefulsets",
            {"spec.serviceName": "A", "spec.template.spec.containers": []},
            {"spec.replicas": 3},
            [],
            id="what was wrong with a stateful set before",
        ),
        pytest.param(
            "statefulsets",
            {},
            {"spec.template.spec.containers": []},
            ["spec.template.spec.containers: Required value"],
            id="what gets wrong with a stateful set",
        ),
        pytest.param(
            "controllerrevisions",
            {},
            {"data": {"a": 2}, "revision": 2},
            ['data: Invalid value: {"a":2}: field is immutable'],
            id="revision's data",
        ),
    ],
)
def test_workload_holds_what_does_not_change(plural, before, after, complaints):
    """Immutable fields are named, in upstream's words; the others may change."""
    assert Rules(plural).refused_update(before, {**before, **after}) == complaints


OVER = "cannot be greater than status.replicas"


@pytest.mark.parametrize(
    ("plural", "before", "after", "complaints"),
    [
        pytest.param(
            "deployments",
            {"collisionCount": 2},
            {
                "replicas": 1,
                "updatedReplicas": 2,
                "readyReplicas": 0,
                "availableReplicas": 1,
                "unavailableReplicas": -1,
                "collisionCount": 1,
            },
            [
                f"status.unavailableReplicas: {NEGATIVE}",
                f"status.updatedReplicas: Invalid value: 2: {OVER}",
                "status.availableReplicas: Invalid value: 1: cannot be greater than readyReplicas",
                "status.collisionCount: Invalid value: 1: cannot be decremented",
            ],
            id="deployment",
        ),
        pytest.param(
            "replicasets",
            {},
            {"replicas": 1, "fullyLabeledReplicas": 2, "readyReplicas": 1, "observedGeneration": -1},
            [f"status.observedGeneration: {NEGATIVE}", f"status.fullyLabeledReplicas: Invalid value: 2: {OVER}"],
            id="set",
        ),
        pytest.param(
            "daemonsets",
            {"collisionCount": 2},
            {"numberReady": -1, "currentNumberScheduled": -1},
            [
                f"status.currentNumberScheduled: {NEGATIVE}",
                f"status.numberReady: {NEGATIVE}",
                "status.collisionCount: Invalid value: 0: cannot be decremented",
            ],
            id="daemon set",
        ),
        pytest.param(
            "statefulsets",
            {},
            {"replicas": 1, "currentReplicas": 2, "availableReplicas": 1, "observedGeneration": -1},
            [
                f"status.observedGeneration: {NEGATIVE}",
                f"status.currentReplicas: Invalid value: 2: {OVER}",
                "status.availableReplicas: Invalid value: 1: cannot be greater than status.readyReplicas",
            ],
            id="stateful set",
        ),
    ],
)
def test_workload_status_adds_up(plural, before, after, complaints):
    """Counts are checked each for itself and against one another."""
    assert Rules(plural).refused_update({"status": before}, {"status": after}, part="status") == complaints


def test_deployment_keeps_its_labels_when_its_status_is_written():
    """Its sets copy the labels, so that only a write of the Deployment itself may change them."""
    rules = Rules("deployments")
    old, new = rules.make({"metadata.labels": {"a": "b"}}), rules.make({"metadata.labels": {}, "status.replicas": 2})
    written = rules.strategy.parts["status"].prepare_update(CONTEXT, new, old)
    assert (written.metadata.labels, written.status.replicas) == ({"a": "b"}, 2)


def test_stateful_set_gets_its_defaults():
    """One pod after another, claims that stay, a history of ten."""
    claim = {"metadata": {"name": "v"}, "spec": {}}
    spec = Rules("statefulsets").make({"spec.volumeClaimTemplates": [claim]}).spec
    assert (spec.replicas, spec.pod_management_policy, spec.revision_history_limit) == (1, "OrderedReady", 10)
    assert (spec.update_strategy.type, spec.update_strategy.rolling_update.partition) == ("RollingUpdate", 0)
    policy = spec.persistent_volume_claim_retention_policy
    assert (policy.when_deleted, policy.when_scaled) == ("Retain", "Retain")
    (made,) = spec.volume_claim_templates
    assert (made.kind, made.spec.volume_mode, made.status.phase) == ("PersistentVolumeClaim", "Filesystem", "Pending")


def test_stateful_set_drops_what_is_behind_a_gate():
    """How many pods an update takes away at a time is not for the user yet."""
    rolling = {"type": "RollingUpdate", "rollingUpdate": {"partition": 1, "maxUnavailable": 2}}
    made = Rules("statefulsets").make({"spec.updateStrategy": rolling})
    strategy = Rules("statefulsets").strategy
    for kept in (strategy.prepare_create(CONTEXT, made), strategy.prepare_update(CONTEXT, made, made)):
        kept_rolling = kept.spec.update_strategy.rolling_update
        assert (kept_rolling.partition, kept_rolling.max_unavailable) == (1, None)


def test_stateful_set_that_waits_for_deletions_gets_no_partition():
    """A strategy that is given is not completed with what belongs to another."""
    strategy = Rules("statefulsets").make({"spec.updateStrategy": {"type": "OnDelete"}}).spec.update_strategy
    assert (strategy.type, strategy.rolling_update) == ("OnDelete", None)


NAME = (
    "metadata.name: this is used in Pod names and hostnames, which can result in surprising behavior; a DNS label is "
    "recommended: [must not contain dots]"
)
OLD_LABEL = (
    'spec.template.spec.nodeSelector[beta.kubernetes.io/os]: deprecated since v1.14; use "kubernetes.io/os" instead'
)


@pytest.mark.parametrize(
    ("plural", "warnings"),
    [
        pytest.param("deployments", [NAME, OLD_LABEL], id="deployment"),
        pytest.param("replicasets", [NAME, OLD_LABEL], id="set"),
        pytest.param("daemonsets", [OLD_LABEL], id="daemon set"),
        pytest.param("statefulsets", [OLD_LABEL], id="stateful set"),
    ],
)
def test_workload_warns_of_names_and_templates(plural, warnings):
    """A name that host names cannot take over, and what is deprecated in the template, is warned of."""
    changes = {"metadata.name": "a.b", "spec.template.spec.nodeSelector": {"beta.kubernetes.io/os": "linux"}}
    rules = Rules(plural)
    assert rules.warned(changes) == warnings
    made = rules.make(changes)
    assert list(rules.strategy.warnings(made, made)) == []


def test_stateful_set_warns_of_sizes_and_of_a_history_without_end():
    """Parts of a byte are warned of, under paths that differ between create and update as upstream's do."""
    claim = {"metadata": {"name": "v"}, "spec": {"resources": {"requests": {"storage": "200m"}}}}
    rules = Rules("statefulsets")
    made = rules.make({"spec.volumeClaimTemplates": [claim], "spec.revisionHistoryLimit": -1})
    history = (
        "spec.revisionHistoryLimit: a negative value retains all historical revisions; a value >= 0 is recommended"
    )
    size = 'resources.requests[storage]: fractional byte value "200m" is invalid, must be an integer'
    assert list(rules.strategy.warnings(made, None)) == [f"spec.volumeClaimTemplates[0].{size}", history]
    assert list(rules.strategy.warnings(made, made)) == [f"spec.volumeClaimTemplates[0].Spec.{size}", history]


@pytest.mark.parametrize(
    ("plural", "changes", "cells"),
    [
        pytest.param(
            "statefulsets",
            {"spec.replicas": 3, "status.readyReplicas": 2},
            {"Ready": "2/3", "Containers": "c", "Images": "app:1"},
            id="stateful set",
        ),
        pytest.param("controllerrevisions", {}, {"Controller": "<none>", "Revision": 1}, id="revision of nobody"),
        pytest.param(
            "controllerrevisions",
            {
                "metadata.ownerReferences": [
                    {"apiVersion": "apps/v1", "kind": "DaemonSet", "name": "d", "uid": "u", "controller": True}
                ]
            },
            {"Controller": "daemonset.apps/d"},
            id="revision of a daemon set",
        ),
    ],
)
def test_workload_shows_its_row(plural, changes, cells):
    """Cells stand under upstream's columns."""
    row = Rules(plural).row(changes)
    assert {name: row[name] for name in cells} == cells


def test_daemon_set_shows_its_templates_generation_only_whole():
    """The annotation stands for a field of old: metadata alone does not have it."""
    rules = Rules("daemonsets")
    made = rules.strategy.prepare_create(CONTEXT, rules.make({"metadata.annotations": {"a": "b"}}))
    assert made.metadata.annotations == {"a": "b", "deprecated.daemonset.template.generation": "1"}
    assert partial(made, "v1", rules.strategy)["metadata"].annotations == {"a": "b"}
