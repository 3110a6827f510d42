"""PodDisruptionBudget: exact complaints, row."""

import pytest
from tests.support.kind_rules import Rules

PERCENT = (
    "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex used for "
    "validation is '[0-9]+%')"
)
REASON = (
    "a condition reason must start with alphabetic character, optionally followed by a string of alphanumeric characters or "
    "'_,:', and must end with an alphanumeric character or '_' (e.g. 'my_name',  or 'MY_NAME',  or 'MyName',  or "
    "'ReasonA,ReasonB',  or 'ReasonA:ReasonB', regex used for validation is '[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?')"
)


@pytest.mark.parametrize(
    ("changes", "complaints"),
    [
        pytest.param({}, [], id="a number"),
        pytest.param({"spec": {}}, [], id="no bound"),
        pytest.param(
            {"spec.maxUnavailable": "50%"},
            [
                (
                    'spec: Invalid value: {"MinAvailable":1,"Selector":{"matchLabels":{"app":"a"}},"MaxUnavailable":"50%",'
                    '"UnhealthyPodEvictionPolicy":null}: minAvailable and maxUnavailable cannot be both set'
                )
            ],
            id="both bounds",
        ),
        pytest.param(
            {"spec.minAvailable": -1},
            ["spec.minAvailable: Invalid value: -1: must be greater than or equal to 0"],
            id="negative",
        ),
        pytest.param({"spec.minAvailable": "x"}, [f'spec.minAvailable: Invalid value: "x": {PERCENT}'], id="word"),
        pytest.param(
            {"spec.minAvailable": "101%"},
            ['spec.minAvailable: Invalid value: "101%": must not be greater than 100%'],
            id="more than all",
        ),
        pytest.param(
            {
                "spec.selector": {"matchExpressions": [{"key": "a", "operator": "Is"}]},
                "spec.unhealthyPodEvictionPolicy": "No",
            },
            [
                'spec.selector.matchExpressions[0].operator: Invalid value: "Is": not a valid selector operator',
                'spec.unhealthyPodEvictionPolicy: Unsupported value: "No": supported values: "AlwaysAllow", "IfHealthyBudget"',
            ],
            id="selector, then policy",
        ),
    ],
)
def test_budget_is_refused(changes, complaints):
    """The complaints are upstream's, in its order."""
    assert Rules("poddisruptionbudgets").refused(changes) == complaints


def test_conditions_of_a_budget_are_checked():
    """A condition says when and why; counts are not negative."""
    condition = {"type": "A", "status": "Maybe", "reason": "no way", "message": "", "observedGeneration": -1}
    again = {
        "type": "A",
        "status": "True",
        "reason": "",
        "message": "m" * 40000,
        "lastTransitionTime": "2026-01-02T03:04:05Z",
    }
    after = {"status": {"conditions": [condition, again], "expectedPods": -1}}
    assert Rules("poddisruptionbudgets").refused_update({}, after, part="status") == [
        'status.conditions[0].status: Unsupported value: "Maybe": supported values: "False", "True", "Unknown"',
        "status.conditions[0].observedGeneration: Invalid value: -1: must be greater than or equal to zero",
        "status.conditions[0].lastTransitionTime: Required value: must be set",
        f'status.conditions[0].reason: Invalid value: "no way": {REASON}',
        'status.conditions[1].type: Duplicate value: "A"',
        "status.conditions[1].reason: Required value: must be set",
        "status.conditions[1].message: Too long: may not be more than 32768 bytes",
        "status.expectedPods: Invalid value: -1: must be greater than or equal to 0",
    ]


def test_budget_shows_its_bounds():
    """The bound that is not given is shown as such."""
    row = Rules("poddisruptionbudgets").row({"spec.minAvailable": "50%", "status.disruptionsAllowed": 2})
    assert [row[name] for name in ("Min Available", "Max Unavailable", "Allowed Disruptions")] == ["50%", "N/A", 2]
