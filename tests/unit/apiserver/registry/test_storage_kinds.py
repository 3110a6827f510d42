"""storage.k8s.io and the core group's volumes and claims: exact complaints, defaults, warnings and rows."""

import pytest
from tests.support.kind_rules import DROP, Rules

SUBDOMAIN = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end "
    "with an alphanumeric character (e.g. 'example.com', regex used for validation is "
    r"'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
HOST = {"hostPath": {"path": "/a"}}


@pytest.mark.parametrize(
    ("plural", "changes", "complaints"),
    [
        pytest.param("storageclasses", {"provisioner": ""}, ["provisioner: Required value"], id="class without driver"),
        pytest.param(
            "storageclasses",
            {"reclaimPolicy": "Recycle", "volumeBindingMode": "Later"},
            [
                'reclaimPolicy: Unsupported value: "Recycle": supported values: "Delete", "Retain"',
                'volumeBindingMode: Unsupported value: "Later": supported values: "Immediate", "WaitForFirstConsumer"',
            ],
            id="class with odd policies",
        ),
        pytest.param(
            "storageclasses",
            {"parameters": {"": "a"}},
            ['parameters: Invalid value: "": field can not be empty.'],
            id="class with an empty key",
        ),
        pytest.param(
            "storageclasses",
            {"parameters": {str(number): "" for number in range(513)}},
            ["parameters: Too long: may not be more than 512 bytes"],
            id="class with too many parameters",
        ),
        pytest.param(
            "storageclasses",
            {
                "allowedTopologies": [
                    {"matchLabelExpressions": [{"key": "zone", "values": []}, {"key": "zone", "values": ["a", "a"]}]},
                ]
            },
            [
                "allowedTopologies[0].matchLabelExpressions[0].values: Required value",
                'allowedTopologies[0].matchLabelExpressions[1].values[1]: Duplicate value: "a"',
                'allowedTopologies[0].matchLabelExpressions[1].key: Duplicate value: "zone"',
            ],
            id="class with odd topologies",
        ),
        pytest.param(
            "storageclasses",
            {
                "allowedTopologies": [
                    {"matchLabelExpressions": [{"key": "zone", "values": ["a", "b"]}]},
                    {"matchLabelExpressions": [{"key": "zone", "values": ["b", "a"]}]},
                ]
            },
            ['allowedTopologies[1].matchLabelExpressions: Duplicate value: ""'],
            id="class with a topology twice",
        ),
        pytest.param(
            "volumeattributesclasses",
            {"driverName": "", "parameters": {}},
            [
                "driverName: Required value",
                "parameters: Required value: must contain at least one key/value pair",
            ],
            id="attributes class without anything",
        ),
        pytest.param(
            "csidrivers",
            {
                "spec.volumeLifecycleModes": ["Forever"],
                "spec.fsGroupPolicy": "Some",
                "spec.nodeAllocatableUpdatePeriodSeconds": 3,
                "spec.tokenRequests": [{"audience": "a"}, {"audience": "a"}, {"audience": "b", "expirationSeconds": 1}],
            },
            [
                'spec.fsGroupPolicy: Unsupported value: "Some": supported values: "File", "None", "ReadWriteOnceWithFSType"',
                'spec.tokenRequests[1].audience: Duplicate value: "a"',
                "spec.tokenRequests[2].expirationSeconds: Invalid value: 1: may not specify a duration less than 10 minutes",
                'spec.volumeLifecycleModes: Unsupported value: "Forever": supported values: "Persistent", "Ephemeral"',
                "spec.nodeAllocatableUpdatePeriodSeconds: Invalid value: 3: must be greater than or equal to 10 seconds",
            ],
            id="driver in the order of its fields",
        ),
        pytest.param(
            "csinodes",
            {
                "spec.drivers": [
                    {"name": "d", "nodeID": "", "allocatable": {"count": -1}},
                    {"name": "d", "nodeID": "n" * 193, "topologyKeys": ["a", "a", ""]},
                ]
            },
            [
                "spec.drivers[0].nodeID: Required value",
                "spec.drivers[0].allocatable.count: Invalid value: -1: must be greater than or equal to 0",
                f'spec.drivers[1].nodeID: Invalid value: "{"n" * 193}": must be 192 characters or less',
                'spec.drivers[1].name: Duplicate value: "d"',
                'spec.drivers[1]: Duplicate value: "a"',
                "spec.drivers[1]: Required value",
                'spec.drivers[1]: Invalid value: "": name part must be non-empty',
                (
                    "spec.drivers[1]: Invalid value: \"\": name part must consist of alphanumeric characters, '-', '_' or "
                    "'.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', "
                    "regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
                ),
            ],
            id="node drivers",
        ),
        pytest.param(
            "csistoragecapacities",
            {"storageClassName": "A_", "capacity": "-1"},
            [
                f'storageClassName: Invalid value: "A_": {SUBDOMAIN}',
                'capacity: Invalid value: "-1": must be greater than or equal to 0',
            ],
            id="capacity below nothing",
        ),
        pytest.param(
            "volumeattachments",
            {"spec": {}},
            [
                "spec.attacher: Required value",
                "spec.source: Required value: must specify exactly one of inlineVolumeSpec and persistentVolumeName",
                f'spec.nodeName: Invalid value: "": {SUBDOMAIN}',
                "spec.attacher: Required value",
            ],
            id="attachment of nothing",
        ),
        pytest.param(
            "volumeattachments",
            {"spec.source": {"persistentVolumeName": "a", "inlineVolumeSpec": {}}},
            ["spec.source: Forbidden: must specify exactly one of inlineVolumeSpec and persistentVolumeName"],
            id="attachment of two volumes",
        ),
        pytest.param(
            "volumeattachments",
            {
                "spec.source": {
                    "inlineVolumeSpec": {
                        **HOST,
                        "capacity": {"storage": "1"},
                        "storageClassName": "a",
                        "volumeMode": "Block",
                    }
                }
            },
            [
                "spec.source.inlineVolumeSpec.capacity: Forbidden: may not be specified in the context of inline volumes",
                "spec.source.inlineVolumeSpec.csi: Required value: has to be specified in the context of inline volumes",
                "spec.source.inlineVolumeSpec.accessModes: Required value",
                (
                    "spec.source.inlineVolumeSpec.storageClassName: Forbidden: may not be specified in the context of inline "
                    "volumes"
                ),
                (
                    "spec.source.inlineVolumeSpec.volumeMode: Forbidden: may not specify volumeMode other than Filesystem in the "
                    "context of inline volumes"
                ),
            ],
            id="attachment of an inline volume",
        ),
        pytest.param(
            "persistentvolumes",
            {"spec": {}},
            [
                "spec.accessModes: Required value",
                "spec.capacity: Required value",
                'spec.capacity: Unsupported value: null: supported values: "storage"',
                "spec: Required value: must specify a volume type",
            ],
            id="volume without anything",
        ),
        pytest.param(
            "persistentvolumes",
            {"spec.capacity.storage": "-1", "spec.hostPath.path": "/a/.."},
            [
                "spec.capacity[storage]: Invalid value: -1: must be a valid resource quantity",
                'spec.capacity[storage]: Invalid value: "-1": must be greater than zero',
                "spec.hostPath.path: Invalid value: \"/a/..\": must not contain '..'",
            ],
            id="volume below nothing",
        ),
        pytest.param(
            "persistentvolumes",
            {"spec.hostPath.path": "/", "spec.persistentVolumeReclaimPolicy": "Recycle"},
            ["spec.persistentVolumeReclaimPolicy: Forbidden: may not be 'recycle' for a hostPath mount of '/'"],
            id="recycled root",
        ),
        pytest.param(
            "persistentvolumes",
            {"spec.hostPath": DROP, "spec.local": {"path": "/a"}},
            ["metadata.annotations: Required value: Local volume requires node affinity"],
            id="local volume anywhere",
        ),
        pytest.param(
            "persistentvolumes",
            {"spec.nodeAffinity": {}, "spec.volumeAttributesClassName": ""},
            [
                "spec.nodeAffinity.required: Required value: must specify required node constraints",
                "spec.volumeAttributesClassName: Required value: an empty string is disallowed",
                "spec.csi: Required value: has to be specified when using volumeAttributesClassName",
            ],
            id="volume with empty members",
        ),
        pytest.param(
            "persistentvolumes",
            {
                "spec.hostPath": DROP,
                "spec.csi": {"driver": "d", "volumeHandle": "", "nodePublishSecretRef": {"name": "s"}},
            },
            [
                "spec.csi.volumeHandle: Required value",
                "spec.csi.nodePublishSecretRef.namespace: Required value",
            ],
            id="driver's volume",
        ),
    ],
)
def test_storage_kind_is_refused(plural, changes, complaints):
    """The complaints are upstream's, in its order."""
    assert Rules(plural).refused(changes) == complaints


@pytest.mark.parametrize(
    ("plural", "before", "after", "complaints"),
    [
        pytest.param(
            "storageclasses",
            {"parameters": {"a": "b"}},
            {"parameters": {"a": "c"}, "provisioner": "q", "reclaimPolicy": "Retain", "allowVolumeExpansion": True},
            [
                'parameters: Invalid value: {"a":"c"}: field is immutable',
                'provisioner: Invalid value: "q": field is immutable',
                'reclaimPolicy: Invalid value: "Retain": field is immutable',
            ],
            id="class",
        ),
        pytest.param(
            "volumeattributesclasses",
            {},
            {"driverName": "b.example.com", "parameters": {"iops": "2"}},
            [
                "driverName: Forbidden: updates to driverName are forbidden.",
                "parameters: Forbidden: updates to parameters are forbidden.",
            ],
            id="attributes class",
        ),
        pytest.param(
            "csidrivers",
            {},
            {"spec.attachRequired": False, "spec.podInfoOnMount": True},
            ["spec.attachedRequired: Invalid value: false: field is immutable"],
            id="driver",
        ),
        pytest.param(
            "csinodes",
            {},
            {"spec.drivers.0.nodeID": "b", "spec.drivers.0.allocatable": {"count": 2}},
            [
                (
                    'spec.drivers: Invalid value: {"Name":"a.example.com","NodeID":"b","TopologyKeys":null,"Allocatable":null}: '
                    "field is immutable"
                )
            ],
            id="node driver",
        ),
        pytest.param("csinodes", {}, {"spec.drivers.0.allocatable": {"count": 2}}, [], id="node driver's room"),
        pytest.param(
            "csistoragecapacities",
            {},
            {"storageClassName": "b", "nodeTopology": {"matchLabels": {"z": "2"}}, "capacity": "2Gi"},
            [
                'nodeTopology: Invalid value: {"matchLabels":{"z":"2"}}: field is immutable',
                'storageClassName: Invalid value: "b": field is immutable',
            ],
            id="capacity",
        ),
        pytest.param(
            "volumeattachments",
            {"metadata.resourceVersion": "1"},
            {"metadata.resourceVersion": "1", "spec.nodeName": "m"},
            [
                (
                    'spec: Invalid value: {"Attacher":"a.example.com","Source":{"PersistentVolumeName":"a","InlineVolumeSpec":null},'
                    '"NodeName":"m"}: field is immutable'
                )
            ],
            id="attachment",
        ),
        pytest.param(
            "persistentvolumes",
            {},
            {"spec.volumeMode": "Block"},
            ['volumeMode: Invalid value: "Block": field is immutable'],
            id="volume's mode",
        ),
        pytest.param(
            "persistentvolumeclaims",
            {},
            {"spec.storageClassName": "later", "spec.volumeName": "v"},
            [],
            id="unbound claim gets class and volume",
        ),
        pytest.param(
            "persistentvolumeclaims",
            {"status.phase": "Bound", "status.capacity": {"storage": "1Gi"}, "spec.resources.requests.storage": "2Gi"},
            {"spec.resources.requests.storage": "1Gi"},
            ["spec.resources.requests.storage: Forbidden: field can not be less than status.capacity"],
            id="bound claim shrinks",
        ),
    ],
)
def test_storage_kind_holds_what_does_not_change(plural, before, after, complaints):
    """Immutable fields are named, in upstream's words; the others may change."""
    assert Rules(plural).refused_update(before, {**before, **after}) == complaints


def test_source_of_a_volume_is_shown_with_its_change():
    """The complaint about a changed source shows both, as Go prints them."""
    (found,) = Rules("persistentvolumes").refused_update({}, {"spec.hostPath.path": "/b"})
    head, _, difference = found.partition("\n")
    assert head == "spec.persistentvolumesource: Forbidden: spec.persistentvolumesource is immutable after creation"
    assert ' -    "Path": "/a",\n +    "Path": "/b",' in difference


def test_status_of_an_attachment_is_checked():
    """Errors of drivers have bounds, whose number upstream words as it does."""
    after = {"metadata.resourceVersion": "1", "status.attachError": {"message": "m" * 1025, "errorCode": -1}}
    assert Rules("volumeattachments").refused_update({"metadata.resourceVersion": "1"}, after, part="status") == [
        "status.attachError.message: Too long: may not be more than 262144 bytes",
        "status.attachError.errorCode: Invalid value: -1: must be between 0 and 2147483647, inclusive",
    ]


def test_driver_gets_its_defaults_and_a_warning_about_tokens():
    """A driver that says nothing is attached and persistent; tokens in attributes end up in logs."""
    spec = Rules("csidrivers").make({}).spec
    assert (spec.attach_required, spec.pod_info_on_mount, spec.volume_lifecycle_modes) == (True, False, ("Persistent",))
    assert (spec.fs_group_policy, spec.requires_republish) == ("ReadWriteOnceWithFSType", False)
    assert Rules("csidrivers").warned({}) == []
    assert len(Rules("csidrivers").warned({"spec.tokenRequests": [{"audience": "a"}]})) == 1


@pytest.mark.parametrize(
    ("plural", "changes", "warnings"),
    [
        pytest.param(
            "storageclasses",
            {"allowedTopologies": [{"matchLabelExpressions": [{"key": "beta.kubernetes.io/os", "values": ["a"]}]}]},
            [
                (
                    "allowedTopologies[0].matchLabelExpressions[0].key: beta.kubernetes.io/os is deprecated since v1.14; use "
                    '"kubernetes.io/os" instead'
                )
            ],
            id="old label",
        ),
        pytest.param(
            "persistentvolumes",
            {"spec.persistentVolumeReclaimPolicy": "Recycle"},
            [
                (
                    "spec.persistentVolumeReclaimPolicy: The Recycle reclaim policy is deprecated. Instead, the recommended "
                    "approach is to use dynamic provisioning."
                )
            ],
            id="recycling",
        ),
        pytest.param(
            "persistentvolumeclaims",
            {"spec.resources.requests.storage": "200m"},
            ['spec.resources.requests[storage]: fractional byte value "200m" is invalid, must be an integer'],
            id="part of a byte",
        ),
    ],
)
def test_storage_kind_warns(plural, changes, warnings):
    """What works but should not be used is warned of."""
    assert Rules(plural).warned(changes) == warnings


@pytest.mark.parametrize(
    ("plural", "changes", "cells"),
    [
        pytest.param(
            "storageclasses",
            {"metadata.annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
            {"Name": "a (default)", "ReclaimPolicy": "Delete", "AllowVolumeExpansion": False},
            id="default class",
        ),
        pytest.param(
            "csidrivers",
            {"spec.tokenRequests": [{"audience": "a"}, {"audience": ""}]},
            {"AttachRequired": True, "TokenRequests": "a,", "Modes": "Persistent"},
            id="driver",
        ),
        pytest.param("csidrivers", {}, {"TokenRequests": "<unset>"}, id="driver without tokens"),
        pytest.param("volumeattachments", {}, {"PV": "a", "Node": "a", "Attached": False}, id="attachment"),
        pytest.param(
            "persistentvolumes",
            {"status.phase": "Bound", "spec.claimRef": {"namespace": "n", "name": "c"}},
            {"Access Modes": "RWO", "Status": "Bound", "Claim": "n/c", "VolumeAttributesClass": "<unset>"},
            id="volume",
        ),
    ],
)
def test_storage_kind_shows_its_row(plural, changes, cells):
    """Cells stand under upstream's columns."""
    row = Rules(plural).row(changes)
    assert {name: row[name] for name in cells} == cells
