"""What clients are told about Services, Endpoints and pods whose addresses are good but oddly spelled."""

import pytest
from tests.support.kind_rules import DROP, Rules

FUTURE = "will be considered invalid in a future Kubernetes release"
ZEROS = f'non-standard IP address "010.0.0.1" {FUTURE}: use "10.0.0.1"'
LONG = 'IPv6 address "2001:0db8::1" should be in RFC 5952 canonical format ("2001:db8::1")'
RANGE = f'non-standard CIDR value "010.0.0.0/8" {FUTURE}: use "10.0.0.0/8"'


@pytest.mark.parametrize(
    ("plural", "changes", "warnings"),
    [
        pytest.param(
            "services",
            {
                "spec.type": "LoadBalancer",
                "spec.clusterIP": "010.0.0.1",
                "spec.clusterIPs": ["010.0.0.1", "2001:0db8::1"],
                "spec.externalIPs": ["1.2.3.4", "010.0.0.1"],
                "spec.loadBalancerIP": "010.0.0.1",
                "spec.loadBalancerSourceRanges": ["010.0.0.0/8"],
            },
            [
                f"spec.clusterIPs[0]: {ZEROS}",
                f"spec.clusterIPs[1]: {LONG}",
                f"spec.externalIPs[1]: {ZEROS}",
                f"spec.loadBalancerIP: {ZEROS}",
                f"spec.loadBalancerSourceRanges[0]: {RANGE}",
            ],
            id="Service",
        ),
        pytest.param(
            "services",
            {
                "spec.clusterIP": "None",
                "spec.clusterIPs": ["None"],
                "spec.externalIPs": ["1.2.3.4"],
                "spec.loadBalancerIP": "1.2.3.4",
                "spec.sessionAffinity": "ClientIP",
            },
            [
                "spec.loadBalancerIP is ignored for headless services",
                "spec.externalIPs is ignored for headless services",
                "spec.SessionAffinity is ignored for headless services",
            ],
            id="headless Service",
        ),
        pytest.param(
            "services",
            {"spec.type": "ExternalName", "spec.externalName": "a.example.com", "spec.externalIPs": ["1.2.3.4"]},
            ['spec.externalIPs is ignored when spec.type is "ExternalName"'],
            id="Service that is a name",
        ),
        pytest.param(
            "services",
            {
                "metadata.annotations": {"service.kubernetes.io/topology-aware-hints": "auto"},
                "spec.externalName": "a",
                "spec.trafficDistribution": "PreferClose",
            },
            [
                (
                    "annotation service.kubernetes.io/topology-aware-hints is deprecated, please use "
                    "service.kubernetes.io/topology-mode instead"
                ),
                'spec.externalName is ignored when spec.type is not "ExternalName"',
                'spec.trafficDistribution: "PreferClose" is deprecated; use "PreferSameZone"',
            ],
            id="Service with what is old or without effect",
        ),
        pytest.param("services", {"spec.loadBalancerIP": "1.2.3.4"}, [], id="Service with a load balancer's address"),
        pytest.param(
            "endpoints",
            {"subsets": [{"addresses": [{"ip": "010.0.0.1"}], "notReadyAddresses": [{"ip": "2001:0db8::1"}]}]},
            [f"subsets[0].addresses[0].ip: {ZEROS}", f"subsets[0].notReadyAddresses[0].ip: {LONG}"],
            id="Endpoints",
        ),
        pytest.param(
            "endpoints",
            {
                "metadata.labels": {"endpoints.kubernetes.io/managed-by": "endpoint-controller"},
                "subsets": [{"addresses": [{"ip": "010.0.0.1"}]}],
            },
            [],
            id="Endpoints of the controller",
        ),
    ],
)
def test_oddly_spelled_address_is_warned_of(plural, changes, warnings):
    """Each odd address is named with its place and the spelling to use."""
    assert Rules(plural).warned({"spec.externalTrafficPolicy": DROP, **changes}) == warnings


@pytest.mark.parametrize(
    ("plural", "status", "warnings"),
    [
        pytest.param(
            "services",
            {"status.loadBalancer.ingress": [{"hostname": "a"}, {"ip": "010.0.0.1"}]},
            [f"status.loadBalancer.ingress[1]: {ZEROS}"],
            id="Service",
        ),
        pytest.param(
            "pods",
            {"status.podIPs": [{"ip": "10.0.0.1"}, {"ip": "2001:0db8::1"}], "status.hostIPs": [{"ip": "010.0.0.1"}]},
            [f"status.podIPs[1].ip: {LONG}", f"status.hostIPs[0].ip: {ZEROS}"],
            id="pod",
        ),
    ],
)
def test_oddly_spelled_address_in_a_status_is_warned_of(plural, status, warnings):
    """Whoever writes a status hears of the addresses in it."""
    rules = Rules(plural)
    assert list(rules.strategy.parts["status"].warnings(rules.make(status), rules.make({}))) == warnings
