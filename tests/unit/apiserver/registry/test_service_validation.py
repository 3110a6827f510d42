"""What is said of services that cannot be, and of changes to them: each rule, in upstream's words."""

import pytest
from tests.support.kind_rules import DROP, Rules

SERVICES = Rules("services")
PORT = "must be between 1 and 65535, inclusive"
IP = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
LABEL = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an "
    "alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
)
SUBDOMAIN = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end "
    "with an alphanumeric character (e.g. 'example.com', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
NAME_PART = (
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character "
    "(e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
)
FOUR, SIX = "10.96.0.5", "fd00::1"
ONLY_BALANCER = "may only be used when `type` is 'LoadBalancer'"
KEPT = "may not change once set"


def ports(*items):
    return {"ports": [{"port": 80 + index, **one} for index, one in enumerate(items)]}


def affinity(seconds):
    return {"sessionAffinity": "ClientIP", "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": seconds}}}


def addresses(*ips, **fields):
    return {"clusterIP": ips[0], "clusterIPs": list(ips), **fields}


def spec(fields):
    return {f"spec.{name}": value for name, value in fields.items()}


def row(fields, *complaints, id):
    return pytest.param(fields, list(complaints), id=id)


@pytest.mark.parametrize(
    ("fields", "complaints"),
    [
        row({"ports": DROP}, "ports: Required value", id="no ports"),
        row({"ports": DROP, **addresses("None")}, id="headless without ports"),
        row({"type": "X"}, 'type: Unsupported value: "X": supported values: "ClusterIP", "ExternalName", "LoadBalancer", "NodePort"', id="type"),
        row({"type": "LoadBalancer", **ports({"port": 10250})}, "ports[0]: Invalid value: 10250: may not expose port 10250 externally since it is used by kubelet", id="kubelet's port"),
        row({"type": "LoadBalancer", **addresses("None")}, "clusterIPs[0]: Invalid value: \"None\": may not be set to 'None' for LoadBalancer services", id="headless balancer"),
        row({"type": "NodePort", **addresses("None")}, "clusterIPs[0]: Invalid value: \"None\": may not be set to 'None' for NodePort services", id="headless node port"),
        row({"type": "ExternalName"}, "externalName: Required value", id="no external name"),
        row({"type": "ExternalName", "externalName": "A."}, f'externalName: Invalid value: "A": {SUBDOMAIN}', id="external name"),
        row({"type": "ExternalName", "externalName": "a.b", **addresses(FOUR, ipFamilies=["IPv4"], ipFamilyPolicy="SingleStack")}, *(f"{name}: Forbidden: may not be set for ExternalName services" for name in ("clusterIPs", "ipFamilies", "ipFamilyPolicy")), id="external name with addresses"),
        row(ports({}, {}), "ports[0].name: Required value", "ports[1].name: Required value", id="ports without names"),
        row(ports({"name": "A"}), f'ports[0].name: Invalid value: "A": {LABEL}', id="port name"),
        row(ports({"name": "a"}, {"name": "a"}), 'ports[1].name: Duplicate value: "a"', id="port name twice"),
        row(ports({"port": 0, "targetPort": 1}), f"ports[0].port: Invalid value: 0: {PORT}", id="no port"),
        row(ports({"port": 65536, "targetPort": 1}), f"ports[0].port: Invalid value: 65536: {PORT}", id="high port"),
        row(ports({"protocol": "X"}), 'ports[0].protocol: Unsupported value: "X": supported values: "SCTP", "TCP", "UDP"', id="protocol"),
        row(ports({"targetPort": 70000}), f"ports[0].targetPort: Invalid value: 70000: {PORT}", id="target port"),
        row(ports({"targetPort": "1"}), 'ports[0].targetPort: Invalid value: "1": must contain at least one letter (a-z)', id="target name"),
        row(ports({"appProtocol": "/x"}), 'ports[0].appProtocol: Invalid value: "/x": prefix part must be non-empty', id="app protocol"),
        row(ports({"name": "a", "port": 80}, {"name": "b", "port": 80}), 'ports[1]: Duplicate value: {"Name":"","Protocol":"TCP","AppProtocol":null,"Port":80,"TargetPort":0,"NodePort":0}', id="port twice"),
        row(ports({"nodePort": 30000}), "ports[0].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'", id="node port"),
        row({"type": "NodePort", **ports({"name": "a", "nodePort": 30000}, {"name": "b", "nodePort": 30000})}, "ports[1].nodePort: Duplicate value: 30000", id="node port twice"),
        row({"type": "NodePort", **ports({"name": "a", "nodePort": 30000}, {"name": "b", "nodePort": 30000, "protocol": "UDP"})}, id="node port of another protocol"),
        row({"selector": {"a b": "c"}}, f'selector: Invalid value: "a b": {NAME_PART}', id="selector"),
        row({"sessionAffinity": "X"}, 'sessionAffinity: Unsupported value: "X": supported values: "ClientIP", "None"', id="affinity"),
        row(affinity(0), "sessionAffinityConfig.clientIP.timeoutSeconds: Invalid value: 0: must be greater than 0 and less than 86400", id="affinity of no time"),
        row(affinity(86401), "sessionAffinityConfig.clientIP.timeoutSeconds: Invalid value: 86401: must be greater than 0 and less than 86400", id="affinity for days"),
        row({"ipFamilies": ["IPv5"]}, 'ipFamilies[0]: Unsupported value: "IPv5": supported values: "IPv4", "IPv6"', id="family"),
        row({"ipFamilies": ["IPv4", "IPv4"]}, 'ipFamilies[1]: Duplicate value: "IPv4"', id="family twice"),
        row({"ipFamilyPolicy": "X"}, 'ipFamilyPolicy: Unsupported value: "X": supported values: "PreferDualStack", "RequireDualStack", "SingleStack"', id="policy"),
        row({"clusterIP": FOUR}, "clusterIPs: Required value", id="address without list"),
        row({"clusterIPs": [FOUR]}, f'clusterIPs: Invalid value: ["{FOUR}"]: must be empty when `clusterIP` is not specified', id="list without address"),
        row({"clusterIP": FOUR, "clusterIPs": ["10.96.0.6"]}, 'clusterIPs: Invalid value: ["10.96.0.6"]: first value must match `clusterIP`', id="another address"),
        row(addresses("x"), f'clusterIPs[0]: Invalid value: "x": {IP}', id="no address"),
        row(addresses("None", FOUR), f"clusterIPs: Invalid value: [\"None\",\"{FOUR}\"]: 'None' must be the first and only value", id="none and an address"),
        row(addresses(FOUR, "None"), f'clusterIPs[1]: Invalid value: "None": {IP}', id="none in second place"),
        row(addresses(FOUR, SIX, "10.96.0.7"), f'clusterIPs: Invalid value: ["{FOUR}","{SIX}","10.96.0.7"]: may only hold up to 2 values', id="three addresses"),
        row(addresses(FOUR, "10.96.0.6"), f'clusterIPs: Invalid value: ["{FOUR}","10.96.0.6"]: may specify no more than one IP for each IP family', id="two of a family"),
        row(addresses(FOUR, ipFamilies=["IPv6"]), f'clusterIPs[0]: Invalid value: "{FOUR}": expected an IPv6 value as indicated by `ipFamilies[0]`', id="four for six"),
        row(addresses(FOUR, SIX, ipFamilies=["IPv6", "IPv4"]), f'clusterIPs[0]: Invalid value: "{FOUR}": expected an IPv6 value as indicated by `ipFamilies[0]`', f'clusterIPs[1]: Invalid value: "{SIX}": expected an IPv4 value as indicated by `ipFamilies[1]`', id="families exchanged"),
        row({"externalIPs": ["x"]}, f'externalIPs[0]: Invalid value: "x": {IP}', id="external address"),
        row({"externalIPs": ["127.0.0.1"]}, 'externalIPs[0]: Invalid value: "127.0.0.1": may not be in the loopback range (127.0.0.0/8, ::1/128)', id="external loopback"),
        row({"loadBalancerSourceRanges": ["10.0.0.0/8"]}, f"LoadBalancerSourceRanges: Forbidden: {ONLY_BALANCER}", id="ranges"),
        row({"type": "LoadBalancer", "loadBalancerSourceRanges": ["x"]}, 'LoadBalancerSourceRanges[0]: Invalid value: "x": must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)', id="no range"),
        row({"allocateLoadBalancerNodePorts": True}, f"allocateLoadBalancerNodePorts: Forbidden: {ONLY_BALANCER}", id="allocation"),
        row({"loadBalancerClass": "a"}, f"loadBalancerClass: Forbidden: {ONLY_BALANCER}", id="class"),
        row({"type": "LoadBalancer", "loadBalancerClass": "a b"}, f'loadBalancerClass: Invalid value: "a b": {NAME_PART}', id="class name"),
        row({"externalTrafficPolicy": "Local"}, 'externalTrafficPolicy: Invalid value: "Local": may only be set for externally-accessible services', id="external policy"),
        row({"type": "NodePort", "externalTrafficPolicy": "X"}, 'externalTrafficPolicy: Unsupported value: "X": supported values: "Cluster", "Local"', id="external policy's name"),
        row({"healthCheckNodePort": 30001}, "healthCheckNodePort: Invalid value: 30001: may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'", id="health check port"),
        row({"internalTrafficPolicy": "X"}, 'internalTrafficPolicy: Unsupported value: "X": supported values: "Cluster", "Local"', id="internal policy"),
        row({"trafficDistribution": "X"}, 'trafficDistribution: Unsupported value: "X": supported values: "PreferClose", "PreferSameZone", "PreferSameNode"', id="distribution"),
    ],
)  # fmt: skip
def test_service_is_refused(fields, complaints):
    """Each mistake is named with its field; none of the complaints means that the service is good."""
    assert SERVICES.refused(spec(fields)) == [f"spec.{text}" for text in complaints]


BOTH = addresses(FOUR, SIX, ipFamilies=["IPv4", "IPv6"], ipFamilyPolicy="PreferDualStack")


@pytest.mark.parametrize(
    ("before", "after", "complaints"),
    [
        pytest.param(addresses(FOUR), addresses("10.96.0.6"), [f'clusterIPs[0]: Invalid value: ["10.96.0.6"]: {KEPT}'], id="another address"),
        pytest.param(addresses(FOUR), {}, ["clusterIPs[0]: Invalid value: null: primary clusterIP can not be unset"], id="no address"),
        pytest.param(addresses(FOUR), addresses("None"), [f'clusterIPs[0]: Invalid value: ["None"]: {KEPT}'], id="headless"),
        pytest.param(addresses("None"), addresses("None"), [], id="still headless"),
        pytest.param(addresses(FOUR), addresses(FOUR, SIX), [], id="second address"),
        pytest.param(addresses(FOUR), addresses(SIX, FOUR), [f'clusterIPs[0]: Invalid value: ["{SIX}","{FOUR}"]: {KEPT}'], id="first address moved"),
        pytest.param(BOTH, addresses(FOUR, ipFamilies=["IPv4"], ipFamilyPolicy="SingleStack"), [], id="second address given up"),
        pytest.param(BOTH, addresses(FOUR, ipFamilies=["IPv4"], ipFamilyPolicy="PreferDualStack"), [f"ipFamilyPolicy: Invalid value: \"PreferDualStack\": must be set to 'SingleStack' when releasing the secondary {what}" for what in ("clusterIP", "ipFamily")], id="second address lost"),
        pytest.param(addresses(FOUR, ipFamilies=["IPv4"]), {"type": "ExternalName", "externalName": "a.b"}, [], id="to a name outside"),
        pytest.param({"type": "LoadBalancer", "loadBalancerClass": "a"}, {"type": "LoadBalancer", "loadBalancerClass": "b"}, [f'loadBalancerClass: Invalid value: "b": {KEPT}'], id="class"),
        pytest.param({"type": "LoadBalancer", "loadBalancerClass": "a"}, {"type": "NodePort"}, [], id="no balancer any longer"),
    ],
)  # fmt: skip
def test_change_of_a_service_is_refused(before, after, complaints):
    """Addresses and families stay once given, but for a second of each."""
    assert SERVICES.refused_update(spec(before), spec(after)) == [f"spec.{text}" for text in complaints]
