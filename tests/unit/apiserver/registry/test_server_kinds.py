"""Kinds that steer the server and its nodes: flow control, API services, priority and runtime classes."""

import pytest
from tests.support.kind_rules import DROP, Rules

from pinnace.api.flowcontrol_v1 import FlowSchema, PriorityLevelConfiguration
from pinnace.api.meta_v1 import ObjectMeta
from pinnace.apiserver.registry.flowcontrol import mandatory
from pinnace.apiserver.registry.flowcontrol.priority_level import STRATEGY as PRIORITY_LEVEL

QUEUE = {"type": "Queue", "queuing": {"queues": 8}}


@pytest.mark.parametrize(
    ("plural", "changes", "complaints"),
    [
        pytest.param(
            "priorityclasses",
            {"value": 2_000_000_000, "preemptionPolicy": "Sometimes"},
            [
                "value: Forbidden: maximum allowed value of a user defined priority is 1000000000",
                'preemptionPolicy: Unsupported value: "Sometimes": supported values: "Never", "PreemptLowerPriority"',
            ],
            id="priority of the system's",
        ),
        pytest.param(
            "priorityclasses",
            {"metadata.name": "system-mine"},
            [
                (
                    "metadata.name: Forbidden: priority class names with 'system-' prefix are reserved for system use only. "
                    "error: system-mine is not a known system priority class"
                )
            ],
            id="name of the system's",
        ),
        pytest.param(
            "priorityclasses",
            {"metadata.name": "system-node-critical", "value": 2_000_001_000},
            [],
            id="the system's class",
        ),
        pytest.param("runtimeclasses", {"handler": ""}, ["handler: Required value"], id="no handler"),
        pytest.param(
            "runtimeclasses",
            {
                "overhead": {"podFixed": {"cpu": "-1"}},
                "scheduling": {"tolerations": [{"key": "k", "operator": "Exists"}, {"key": "k", "operator": "Exists"}]},
            },
            [
                'overhead.limits[cpu]: Invalid value: "-1": must be greater than or equal to 0',
                (
                    'scheduling.tolerations[1]: Duplicate value: {"Key":"k","Operator":"Exists","Value":"","Effect":"",'
                    '"TolerationSeconds":null}'
                ),
            ],
            id="odd overhead and tolerations",
        ),
        pytest.param(
            "apiservices",
            {"spec.version": "v2", "spec.groupPriorityMinimum": 0, "spec.versionPriority": 2000},
            [
                'metadata.name: Invalid value: "v1.example.com": must be `spec.version+"."+spec.group`: "v2.example.com"',
                "spec.groupPriorityMinimum: Invalid value: 0: must be positive and less than 20000",
                "spec.versionPriority: Invalid value: 2000: must be positive and less than 1000",
            ],
            id="another version",
        ),
        pytest.param(
            "apiservices",
            {"spec.insecureSkipTLSVerify": True, "spec.caBundle": "Cg=="},
            ["spec.insecureSkipTLSVerify: Invalid value: true: may not be true if caBundle is present"],
            id="bundle that is not looked at",
        ),
        pytest.param(
            "flowschemas",
            {
                "spec.matchingPrecedence": 10001,
                "spec.distinguisherMethod": {"type": "ByMood"},
                "spec.priorityLevelConfiguration.name": "",
            },
            [
                "spec.matchingPrecedence: Invalid value: 10001: must not be greater than 10000",
                'spec.distinguisherMethod.type: Unsupported value: {"Type":"ByMood"}: supported values: "ByNamespace", "ByUser"',
                "spec.priorityLevelConfiguration.name: Required value: must reference a priority level",
            ],
            id="schema's own fields",
        ),
        pytest.param(
            "flowschemas",
            {"spec.matchingPrecedence": 1},
            [
                "spec.matchingPrecedence: Invalid value: 1: only the schema named 'exempt' may have matchingPrecedence 1",
            ],
            id="precedence of the exempt",
        ),
        pytest.param(
            "flowschemas",
            {
                "spec.rules.0.subjects": [
                    {"kind": "ServiceAccount", "serviceAccount": {"name": "", "namespace": ""}},
                    {"kind": "Group", "user": {"name": "a"}},
                ],
                "spec.rules.0.nonResourceRules": [{"verbs": ["fly"], "nonResourceURLs": ["a//b c"]}],
            },
            [
                "spec.rules[0].subjects[0].serviceAccount.name: Required value",
                (
                    "spec.rules[0].subjects[0].serviceAccount.namespace: Required value: must specify namespace for service "
                    "account"
                ),
                "spec.rules[0].subjects[1].user: Forbidden: user is forbidden when subject kind is not 'User'",
                "spec.rules[0].subjects[1].group: Required value: group is required when subject kind is 'Group'",
                (
                    'spec.rules[0].nonResourceRules[0].verbs: Unsupported value: ["fly"]: supported values: "delete", "get", '
                    '"head", "options", "patch", "post", "put"'
                ),
                'spec.rules[0].nonResourceRules[0].nonResourceURLs[0]: Invalid value: "a//b c": must start with slash',
                'spec.rules[0].nonResourceRules[0].nonResourceURLs[0]: Invalid value: "a//b c": must not contain white-space',
                'spec.rules[0].nonResourceRules[0].nonResourceURLs[0]: Invalid value: "a//b c": must not contain double slash',
            ],
            id="subjects and URLs",
        ),
        pytest.param(
            "prioritylevelconfigurations",
            {"spec.type": "Exempt"},
            [
                "spec.type: Invalid value: \"Exempt\": type must be 'Exempt' if and only if `name` is 'exempt'",
                "spec.limited: Forbidden: must be nil if the type is not Limited",
            ],
            id="exempt by another name",
        ),
        pytest.param(
            "prioritylevelconfigurations",
            {
                "spec.limited.limitResponse": {
                    "type": "Queue",
                    "queuing": {"queues": 4, "handSize": 8, "queueLengthLimit": -1},
                },
                "spec.limited.lendablePercent": 101,
            },
            [
                "spec.limited.limitResponse.queuing.queueLengthLimit: Invalid value: -1: must be positive",
                "spec.limited.limitResponse.queuing.handSize: Invalid value: 8: should not be greater than queues (4)",
                "spec.limited.lendablePercent: Invalid value: 101: must be between 0 and 100, inclusive",
            ],
            id="hand larger than the deck",
        ),
        pytest.param(
            "prioritylevelconfigurations",
            {"spec.limited.limitResponse": {"type": "Queue", "queuing": {"queues": 512, "handSize": 8}}},
            [
                (
                    "spec.limited.limitResponse.queuing.handSize: Invalid value: 8: required entropy bits of deckSize 512 and "
                    "handSize 8 should not be greater than 60"
                )
            ],
            id="more draws than there is chance for",
        ),
    ],
)
def test_kind_of_the_server_is_refused(plural, changes, complaints):
    """The complaints are upstream's, in its order."""
    assert Rules(plural).refused(changes) == complaints


@pytest.mark.parametrize(
    ("plural", "after", "complaints"),
    [
        pytest.param(
            "priorityclasses",
            {"value": 8, "preemptionPolicy": "Never", "description": "d"},
            [
                "value: Forbidden: may not be changed in an update.",
                'preemptionPolicy: Invalid value: "Never": field is immutable',
            ],
            id="priority",
        ),
        pytest.param(
            "runtimeclasses", {"handler": "b"}, ['handler: Invalid value: "b": field is immutable'], id="handler"
        ),
    ],
)
def test_kind_of_the_server_holds_what_does_not_change(plural, after, complaints):
    """Immutable fields are named."""
    assert Rules(plural).refused_update({}, after) == complaints


def test_system_priority_classes_stay():
    """The classes of critical pods cannot be deleted."""
    rules = Rules("priorityclasses")
    refuse = rules.strategy.refuse_delete
    assert refuse(rules.make({})) == ""
    system = rules.make({"metadata.name": "system-node-critical"})
    assert refuse(system) == "this is a system priority class and cannot be deleted"


def test_queues_are_completed():
    """A level that queues gets upstream's hand and length; one that is exempt lends nothing."""
    queuing = (
        Rules("prioritylevelconfigurations")
        .make({"spec.limited.limitResponse": QUEUE})
        .spec.limited.limit_response.queuing
    )
    assert (queuing.queues, queuing.hand_size, queuing.queue_length_limit) == (8, 8, 50)
    exempt = PRIORITY_LEVEL.default(
        Rules("prioritylevelconfigurations").make({"metadata.name": "exempt", "spec": {"type": "Exempt"}})
    ).spec.exempt
    assert (exempt.nominal_concurrency_shares, exempt.lendable_percent) == (0, 0)


@pytest.mark.parametrize("name", [*mandatory.FLOW_SCHEMAS, *mandatory.SUGGESTED_FLOW_SCHEMAS])
def test_flow_schemas_of_every_server_are_valid(name):
    """What is made at start passes its own rules."""
    spec = {**mandatory.FLOW_SCHEMAS, **mandatory.SUGGESTED_FLOW_SCHEMAS}[name]
    made = FlowSchema(metadata=ObjectMeta(name=name), spec=spec)
    assert list(Rules("flowschemas").strategy.validate(made)) == []
    assert Rules("flowschemas").strategy.default(made) == made
    level = spec.priority_level_configuration.name
    assert level in {**mandatory.PRIORITY_LEVELS, **mandatory.SUGGESTED_PRIORITY_LEVELS}


@pytest.mark.parametrize("name", [*mandatory.PRIORITY_LEVELS, *mandatory.SUGGESTED_PRIORITY_LEVELS])
def test_priority_levels_of_every_server_are_valid(name):
    """What is made at start passes its own rules and needs no defaults."""
    spec = {**mandatory.PRIORITY_LEVELS, **mandatory.SUGGESTED_PRIORITY_LEVELS}[name]
    made = PriorityLevelConfiguration(metadata=ObjectMeta(name=name), spec=spec)
    assert list(PRIORITY_LEVEL.validate(made)) == []
    assert PRIORITY_LEVEL.default(made) == made


@pytest.mark.parametrize(
    ("plural", "changes", "cells"),
    [
        pytest.param("priorityclasses", {}, {"Value": 7, "PreemptionPolicy": "PreemptLowerPriority"}, id="priority"),
        pytest.param("runtimeclasses", {}, {"Handler": "runc"}, id="runtime"),
        pytest.param("apiservices", {}, {"Service": "default/a", "Available": "Unknown"}, id="service"),
        pytest.param(
            "apiservices",
            {
                "spec.service": DROP,
                "status.conditions": [{"type": "Available", "status": "False", "reason": "MissingEndpoints"}],
            },
            {"Service": "Local", "Available": "False (MissingEndpoints)"},
            id="service that is not there",
        ),
        pytest.param(
            "flowschemas",
            {},
            {
                "PriorityLevel": "global-default",
                "MatchingPrecedence": 1000,
                "DistinguisherMethod": "<none>",
                "MissingPL": "?",
            },
            id="schema",
        ),
        pytest.param(
            "prioritylevelconfigurations",
            {"spec.limited.limitResponse": QUEUE},
            {"Type": "Limited", "NominalConcurrencyShares": 30, "Queues": 8, "HandSize": 8, "QueueLengthLimit": 50},
            id="level",
        ),
    ],
)
def test_kind_of_the_server_shows_its_row(plural, changes, cells):
    """Cells stand under upstream's columns."""
    row = Rules(plural).row(changes)
    assert {name: row[name] for name in cells} == cells
