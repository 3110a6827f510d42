"""What the names of a cluster mean: Services, their endpoints, pods' addresses, and addresses back to names.

Answers come straight from informers' caches, so a name follows its Service within the time of one watch event. None means that
another server has to be asked. Source: the Kubernetes DNS specification 1.1.0; CoreDNS `plugin/kubernetes`.
"""

import ipaddress
import struct
from collections.abc import Iterable, Iterator, Sequence

from msgspec import Struct

from pinnace.api.core_v1 import Namespace, Service, ServicePort
from pinnace.api.discovery_v1 import Endpoint, EndpointSlice
from pinnace.client import InformerFactory
from pinnace.machinery.meta import key as key_of
from pinnace.network.dns.wire import Answer, Name, Rcode, Record, Type, address, encode_name

SPEC_VERSION = "1.1.0"
VERSION_TTL = 28800
SERVICE_LABEL = "kubernetes.io/service-name"
_SERVICE, _ADDRESS = "service", "address"
_REVERSE = (("in-addr", "arpa"), ("ip6", "arpa"))
_IPV4_LABELS, _IPV6_LABELS = 4, 32
_ADDRESSES = {Type.A: "IPv4", Type.AAAA: "IPv6"}


class ZoneConfig(Struct, frozen=True):
    """The cluster's domain, seconds that its answers may be kept, and the address of its DNS."""

    domain: str = "cluster.local"
    ttl: int = 30
    address: str = ""


class _Place(Struct, frozen=True):
    """One endpoint of a Service: its label beneath the Service's name, its address, its ports."""

    host: str
    address: str
    slice: EndpointSlice


class Zone:
    """Answers for a cluster's domain and for addresses of its Services and endpoints."""

    def __init__(self, informers: InformerFactory, config: ZoneConfig) -> None:
        self._config = config
        self._domain: Name = tuple(config.domain.split("."))
        self._services = informers.informer(Service)
        self._slices = informers.informer(EndpointSlice)
        self._namespaces = informers.informer(Namespace)
        self._services.cache.add_index(_ADDRESS, _service_addresses)
        self._slices.cache.add_index(_SERVICE, _slice_services)
        self._slices.cache.add_index(_ADDRESS, _slice_addresses)
        self.generation = 0
        for informer in (self._services, self._slices, self._namespaces):
            informer.add_handler(*(self._changed for _ in range(3)))

    def _changed(self, *_: object) -> None:
        self.generation += 1

    @property
    def is_ready(self) -> bool:
        """Whether everything is known; before that nothing can be denied."""
        return all(one.has_synced for one in (self._services, self._slices, self._namespaces))

    def resolve(self, name: Name, kind: int) -> Answer | None:
        """Answer a question; None when it is not about this cluster."""
        size = len(self._domain)
        if name[-size:] == self._domain:
            if kind in {Type.AXFR, Type.IXFR}:
                return Answer(Rcode.REFUSED)
            return self._within(name[:-size], kind)
        if name[-2:] in _REVERSE:
            return self._reverse(name, kind)
        return None

    # ── names ──

    def _within(self, rest: Name, kind: int) -> Answer:
        if not rest:
            soa = (self._soa(is_question=True),) if kind in {Type.SOA, Type.ANY} else ()
            return Answer(answers=soa) if soa else self._no_data()
        if rest == ("dns-version",):
            text = SPEC_VERSION.encode()
            record = Record((), Type.TXT, VERSION_TTL, bytes((len(text),)) + text, is_question=True)
            return Answer(answers=(record,)) if kind in {Type.TXT, Type.ANY} else self._no_data()
        if rest == ("ns", "dns"):
            return self._found([self._config.address] if self._config.address else [], kind)
        if rest[-1] == "svc":
            return self._service(rest[:-1], kind)
        if rest[-1] == "pod":
            return self._pod(rest[:-1], kind)
        return self._no_name()

    def _service(self, rest: Name, kind: int) -> Answer:
        if not rest:
            return self._no_data()
        if self._namespaces.cache.get(rest[-1]) is None:
            return self._no_name()
        if len(rest) == 1:
            return self._no_data()
        service = self._services.cache.get(f"{rest[-1]}/{rest[-2]}")
        if service is None:
            return self._no_name()
        match len(rest):
            case 2:
                return self._whole(service, kind)
            case 3:
                return self._host(service, rest[0], kind)
            case 4:
                return self._port(service, rest[0], rest[1], kind)
            case _:
                return self._no_name()

    def _whole(self, service: Service, kind: int) -> Answer:
        if service.spec.type == "ExternalName":
            target = tuple(service.spec.external_name.rstrip(".").lower().split("."))
            record = Record((), Type.CNAME, self._config.ttl, encode_name(target), is_question=True)
            return Answer(answers=(record,), alias=target if kind in _ADDRESSES else ())
        if kind == Type.SRV:
            return self._srv(service, service.spec.ports)
        if service.spec.cluster_ip != "None":
            return self._found(service.spec.cluster_ips or (service.spec.cluster_ip,), kind)
        places = list(self._places(service))
        return self._found([one.address for one in places], kind) if places else self._no_name()

    def _host(self, service: Service, host: str, kind: int) -> Answer:
        found = [one.address for one in self._places(service) if one.host == host]
        return self._found(found, kind) if found else self._no_name()

    def _port(self, service: Service, port: str, protocol: str, kind: int) -> Answer:
        if not port.startswith("_") or not protocol.startswith("_"):
            return self._no_name()
        wanted = (port[1:], protocol[1:])
        ports = [one for one in service.spec.ports if (one.name, one.protocol.lower()) == wanted]
        if not ports or service.spec.type == "ExternalName":
            return self._no_name()
        return self._srv(service, ports) if kind in {Type.SRV, Type.ANY} else self._no_data()

    def _srv(self, service: Service, ports: Sequence[ServicePort]) -> Answer:
        """Return where ports are: at the Service's address, or at each endpoint of a headless one."""
        base: Name = (service.metadata.name, service.metadata.namespace, "svc", *self._domain)
        if service.spec.cluster_ip != "None":
            addresses = service.spec.cluster_ips or (service.spec.cluster_ip,)
            found = [(base, port.port) for port in ports]
            extra = [(base, one) for one in addresses]
        else:
            places = list(self._places(service))
            found = [((one.host, *base), number) for one in places for number in _ports_of(one.slice, ports)]
            extra = [((one.host, *base), one.address) for one in places]
            if not places:
                return self._no_name()
        if not found:
            return self._no_data()
        weight = max(1, 100 // len(found))
        answers = tuple(
            Record(
                (),
                Type.SRV,
                self._config.ttl,
                struct.pack("!3H", 0, weight, number) + encode_name(target),
                is_question=True,
            )
            for target, number in dict.fromkeys(found)
        )
        additional = tuple(self._address_record(one, target) for target, one in dict.fromkeys(extra))
        return Answer(answers=answers, additional=additional)

    def _pod(self, rest: Name, kind: int) -> Answer:
        """Answer `1-2-3-4.namespace.pod`: the address that the name spells, for any namespace that exists."""
        if not rest:
            return self._no_data()
        if self._namespaces.cache.get(rest[-1]) is None:
            return self._no_name()
        if len(rest) == 1:
            return self._no_data()
        if len(rest) > 2:
            return self._no_name()
        spelled = rest[0].replace("-", "." if rest[0].count("-") == _IPV4_LABELS - 1 else ":")
        try:
            ipaddress.ip_address(spelled)
        except ValueError:
            return self._no_name()
        return self._found([spelled], kind)

    def _places(self, service: Service) -> Iterator[_Place]:
        """Yield the ready endpoints of a Service, each address once."""
        seen: set[str] = set()
        for one in self._slices.cache.by_index(_SERVICE, key_of(service)):
            for endpoint in one.endpoints or ():
                if endpoint.conditions.ready is False or one.address_type not in _ADDRESSES.values():
                    continue
                for text in endpoint.addresses or ():
                    if text not in seen:
                        seen.add(text)
                        yield _Place(host_label(endpoint, text), text, one)

    # ── addresses back to names ──

    def _reverse(self, name: Name, kind: int) -> Answer | None:
        text = _address_of(name)
        if text is None:
            return None
        services = self._services.cache.by_index(_ADDRESS, text)
        targets: list[Name] = [(one.metadata.name, one.metadata.namespace, "svc", *self._domain) for one in services]
        for one in self._slices.cache.by_index(_ADDRESS, text) if not targets else ():
            service_name = one.metadata.labels.get(SERVICE_LABEL, "")
            for endpoint in one.endpoints or ():
                if service_name and text in (endpoint.addresses or ()):
                    host = host_label(endpoint, text)
                    targets.append((host, service_name, one.metadata.namespace, "svc", *self._domain))
        if not targets:
            return None
        if kind not in {Type.PTR, Type.ANY}:
            return self._no_data()
        ttl = self._config.ttl
        return Answer(
            answers=tuple(
                Record((), Type.PTR, ttl, encode_name(target), is_question=True) for target in dict.fromkeys(targets)
            )
        )

    # ── answers ──

    def _found(self, addresses: Sequence[str], kind: int) -> Answer:
        records = [self._address_record(one) for one in addresses]
        if kind != Type.ANY:
            records = [one for one in records if one.type == kind]
        return Answer(answers=tuple(records)) if records else self._no_data()

    def _address_record(self, text: str, name: Name = ()) -> Record:
        kind, data = address(text)
        return Record(name, kind, self._config.ttl, data, is_question=not name)

    def _no_data(self) -> Answer:
        return Answer(authority=(self._soa(),))

    def _no_name(self) -> Answer:
        return Answer(Rcode.NXDOMAIN, authority=(self._soa(),))

    def _soa(self, *, is_question: bool = False) -> Record:
        names = encode_name(("ns", "dns", *self._domain)) + encode_name(("hostmaster", *self._domain))
        data = names + struct.pack("!5I", self.generation + 1, 7200, 1800, 86400, self._config.ttl)
        return Record(self._domain, Type.SOA, self._config.ttl, data, is_question=is_question)


def host_label(endpoint: Endpoint, text: str) -> str:
    """Return an endpoint's label beneath its Service: its hostname, else its address with dashes."""
    if endpoint.hostname:
        return endpoint.hostname
    label = text.replace(".", "-").replace(":", "-")
    return f"{label}0" if label.endswith("-") else label


def _ports_of(one: EndpointSlice, ports: Sequence[ServicePort]) -> Iterator[int]:
    wanted = {(port.name, port.protocol) for port in ports}
    for port in one.ports or ():
        if port.port and (port.name or "", port.protocol or "TCP") in wanted:
            yield port.port


def _service_addresses(service: Service) -> Iterable[str]:
    return [one for one in service.spec.cluster_ips or (service.spec.cluster_ip,) if one not in {"", "None"}]


def _slice_services(one: EndpointSlice) -> Iterable[str]:
    service = one.metadata.labels.get(SERVICE_LABEL, "")
    return (f"{one.metadata.namespace}/{service}",) if service else ()


def _slice_addresses(one: EndpointSlice) -> Iterable[str]:
    return {text: None for endpoint in one.endpoints or () for text in endpoint.addresses or ()}


def _address_of(name: Name) -> str | None:
    """Return the address whose reverse name this is, None when it is only a part of one, or none."""
    labels = name[:-2][::-1]
    text = ".".join(labels)
    if name[-2] == "ip6":
        if len(labels) != _IPV6_LABELS:
            return None
        digits = "".join(labels)
        text = ":".join(digits[at : at + 4] for at in range(0, len(digits), 4))
    elif len(labels) != _IPV4_LABELS:
        return None
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return None
