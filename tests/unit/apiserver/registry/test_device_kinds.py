"""resource.k8s.io: what claims ask for, what slices offer, and who may change it."""

import pytest
from tests.support.kind_rules import DROP, Rules

LABEL = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an "
    "alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
)
UNKNOWN = "must be the name of a request in the claim or the name of a request and a subrequest separated by '/'"
RESULT = {"request": "a", "driver": "d.example.com", "pool": "p", "device": "d0"}
ALLOCATION = {"devices": {"results": [RESULT]}}
CHOICE = "exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` is required"


def requests(*items):
    return {"spec.devices.requests": list(items)}


def one(name="a", **members):
    return {"name": name, "exactly": {"deviceClassName": "c", **members}}


@pytest.mark.parametrize(
    ("changes", "complaints"),
    [
        pytest.param(
            requests({"name": "A_"}),
            [
                f'spec.devices.requests[0].name: Invalid value: "A_": {LABEL}',
                "spec.devices.requests[0]: Required value: exactly one of `exactly` or `firstAvailable` is required",
            ],
            id="request for nothing",
        ),
        pytest.param(
            requests(one(deviceClassName="", allocationMode="Some")),
            [
                "spec.devices.requests[0].exactly.deviceClassName: Required value",
                (
                    'spec.devices.requests[0].exactly.allocationMode: Unsupported value: "Some": supported values: "All", '
                    '"ExactCount"'
                ),
            ],
            id="no class, odd mode",
        ),
        pytest.param(
            requests(one(count=-1), one(name="b", allocationMode="All", count=2), one(name="b")),
            [
                "spec.devices.requests[0].exactly.count: Invalid value: -1: must be greater than zero",
                "spec.devices.requests[1].exactly.count: Invalid value: 2: must not be specified when allocationMode is 'All'",
                'spec.devices.requests[2]: Duplicate value: "b"',
            ],
            id="counts and a name twice",
        ),
        pytest.param(
            requests(one(selectors=[{}], tolerations=[{"operator": "Near", "effect": "Odd"}])),
            [
                "spec.devices.requests[0].exactly.selectors[0].cel: Required value",
                (
                    'spec.devices.requests[0].exactly.tolerations[0].operator: Unsupported value: "Near": supported values: '
                    '"Equal", "Exists"'
                ),
                (
                    'spec.devices.requests[0].exactly.tolerations[0].effect: Unsupported value: "Odd": supported values: '
                    '"NoExecute", "NoSchedule", "None"'
                ),
            ],
            id="selectors and tolerations",
        ),
        pytest.param(
            {
                **requests({"name": "a", "firstAvailable": [{"name": "x", "deviceClassName": "c"}]}),
                "spec.devices.constraints": [
                    {"requests": ["a/x", "a/y", "a/x/z"], "matchAttribute": "d.example.com/numa"},
                    {"requests": ["a"], "matchAttribute": "nodomain"},
                ],
            },
            [
                f'spec.devices.constraints[0].requests[1]: Invalid value: "a/y": {UNKNOWN}',
                f'spec.devices.constraints[0].requests[2]: Invalid value: "a/x/z": {UNKNOWN}',
                (
                    'spec.devices.constraints[1].matchAttribute: Invalid value: "nodomain": a fully qualified name must be a '
                    "domain and a name separated by a slash"
                ),
            ],
            id="constraints",
        ),
        pytest.param(
            {"spec.devices.config": [{"opaque": {"driver": "d.example.com", "parameters": [1]}}, {}]},
            [
                (
                    'spec.devices.config[0].opaque.parameters: Invalid value: "<value omitted>": parameters must be a valid JSON '
                    "object"
                ),
                "spec.devices.config[1].opaque: Required value",
            ],
            id="configuration",
        ),
    ],
)
def test_claim_is_refused(changes, complaints):
    """The complaints are upstream's, and the same for a template."""
    assert Rules("resourceclaims").refused(changes) == complaints
    inner = {path.replace("spec.", "spec.spec.", 1): value for path, value in changes.items()}
    within = [line.replace("spec.", "spec.spec.", 1) for line in complaints]
    assert Rules("resourceclaimtemplates").refused(inner) == within


def test_claim_asks_for_one_device_unless_it_says_otherwise():
    """Mode and count are completed."""
    (made,) = Rules("resourceclaims").make(requests(one())).spec.devices.requests
    assert (made.exactly.allocation_mode, made.exactly.count) == ("ExactCount", 1)
    assert Rules("resourceclaims").make({"spec.devices.requests": []}).spec.devices.requests is None


def test_spec_of_a_claim_never_changes():
    """The refused spec is shown as Go prints it."""
    (found,) = Rules("resourceclaims").refused_update({}, requests(one(name="z")))
    assert found.startswith(
        'spec: Invalid value: {"Devices":{"Requests":[{"Name":"z","Exactly":{"DeviceClassName":"c",'
    )
    assert found.endswith(": field is immutable")


@pytest.mark.parametrize(
    ("before", "after", "complaints"),
    [
        pytest.param({}, {"status.allocation": ALLOCATION}, [], id="allocated"),
        pytest.param(
            {},
            {"status.reservedFor": [{"resource": "pods", "name": "p", "uid": "1"}]},
            ["status.reservedFor: Forbidden: may not be specified when `allocated` is not set"],
            id="reserved before it is allocated",
        ),
        pytest.param(
            {},
            {"status.allocation": {"devices": {"results": [{**RESULT, "request": "zz", "pool": ""}]}}},
            [
                f'status.allocation.devices.results[0].request: Invalid value: "zz": {UNKNOWN}',
                "status.allocation.devices.results[0].pool: Required value",
            ],
            id="result of an unknown request",
        ),
        pytest.param(
            {"status.allocation": ALLOCATION},
            {
                "status.allocation": ALLOCATION,
                "status.devices": [{"driver": "d.example.com", "pool": "p", "device": "d1"}],
            },
            ['status.devices[0]: Invalid value: "d.example.com/p/d1": must be an allocated device in the claim'],
            id="report about another device",
        ),
    ],
)
def test_status_of_a_claim_is_checked(before, after, complaints):
    """What is allocated was asked for; what is reported was allocated."""
    assert Rules("resourceclaims").refused_update(before, after, part="status") == complaints


@pytest.mark.parametrize(
    ("changes", "complaints"),
    [
        pytest.param(
            {"spec.pool": {"name": "", "generation": -1}, "spec.allNodes": True},
            [
                "spec.pool.name: Required value",
                "spec.pool.resourceSliceCount: Invalid value: 0: must be greater than zero",
                "spec.pool.generation: Invalid value: -1: must be greater than or equal to zero",
                f'spec: Invalid value: "{{`nodeName`, `allNodes`}}": {CHOICE}, but multiple fields are set',
            ],
            id="pool, and two ways to name nodes",
        ),
        pytest.param(
            {"spec.driver": "", "spec.nodeName": ""},
            [
                "spec.driver: Required value",
                'spec.nodeName: Invalid value: "": must be either unset or set to a non-empty string',
                f"spec: Required value: {CHOICE}",
            ],
            id="neither driver nor node",
        ),
        pytest.param(
            {
                "spec.devices": [
                    {"name": "d", "attributes": {"v": {"version": "one"}, "x": {"int": 1, "string": "a"}, "a-b": {}}},
                    {"name": "d", "taints": [{"key": "a", "effect": "Odd"}], "nodeName": "n"},
                ]
            },
            [
                (
                    'spec.devices[0].attributes[a-b]: Invalid value: "a-b": a valid C identifier must start with alphabetic '
                    "character or '_', followed by a string of alphanumeric characters or '_' (e.g. 'my_name',  or 'MY_NAME',  "
                    "or 'MyName', regex used for validation is '[A-Za-z_][A-Za-z0-9_]*')"
                ),
                "spec.devices[0].attributes[a-b]: Required value: exactly one value must be specified",
                (
                    'spec.devices[0].attributes[v].version: Invalid value: "one": must be a string compatible with semver.org '
                    "spec 2.0.0"
                ),
                (
                    'spec.devices[0].attributes[x]: Invalid value: {"IntValue":1,"BoolValue":null,"StringValue":"a",'
                    '"VersionValue":null,"IntValues":null,"BoolValues":null,"StringValues":null,"VersionValues":null}: exactly '
                    "one value must be specified"
                ),
                (
                    'spec.devices[1].taints[0].effect: Unsupported value: "Odd": supported values: "NoExecute", "NoSchedule", '
                    '"None"'
                ),
                (
                    "spec.devices[1]: Invalid value: null: `nodeName`, `nodeSelector` and `allNodes` can only be set if "
                    "`perDeviceNodeSelection` is set in the ResourceSlice spec"
                ),
                'spec.devices[1]: Duplicate value: "d"',
            ],
            id="devices",
        ),
    ],
)
def test_slice_is_refused(changes, complaints):
    """The complaints are upstream's, in its order."""
    assert Rules("resourceslices").refused(changes) == complaints


def test_slice_stays_with_its_driver_pool_and_node():
    """A slice is offered anew, not moved."""
    after = {"spec.driver": "b.example.com", "spec.nodeName": "b", "spec.pool.name": "b", "spec.devices": DROP}
    assert Rules("resourceslices").refused_update({}, after) == [
        'spec.pool.name: Invalid value: "b": field is immutable',
        'spec.driver: Invalid value: "b.example.com": field is immutable',
        'spec.nodeName: Invalid value: "b": field is immutable',
    ]


def test_class_is_checked():
    """Selectors need an expression, extended resources a domain of their own."""
    assert Rules("deviceclasses").refused({"spec.selectors": [{}], "spec.extendedResourceName": "cpu"}) == [
        "spec.selectors[0].cel: Required value",
        'spec.extendedResourceName: Invalid value: "cpu": must be a valid extended resource name',
    ]


def test_selector_that_does_not_compile_is_refused():
    """A selector gives a truth value, or an attribute that may be one."""
    expressions = ("device.ready", "device.driver", "device.attributes['d'].ready", "device.driver == 'd'")
    changes = {"spec.selectors": [{"cel": {"expression": one}} for one in expressions]}
    assert Rules("deviceclasses").refused(changes) == [
        (
            'spec.selectors[0].cel.expression: Invalid value: "device.ready": compilation failed: '
            "ERROR: <input>:1:7: undefined field 'ready'\n | device.ready\n | ......^"
        ),
        (
            'spec.selectors[1].cel.expression: Invalid value: "device.driver": '
            "must evaluate to bool or the unknown type, not string"
        ),
    ]


@pytest.mark.parametrize(
    ("changes", "state"),
    [
        pytest.param({}, "pending", id="new"),
        pytest.param({"status.allocation": ALLOCATION}, "allocated", id="allocated"),
        pytest.param(
            {"status.allocation": ALLOCATION, "status.reservedFor": [{"resource": "pods", "name": "p", "uid": "1"}]},
            "allocated,reserved",
            id="in use",
        ),
        pytest.param({"metadata.deletionTimestamp": "2026-01-01T00:00:00Z"}, "deleted", id="deleted"),
    ],
)
def test_claim_shows_its_state(changes, state):
    """The State column sums up the status."""
    assert Rules("resourceclaims").row(changes)["State"] == state
