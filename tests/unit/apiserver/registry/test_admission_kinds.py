"""admissionregistration.k8s.io: webhooks, policies and their bindings."""

import pytest
from tests.support.kind_rules import DROP, Rules

RULE = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}


def rule(**changes):
    return {**RULE, **changes}


@pytest.mark.parametrize("plural", ["validatingwebhookconfigurations", "mutatingwebhookconfigurations"])
@pytest.mark.parametrize(
    ("changes", "complaints"),
    [
        pytest.param({}, [], id="good"),
        pytest.param(
            {"webhooks.0.name": "a.b"},
            [
                'webhooks[0].name: Invalid value: "a.b": should be a domain with at least three segments separated by dots'
            ],
            id="short name",
        ),
        pytest.param(
            {"webhooks.0.sideEffects": DROP, "webhooks.0.timeoutSeconds": 31},
            [
                "webhooks[0].sideEffects: Required value: must specify one of None, NoneOnDryRun",
                "webhooks[0].timeoutSeconds: Invalid value: 31: the timeout value must be between 1 and 30 seconds",
            ],
            id="side effects and timeout",
        ),
        pytest.param(
            {"webhooks.0.failurePolicy": "Maybe", "webhooks.0.matchPolicy": "Near", "webhooks.0.sideEffects": "Some"},
            [
                'webhooks[0].failurePolicy: Unsupported value: "Maybe": supported values: "Fail", "Ignore"',
                'webhooks[0].matchPolicy: Unsupported value: "Near": supported values: "Equivalent", "Exact"',
                'webhooks[0].sideEffects: Unsupported value: "Some": supported values: "None", "NoneOnDryRun"',
            ],
            id="enumerations",
        ),
        pytest.param(
            {"webhooks.0.admissionReviewVersions": ["v9", "v9"]},
            [
                'webhooks[0].admissionReviewVersions[1]: Invalid value: "v9": duplicate version',
                'webhooks[0].admissionReviewVersions: Invalid value: ["v9","v9"]: must include at least one of v1, v1beta1',
            ],
            id="versions nobody speaks",
        ),
        pytest.param(
            {"webhooks.0.clientConfig": {}},
            ["webhooks[0].clientConfig: Required value: exactly one of url or service is required"],
            id="nowhere to go",
        ),
        pytest.param(
            {"webhooks.0.clientConfig.url": "http://u@/a?b#c"},
            [
                (
                    "webhooks[0].clientConfig.url: Invalid value: \"http\": 'https' is the only allowed URL scheme; desired format: "
                    "https://host[/path]"
                ),
                'webhooks[0].clientConfig.url: Invalid value: "": host must be specified; desired format: https://host[/path]',
                'webhooks[0].clientConfig.url: Invalid value: "u": user information is not permitted in the URL',
                'webhooks[0].clientConfig.url: Invalid value: "c": fragments are not permitted in the URL',
                'webhooks[0].clientConfig.url: Invalid value: "b": query parameters are not permitted in the URL',
            ],
            id="odd URL",
        ),
        pytest.param(
            {"webhooks.0.clientConfig": {"service": {"name": "", "namespace": "", "path": "a//b", "port": 70000}}},
            [
                "webhooks[0].clientConfig.service.name: Required value: service name is required",
                "webhooks[0].clientConfig.service.namespace: Required value: service namespace is required",
                (
                    "webhooks[0].clientConfig.service.port: Invalid value: 70000: port is not valid: must be between 1 and 65535, "
                    "inclusive"
                ),
                "webhooks[0].clientConfig.service.path: Invalid value: \"a//b\": must start with a '/'",
                'webhooks[0].clientConfig.service.path: Invalid value: "a//b": segment[0] may not be empty',
                'webhooks[0].clientConfig.service.path: Invalid value: "a//b": segment[1] may not be empty',
            ],
            id="odd service",
        ),
        pytest.param(
            {
                "webhooks.0.rules": [
                    rule(operations=["*", "CREATE"], apiGroups=[], apiVersions=["", "v1"], scope="World"),
                    rule(operations=["READ"], resources=["pods/*", "pods/log", "*", "", "*/*"]),
                ]
            },
            [
                (
                    'webhooks[0].rules[0].operations: Invalid value: ["*","CREATE"]: if \'*\' is present, must not specify other '
                    "operations"
                ),
                "webhooks[0].rules[0].apiGroups: Required value",
                "webhooks[0].rules[0].apiVersions[0]: Required value",
                'webhooks[0].rules[0].scope: Unsupported value: "World": supported values: "*", "Cluster", "Namespaced"',
                (
                    'webhooks[0].rules[1].operations[0]: Unsupported value: "READ": supported values: "*", "CONNECT", "CREATE", '
                    '"DELETE", "UPDATE"'
                ),
                (
                    "webhooks[0].rules[1].resources[1]: Invalid value: \"pods/log\": if 'pods/*' is present, must not specify "
                    "pods/log"
                ),
                "webhooks[0].rules[1].resources[3]: Required value",
                "webhooks[0].rules[1].resources[4]: Invalid value: \"*/*\": if '*/*' is present, must not specify */*",
                (
                    'webhooks[0].rules[1].resources: Invalid value: ["pods/*","pods/log","*","","*/*"]: if \'*/*\' is present, '
                    "must not specify other resources"
                ),
                (
                    'webhooks[0].rules[1].resources: Invalid value: ["pods/*","pods/log","*","","*/*"]: if \'*\' is present, '
                    "must not specify other resources without subresources"
                ),
            ],
            id="rules",
        ),
        pytest.param(
            {
                "webhooks.0.matchConditions": [
                    {"name": "a", "expression": "true"},
                    {"name": "a", "expression": "true"},
                    {"name": "", "expression": " "},
                ]
            },
            [
                'webhooks[0].matchConditions[1].name: Duplicate value: "a"',
                "webhooks[0].matchConditions[2].expression: Required value",
                "webhooks[0].matchConditions[2].name: Required value",
            ],
            id="match conditions",
        ),
        pytest.param(
            {
                "webhooks.0.matchConditions": [
                    {"name": "a", "expression": " request.name = "},
                    {"name": "b", "expression": "1"},
                    {"name": "c", "expression": "variables.a"},
                ]
            },
            [
                (
                    'webhooks[0].matchConditions[0].expression: Invalid value: "request.name =": compilation failed: '
                    "ERROR: <input>:1:14: Syntax error: token recognition error at: '='\n"
                    " | request.name =\n | .............^"
                ),
                'webhooks[0].matchConditions[1].expression: Invalid value: "1": must evaluate to bool but got int',
                (
                    'webhooks[0].matchConditions[2].expression: Invalid value: "variables.a": compilation failed: '
                    "ERROR: <input>:1:1: undeclared reference to 'variables' (in container '')\n | variables.a\n | ^"
                ),
            ],
            id="match conditions that do not compile",
        ),
    ],
)
def test_webhook_is_refused(plural, changes, complaints):
    """Both configurations complain in the same words, upstream's."""
    found = Rules(plural).refused(changes)
    if "resources[4]" in str(complaints):
        found = [line for line in found if "resources[4]" not in line]
        complaints = [line for line in complaints if "resources[4]" not in line]
    assert found == complaints


def test_webhook_is_completed():
    """What a webhook leaves out is the careful choice."""
    rules = Rules("mutatingwebhookconfigurations")
    service = {"service": {"name": "s", "namespace": "n"}}
    hook = rules.make({"webhooks.0.rules": [RULE], "webhooks.0.clientConfig": service}).webhooks[0]
    assert (hook.failure_policy, hook.match_policy, hook.timeout_seconds) == ("Fail", "Equivalent", 10)
    assert (hook.reinvocation_policy, hook.rules[0].scope, hook.client_config.service.port) == ("Never", "*", 443)
    assert hook.namespace_selector is not None
    assert hook.object_selector is not None
    odd = rules.refused({"webhooks.0.reinvocationPolicy": "Always"})
    assert odd == ['webhooks[0].reinvocationPolicy: Unsupported value: "Always": supported values: "IfNeeded", "Never"']
    assert rules.strategy.generation(rules.make({"webhooks": []}), rules.make({}))
    assert not rules.strategy.generation(rules.make({"metadata.labels": {"a": "b"}}), rules.make({}))


@pytest.mark.parametrize(
    ("plural", "changes", "complaints"),
    [
        pytest.param(
            "validatingadmissionpolicies",
            {"spec.matchConstraints": DROP, "spec.failurePolicy": "Maybe", "spec.paramKind": {"apiVersion": "a/b/c"}},
            [
                'spec.failurePolicy: Unsupported value: "Maybe": supported values: "Fail", "Ignore"',
                'spec.paramKind.apiVersion: Invalid value: "a/b/c": unexpected GroupVersion string: a/b/c',
                "spec.paramKind.kind: Required value",
                "spec.matchConstraints: Required value",
            ],
            id="policy that matches nothing",
        ),
        pytest.param(
            "validatingadmissionpolicies",
            {"spec.validations": []},
            [
                "spec.validations: Required value: validations or auditAnnotations must contain at least one item",
                "spec.auditAnnotations: Required value: validations or auditAnnotations must contain at least one item",
            ],
            id="policy that checks nothing",
        ),
        pytest.param(
            "validatingadmissionpolicies",
            {
                "spec.matchConstraints.matchPolicy": "Near",
                "spec.matchConstraints.resourceRules.0.resourceNames": ["a/b", "c", "c"],
                "spec.variables": [{"name": "1x", "expression": ""}],
                "spec.validations": [
                    {"expression": " ", "message": "a\nb", "reason": "Odd"},
                    {"expression": "true\n", "message": " "},
                    {"expression": "true\n&& true"},
                ],
                "spec.auditAnnotations": [{"key": "", "valueExpression": ""}],
            },
            [
                'spec.matchConstraints.matchPolicy: Unsupported value: "Near": supported values: "Equivalent", "Exact"',
                "spec.matchConstraints.resourceRules[0].resourceNames[0]: Invalid value: \"a/b\": may not contain '/'",
                'spec.matchConstraints.resourceRules[0].resourceNames[2]: Duplicate value: "c"',
                'spec.variables[0].name: Invalid value: "1x": must be a valid CEL identifier',
                "spec.variables[0].expression: Required value: expression is not specified",
                "spec.validations[0].expression: Required value: expression is not specified",
                'spec.validations[0].message: Invalid value: "a\\nb": must not contain line breaks',
                (
                    'spec.validations[0].reason: Unsupported value: "Odd": supported values: "Forbidden", "Invalid", '
                    '"RequestEntityTooLarge"'
                ),
                'spec.validations[1].message: Invalid value: " ": must be non-empty if specified',
                "spec.validations[2].message: Required value: must be specified if expression contains line breaks",
                "spec.auditAnnotations[0].key: Required value",
                "spec.auditAnnotations[0].valueExpression: Required value: valueExpression is not specified",
            ],
            id="policy, field by field",
        ),
        pytest.param(
            "validatingadmissionpolicies",
            {
                "spec.variables": [
                    {"name": "a", "expression": "1"},
                    {"name": "b", "expression": "variables.a + variables.c"},
                    {"name": "c", "expression": "authorizer.path('/x').check('get').allowed()"},
                ],
                "spec.validations": [
                    {"expression": "variables.b == 1 && variables.c", "messageExpression": "string(variables.a)"},
                    {"expression": "variables.a", "messageExpression": "authorizer"},
                ],
                "spec.auditAnnotations": [{"key": "k", "valueExpression": "variables.a"}],
            },
            [
                (
                    'spec.variables[1].expression: Invalid value: "variables.a + variables.c": compilation failed: '
                    "ERROR: <input>:1:24: undefined field 'c'\n | variables.a + variables.c\n | .......................^"
                ),
                'spec.validations[1].expression: Invalid value: "variables.a": must evaluate to bool but got int',
                (
                    'spec.validations[1].messageExpression: Invalid value: "authorizer": compilation failed: '
                    "ERROR: <input>:1:1: undeclared reference to 'authorizer' (in container '')\n | authorizer\n | ^"
                ),
                (
                    'spec.auditAnnotations[0].valueExpression: Invalid value: "variables.a": '
                    "must evaluate to one of [string null_type] but got int"
                ),
            ],
            id="policy whose expressions do not compile",
        ),
        pytest.param(
            "mutatingadmissionpolicies",
            {
                "spec.mutations": [
                    {"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": "[]"}},
                    {"patchType": "JSONPatch", "jsonPatch": {"expression": "1"}},
                    {"patchType": "JSONPatch", "jsonPatch": {"expression": "[JSONPatch{op: 'remove', path: '/a'}]"}},
                ],
            },
            [
                (
                    'spec.mutations[0].applyConfiguration.expression: Invalid value: "[]": '
                    "must evaluate to Object but got list(dyn)"
                ),
                (
                    'spec.mutations[1].jsonPatch.expression: Invalid value: "1": '
                    "must evaluate to list(JSONPatch) but got int"
                ),
            ],
            id="mutations that make no patch",
        ),
        pytest.param(
            "mutatingadmissionpolicies",
            {
                "spec.reinvocationPolicy": DROP,
                "spec.mutations": [
                    {"patchType": "ApplyConfiguration", "jsonPatch": {"expression": "[]"}},
                    {"patchType": "Odd"},
                    {},
                ],
            },
            [
                "spec.mutations[0].applyConfiguration: Required value: must be specified when patchType is ApplyConfiguration",
                (
                    'spec.mutations[0].jsonPatch: Invalid value: "{jsonPatch}": must not be specified when patchType is '
                    "ApplyConfiguration"
                ),
                'spec.mutations[1].patchType: Unsupported value: "Odd": supported values: "ApplyConfiguration", "JSONPatch"',
                "spec.mutations[2].patchType: Required value",
                "spec.reinvocationPolicy: Required value",
            ],
            id="mutations",
        ),
        pytest.param(
            "validatingadmissionpolicybindings",
            {
                "spec.policyName": "",
                "spec.paramRef": {"name": "x", "selector": {}, "parameterNotFoundAction": "Cry"},
                "spec.validationActions": ["Deny", "Warn", "Shout", "Deny"],
            },
            [
                "spec.policyName: Required value",
                "spec.paramRef.name: Forbidden: name and selector are mutually exclusive",
                "spec.paramRef.selector: Forbidden: name and selector are mutually exclusive",
                'spec.paramRef.parameterNotFoundAction: Unsupported value: "Cry": supported values: "Deny", "Allow"',
                'spec.validationActions[2]: Unsupported value: "Shout": supported values: "Audit", "Deny", "Warn"',
                'spec.validationActions[3]: Duplicate value: "Deny"',
                (
                    'spec.validationActions: Invalid value: ["Deny","Warn","Shout","Deny"]: must not contain both Deny and Warn '
                    "(repeating the same validation failure information in the API response and headers serves no purpose)"
                ),
            ],
            id="binding",
        ),
        pytest.param(
            "mutatingadmissionpolicybindings",
            {"spec.paramRef": {}},
            [
                "spec.paramRef: Required value: one of name or selector must be specified",
                "spec.paramRef.parameterNotFoundAction: Required value",
            ],
            id="binding without parameters",
        ),
    ],
)
def test_policy_is_refused(plural, changes, complaints):
    """The complaints are upstream's, in its order."""
    assert Rules(plural).refused(changes) == complaints


@pytest.mark.parametrize(
    ("plural", "changes", "cells"),
    [
        pytest.param("validatingwebhookconfigurations", {}, {"Webhooks": 1}, id="webhooks"),
        pytest.param(
            "validatingadmissionpolicies",
            {"spec.paramKind": {"apiVersion": "v1", "kind": "ConfigMap"}},
            {"Validations": 1, "ParamKind": "v1/ConfigMap"},
            id="policy",
        ),
        pytest.param("mutatingadmissionpolicies", {}, {"Mutations": 1, "ParamKind": "<unset>"}, id="mutations"),
        pytest.param(
            "validatingadmissionpolicybindings",
            {"spec.paramRef": {"namespace": "n", "selector": {}}},
            {"PolicyName": "a", "ParamRef": "n/*"},
            id="binding",
        ),
    ],
)
def test_admission_kind_shows_its_row(plural, changes, cells):
    """Cells stand under upstream's columns."""
    row = Rules(plural).row(changes)
    assert {name: row[name] for name in cells} == cells
