"""Which rules a port of a Service needs, and what changes between two states of the table."""

import pytest

from pinnace.api.core_v1 import (
    ClientIPConfig,
    LoadBalancerIngress,
    LoadBalancerStatus,
    Service,
    ServiceSpec,
    ServiceStatus,
    SessionAffinityConfig,
)
from pinnace.api.core_v1 import ServicePort as Port
from pinnace.api.discovery_v1 import Endpoint, EndpointConditions, EndpointHints, EndpointPort, EndpointSlice, ForZone
from pinnace.api.meta_v1 import ObjectMeta
from pinnace.network.proxy.endpoints import Backend, Place, backends, choose
from pinnace.network.proxy.rules import Locality, chain_name, fragment
from pinnace.network.proxy.ruleset import Frame, Ruleset
from pinnace.network.proxy.service_ports import PortName, ServicePort, service_ports

HERE, THERE = Place("n1", "z1"), "n2"
WHERE = Locality("n1", "10.9.0.0/24")
NAME = PortName("default", "web", "http", "tcp", 4)


def service(**spec):
    status = spec.pop("status", ServiceStatus())
    labels = spec.pop("labels", {})
    given = {"cluster_ip": "10.96.0.5", "ports": (Port(name="http", protocol="TCP", port=80, node_port=30080),), **spec}
    meta = ObjectMeta(name="web", namespace="default", labels=labels)
    return Service(metadata=meta, spec=ServiceSpec(**given), status=status)


def port(**fields):
    return ServicePort(**{"name": NAME, "cluster_ip": "10.96.0.5", "port": 80, **fields})


def backend(last, node="n1", **fields):
    return Backend(f"10.9.0.{last}", 8080, node, **fields)


def rules_of(one, found):
    return fragment(one, choose(one, found, HERE), WHERE)


def test_service_ports_leave_out_what_has_no_address_here():
    """Headless and ExternalName Services, and those of another proxy, have no rules."""
    assert list(service_ports(service(cluster_ip="None"))) == []
    assert list(service_ports(service(type="ExternalName", cluster_ip=""))) == []
    assert list(service_ports(service(labels={"service.kubernetes.io/service-proxy-name": "other"}))) == []


def test_service_ports_open_node_ports_only_where_the_type_says():
    """A ClusterIP Service's node port, left from an earlier type, is not opened."""
    assert [one.node_port for one in service_ports(service(type="ClusterIP"))] == [0]
    assert [one.node_port for one in service_ports(service(type="NodePort"))] == [30080]


def test_service_ports_of_two_families_are_two():
    """Each family's record holds the addresses of that family."""
    both = service(cluster_ips=("10.96.0.5", "fd00::5"), external_ips=("192.0.2.7", "2001:db8::7"))
    found = {one.name.family: (one.cluster_ip, one.external_ips) for one in service_ports(both)}
    assert found == {4: ("10.96.0.5", ("192.0.2.7",)), 6: ("fd00::5", ("2001:db8::7",))}


@pytest.mark.parametrize(
    ("spec", "seconds"),
    [
        ({}, 0),
        ({"session_affinity": "ClientIP"}, 10800),
        (
            {
                "session_affinity": "ClientIP",
                "session_affinity_config": SessionAffinityConfig(client_ip=ClientIPConfig(timeout_seconds=60)),
            },
            60,
        ),
    ],
    ids=["none", "default", "given"],
)
def test_service_ports_affinity(spec, seconds):
    """Affinity holds for three hours unless the Service says otherwise."""
    assert [one.affinity_seconds for one in service_ports(service(**spec))] == [seconds]


def test_service_ports_of_a_load_balancer():
    """Addresses that the balancer rewrites itself are left out; a range of everything switches the check off."""
    ingress = (LoadBalancerIngress(ip="192.0.2.1"), LoadBalancerIngress(ip="192.0.2.2", ip_mode="Proxy"))
    status = ServiceStatus(load_balancer=LoadBalancerStatus(ingress=ingress))
    ranges = ("198.51.100.0/24", "2001:db8::/32")
    given = service(type="LoadBalancer", load_balancer_source_ranges=ranges, status=status)
    (one,) = service_ports(given)
    assert (one.load_balancer_ips, one.source_ranges) == (("192.0.2.1",), ("198.51.100.0/24",))
    (one,) = service_ports(service(type="LoadBalancer", load_balancer_source_ranges=("0.0.0.0/0",), status=status))
    assert one.source_ranges == ()


def slice_of(*endpoints, labels=None, **fields):
    meta = ObjectMeta(namespace="default", labels={"kubernetes.io/service-name": "web", **(labels or {})})
    ports = (EndpointPort(name="http", protocol="TCP", port=8080),)
    return EndpointSlice(**{"metadata": meta, "address_type": "IPv4", "ports": ports, "endpoints": endpoints, **fields})


def endpoint(last, ready=None, serving=None, terminating=None, **fields):
    conditions = EndpointConditions(ready=ready, serving=serving, terminating=terminating)
    return Endpoint(addresses=(f"10.9.0.{last}",), conditions=conditions, node_name="n1", **fields)


def test_backends_join_slices_and_keep_the_better_entry():
    """Of an endpoint in two slices the ready one counts; no condition counts as ready; headless slices are nobody's."""
    slices = (
        slice_of(endpoint(3, ready=False), endpoint(2)),
        slice_of(endpoint(3, ready=True)),
        slice_of(endpoint(9), labels={"service.kubernetes.io/headless": ""}),
        slice_of(endpoint(8), address_type="FQDN"),
    )
    found = backends(slices)
    assert [(one.address, one.ready) for one in found[NAME]] == [("10.9.0.2", True), ("10.9.0.3", True)]


def test_choose_falls_back_to_those_that_still_serve():
    """Without a ready endpoint, those that serve while they end get the traffic; those that do not, none."""
    ending = backend(3, ready=False, serving=True, terminating=True)
    gone = backend(4, ready=False, serving=False, terminating=True)
    assert choose(port(), [backend(2), ending, gone], HERE).cluster == (backend(2),)
    assert choose(port(), [ending, gone], HERE).cluster == (ending,)
    assert choose(port(), [gone], HERE).any is False


def test_choose_follows_hints_only_when_every_endpoint_has_one():
    """A zone's endpoints are preferred when all are hinted, and all are used when one is not."""
    mine, other = backend(2, zones=("z1",)), backend(3, zones=("z2",))
    assert choose(port(), [mine, other], HERE).cluster == (mine,)
    bare = backend(4)
    assert choose(port(), [mine, other, bare], HERE).cluster == (mine, other, bare)
    assert choose(port(), [other], HERE).cluster == (other,)


def test_backends_read_hints():
    """Hints of a slice reach the choice."""
    hinted = endpoint(2, hints=EndpointHints(for_zones=(ForZone(name="z1"),)))
    assert backends([slice_of(hinted)])[NAME][0].zones == ("z1",)


def test_rules_spread_a_port_over_its_endpoints():
    """The cluster address leads to a chain that draws one of the endpoints."""
    made = rules_of(port(), [backend(2), backend(3, node=THERE)])
    chain = chain_name("service", "default/web/tcp/http")
    assert made.chains == {
        chain: (
            "meta l4proto tcp dnat ip addr . port to numgen random mod 2 map { 0 : 10.9.0.2 . 8080, 1 : 10.9.0.3 . 8080 }",
        )
    }
    assert made.entries == {
        ("service-ips", "10.96.0.5 . tcp . 80"): f"goto {chain}",
        ("cluster-ips", "10.96.0.5"): "",
        ("hairpin-connections", "10.9.0.2 . 10.9.0.2 . tcp . 8080"): "",
    }


def test_rules_refuse_a_port_without_endpoints():
    """Every way to a port without endpoints is answered with a refusal."""
    made = rules_of(port(node_port=30080, external_ips=("192.0.2.7",)), [])
    assert made.chains == {}
    assert made.entries == {
        ("no-endpoint-services", "10.96.0.5 . tcp . 80"): "goto reject-chain",
        ("cluster-ips", "10.96.0.5"): "",
        ("no-endpoint-services", "192.0.2.7 . tcp . 80"): "goto reject-chain",
        ("no-endpoint-nodeports", "tcp . 30080"): "goto reject-chain",
    }


def test_rules_of_an_internal_local_port_drop_what_only_others_could_answer():
    """With endpoints elsewhere only, traffic to the cluster address is dropped, not sent there."""
    made = rules_of(port(internal_local=True), [backend(3, node=THERE)])
    assert made.chains == {}
    assert made.entries["no-endpoint-services", "10.96.0.5 . tcp . 80"] == "drop"


def test_rules_of_an_external_local_port_keep_the_client():
    """From outside only endpoints of this node answer; pods and the node itself reach all."""
    one = port(external_local=True, node_port=30080)
    made = rules_of(one, [backend(2), backend(3, node=THERE)])
    name = "default/web/tcp/http"
    assert made.chains[chain_name("external", name)] == (
        f"ip saddr 10.9.0.0/24 goto {chain_name('service', name)}",
        "fib saddr type local jump mark-for-masquerade",
        f"fib saddr type local goto {chain_name('service', name)}",
        f"goto {chain_name('local', name)}",
    )
    assert "10.9.0.3" not in made.chains[chain_name("local", name)][0]
    without = rules_of(one, [backend(3, node=THERE)])
    assert without.entries["no-endpoint-nodeports", "tcp . 30080"] == "drop"
    assert ("no-endpoint-services", "10.96.0.5 . tcp . 80") not in without.entries


def test_rules_with_affinity_remember_clients():
    """A client known to an endpoint goes there again; the endpoint's chain notes who came."""
    made = rules_of(port(affinity_seconds=60), [backend(2), backend(3)])
    first = chain_name("endpoint", "default/web/tcp/http__10.9.0.2/8080")
    clients = chain_name("affinity", "default/web/tcp/http__10.9.0.2/8080")
    assert made.sets[clients] == 60
    assert made.chains[first] == (f"update @{clients} {{ ip saddr }}", "meta l4proto tcp dnat to 10.9.0.2:8080")
    assert made.chains[chain_name("service", "default/web/tcp/http")][0] == f"ip saddr @{clients} goto {first}"


def test_chain_names_stay_within_the_limit():
    """A name that is too long is cut, and stays unlike any other by its hash."""
    long, longer = "a" * 300, "a" * 301
    assert len(chain_name("service", long)) == len("service-") + 240
    assert chain_name("service", long) != chain_name("service", longer)


def table(**fields):
    return Ruleset(Frame(**{"table": "t", "family": "ip", **fields}))


def test_ruleset_changes_one_port_without_touching_others():
    """A change of one endpoint is a script about one chain."""
    ruleset = table()
    other = PortName("default", "db", "sql", "tcp", 4)
    ruleset.full({
        NAME: rules_of(port(), [backend(2)]),
        other: rules_of(port(name=other, cluster_ip="10.96.0.6"), [backend(4)]),
    })
    script = ruleset.update({NAME: rules_of(port(), [backend(2), backend(3)])})
    chain = chain_name("service", "default/web/tcp/http")
    assert script.splitlines() == [
        f"add chain ip t {chain}",
        f"flush chain ip t {chain}",
        (
            f"add rule ip t {chain} meta l4proto tcp dnat ip addr . port to numgen random mod 2 "
            "map { 0 : 10.9.0.2 . 8080, 1 : 10.9.0.3 . 8080 }"
        ),
        "add element ip t hairpin-connections { 10.9.0.3 . 10.9.0.3 . tcp . 8080 }",
    ]
    assert ruleset.update({NAME: rules_of(port(), [backend(2), backend(3)])}) == ""


def test_ruleset_deletes_emptied_chains_a_transaction_later():
    """The kernel refuses to delete a chain in the transaction that drops the last reference."""
    ruleset = table()
    ruleset.full({NAME: rules_of(port(affinity_seconds=9), [backend(2)])})
    script = ruleset.update({NAME: None})
    assert "delete chain" not in script
    assert "flush chain" in script
    assert ruleset.has_retired
    later = ruleset.update({}).splitlines()
    assert [line.split()[:2] for line in later] == [["delete", "chain"], ["delete", "chain"], ["delete", "set"]]
    assert not ruleset.has_retired
    assert list(ruleset.of_service("default", "web")) == []


def test_ruleset_revives_what_waited_for_its_deletion():
    """A port that comes back before its chains are deleted keeps them."""
    ruleset = table()
    made = rules_of(port(affinity_seconds=9), [backend(2)])
    ruleset.full({NAME: made})
    ruleset.update({NAME: None})
    script = ruleset.update({NAME: made})
    lines = script.splitlines()
    deleted = {line for line in lines if line.startswith("delete")}
    added = {line for line in lines if line.startswith(("add chain", "add set"))}
    assert len(added) == 3
    assert not ruleset.has_retired
    assert all(lines.index(line) < min(lines.index(one) for one in added) for line in deleted)


def test_ruleset_gives_a_contested_address_to_the_first():
    """Of two Services with one external address and port the first keeps it, and the other has it after that."""
    ruleset = table()
    second = PortName("default", "zzz", "http", "tcp", 4)
    one = rules_of(port(external_ips=("192.0.2.7",)), [backend(2)])
    two = rules_of(port(name=second, cluster_ip="10.96.0.9", external_ips=("192.0.2.7",)), [backend(3)])
    script = ruleset.full({NAME: one, second: two})
    mine = [line for line in script.splitlines() if "192.0.2.7 . tcp . 80" in line]
    assert len(mine) == 1
    assert "default/web" in mine[0]
    after = [line for line in ruleset.update({NAME: None}).splitlines() if "192.0.2.7 . tcp . 80" in line]
    assert [line.split()[0] for line in after] == ["delete", "add"]
    assert "default/zzz" in after[1]


def test_ruleset_keeps_an_address_that_another_port_still_has():
    """Two ports share a cluster address; it goes with the last."""
    ruleset = table()
    other = PortName("default", "web", "https", "tcp", 4)
    ruleset.full({NAME: rules_of(port(), [backend(2)]), other: rules_of(port(name=other, port=443), [backend(2)])})
    assert "cluster-ips { 10.96.0.5 }" not in ruleset.update({NAME: None})
    assert "delete element ip t cluster-ips { 10.96.0.5 }" in ruleset.update({other: None})
