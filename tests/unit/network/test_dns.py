"""Names of a cluster: what they mean, and how questions and answers look as bytes."""

import ipaddress
import random
import struct

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import pytest

from pinnace.api.core_v1 import Namespace, Service, ServicePort, ServiceSpec
from pinnace.api.discovery_v1 import Endpoint, EndpointConditions, EndpointPort, EndpointSlice
from pinnace.api.meta_v1 import ObjectMeta
from pinnace.client import InformerFactory
from pinnace.component.clock import VirtualClock
from pinnace.component.metrics import Metrics
from pinnace.network.dns import wire
from pinnace.network.dns.forward import Forwarder, Server, resolvers
from pinnace.network.dns.server import DnsServer
from pinnace.network.dns.wire import Malformed, Question, Rcode
from pinnace.network.dns.zone import Zone, ZoneConfig

WEB_PORTS = (ServicePort(name="http", protocol="TCP", port=80), ServicePort(name="dns", protocol="UDP", port=53))


def service(name, **spec):
    given = {"cluster_ip": "10.96.0.5", "ports": WEB_PORTS, **spec}
    return Service(metadata=ObjectMeta(name=name, namespace="shop"), spec=ServiceSpec(**given))


def endpoint(address, hostname=None, *, ready=None):
    return Endpoint(addresses=(address,), hostname=hostname, conditions=EndpointConditions(ready=ready))


def slice_of(name, *endpoints, kind="IPv4"):
    ports = (EndpointPort(name="http", protocol="TCP", port=8080),)
    meta = ObjectMeta(name=f"{name}-1", namespace="shop", labels={"kubernetes.io/service-name": name})
    return EndpointSlice(metadata=meta, address_type=kind, endpoints=endpoints, ports=ports)


OBJECTS = (
    Namespace(metadata=ObjectMeta(name="shop")),
    Namespace(metadata=ObjectMeta(name="empty")),
    service("web"),
    service("both", cluster_ip="10.96.0.6", cluster_ips=("10.96.0.6", "fd00::6")),
    service("db", cluster_ip="None", cluster_ips=("None",)),
    service("bare", cluster_ip="None", cluster_ips=("None",)),
    service("out", type="ExternalName", external_name="www.Example.com.", cluster_ip=""),
    slice_of("db", endpoint("10.9.0.2", "db-0"), endpoint("10.9.0.3"), endpoint("10.9.0.4", "db-2", ready=False)),
    slice_of("bare", endpoint("10.9.0.9", ready=False)),
)


@pytest.fixture
def zone():
    """A zone that knows `OBJECTS`."""
    informers = InformerFactory(None, VirtualClock())
    made = Zone(informers, ZoneConfig(address="10.96.0.10"))
    for obj in OBJECTS:
        meta = obj.metadata
        informer = informers.informer(type(obj))
        informer.cache.put(f"{meta.namespace}/{meta.name}" if meta.namespace else meta.name, obj)
        informer._synced.set()
    return made


@pytest.fixture
def server(zone):
    """A server of that zone that knows no other server."""
    clock, source = VirtualClock(), random.Random(1)
    return DnsServer(zone, Forwarder((), clock, source), clock, source, Metrics())


def ask(server, name, kind="A", **edns):
    query = dns.message.make_query(name, kind, **edns)
    answer = server.answer_now(query.to_wire(), udp=True)
    assert isinstance(answer, bytes), answer
    message = dns.message.from_wire(answer)
    assert query.is_response(message)
    return message


def texts(message):
    return sorted(str(rdata) for rrset in message.answer for rdata in rrset)


IN = "svc.cluster.local"


@pytest.mark.parametrize(
    ("name", "kind", "rcode", "answers"),
    [
        (f"web.shop.{IN}", "A", "NOERROR", ["10.96.0.5"]),
        (f"WeB.Shop.{IN}", "A", "NOERROR", ["10.96.0.5"]),
        (f"web.shop.{IN}", "AAAA", "NOERROR", []),
        (f"web.shop.{IN}", "TXT", "NOERROR", []),
        (f"both.shop.{IN}", "A", "NOERROR", ["10.96.0.6"]),
        (f"both.shop.{IN}", "AAAA", "NOERROR", ["fd00::6"]),
        (f"db.shop.{IN}", "A", "NOERROR", ["10.9.0.2", "10.9.0.3"]),
        (f"bare.shop.{IN}", "A", "NXDOMAIN", []),
        (f"db-0.db.shop.{IN}", "A", "NOERROR", ["10.9.0.2"]),
        (f"10-9-0-3.db.shop.{IN}", "A", "NOERROR", ["10.9.0.3"]),
        (f"db-2.db.shop.{IN}", "A", "NXDOMAIN", []),
        (f"nothing.shop.{IN}", "A", "NXDOMAIN", []),
        (f"web.nowhere.{IN}", "A", "NXDOMAIN", []),
        (f"shop.{IN}", "A", "NOERROR", []),
        (f"nowhere.{IN}", "A", "NXDOMAIN", []),
        (IN, "A", "NOERROR", []),
        ("cluster.local", "A", "NOERROR", []),
        ("other.cluster.local", "A", "NXDOMAIN", []),
        (f"_http._tcp.web.shop.{IN}", "SRV", "NOERROR", [f"0 100 80 web.shop.{IN}."]),
        (f"_http._udp.web.shop.{IN}", "SRV", "NXDOMAIN", []),
        (f"_http._tcp.web.shop.{IN}", "A", "NOERROR", []),
        (
            f"_http._tcp.db.shop.{IN}",
            "SRV",
            "NOERROR",
            [f"0 50 8080 10-9-0-3.db.shop.{IN}.", f"0 50 8080 db-0.db.shop.{IN}."],
        ),
        (f"web.shop.{IN}", "SRV", "NOERROR", [f"0 50 53 web.shop.{IN}.", f"0 50 80 web.shop.{IN}."]),
        (f"http.tcp.web.shop.{IN}", "SRV", "NXDOMAIN", []),
        (f"a.b.c.web.shop.{IN}", "A", "NXDOMAIN", []),
        (f"out.shop.{IN}", "CNAME", "NOERROR", ["www.example.com."]),
        ("1-2-3-4.shop.pod.cluster.local", "A", "NOERROR", ["1.2.3.4"]),
        ("fd00--1.shop.pod.cluster.local", "AAAA", "NOERROR", ["fd00::1"]),
        ("1-2-3.shop.pod.cluster.local", "A", "NXDOMAIN", []),
        ("1-2-3-4.nowhere.pod.cluster.local", "A", "NXDOMAIN", []),
        ("shop.pod.cluster.local", "A", "NOERROR", []),
        ("dns-version.cluster.local", "TXT", "NOERROR", ['"1.1.0"']),
        ("ns.dns.cluster.local", "A", "NOERROR", ["10.96.0.10"]),
        ("5.0.96.10.in-addr.arpa", "PTR", "NOERROR", [f"web.shop.{IN}."]),
        ("2.0.9.10.in-addr.arpa", "PTR", "NOERROR", [f"db-0.db.shop.{IN}."]),
        ("3.0.9.10.in-addr.arpa", "PTR", "NOERROR", [f"10-9-0-3.db.shop.{IN}."]),
        (ipaddress.ip_address("fd00::6").reverse_pointer, "PTR", "NOERROR", [f"both.shop.{IN}."]),
    ],
)
def test_zone_answers(server, name, kind, rcode, answers):
    """Each name has the meaning that the DNS specification gives it; denials carry the zone's SOA."""
    message = ask(server, name, kind)
    assert dns.rcode.to_text(message.rcode()) == rcode
    assert texts(message) == answers
    assert message.flags & dns.flags.AA
    if not answers:
        assert [rrset.rdtype for rrset in message.authority] == [dns.rdatatype.SOA]


@pytest.mark.parametrize("name", ["example.com", "9.9.9.9.in-addr.arpa", "local", "arpa", f"out.shop.{IN}"])
def test_zone_leaves_the_rest_to_others(server, name):
    """What is not the cluster's, and a name that leads outside, is for other servers."""
    kind = "PTR" if name.endswith("arpa") else "A"
    assert isinstance(server.answer_now(dns.message.make_query(name, kind).to_wire(), udp=True), Question)


def test_zone_refuses_transfers(server):
    """Nobody gets the whole zone."""
    assert ask(server, "cluster.local", "AXFR").rcode() == dns.rcode.REFUSED


def test_zone_srv_gives_the_addresses_along(server):
    """Who asks for a port gets the addresses of its hosts in the same answer."""
    message = ask(server, f"_http._tcp.db.shop.{IN}", "SRV", use_edns=0)
    found = {str(rrset.name): [str(rdata) for rdata in rrset] for rrset in message.additional}
    assert found == {f"db-0.db.shop.{IN}.": ["10.9.0.2"], f"10-9-0-3.db.shop.{IN}.": ["10.9.0.3"]}


def test_zone_that_knows_nothing_yet_denies_nothing(server, zone):
    """Before everything is known a name cannot be denied."""
    zone._services._synced.clear()
    assert ask(server, f"web.shop.{IN}").rcode() == dns.rcode.SERVFAIL


def test_server_keeps_an_answer_until_something_changes(server, zone):
    """The same question is answered from its bytes, and anew after a change."""
    query = dns.message.make_query(f"web.shop.{IN}", "A").to_wire()
    assert server.answer_kept(query) is None
    first = server.answer_now(query, udp=True)
    again = b"\x12\x34" + query[2:]
    assert server.answer_kept(again) == b"\x12\x34" + first[2:]
    zone._changed()
    assert server.answer_kept(query) is None


def test_server_truncates_what_udp_cannot_carry(server, zone):
    """An answer that is too long says so; with EDNS more fits; by TCP all does."""
    many = slice_of("db", *(endpoint(f"10.9.1.{number}") for number in range(60)))
    zone._slices.cache.put("shop/db-1", many)
    short = ask(server, f"db.shop.{IN}")
    assert short.flags & dns.flags.TC
    assert not short.answer
    assert len(texts(ask(server, f"db.shop.{IN}", use_edns=0, payload=4096))) == 60
    whole = server.answer_now(dns.message.make_query(f"db.shop.{IN}", "A").to_wire(), udp=False)
    assert len(texts(dns.message.from_wire(whole))) == 60


def head(flags=0x0100, questions=1, answers=0, authority=0, additional=0):
    return struct.pack("!6H", 7, flags, questions, answers, authority, additional)


NAME = b"\x03web\x00"
IN_A = b"\x00\x01\x00\x01"


@pytest.mark.parametrize(
    ("data", "rcode"),
    [
        pytest.param(b"", None, id="empty"),
        pytest.param(head()[:11], None, id="short head"),
        pytest.param(head(flags=0x8000) + NAME + IN_A, None, id="a response"),
        pytest.param(head(flags=0x2800) + NAME + IN_A, Rcode.NOTIMP, id="an update"),
        pytest.param(head(questions=0), Rcode.FORMERR, id="no question"),
        pytest.param(head(questions=2) + NAME + IN_A + NAME + IN_A, Rcode.FORMERR, id="two questions"),
        pytest.param(head(answers=1) + NAME + IN_A, Rcode.FORMERR, id="an answer in a query"),
        pytest.param(head() + b"\x09web", Rcode.FORMERR, id="label beyond the end"),
        pytest.param(head() + b"\xc0\x0c" + IN_A, Rcode.FORMERR, id="a pointer to itself"),
        pytest.param(head() + b"\x3f" + b"a" * 63 + b"\x3f" + b"a" * 63 + b"\x3f" + b"a" * 63 + b"\x3f" + b"a" * 63 + NAME
                     + IN_A, Rcode.FORMERR, id="a name too long"),
        pytest.param(head() + NAME + b"\x00\x01", Rcode.FORMERR, id="no class"),
        pytest.param(head() + NAME + b"\x00\x01\x00\x03", Rcode.REFUSED, id="class CHAOS"),
        pytest.param(head(additional=1) + NAME + IN_A, Rcode.FORMERR, id="OPT missing"),
        pytest.param(
            head(additional=1) + NAME + IN_A + b"\0\0\x29\x10\0\0\x01\0\0\0\0", Rcode.BADVERS, id="EDNS version 1"
        ),
    ],
)  # fmt: skip
def test_parse_refuses_what_is_no_query(server, data, rcode):
    """Each malformed message is refused by its code, or not answered at all, and never raises."""
    with pytest.raises(Malformed) as raised:
        wire.parse(data)
    assert raised.value.rcode == rcode
    answer = server.answer_now(data, udp=True)
    if rcode is None:
        assert answer is None
    else:
        assert dns.message.from_wire(answer).rcode() == rcode


def test_parse_survives_any_bytes(server):
    """Random bytes, and cut or changed queries, are answered or ignored."""
    source = random.Random(3)
    query = dns.message.make_query(f"web.shop.{IN}", "A", use_edns=0).to_wire()
    for _ in range(3000):
        data = bytearray(query[: source.randrange(len(query) + 1)])
        for _ in range(source.randrange(4)):
            if data:
                data[source.randrange(len(data))] = source.randrange(256)
        answer = server.answer_now(bytes(data), udp=True)
        assert answer is None or isinstance(answer, bytes | Question)


def test_resolvers_are_read_from_the_file(tmp_path):
    """Servers are taken in order; this one, comments and nonsense are left out; no file is no server."""
    file = tmp_path / "resolv.conf"
    file.write_text("# nameserver 9.9.9.9\nsearch a b\nnameserver 192.0.2.1\nnameserver 10.96.0.10\nnameserver x\n")
    assert resolvers(file, leave_out=("10.96.0.10",)) == (Server("192.0.2.1"),)
    assert resolvers(tmp_path / "absent") == ()


async def test_server_without_others_fails_names_outside(server):
    """With nobody to ask the answer is SERVFAIL, not silence."""
    query = dns.message.make_query("example.com", "A").to_wire()
    question = server.answer_now(query, udp=True)
    answer = dns.message.from_wire(await server.answer_later(query, question, udp=True))
    assert answer.rcode() == dns.rcode.SERVFAIL
