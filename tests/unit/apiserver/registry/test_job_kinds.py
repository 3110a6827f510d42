"""batch: exact complaints, defaults, selectors, warnings and rows of Jobs and CronJobs."""

import pytest
from tests.support.kind_rules import DROP, Rules

from pinnace.apiserver.registry.batch import index_ranges, job
from pinnace.apiserver.registry.go_struct import go_struct
from pinnace.apiserver.registry.strategy import Context
from pinnace.component.http import UserInfo

CONTEXT = Context(user=UserInfo("a"), now=0.0, identity=None, objects=None)
LABELS = {"app": "a"}
# A Job whose selector is its own affair, so that the rest of it can be looked at.
BY_HAND = {
    "spec.manualSelector": True,
    "spec.selector": {"matchLabels": LABELS},
    "spec.template.metadata": {"labels": LABELS},
}
INDEXED = {**BY_HAND, "spec.completionMode": "Indexed", "spec.completions": 5}
GENERATED = {
    "batch.kubernetes.io/controller-uid": "u",
    "batch.kubernetes.io/job-name": "a",
    "controller-uid": "u",
    "job-name": "a",
}
# As the Job above, when it has been made.
MADE = {
    "metadata.uid": "u",
    "spec.selector": {"matchLabels": {"batch.kubernetes.io/controller-uid": "u"}},
    "spec.template.metadata": {"labels": GENERATED},
}
NAME_PART = (
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character "
    "(e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
)


@pytest.mark.parametrize(
    ("changes", "complaints"),
    [
        pytest.param({}, [], id="nothing wrong"),
        pytest.param(
            {
                "spec.parallelism": -1,
                "spec.backoffLimit": -1,
                "spec.ttlSecondsAfterFinished": -1,
                "spec.maxFailedIndexes": 1,
            },
            [
                "spec.parallelism: Invalid value: -1: must be greater than or equal to 0",
                "spec.backoffLimit: Invalid value: -1: must be greater than or equal to 0",
                "spec.ttlSecondsAfterFinished: Invalid value: -1: must be greater than or equal to 0",
                "spec.backoffLimitPerIndex: Required value: when maxFailedIndexes is specified",
                "spec.maxFailedIndexes: Invalid value: 1: requires indexed completion mode",
            ],
            id="numbers",
        ),
        pytest.param(
            {"spec.managedBy": "a/" + "b" * 62},
            ["spec.managedBy: Too long: may not be more than 63 bytes"],
            id="long manager",
        ),
        pytest.param(
            {"spec.managedBy": "plain"},
            ['spec.managedBy: Invalid value: "plain": must be a domain-prefixed path (such as "acme.io/foo")'],
            id="manager without a domain",
        ),
        pytest.param(
            {"spec.completionMode": "Counted"},
            ['spec.completionMode: Unsupported value: "Counted": supported values: "NonIndexed", "Indexed"'],
            id="odd mode",
        ),
        pytest.param(
            {"spec.completionMode": "Indexed", "spec.parallelism": 100_001},
            [
                "spec.completions: Required value: when completion mode is Indexed",
                "spec.parallelism: Invalid value: 100001: must be less than or equal to 100000 when completion mode is Indexed",
            ],
            id="indexed without a number",
        ),
        pytest.param(
            {
                "spec.completionMode": "Indexed",
                "spec.completions": 100_001,
                "spec.parallelism": 10_001,
                "spec.backoffLimitPerIndex": 1,
            },
            [
                "spec.maxFailedIndexes: Required value: must be specified when completions is above 100000",
                (
                    "spec.parallelism: Invalid value: 10001: must be less than or equal to 10000 when completions are above 100000 "
                    "and used with backoff limit per index"
                ),
            ],
            id="very many indexes",
        ),
        pytest.param(
            {**INDEXED, "spec.maxFailedIndexes": 6, "spec.backoffLimitPerIndex": 1},
            ["spec.maxFailedIndexes: Invalid value: 6: must be less than or equal to completions"],
            id="more failures than indexes",
        ),
        pytest.param(
            {"spec.podReplacementPolicy": "Never"},
            [
                'spec.podReplacementPolicy: Unsupported value: "Never": supported values: "Failed", "TerminatingOrFailed"'
            ],
            id="odd replacement",
        ),
        pytest.param(
            {
                "spec.podReplacementPolicy": "TerminatingOrFailed",
                "spec.podFailurePolicy": {"rules": [{"onPodConditions": [{"type": "A b"}]}]},
            },
            [
                (
                    "spec.podFailurePolicy.rules[0].action: Required value: valid values: "
                    '["Count" "FailIndex" "FailJob" "Ignore"]'
                ),
                f'spec.podFailurePolicy.rules[0].onPodConditions[0].type: Invalid value: "A b": {NAME_PART}',
                'spec.podReplacementPolicy: Unsupported value: "TerminatingOrFailed": supported values: "Failed"',
            ],
            id="failure policy",
        ),
        pytest.param(
            {"spec.podFailurePolicy": {"rules": [{"action": "Count", "onExitCodes": {"values": [0, 2, 1, 2]}}] * 21}},
            [
                "spec.podFailurePolicy.rules: Too many: 21: must have at most 20 items",
                *(
                    complaint
                    for index in range(21)
                    for complaint in (
                        (
                            f"spec.podFailurePolicy.rules[{index}].onExitCodes.operator: Required value: valid values: "
                            '["In" "NotIn"]'
                        ),
                        f"spec.podFailurePolicy.rules[{index}].onExitCodes.values[3]: Duplicate value: 2",
                        f"spec.podFailurePolicy.rules[{index}].onExitCodes.values: Invalid value: [0,2,1,2]: must be ordered",
                    )
                ),
            ],
            id="too many rules",
        ),
        pytest.param(
            {**INDEXED, "spec.successPolicy": {"rules": [{"succeededIndexes": "0-1", "succeededCount": 3}]}},
            [
                (
                    "spec.successPolicy.rules[0].succeededCount: Invalid value: 3: must be less than or equal to 2 (the number of "
                    "indexes in the specified succeededIndexes field)"
                )
            ],
            id="more successes than indexes",
        ),
        pytest.param(
            {"spec.template.spec.restartPolicy": "Sometimes"},
            [
                (
                    'spec.template.spec.restartPolicy: Unsupported value: "Sometimes": supported values: "Always", "OnFailure", '
                    '"Never"'
                ),
                'spec.template.spec.restartPolicy: Unsupported value: "Sometimes": supported values: "OnFailure", "Never"',
            ],
            id="odd restart policy",
        ),
        pytest.param(
            {"spec.template.spec.restartPolicy": DROP},
            ['spec.template.spec.restartPolicy: Required value: valid values: "OnFailure", "Never"'],
            id="endless pods",
        ),
        pytest.param(
            {"spec.template.metadata": {"labels": {"app": "a", "job-name": "n" * 64}}},
            [f'spec.template.labels: Invalid value: "{"n" * 64}": must be no more than 63 bytes'],
            id="long label",
        ),
        pytest.param(
            {**INDEXED, "metadata.name": "a.b"},
            ['metadata.name: Invalid value: "a.b": will not able to create pod with invalid DNS label: a.b-4'],
            id="indexed pods need host names",
        ),
        pytest.param(
            {"spec.selector": {"matchExpressions": [{"key": "app", "operator": "Is"}]}},
            ['spec.selector.matchExpressions[0].operator: Invalid value: "Is": not a valid selector operator'],
            id="unusable selector",
        ),
    ],
)
def test_job_is_refused(changes, complaints):
    """The complaints are upstream's, in its order."""
    assert Rules("jobs").refused({**BY_HAND, **changes}) == complaints


def test_job_makes_a_selector_of_its_uid_and_labels_its_pods():
    """Pods are found by the Job's uid; labels the Job has of its template follow."""
    made = job.prepare_create(CONTEXT, Rules("jobs").make({"metadata.uid": "u"}))
    assert made.spec.selector.match_labels == {"batch.kubernetes.io/controller-uid": "u"}
    assert made.spec.template.metadata.labels == GENERATED
    assert made.metadata.labels == GENERATED
    assert [str(error) for error in job.validate(made)] == []


@pytest.mark.parametrize(
    ("changes", "labels"),
    [
        pytest.param({"spec.template.metadata": {"labels": LABELS}}, {**LABELS, **GENERATED}, id="taken over"),
        pytest.param({"metadata.labels": {"own": "b"}}, {"own": "b"}, id="of its own"),
        pytest.param(
            {"metadata.labels": LABELS, "spec.template.metadata": {"labels": LABELS}}, LABELS, id="given twice"
        ),
    ],
)
def test_job_takes_labels_over_only_when_it_has_none(changes, labels):
    """Labels given to the Job are what it has; without any it has those of its template."""
    made = job.prepare_create(CONTEXT, Rules("jobs").make({"metadata.uid": "u", **changes}))
    assert made.metadata.labels == labels


def test_job_refuses_labels_and_selectors_that_say_otherwise():
    """A client's own value for a generated label stays, and is refused."""
    changes = {
        "metadata.uid": "u",
        "spec.selector": {"matchLabels": {"x": "y"}},
        "spec.template.metadata": {"labels": {"job-name": "b"}},
    }
    made = job.prepare_create(CONTEXT, Rules("jobs").make(changes))
    labels = '{"batch.kubernetes.io/controller-uid":"u","batch.kubernetes.io/job-name":"a","controller-uid":"u","job-name":"b"}'
    assert [str(error) for error in job.validate(made)] == [
        f"spec.template.metadata.labels[job-name]: Invalid value: {labels}: must be 'a'",
        (
            'spec.selector: Invalid value: {"matchLabels":{"batch.kubernetes.io/controller-uid":"u","x":"y"}}: `selector` not '
            "auto-generated"
        ),
        f"spec.template.metadata.labels: Invalid value: {labels}: `selector` does not match template `labels`",
    ]


def test_job_gets_its_defaults():
    """One pod at a time, six failures, conditions that are meant to be true."""
    plain = Rules("jobs").make({}).spec
    assert (plain.parallelism, plain.completions, plain.backoff_limit) == (1, 1, 6)
    assert (plain.completion_mode, plain.pod_replacement_policy) == ("NonIndexed", "TerminatingOrFailed")
    wide = Rules("jobs").make({"spec.parallelism": 3, "spec.backoffLimitPerIndex": 1}).spec
    assert (wide.parallelism, wide.completions, wide.backoff_limit) == (3, None, 2**31 - 1)
    rules = [{"action": "Count", "onPodConditions": [{"type": "A"}]}]
    strict = Rules("jobs").make({"spec.podFailurePolicy": {"rules": rules}}).spec
    assert strict.pod_replacement_policy == "Failed"
    assert strict.pod_failure_policy.rules[0].on_pod_conditions[0].status == "True"


def test_job_holds_what_its_controller_relies_on():
    """Each field that never changes is named."""
    after = {
        **MADE,
        "spec.completions": 3,
        "spec.template.spec.containers.0.image": "other:1",
        "spec.managedBy": "a.example.com/b",
        "spec.podFailurePolicy": {"rules": []},
        "spec.podReplacementPolicy": "Failed",
    }
    found = Rules("jobs").refused_update(MADE, after)
    assert [complaint.partition(": ")[0] for complaint in found] == [
        "spec.completions",
        "spec.template",
        "spec.podFailurePolicy",
        "spec.managedBy",
    ]
    assert found[1].startswith(
        'spec.template: Invalid value: {"labels":{"batch.kubernetes.io/controller-uid":"u",'
        '"batch.kubernetes.io/job-name":"a","controller-uid":"u","job-name":"a"},"Spec":{"Volumes":null,'
    )
    assert all(complaint.endswith(": field is immutable") for complaint in found)


@pytest.mark.parametrize(
    ("status", "change", "refused"),
    [
        pytest.param({}, {"spec.template.spec.nodeSelector": {"zone": "a"}}, [], id="placed otherwise"),
        pytest.param(
            {}, {"spec.template.spec.containers.0.resources": {"requests": {"cpu": "2"}}}, [], id="sized otherwise"
        ),
        pytest.param(
            {},
            {
                "spec.template.spec.affinity": {"nodeAffinity": {}},
                "spec.template.spec.schedulingGates": [{"name": "g"}],
            },
            [],
            id="node affinity given",
        ),
        pytest.param(
            {},
            {"spec.template.spec.affinity": {"podAffinity": {}}},
            ["spec.template.spec"],
            id="pod affinity given",
        ),
        pytest.param(
            {}, {"spec.template.spec.containers.0.image": "other:1"}, ["spec.template.spec"], id="another image"
        ),
        pytest.param(
            {"active": 1}, {"spec.template.spec.nodeSelector": {"zone": "a"}}, ["spec.template"], id="pods run"
        ),
        pytest.param(
            {"startTime": "2026-01-01T00:00:00Z"},
            {"spec.template.spec.nodeSelector": {"zone": "a"}},
            ["spec.template"],
            id="not stopped yet",
        ),
        pytest.param(
            {"startTime": "2026-01-01T00:00:00Z", "conditions": [{"type": "Suspended", "status": "True"}]},
            {"spec.template.spec.nodeSelector": {"zone": "a"}},
            [],
            id="stopped",
        ),
    ],
)
def test_suspended_job_may_be_placed_and_sized_otherwise(status, change, refused):
    """As long as no pod runs, what the scheduler looks at may change, and nothing else of the template."""
    before = {**MADE, "spec.suspend": True, "status": status}
    found = Rules("jobs").refused_update(before, {**before, **change})
    assert [complaint.partition(": ")[0] for complaint in found] == refused


def test_indexed_job_scales_in_step():
    """Completions of an Indexed Job may change, together with its parallelism."""
    before = {**INDEXED, "spec.parallelism": 5}
    assert Rules("jobs").refused_update(before, {**before, "spec.completions": 3, "spec.parallelism": 3}) == []
    assert Rules("jobs").refused_update(before, {**before, "spec.completions": 3}) == [
        "spec.completions: Invalid value: 3: can only be modified in tandem with spec.parallelism"
    ]


COMPLETE = {"type": "Complete", "status": "True"}
MET = {"type": "SuccessCriteriaMet", "status": "True"}
FAILED = {"type": "Failed", "status": "True"}
TARGET = {"type": "FailureTarget", "status": "True"}
EARLY, LATE = "2026-01-01T00:00:00Z", "2026-01-01T00:01:00Z"
DONE = {"conditions": [COMPLETE, MET], "startTime": EARLY, "completionTime": LATE}


@pytest.mark.parametrize(
    ("before", "after", "complaints"),
    [
        pytest.param({}, DONE, [], id="completed"),
        pytest.param({"startTime": EARLY}, {"conditions": [FAILED, TARGET], "startTime": EARLY}, [], id="failed"),
        pytest.param(
            {},
            {"conditions": [COMPLETE, FAILED, TARGET, MET], "startTime": LATE, "completionTime": EARLY},
            [
                "status.conditions: Invalid value: cannot set Complete=True and Failed=true conditions",
                "status.conditions: Invalid value: cannot set Complete=True and FailureTarget=true conditions",
                f'status.completionTime: Invalid value: "{EARLY}": completionTime cannot be set before startTime',
                "status.conditions: Invalid value: cannot set SuccessCriteriaMet=True and Failed=true conditions",
                "status.conditions: Invalid value: cannot set SuccessCriteriaMet=True and FailureTarget=true conditions",
            ],
            id="both ends at once",
        ),
        pytest.param(
            {"startTime": EARLY},
            {"conditions": [FAILED], "startTime": EARLY, "active": 1, "ready": 2, "terminating": 1},
            [
                (
                    "status.conditions: Invalid value: cannot set Failed=True condition without the FailureTarget=true "
                    "condition"
                ),
                "status.active: Invalid value: 1: active>0 is invalid for finished job",
                "status.terminating: Invalid value: 1: terminating>0 is invalid for finished job",
                "status.ready: Invalid value: 2: cannot set more ready pods than active",
            ],
            id="finished with pods",
        ),
        pytest.param(
            {},
            {"uncountedTerminatedPods": {"succeeded": ["a", ""], "failed": ["a"]}},
            [
                'status.uncountedTerminatedPods.succeeded[1]: Invalid value: "": must not be empty',
                'status.uncountedTerminatedPods.failed[0]: Duplicate value: "a"',
            ],
            id="pods to be counted",
        ),
        pytest.param(
            {},
            {**DONE, "uncountedTerminatedPods": {"succeeded": ["a"]}},
            [
                (
                    'status.uncountedTerminatedPods: Invalid value: {"Succeeded":["a"],"Failed":null}: uncountedTerminatedPods '
                    "needs to be empty for finished job"
                )
            ],
            id="finished before all are counted",
        ),
        pytest.param(
            {**DONE, "failed": 2, "succeeded": 2},
            {"startTime": LATE, "failed": 1, "succeeded": 1},
            [
                "status.conditions: Invalid value: cannot disable the terminal Complete=True condition",
                "status.failed: Invalid value: 1: cannot decrease the failed counter",
                "status.succeeded: Invalid value: 1: cannot decrease the succeeded counter",
                "status.startTime: Required value: startTime cannot be removed for unsuspended job",
                "status.conditions: Invalid value: cannot disable the SuccessCriteriaMet=True condition",
            ],
            id="everything taken back",
        ),
        pytest.param(
            DONE,
            {**DONE, "completionTime": "2026-01-02T00:00:00Z"},
            ['status.completionTime: Invalid value: "2026-01-02T00:00:00Z": completionTime cannot be mutated'],
            id="another end",
        ),
        pytest.param(
            {"active": -1, "ready": 5},
            {"active": -1, "ready": 5, "failed": 1},
            ["status.active: Invalid value: -1: must be greater than or equal to 0"],
            id="what was wrong before is let be",
        ),
    ],
)
def test_job_status_is_held_to_its_order(before, after, complaints):
    """A status may only say what a Job's life allows; what an update leaves alone is not held against it."""
    assert Rules("jobs").refused_update({"status": before}, {"status": after}, part="status") == complaints


@pytest.mark.parametrize(
    ("status", "complaints"),
    [
        pytest.param({"completedIndexes": "0-1,4", "failedIndexes": "2"}, [], id="good"),
        pytest.param(
            {"completedIndexes": "0-2", "failedIndexes": "2-3"},
            ['status.failedIndexes: Invalid value: "2-3": failedIndexes and completedIndexes overlap at index: 2'],
            id="both",
        ),
        pytest.param(
            {"completedIndexes": "1,0", "failedIndexes": "9"},
            [
                (
                    'status.completedIndexes: Invalid value: "1,0": error parsing completedIndexes: non-increasing order, previous: '
                    "1, current: 0"
                ),
                'status.failedIndexes: Invalid value: "9": error parsing failedIndexes: too large index: "9"',
            ],
            id="unreadable",
        ),
    ],
)
def test_job_status_names_indexes(status, complaints):
    """Lists of indexes can be read, and no index is in both."""
    spec = {**INDEXED, "spec.backoffLimitPerIndex": 1}
    assert Rules("jobs").refused_update(spec, {**spec, "status": status}, part="status") == complaints


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        pytest.param(
            "0-1-2",
            (
                'the fragment "0-1-2" violates the requirement that an index interval can have at most two parts separated by '
                "'-'"
            ),
            id="three parts",
        ),
        pytest.param("x", 'cannot convert string to integer for index: "x"', id="no number"),
        pytest.param("0-x", 'cannot convert string to integer for index: "x"', id="no second number"),
        pytest.param("0-10", 'too large index: "10"', id="too large"),
        pytest.param("2-2", "non-increasing order, previous: 2, current: 2", id="empty"),
    ],
)
def test_index_ranges_are_refused(text, complaint):
    """The complaints are upstream's."""
    with pytest.raises(ValueError) as refused:
        index_ranges.count(text, 10)
    assert str(refused.value) == complaint


def test_index_ranges_are_counted():
    """A text names single indexes and ranges."""
    assert [index_ranges.count(text, 10) for text in ("", "3", "0-2,4", "0-9")] == [0, 1, 4, 10]


@pytest.mark.parametrize(
    ("changes", "complaints"),
    [
        pytest.param(
            {"spec.schedule": ""},
            ["spec.schedule: Required value"],
            id="without a schedule",
        ),
        pytest.param(
            {"spec.schedule": "CRON_TZ=UTC 0 * * *"},
            [
                ('spec.schedule: Invalid value: "CRON_TZ=UTC 0 * * *": expected exactly 5 fields, found 4: [0 * * *]'),
                (
                    'spec.schedule: Invalid value: "CRON_TZ=UTC 0 * * *": cannot use TZ or CRON_TZ in schedule, use timeZone '
                    "field instead"
                ),
            ],
            id="with a zone",
        ),
        pytest.param(
            {
                "spec.jobTemplate.spec.selector": {"matchLabels": {"a": "b"}},
                "spec.jobTemplate.spec.manualSelector": True,
            },
            [
                (
                    'spec.jobTemplate.spec.selector: Invalid value: {"matchLabels":{"a":"b"}}: `selector` will be auto-generated'
                ),
                'spec.jobTemplate.spec.manualSelector: Unsupported value: true: supported values: "nil", "false"',
            ],
            id="with a selector",
        ),
        pytest.param(
            {"metadata.name": "a" * 53},
            [f'metadata.name: Invalid value: "{"a" * 53}": must be no more than 52 characters'],
            id="with a long name",
        ),
        pytest.param({"spec.timeZone": "Europe/Berlin"}, [], id="in Berlin"),
        pytest.param(
            {"spec.timeZone": "../etc/passwd"},
            ['spec.timeZone: Invalid value: "../etc/passwd": unknown time zone ../etc/passwd'],
            id="in a file",
        ),
        pytest.param(
            {"spec.timeZone": "Europe"},
            ['spec.timeZone: Invalid value: "Europe": unknown time zone Europe'],
            id="on a continent",
        ),
    ],
)
def test_cron_job_is_refused(changes, complaints):
    """The complaints are upstream's, in its order."""
    assert Rules("cronjobs").refused(changes) == complaints


@pytest.mark.parametrize(
    ("before", "after", "complaints"),
    [
        pytest.param({"metadata.name": "a" * 60}, {"spec.suspend": True}, [], id="an old name"),
        pytest.param({"spec.timeZone": "Nowhere/Left"}, {"spec.suspend": True}, [], id="a zone that is gone"),
        pytest.param({"spec.schedule": "TZ=UTC @daily"}, {"spec.schedule": "TZ=UTC @hourly"}, [], id="an old zone"),
        pytest.param(
            {"spec.schedule": "TZ=UTC @daily"},
            {"spec.timeZone": "Etc/UTC"},
            [
                (
                    'spec.schedule: Invalid value: "TZ=UTC @daily": cannot use both timeZone field and TZ or CRON_TZ in '
                    "schedule"
                )
            ],
            id="two zones",
        ),
        pytest.param(
            {},
            {"spec.schedule": "TZ=UTC @daily"},
            [
                (
                    'spec.schedule: Invalid value: "TZ=UTC @daily": cannot use TZ or CRON_TZ in schedule, use timeZone field '
                    "instead"
                )
            ],
            id="a new zone",
        ),
    ],
)
def test_cron_job_goes_on_with_what_it_had(before, after, complaints):
    """Rules that came later are not held against what was stored before them."""
    assert Rules("cronjobs").refused_update(before, {**before, **after}) == complaints


def test_cron_job_gets_its_defaults():
    """Policy and history are completed, and the pods' defaults, but not those of the Job."""
    spec = Rules("cronjobs").make({}).spec
    assert (spec.concurrency_policy, spec.suspend) == ("Allow", False)
    assert (spec.successful_jobs_history_limit, spec.failed_jobs_history_limit) == (3, 1)
    assert spec.job_template.spec.parallelism is None
    assert spec.job_template.spec.template.spec.dns_policy == "ClusterFirst"


LABEL = (
    "metadata.name: this is used in Pod names and hostnames, which can result in surprising behavior; a DNS label is "
    "recommended: [must not contain dots]"
)
SELECTOR = {"beta.kubernetes.io/os": "linux"}


@pytest.mark.parametrize(
    ("plural", "changes", "warnings"),
    [
        pytest.param(
            "jobs",
            {
                "metadata.name": "a.b",
                "spec.completionMode": "Indexed",
                "spec.completions": 200_000,
                "spec.parallelism": 20_000,
            },
            [
                LABEL,
                (
                    "spec: In Indexed Jobs with a number of completions higher than 10^5 and a parallelism higher than 10^4, "
                    "Kubernetes might not be able to track completedIndexes when a big number of indexes fail"
                ),
            ],
            id="job",
        ),
        pytest.param(
            "cronjobs",
            {"metadata.name": "a.b", "spec.jobTemplate.spec.template.spec.nodeSelector": SELECTOR},
            [
                LABEL,
                (
                    "spec.jobTemplate.spec.template.spec.nodeSelector[beta.kubernetes.io/os]: deprecated since v1.14; use "
                    '"kubernetes.io/os" instead'
                ),
            ],
            id="cron job",
        ),
    ],
)
def test_batch_kind_warns(plural, changes, warnings):
    """What works but may surprise is warned of."""
    assert Rules(plural).warned(changes) == warnings


def test_cron_job_with_a_zone_in_its_schedule_is_warned_of_at_each_update():
    """The old way still works, and is said to be old."""
    rules = Rules("cronjobs")
    old = rules.make({"spec.schedule": "TZ=UTC @daily"})
    assert list(rules.strategy.warnings(old, old)) == [
        (
            "cannot use TZ or CRON_TZ in spec.spec.schedule, use timeZone instead, see "
            "https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/ for more details"
        )
    ]


@pytest.mark.parametrize(
    ("plural", "changes", "cells"),
    [
        pytest.param(
            "jobs",
            {"status": {"succeeded": 1, "startTime": "1970-01-01T00:00:00Z", "completionTime": "1970-01-01T00:01:30Z"}},
            {"Status": "Running", "Completions": "1/1", "Duration": "90s", "Selector": "<none>"},
            id="job that has run",
        ),
        pytest.param(
            "jobs",
            {"spec.parallelism": 3, "status": {"conditions": [TARGET, MET, {"type": "Suspended", "status": "True"}]}},
            {"Status": "Suspended", "Completions": "0/1 of 3", "Duration": ""},
            id="job of a work queue",
        ),
        pytest.param(
            "jobs",
            {"metadata.deletionTimestamp": EARLY, "status": {"conditions": [MET]}},
            {"Status": "Terminating"},
            id="job on its way out",
        ),
        pytest.param(
            "jobs", {"metadata.deletionTimestamp": EARLY, "status": DONE}, {"Status": "Complete"}, id="completed job"
        ),
        pytest.param(
            "cronjobs",
            {"spec.suspend": True, "status.active": [{"name": "a"}]},
            {"Timezone": "<none>", "Suspend": "True", "Active": 1, "Last Schedule": "<none>", "Selector": "<none>"},
            id="cron job",
        ),
    ],
)
def test_batch_kind_shows_its_row(plural, changes, cells):
    """Cells stand under upstream's columns."""
    row = Rules(plural).row(changes)
    assert {name: row[name] for name in cells} == cells


def test_jobs_are_selected_by_successes():
    """Controllers of old looked for Jobs that succeeded so many times."""
    selectable = Rules("jobs").strategy.selectable
    assert selectable.fields["status.successful"](Rules("jobs").make({"status.succeeded": 2})) == "2"
    assert selectable.unknown("spec.x") == 'field label "spec.x" not supported for Job'


def test_pod_spec_is_quoted_as_go_has_it():
    """What a pod shares of its host is part of its security context inside upstream, and fields stand in Go's order."""
    spec = Rules("jobs").make({"spec.template.spec.hostNetwork": True}).spec.template.spec
    shown = go_struct(spec)
    assert list(shown["SecurityContext"])[:6] == [
        "HostNetwork",
        "HostPID",
        "HostIPC",
        "ShareProcessNamespace",
        "HostUsers",
        "SELinuxOptions",
    ]
    assert shown["SecurityContext"]["HostNetwork"] is True
    names = list(shown)
    assert "HostNetwork" not in names
    assert names[names.index("Subdomain") : names.index("Tolerations")] == [
        "Subdomain",
        "SetHostnameAsFQDN",
        "Affinity",
        "SchedulerName",
    ]
