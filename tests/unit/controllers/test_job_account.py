"""Jobs, without a server: lists of indexes, verdicts on failures, and when another try is due."""

import pytest

from pinnace.api import batch_v1 as batch
from pinnace.api import core_v1 as v1
from pinnace.api.meta_v1 import ObjectMeta
from pinnace.controllers import job_indexes
from pinnace.controllers.job_backoff import Record
from pinnace.controllers.job_failure_policy import judge


@pytest.mark.parametrize(
    ("indexes", "text"),
    [
        pytest.param([], "", id="none"),
        pytest.param([3], "3", id="one"),
        pytest.param([1, 2], "1,2", id="two in a row"),
        pytest.param([7, 5, 4, 3, 1], "1,3-5,7", id="mixed"),
    ],
)
def test_indexes_are_written_as_ranges(indexes, text):
    """Three or more in a row become a range, and the text reads back to what was written."""
    assert job_indexes.format(indexes) == text
    assert job_indexes.parse(text, 10) == frozenset(indexes)


def test_indexes_beyond_the_completions_are_dropped():
    """A Job that was scaled down forgets what is beyond its end, and a text that cannot be read says nothing."""
    assert job_indexes.parse("0,3-6,x,-", 5) == {0, 3, 4}


@pytest.mark.parametrize(
    ("rule", "succeeded", "matched"),
    [
        pytest.param({"succeeded_count": 2}, {0, 4}, True, id="count"),
        pytest.param({"succeeded_count": 3}, {0, 4}, False, id="too few"),
        pytest.param({"succeeded_indexes": "0-2"}, {0, 1, 2, 4}, True, id="all of some"),
        pytest.param({"succeeded_indexes": "0-2"}, {0, 1, 4}, False, id="not all of some"),
        pytest.param({"succeeded_indexes": "0-2", "succeeded_count": 2}, {0, 1, 4}, True, id="enough of some"),
    ],
)
def test_success_policy_counts_indexes(rule, succeeded, matched):
    """A rule is fulfilled by its number of its indexes."""
    policy = batch.SuccessPolicy(rules=(batch.SuccessPolicyRule(succeeded_count=9), batch.SuccessPolicyRule(**rule)))
    assert job_indexes.matched_rule(policy, frozenset(succeeded), 5) == (1 if matched else None)


def pod(code: int = 0, *, init: bool = False, condition: str = "") -> v1.Pod:
    ended = v1.ContainerStateTerminated(exit_code=code)
    status = v1.ContainerStatus(name="c", state=v1.ContainerState(terminated=ended))
    conditions = (v1.PodCondition(type=condition, status="True"),) if condition else ()
    kept = {"init_container_statuses" if init else "container_statuses": (status,)}
    return v1.Pod(
        metadata=ObjectMeta(name="p", namespace="n"), status=v1.PodStatus(phase="Failed", conditions=conditions, **kept)
    )


def exit_codes(operator: str, *values: int, container: str | None = None) -> dict:
    wanted = batch.PodFailurePolicyOnExitCodesRequirement(operator=operator, values=values, container_name=container)
    return {"on_exit_codes": wanted}


@pytest.mark.parametrize(
    ("rule", "failed", "action"),
    [
        pytest.param(exit_codes("In", 1, 42), pod(42), "FailJob", id="in"),
        pytest.param(exit_codes("In", 1), pod(42), "", id="not in"),
        pytest.param(exit_codes("NotIn", 1), pod(42), "FailJob", id="none of"),
        pytest.param(exit_codes("NotIn", 1), pod(0), "", id="no failure"),
        pytest.param(exit_codes("In", 42, container="c"), pod(42, init=True), "FailJob", id="init container"),
        pytest.param(exit_codes("In", 42, container="d"), pod(42), "", id="another container"),
        pytest.param(
            {"on_pod_conditions": (batch.PodFailurePolicyOnPodConditionsPattern(type="Lost", status="True"),)},
            pod(condition="Lost"),
            "FailJob",
            id="condition",
        ),
        pytest.param(
            {"on_pod_conditions": (batch.PodFailurePolicyOnPodConditionsPattern(type="Lost", status="False"),)},
            pod(condition="Lost"),
            "",
            id="condition otherwise",
        ),
    ],
)
def test_failure_policy_judges_by_codes_and_conditions(rule, failed, action):
    """The first rule that matches decides."""
    policy = batch.PodFailurePolicy(rules=(batch.PodFailurePolicyRule(action="FailJob", **rule),))
    assert judge(policy, failed).action == action


def test_failure_policy_says_why():
    """The words name the container or the condition, and the rule."""
    pattern = batch.PodFailurePolicyOnPodConditionsPattern(type="Lost", status="True")
    policy = batch.PodFailurePolicy(
        rules=(
            batch.PodFailurePolicyRule(action="Ignore", **exit_codes("In", 7)),
            batch.PodFailurePolicyRule(action="FailJob", on_pod_conditions=(pattern,)),
        )
    )
    assert judge(policy, pod(1, condition="Lost")).message == (
        "Pod n/p has condition Lost matching FailJob rule at index 1"
    )
    assert judge(policy, pod(7)).is_counted is False


def test_backoff_doubles_and_ends_with_a_success():
    """Ten seconds after the first failure, twenty after the next, ten minutes at most, none after a success."""
    assert Record(1, 100.0).remaining(104.0) == 6.0
    assert Record(2, 100.0).remaining(104.0) == 16.0
    assert Record(20, 100.0).remaining(100.0) == 600.0
    assert Record(3, 100.0).remaining(200.0) == 0.0
    succeeded = v1.Pod(status=v1.PodStatus(phase="Succeeded"))
    assert Record(3, 100.0).after([succeeded]) == Record(0, 0.0)
