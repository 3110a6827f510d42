"""networking.k8s.io and discovery.k8s.io: exact complaints, defaults, warnings and rows."""

import pytest
from tests.support.kind_rules import DROP, Rules

from pinnace.api.meta_v1 import ObjectMeta
from pinnace.api.networking_v1 import ServiceCIDR
from pinnace.apiserver.registry.networking import service_cidr

SUBDOMAIN = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end "
    "with an alphanumeric character (e.g. 'example.com', regex used for validation is "
    r"'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
LABEL = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an "
    "alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
)
WILDCARD = (
    "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist of lower case "
    "alphanumeric characters, '-' or '.' and end with an alphanumeric character (e.g. '*.example.com', regex used for "
    r"validation is '\*\.[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
BACKEND = {"service": {"name": "a", "port": {"number": 80}}}


def path(text, kind="Prefix", **more):
    """Return a path of a rule."""
    return {"path": text, "pathType": kind, "backend": BACKEND, **more}


def rule(*paths, host=""):
    """Return a rule of an ingress."""
    return {"host": host, "http": {"paths": list(paths)}}


def block(cidr, *but):
    """Return a policy's rule for a range."""
    return [{"from": [{"ipBlock": {"cidr": cidr, "except": list(but)}}]}]


@pytest.mark.parametrize(
    ("changes", "complaints"),
    [
        pytest.param({}, [], id="default backend alone"),
        pytest.param(
            {"spec": {}},
            ["spec: Invalid value: null: either `defaultBackend` or `rules` must be specified"],
            id="nothing",
        ),
        pytest.param({"spec.rules": [{"host": "a.x"}]}, [], id="rule without paths of any protocol"),
        pytest.param({"spec.rules": [rule()]}, ["spec.rules[0].http.paths: Required value"], id="rule without a path"),
        pytest.param(
            {"spec.rules": [rule(path("/a/.."), path("/a%2fb"), path("x", "ImplementationSpecific"))]},
            [
                "spec.rules[0].http.paths[0].path: Invalid value: \"/a/..\": cannot end with '/..'",
                "spec.rules[0].http.paths[1].path: Invalid value: \"/a%2fb\": must not contain '%2f'",
                'spec.rules[0].http.paths[2].path: Invalid value: "x": must be an absolute path',
            ],
            id="paths that servers read differently",
        ),
        pytest.param(
            {"spec.rules": [rule(path("/"), host="10.1.2.3"), rule(path("/"), host="a.*")]},
            [
                'spec.rules[0].host: Invalid value: "10.1.2.3": must be a DNS name, not an IP address',
                f'spec.rules[1].host: Invalid value: "a.*": {WILDCARD}',
            ],
            id="hosts",
        ),
        pytest.param(
            {"spec.defaultBackend": {"resource": {"apiGroup": "A_", "kind": "", "name": "a/b"}}},
            [
                f'spec.defaultBackend.resource.apiGroup: Invalid value: "A_": {SUBDOMAIN}',
                "spec.defaultBackend.resource.kind: Required value",
                "spec.defaultBackend.resource.name: Invalid value: \"a/b\": may not contain '/'",
            ],
            id="backend of another kind",
        ),
        pytest.param(
            {"spec.defaultBackend.service": {"name": "A_", "port": {"number": 70000}}},
            [
                f'spec.defaultBackend.service.name: Invalid value: "A_": {LABEL}',
                "spec.defaultBackend.service.port.number: Invalid value: 70000: must be between 1 and 65535, inclusive",
            ],
            id="backend's port",
        ),
        pytest.param(
            {"spec.tls": [{"hosts": ["*.x", "a_"], "secretName": "A_"}]},
            [
                f'spec.tls[0].hosts[1]: Invalid value: "a_": {SUBDOMAIN}',
                f'spec.tls[0].secretName: Invalid value: "A_": {SUBDOMAIN}',
            ],
            id="certificates",
        ),
        pytest.param(
            {"metadata.annotations": {"kubernetes.io/ingress.class": "a"}, "spec.ingressClassName": "b"},
            [
                (
                    'annotations.kubernetes.io/ingress.class: Invalid value: "a": must match `ingressClassName` when both are '
                    "specified"
                )
            ],
            id="class in both places",
        ),
        pytest.param(
            {"spec.ingressClassName": "A_"},
            [f'spec.ingressClassName: Invalid value: "A_": {SUBDOMAIN}'],
            id="class that cannot be",
        ),
    ],
)
def test_ingress_is_refused(changes, complaints):
    """The complaints are upstream's, in its order."""
    assert Rules("ingresses").refused(changes) == complaints


@pytest.mark.parametrize(
    ("before", "after", "complaints"),
    [
        pytest.param(
            {"spec.tls": [{"secretName": "A_"}]},
            {"spec.tls": [{"secretName": "B_"}]},
            [],
            id="secret's name from an older server",
        ),
        pytest.param(
            {"spec.rules": [rule(path("x"), host="*.x")]},
            {"spec.rules": [rule(path("y"), host="*.x"), rule(path("y"))]},
            ['spec.rules[1].http.paths[0].path: Invalid value: "y": must be an absolute path'],
            id="wildcard rule from an older server",
        ),
        pytest.param(
            {"metadata.annotations": {"kubernetes.io/ingress.class": "a"}},
            {"spec.ingressClassName": "b"},
            [],
            id="class on its way to the new place",
        ),
    ],
)
def test_ingress_from_an_older_server_may_change(before, after, complaints):
    """What was let in once does not stop an update."""
    assert Rules("ingresses").refused_update(before, {**before, **after}) == complaints


def test_status_of_an_ingress_is_checked():
    """Addresses must be some, unless they were there before; hosts are names."""
    before = {"status.loadBalancer.ingress": [{"ip": "010.1.2.3"}]}
    after = {"status.loadBalancer.ingress": [{"ip": "010.1.2.3"}, {"ip": "10.1.2.03"}, {"hostname": "10.1.2.3"}]}
    assert Rules("ingresses").refused_update(before, after, part="status") == [
        'status.loadBalancer.ingress[1].ip: Invalid value: "10.1.2.03": must not have leading 0s',
        'status.loadBalancer.ingress[2].hostname: Invalid value: "10.1.2.3": must be a DNS name, not an IP address',
    ]
    rules = Rules("ingresses")
    made = rules.make({"status.loadBalancer.ingress": [{"hostname": "a.x"}, {"ip": "FD00::1"}]})
    assert list(rules.strategy.parts["status"].warnings(made, made)) == [
        'status.loadBalancer.ingress[1].ip: IPv6 address "FD00::1" should be in RFC 5952 canonical format ("fd00::1")'
    ]


@pytest.mark.parametrize(
    ("changes", "complaints"),
    [
        pytest.param(
            {"spec.controller": "example.com/a b"},
            [
                (
                    'spec.controller: Invalid value: "a b": Invalid path (regex used for validation is '
                    r"'[A-Za-z0-9/\-._~%!$&'()*+,;=:]+')"
                )
            ],
            id="path with a blank",
        ),
        pytest.param({"spec.controller": "A_/a"}, [f'spec.controller: Invalid value: "A_": {SUBDOMAIN}'], id="domain"),
        pytest.param(
            {"spec.parameters": {"kind": "K", "name": "n", "scope": "Namespace", "namespace": "a.b"}},
            ['spec.parameters.namespace: Invalid value: "a.b": must not contain dots'],
            id="namespace of parameters",
        ),
        pytest.param({"spec.parameters": {"kind": "K", "name": "n"}}, [], id="scope left out"),
    ],
)
def test_ingress_class_is_refused(changes, complaints):
    """The complaints are upstream's, in its order."""
    assert Rules("ingressclasses").refused(changes) == complaints


def test_ingress_class_holds_its_controller():
    """The controller of a class never changes; its parameters may."""
    assert Rules("ingressclasses").refused_update({}, {"spec.controller": "example.com/b"}) == [
        'spec.controller: Invalid value: "example.com/b": field is immutable'
    ]
    assert Rules("ingressclasses").refused_update({}, {"spec.parameters": {"kind": "K", "name": "n"}}) == []


@pytest.mark.parametrize(
    ("changes", "complaints"),
    [
        pytest.param(
            {"spec.parentRef": {"group": "A_", "resource": "a/b", "name": "n", "namespace": "a%b"}},
            [
                f'spec.parentRef.group: Invalid value: "A_": {SUBDOMAIN}',
                "spec.parentRef.resource: Invalid value: \"a/b\": may not contain '/'",
                "spec.parentRef.namespace: Invalid value: \"a%b\": may not contain '%'",
            ],
            id="odd parent",
        ),
        pytest.param({"spec": {}}, ["spec.parentRef: Required value"], id="no parent"),
    ],
)
def test_address_is_refused(changes, complaints):
    """An address belongs to something that can be named."""
    assert Rules("ipaddresses").refused(changes) == complaints


def test_address_is_named_canonically_and_holds_its_parent():
    """The name is the address; what it belongs to never changes and is quoted whole."""
    rules = Rules("ipaddresses")
    assert list(rules.strategy.name_errors("10.1.2.3", False)) == []
    assert list(rules.strategy.name_errors("fd00::0", False)) == ['must be in canonical form ("fd00::")']
    assert rules.refused_update({}, {"spec.parentRef.name": "b"}) == [
        (
            'spec.parentRef: Invalid value: {"Group":"","Resource":"services","Namespace":"default","Name":"b"}: '
            "field is immutable"
        )
    ]


@pytest.mark.parametrize(
    ("changes", "complaints"),
    [
        pytest.param({"spec.cidrs": []}, ["spec.cidrs: Required value: at least one CIDR required"], id="none"),
        pytest.param(
            {"spec.cidrs": ["10.0.0.0/8", "fd00::/64", "fd01::/64"]},
            [
                'spec.cidrs: Invalid value: {"CIDRs":["10.0.0.0/8","fd00::/64","fd01::/64"]}: may only hold up to 2 values'
            ],
            id="too many",
        ),
        pytest.param(
            {"spec.cidrs": ["10.0.0.1/8", "fd00::0/64"]},
            [
                'spec.cidrs[0]: Invalid value: "10.0.0.1/8": must not have bits set beyond the prefix length',
                'spec.cidrs[1]: Invalid value: "fd00::0/64": must be in canonical form ("fd00::/64")',
            ],
            id="spelled oddly",
        ),
        pytest.param(
            {"spec.cidrs": ["10.0.0.0/8", "11.0.0.0/8"]},
            [
                (
                    'spec.cidrs: Invalid value: ["10.0.0.0/8","11.0.0.0/8"]: may specify no more than one IP for each IP family, '
                    "i.e 192.168.0.0/24 and 2001:db8::/64"
                )
            ],
            id="one family twice",
        ),
    ],
)
def test_service_range_is_refused(changes, complaints):
    """A range is one network of each family."""
    assert Rules("servicecidrs").refused(changes) == complaints


@pytest.mark.parametrize(
    ("after", "complaints"),
    [
        pytest.param(["10.97.0.0/16"], [], id="as it was"),
        pytest.param(["10.97.0.0/16", "fd00::/64"], [], id="second family"),
        pytest.param(
            ["10.98.0.0/16"], ['spec.cidrs[0]: Invalid value: "10.98.0.0/16": field is immutable'], id="another range"
        ),
        pytest.param(
            ["10.98.0.0/16", "fd00::0/64"],
            [
                'spec.cidrs[0]: Invalid value: "10.98.0.0/16": field is immutable',
                'spec.cidrs[1]: Invalid value: "fd00::0/64": must be in canonical form ("fd00::/64")',
            ],
            id="another range and a bad one",
        ),
        pytest.param([], ["spec.cidrs: Invalid value: []: field is immutable"], id="none any more"),
    ],
)
def test_service_range_holds_but_may_gain_a_family(after, complaints):
    """Ranges stay as they are, except that a second family may come."""
    assert Rules("servicecidrs").refused_update({}, {"spec.cidrs": after}) == complaints


def test_status_of_a_service_range_brings_nothing_else():
    """Writing the status writes no label."""
    old = ServiceCIDR(metadata=ObjectMeta(name="a", labels={"a": "b"}))
    new = ServiceCIDR(metadata=ObjectMeta(name="a", labels={"a": "c"}, finalizers=("x/y",)))
    assert service_cidr.prepare_status(None, new, old).metadata == old.metadata


@pytest.mark.parametrize(
    ("changes", "complaints"),
    [
        pytest.param(
            {
                "spec.egress": [
                    {"to": [{"podSelector": {}}], "ports": [{"protocol": "TCP", "port": 80, "endPort": 70000}]}
                ]
            },
            ["spec.egress[0].ports[0].endPort: Invalid value: 70000: must be between 1 and 65535, inclusive"],
            id="end beyond the last port",
        ),
        pytest.param(
            {"spec.ingress": block("")}, ["spec.ingress[0].from[0].ipBlock.cidr: Required value"], id="range of nothing"
        ),
        pytest.param(
            {"spec.ingress": block("10.0.0.0/8", "10.0.0.0/8", "x")},
            [
                'spec.ingress[0].from[0].ipBlock.except[0]: Invalid value: "10.0.0.0/8": must be a strict subset of `cidr`',
                (
                    'spec.ingress[0].from[0].ipBlock.except[1]: Invalid value: "x": must be a valid CIDR value, (e.g. '
                    "10.9.8.0/24 or 2001:db8::/64)"
                ),
            ],
            id="parts that are not",
        ),
    ],
)
def test_network_policy_is_refused(changes, complaints):
    """The complaints are upstream's, in its order."""
    assert Rules("networkpolicies").refused(changes) == complaints


def test_network_policy_keeps_ranges_it_had():
    """A range that an older server let in may stay, wherever it stands now."""
    before = {"spec.ingress": block("10.0.0.5/8", "10.1.0.5/16")}
    assert Rules("networkpolicies").refused_update(before, {"spec.ingress": block("10.1.0.5/16", "10.1.1.5/24")}) == [
        (
            'spec.ingress[0].from[0].ipBlock.except[0]: Invalid value: "10.1.1.5/24": must not have bits set beyond the prefix '
            "length"
        )
    ]


def test_network_policy_speaks_of_what_it_has_rules_for():
    """Types follow from the rules; protocols are TCP."""
    rules = Rules("networkpolicies")
    assert rules.make({}).spec.policy_types == ("Ingress",)
    spec = rules.make({"spec.egress": [{"ports": [{"port": 80}]}]}).spec
    assert (spec.policy_types, spec.egress[0].ports[0].protocol) == (("Ingress", "Egress"), "TCP")


@pytest.mark.parametrize(
    ("changes", "complaints"),
    [
        pytest.param(
            {"addressType": "IPv6", "endpoints": [{"addresses": ["10.1.2.3"]}, {"addresses": ["fe80::1"]}]},
            [
                'endpoints[0].addresses: Invalid value: "10.1.2.3": must be an IPv6 address',
                (
                    'endpoints[1].addresses[0]: Invalid value: "fe80::1": may not be in the link-local range (169.254.0.0/16, '
                    "fe80::/10)"
                ),
            ],
            id="addresses of the wrong family and range",
        ),
        pytest.param(
            {"addressType": "FQDN", "endpoints": [{"addresses": ["", "a", "a.b."]}]},
            [
                "endpoints[0].addresses[0]: Required value",
                'endpoints[0].addresses[1]: Invalid value: "a": should be a domain with at least two segments separated by dots',
            ],
            id="names",
        ),
        pytest.param(
            {"endpoints.0.nodeName": "A_", "endpoints.0.deprecatedTopology": {"topology.kubernetes.io/zone": "a"}},
            [
                f'endpoints[0].nodeName: Invalid value: "A_": {SUBDOMAIN}',
                (
                    "endpoints[0].deprecatedTopology[topology.kubernetes.io/zone]: Internal error: reserved key was not removed in "
                    "conversion"
                ),
            ],
            id="where endpoints are",
        ),
        pytest.param(
            {
                "endpoints.0.hints": {
                    "forZones": [{"name": "a"}, {"name": "a"}],
                    "forNodes": [{"name": str(number)} for number in range(9)],
                }
            },
            [
                'endpoints[0].hints.forZones[1].name: Duplicate value: "a"',
                "endpoints[0].hints.forNodes: Too many: 9: must have at most 8 items",
            ],
            id="hints",
        ),
        pytest.param(
            {"endpoints": [{"addresses": ["10.1.2.3"]}] * 1001},
            ["endpoints: Too many: 1001: must have at most 1000 items"],
            id="too many endpoints",
        ),
        pytest.param(
            {"ports": [{"port": 1}] * 20001}, ["ports: Too many: 20001: must have at most 20000 items"], id="ports"
        ),
        pytest.param(
            {"ports": [{"port": 1}, {"port": 2}]}, ['ports[1].name: Duplicate value: ""'], id="two ports without names"
        ),
    ],
)
def test_slice_is_refused(changes, complaints):
    """The complaints are upstream's, in its order."""
    assert Rules("endpointslices").refused(changes) == complaints


def test_slice_with_old_addresses_may_change_otherwise():
    """Endpoints that are as they were are not looked at again; the type of addresses holds."""
    before = {"endpoints": [{"addresses": ["010.1.2.3"]}]}
    rules = Rules("endpointslices")
    assert rules.refused_update(before, {**before, "ports": [{"port": 1}]}) == []
    assert rules.refused_update(before, {**before, "addressType": "FQDN"}) == [
        'addressType: Invalid value: "FQDN": field is immutable'
    ]


def test_slice_of_version_1_has_no_topology():
    """Topology is dropped from new endpoints, and stays with those that do not change."""
    rules = Rules("endpointslices")
    old = rules.make({"endpoints.0.deprecatedTopology": {"a": "b"}})
    assert rules.strategy.prepare_update(None, old, old) is old
    assert not rules.strategy.prepare_create(None, old).endpoints[0].deprecated_topology
    moved = rules.make({"endpoints.0.deprecatedTopology": {"a": "c"}})
    assert not rules.strategy.prepare_update(None, moved, old).endpoints[0].deprecated_topology


@pytest.mark.parametrize(
    ("changes", "counts"),
    [
        pytest.param({}, False, id="nothing"),
        pytest.param({"metadata.annotations": {"a": "b"}}, False, id="annotations"),
        pytest.param({"metadata.labels": {"a": "b"}}, True, id="labels"),
        pytest.param({"ports": [{"port": 1}]}, True, id="ports"),
    ],
)
def test_slice_counts_its_generation(changes, counts):
    """The generation counts what watchers of slices act on, labels included."""
    rules = Rules("endpointslices")
    assert rules.strategy.generation(rules.make(changes), rules.make({})) is counts


@pytest.mark.parametrize(
    ("plural", "changes", "warnings"),
    [
        pytest.param(
            "ingresses",
            {"metadata.annotations": {"kubernetes.io/ingress.class": "a"}},
            ["annotation \"kubernetes.io/ingress.class\" is deprecated, please use 'spec.ingressClassName' instead"],
            id="class in the old place",
        ),
        pytest.param(
            "networkpolicies",
            {"spec.ingress": block("FD00::/64")},
            [
                (
                    'spec.ingress[0].from[0].ipBlock.cidr: IPv6 CIDR value "FD00::/64" should be in RFC 5952 canonical format '
                    '("fd00::/64")'
                )
            ],
            id="range in capital letters",
        ),
        pytest.param(
            "endpointslices",
            {"addressType": "FQDN", "endpoints": [{"addresses": ["a.b"]}]},
            ["spec.addressType: FQDN endpoints are deprecated"],
            id="names",
        ),
        pytest.param(
            "endpointslices",
            {
                "metadata.labels": {"endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io"},
                "endpoints": [{"addresses": ["010.1.2.3"]}],
            },
            [],
            id="controller's addresses",
        ),
    ],
)
def test_network_kind_warns(plural, changes, warnings):
    """What works but should not be used is warned of."""
    assert Rules(plural).warned(changes) == warnings


@pytest.mark.parametrize(
    ("plural", "changes", "cells"),
    [
        pytest.param(
            "ingresses",
            {"spec.rules": [{"host": ""}, {"host": "a"}, {"host": "b"}, {"host": "c"}, {"host": ""}], "spec.tls": [{}]},
            {"Class": "<none>", "Hosts": "a,b,c + 2 more...", "Address": "", "Ports": "80, 443"},
            id="ingress of many hosts",
        ),
        pytest.param(
            "ingresses",
            {"status.loadBalancer.ingress": [{"hostname": "b.x"}, {"ip": "10.1.2.3"}, {"ip": "10.1.2.3"}]},
            {"Hosts": "*", "Address": "10.1.2.3,b.x", "Ports": "80"},
            id="ingress with addresses",
        ),
        pytest.param(
            "ingressclasses",
            {
                "metadata.annotations": {"ingressclass.kubernetes.io/is-default-class": "true"},
                "spec.parameters": {"apiGroup": "g", "kind": "K", "name": "n"},
            },
            {"Name": "a (default)", "Controller": "example.com/a", "Parameters": "K.g/n"},
            id="default class",
        ),
        pytest.param("networkpolicies", {}, {"Pod-Selector": "<none>"}, id="policy for all pods"),
        pytest.param("servicecidrs", {"spec.cidrs": ["a", "b"]}, {"CIDRs": "a,b"}, id="ranges"),
        pytest.param(
            "endpointslices",
            {
                "endpoints": [{"addresses": ["1", "2"]}, {"addresses": ["3", "4", "5"]}],
                "ports": [{"port": 80}, {"name": "x"}],
            },
            {"AddressType": "IPv4", "Ports": "80,x", "Endpoints": "1,2,3 + 2 more..."},
            id="slice of many",
        ),
        pytest.param(
            "endpointslices", {"endpoints": DROP}, {"Ports": "<unset>", "Endpoints": "<unset>"}, id="empty slice"
        ),
    ],
)
def test_network_kind_shows_its_row(plural, changes, cells):
    """Cells stand under upstream's columns."""
    row = Rules(plural).row(changes)
    assert {name: row[name] for name in cells} == cells


def test_address_shows_a_cell_more_than_it_has_columns():
    """Upstream gives the row of an address an age, and no column to stand under."""
    rules = Rules("ipaddresses")
    name, parent, _ = rules.strategy.cells(rules.make({"spec.parentRef.group": "g"}), 0.0)
    assert (name, parent) == ("10.96.7.7", "services.g/default/a")
