"""What is known of the fields of the real kinds."""

import pytest

from pinnace.api import field_schema
from pinnace.api.apps_v1 import Deployment
from pinnace.api.core_v1 import ConfigMap, Node, Pod, Service
from pinnace.api.resources import RESOURCES

STORED = [resource for resource in RESOURCES if resource.is_stored]


@pytest.mark.parametrize(
    "resource", STORED, ids=lambda resource: f"{resource.plural}.{resource.version}.{resource.group}"
)
def test_every_kind_has_a_schema(resource):
    """An empty object of any kind fits, and claims nothing but what it names."""
    root = field_schema.root(resource.type)
    tree = {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": {"labels": {"a": "b"}}}
    assert list(root.problems(tree)) == []
    assert root.fields_of(tree) == {"f:apiVersion": {}, "f:kind": {}, "f:metadata": {"f:labels": {"f:a": {}}}}


def of_pod(**spec):
    return {"spec": spec}


@pytest.mark.parametrize(
    ("kind", "tree", "fields"),
    [
        pytest.param(
            Pod,
            of_pod(containers=[{"name": "c", "env": [{"name": "A", "value": "1"}], "command": ["a"]}]),
            {
                "f:spec": {
                    "f:containers": {
                        'k:{"name":"c"}': {
                            ".": {},
                            "f:name": {},
                            "f:command": {},
                            "f:env": {'k:{"name":"A"}': {".": {}, "f:name": {}, "f:value": {}}},
                        }
                    }
                }
            },
            id="containers-and-their-variables-by-name",
        ),
        pytest.param(
            Pod,
            of_pod(containers=[{"name": "c", "ports": [{"containerPort": 80}]}]),
            {
                "f:spec": {
                    "f:containers": {
                        'k:{"name":"c"}': {
                            ".": {},
                            "f:name": {},
                            "f:ports": {'k:{"containerPort":80,"protocol":"TCP"}': {".": {}, "f:containerPort": {}}},
                        }
                    }
                }
            },
            id="ports-by-number-and-protocol",
        ),
        pytest.param(Pod, of_pod(tolerations=[{"key": "a"}]), {"f:spec": {"f:tolerations": {}}}, id="atomic-list"),
        pytest.param(Pod, of_pod(nodeSelector={"a": "b"}), {"f:spec": {"f:nodeSelector": {}}}, id="atomic-map"),
        pytest.param(
            Pod,
            of_pod(securityContext={"runAsUser": 1}),
            {"f:spec": {"f:securityContext": {"f:runAsUser": {}}}},
            id="struct",
        ),
        pytest.param(
            Deployment,
            {"spec": {"selector": {"matchLabels": {"a": "b"}}}},
            {"f:spec": {"f:selector": {}}},
            id="atomic-struct",
        ),
        pytest.param(
            Deployment,
            {"spec": {"strategy": {"rollingUpdate": {"maxSurge": 1}}}},
            {"f:spec": {"f:strategy": {"f:rollingUpdate": {"f:maxSurge": {}}}}},
            id="number-or-text",
        ),
        pytest.param(ConfigMap, {"data": {"a": "1"}}, {"f:data": {"f:a": {}}}, id="map"),
        pytest.param(
            ConfigMap,
            {"metadata": {"finalizers": ["a/b"]}},
            {"f:metadata": {"f:finalizers": {'v:"a/b"': {}}}},
            id="set",
        ),
        pytest.param(
            ConfigMap,
            {"metadata": {"ownerReferences": [{"uid": "u", "name": "n"}]}},
            {"f:metadata": {"f:ownerReferences": {'k:{"uid":"u"}': {}}}},
            id="owners-by-uid-each-as-one",
        ),
        pytest.param(
            Node,
            {"status": {"addresses": [{"type": "InternalIP", "address": "10.0.0.1"}], "capacity": {"cpu": "1"}}},
            {
                "f:status": {
                    "f:addresses": {'k:{"type":"InternalIP"}': {".": {}, "f:type": {}, "f:address": {}}},
                    "f:capacity": {"f:cpu": {}},
                }
            },
            id="quantities-by-name",
        ),
        pytest.param(
            Service,
            {"spec": {"ports": [{"port": 53, "protocol": "UDP"}], "externalIPs": ["10.0.0.1"]}},
            {
                "f:spec": {
                    "f:ports": {'k:{"port":53,"protocol":"UDP"}': {".": {}, "f:port": {}, "f:protocol": {}}},
                    "f:externalIPs": {},
                }
            },
            id="service",
        ),
    ],
)
def test_fields_are_owned_as_the_schema_has_it(kind, tree, fields):
    """Lists by their keys, sets by their values, atomics as one."""
    root = field_schema.root(kind)
    assert list(root.problems(tree)) == []
    assert root.fields_of(tree) == fields
