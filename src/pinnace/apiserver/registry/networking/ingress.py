"""Ingress (upstream pkg/registry/networking/ingress, pkg/apis/networking/validation `ValidateIngress`)."""

from collections.abc import Iterator, Sequence
from typing import Any

from pinnace.api.networking_v1 import (
    HTTPIngressPath,
    Ingress,
    IngressBackend,
    IngressRule,
    IngressServiceBackend,
    IngressTLS,
)
from pinnace.apiserver.registry.domain_names import host_errors
from pinnace.apiserver.registry.networking.references import reference_errors
from pinnace.apiserver.registry.printing import AGE, NAME, NONE, age, text
from pinnace.apiserver.registry.strategy import Part, Strategy, spec_changed, take_only_status
from pinnace.machinery import addresses, names
from pinnace.machinery.field import FieldError, Path, invalid, not_supported, required

Errors = Iterator[FieldError]

CLASS_ANNOTATION = "kubernetes.io/ingress.class"
_ANYWHERE = "ImplementationSpecific"
_PATH_TYPES = ("Exact", _ANYWHERE, "Prefix")
_NO_SEQUENCES, _NO_ENDINGS = ("//", "/./", "/../", "%2f", "%2F"), ("/..", "/.")
# Hosts that a table's cell shows.
_SHOWN_HOSTS = 3
_SPEC = Path("spec")


def validate(obj: Ingress) -> Sequence[FieldError]:
    """Check a new ingress, whose class may be named in the old place or in the new one."""
    return (*_errors(obj, None), *_class_errors(obj))


def _class_errors(obj: Ingress) -> Errors:
    annotated, name = obj.metadata.annotations.get(CLASS_ANNOTATION), obj.spec.ingress_class_name
    if annotated is not None and name is not None and annotated != name:
        at = Path("annotations", CLASS_ANNOTATION)
        yield invalid(at, annotated, "must match `ingressClassName` when both are specified")


def validate_update(new: Ingress, old: Ingress) -> Sequence[FieldError]:
    """Check an ingress again, forgiving what an older server let in."""
    return tuple(_errors(new, old))


def _errors(obj: Ingress, old: Ingress | None) -> Errors:
    spec = obj.spec
    if spec.default_backend is None and not spec.rules:
        yield invalid(_SPEC, spec.rules or None, "either `defaultBackend` or `rules` must be specified")
    if spec.default_backend is not None:
        yield from _backend_errors(spec.default_backend, _SPEC.child("defaultBackend"))
    any_wildcard = old is not None and _has_bad_wildcard_rule(old)
    for index, rule in enumerate(spec.rules):
        yield from _rule_errors(rule, _SPEC.child("rules").index(index), any_wildcard=any_wildcard)
    any_secret = old is not None and any(_secret_words(one) for one in old.spec.tls)
    for index, tls in enumerate(spec.tls):
        yield from _tls_errors(tls, _SPEC.child("tls").index(index), any_secret=any_secret)
    name = spec.ingress_class_name
    if name is not None:
        at = _SPEC.child("ingressClassName")
        yield from (invalid(at, name, words) for words in names.dns_subdomain(name))


def _has_bad_wildcard_rule(old: Ingress) -> bool:
    return any("*" in rule.host and any(_http_errors(rule, _SPEC)) for rule in old.spec.rules)


def _rule_errors(rule: IngressRule, path: Path, *, any_wildcard: bool) -> Errors:
    host = rule.host
    if host:
        at = path.child("host")
        if addresses.parse(host) is not None:
            yield invalid(at, host, "must be a DNS name, not an IP address")
        yield from host_errors(host, at)
    if not ("*" in host and any_wildcard):
        yield from _http_errors(rule, path)


def _http_errors(rule: IngressRule, path: Path) -> Errors:
    if rule.http is None:
        return
    at = path.child("http", "paths")
    if not rule.http.paths:
        yield required(at)
    for index, one in enumerate(rule.http.paths or ()):
        yield from _path_errors(one, at.index(index))


def _path_errors(one: HTTPIngressPath, path: Path) -> Errors:
    if one.path_type is None:
        yield required(path.child("pathType"), "pathType must be specified")
        return
    at = path.child("path")
    if one.path_type not in _PATH_TYPES:
        yield not_supported(path.child("pathType"), one.path_type, _PATH_TYPES)
    elif one.path_type == _ANYWHERE:
        if one.path and not one.path.startswith("/"):
            yield invalid(at, one.path, "must be an absolute path")
    else:
        if not one.path.startswith("/"):
            yield invalid(at, one.path, "must be an absolute path")
        for part in _NO_SEQUENCES:
            if part in one.path:
                yield invalid(at, one.path, f"must not contain '{part}'")
        for part in _NO_ENDINGS:
            if one.path.endswith(part):
                yield invalid(at, one.path, f"cannot end with '{part}'")
    yield from _backend_errors(one.backend, path.child("backend"))


def _backend_errors(backend: IngressBackend, path: Path) -> Errors:
    resource, service = backend.resource, backend.service
    if resource is not None and service is not None:
        yield invalid(path, "", "cannot set both resource and service backends")
    elif resource is not None:
        yield from reference_errors(resource.api_group, resource.kind, resource.name, path.child("resource"))
    elif service is not None:
        yield from _service_errors(service, path)
    else:
        yield invalid(path, "", "resource or service backend is required")


def _service_errors(service: IngressServiceBackend, path: Path) -> Errors:
    at = path.child("service", "name")
    if not service.name:
        yield required(at)
    else:
        yield from (invalid(at, service.name, words) for words in names.dns_label(service.name))
    name, number, port = service.port.name, service.port.number, path.child("service", "port")
    if name and number:
        yield invalid(path, "", "cannot set both port name & port number")
    elif name:
        yield from (invalid(port.child("name"), name, words) for words in names.port_name(name))
    elif number:
        yield from (invalid(port.child("number"), number, words) for words in names.port_number(number))
    else:
        yield required(path, "port name or number is required")


def _tls_errors(tls: IngressTLS, path: Path, *, any_secret: bool) -> Errors:
    for index, host in enumerate(tls.hosts):
        yield from host_errors(host, path.child("hosts").index(index))
    if not any_secret:
        yield from (invalid(path.child("secretName"), tls.secret_name, words) for words in _secret_words(tls))


def _secret_words(tls: IngressTLS) -> Sequence[str]:
    return names.dns_subdomain(tls.secret_name) if tls.secret_name else ()


def validate_status(new: Ingress, old: Ingress) -> Sequence[FieldError]:
    """Check what a load balancer says about itself; addresses that it said before may stay."""
    return tuple(_status_errors(new, {one.ip for one in old.status.load_balancer.ingress}))


def _status_errors(obj: Ingress, known: set[str]) -> Errors:
    for index, one in enumerate(obj.status.load_balancer.ingress):
        path = Path("status", "loadBalancer", "ingress").index(index)
        if one.ip and one.ip not in known:
            yield from (invalid(path.child("ip"), one.ip, words) for words in addresses.ip_address(one.ip))
        if one.hostname:
            at = path.child("hostname")
            yield from (invalid(at, one.hostname, words) for words in names.dns_subdomain(one.hostname))
            if addresses.parse(one.hostname) is not None:
                yield invalid(at, one.hostname, "must be a DNS name, not an IP address")


def warnings(new: Ingress, old: Ingress | None) -> Sequence[str]:
    """Warn when a new ingress names its class in the old place only."""
    if old is not None or CLASS_ANNOTATION not in new.metadata.annotations or new.spec.ingress_class_name is not None:
        return ()
    return (f"annotation \"{CLASS_ANNOTATION}\" is deprecated, please use 'spec.ingressClassName' instead",)


def status_warnings(new: Ingress, old: Ingress | None) -> Sequence[str]:  # noqa: ARG001
    """Warn of addresses that are oddly spelled."""
    found: list[str] = []
    for index, one in enumerate(new.status.load_balancer.ingress):
        if one.ip:
            found += addresses.ip_warnings(one.ip, Path("status", "loadBalancer", "ingress").index(index).child("ip"))
    return found


def _hosts(rules: Sequence[IngressRule]) -> str:
    named: list[str] = []
    for rule in rules:
        if len(named) == _SHOWN_HOSTS:
            # Upstream counts rules, those without a host too.
            return f"{','.join(named)} + {len(rules) - _SHOWN_HOSTS} more..."
        if rule.host:
            named.append(rule.host)
    return ",".join(named) or "*"


def cells(obj: Ingress, now: float) -> Sequence[Any]:
    """Return the row."""
    spec, balancer = obj.spec, obj.status.load_balancer
    return (
        obj.metadata.name,
        spec.ingress_class_name if spec.ingress_class_name is not None else NONE,
        _hosts(spec.rules),
        ",".join(sorted({one.ip or one.hostname for one in balancer.ingress} - {""})),
        "80, 443" if spec.tls else "80",
        age(obj, now),
    )


STRATEGY: Strategy[Ingress] = Strategy(
    validate=validate,
    validate_update=validate_update,
    validates_update_fully=True,
    warnings=warnings,
    generation=spec_changed,
    columns=(
        NAME,
        text("Class", "The class whose controller serves it."),
        text("Hosts", "The hosts that it has rules for."),
        text("Address", "Where the load balancer is reached."),
        text("Ports", "Where it listens; 443 when it has certificates."),
        AGE,
    ),
    cells=cells,
    parts={"status": Part(prepare_update=take_only_status, validate_update=validate_status, warnings=status_warnings)},
)
