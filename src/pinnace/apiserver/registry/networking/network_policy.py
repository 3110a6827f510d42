"""NetworkPolicy (upstream pkg/registry/networking/networkpolicy, pkg/apis/networking/validation `ValidateNetworkPolicy`)."""

from collections.abc import Iterator, Sequence
from typing import Any

from pinnace.api.networking_v1 import IPBlock, NetworkPolicy, NetworkPolicyPeer, NetworkPolicyPort
from pinnace.apiserver.registry.defaulting import changed, each, filled
from pinnace.apiserver.registry.label_selectors import selector_errors
from pinnace.apiserver.registry.printing import AGE, NAME, age, text
from pinnace.apiserver.registry.strategy import Strategy, spec_changed
from pinnace.machinery import addresses, names, selectors
from pinnace.machinery.field import FieldError, Path, forbidden, invalid, not_supported, required

Errors = Iterator[FieldError]

INGRESS, EGRESS = "Ingress", "Egress"
_PROTOCOLS = ("TCP", "UDP", "SCTP")
_TYPES = (INGRESS, EGRESS)
_SPEC = Path("spec")


def default(obj: NetworkPolicy) -> NetworkPolicy:
    """Fill in protocols and, from what the policy speaks of, its types."""
    spec = obj.spec
    spec = changed(
        spec,
        ingress=each(spec.ingress, lambda rule: changed(rule, ports=each(rule.ports, _default_port))),
        egress=each(spec.egress, lambda rule: changed(rule, ports=each(rule.ports, _default_port))),
    )
    if not spec.policy_types:
        spec = changed(spec, policy_types=_TYPES if spec.egress else (INGRESS,))
    return changed(obj, spec=spec)


def _default_port(port: NetworkPolicyPort) -> NetworkPolicyPort:
    return filled(port, protocol="TCP")


def validate(obj: NetworkPolicy) -> Sequence[FieldError]:
    """Check a new policy."""
    return tuple(_errors(obj, frozenset()))


def validate_update(new: NetworkPolicy, old: NetworkPolicy) -> Sequence[FieldError]:
    """Check a policy again, but let every range pass that the policy had before."""
    return tuple(_errors(new, frozenset(_ranges(old))))


def _ranges(obj: NetworkPolicy) -> Iterator[str]:
    for _, peer in _peers(obj):
        if peer.ip_block is not None:
            yield peer.ip_block.cidr
            yield from peer.ip_block.except_


def _peers(obj: NetworkPolicy) -> Iterator[tuple[Path, NetworkPolicyPeer]]:
    for index, rule in enumerate(obj.spec.ingress):
        at = _SPEC.child("ingress").index(index).child("from")
        yield from ((at.index(number), peer) for number, peer in enumerate(rule.from_))
    for index, out in enumerate(obj.spec.egress):
        at = _SPEC.child("egress").index(index).child("to")
        yield from ((at.index(number), peer) for number, peer in enumerate(out.to))


def _errors(obj: NetworkPolicy, known: frozenset[str]) -> Errors:
    spec = obj.spec
    yield from selector_errors(spec.pod_selector, _SPEC.child("podSelector"))
    for index, rule in enumerate(spec.ingress):
        yield from _rule_errors(rule.ports, rule.from_, _SPEC.child("ingress").index(index), "from", known)
    for index, out in enumerate(spec.egress):
        yield from _rule_errors(out.ports, out.to, _SPEC.child("egress").index(index), "to", known)
    at = _SPEC.child("policyTypes")
    if len(spec.policy_types) > len(_TYPES):
        yield invalid(at, spec.policy_types, "may not specify more than two policyTypes")
        return
    for index, kind in enumerate(spec.policy_types):
        if kind not in _TYPES:
            yield not_supported(at.index(index), kind, _TYPES)


def _rule_errors(
    ports: Sequence[NetworkPolicyPort],
    peers: Sequence[NetworkPolicyPeer],
    path: Path,
    wire: str,
    known: frozenset[str],
) -> Errors:
    for index, port in enumerate(ports):
        yield from _port_errors(port, path.child("ports").index(index))
    for index, peer in enumerate(peers):
        yield from _peer_errors(peer, path.child(wire).index(index), known)


def _port_errors(port: NetworkPolicyPort, path: Path) -> Errors:
    if port.protocol is not None and port.protocol not in _PROTOCOLS:
        yield not_supported(path.child("protocol"), port.protocol, _PROTOCOLS)
    start, end, at = port.port, port.end_port, path.child("endPort")
    if start is None:
        if end is not None:
            yield invalid(at, end, "may not be specified when `port` is not specified")
    elif isinstance(start, int):
        yield from (invalid(path.child("port"), start, words) for words in names.port_number(start))
        if end is not None:
            if end < start:
                # Upstream quotes the port rather than its end.
                yield invalid(at, start, "must be greater than or equal to `port`")
            yield from (invalid(at, end, words) for words in names.port_number(end))
    else:
        if end is not None:
            yield invalid(at, end, "may not be specified when `port` is non-numeric")
        yield from (invalid(path.child("port"), start, words) for words in names.port_name(start))


def _peer_errors(peer: NetworkPolicyPeer, path: Path, known: frozenset[str]) -> Errors:
    yield from selector_errors(peer.pod_selector, path.child("podSelector"))
    yield from selector_errors(peer.namespace_selector, path.child("namespaceSelector"))
    selects = peer.pod_selector is not None or peer.namespace_selector is not None
    if peer.ip_block is not None:
        yield from _block_errors(peer.ip_block, path.child("ipBlock"), known)
        if selects:
            yield forbidden(path, "may not specify both ipBlock and another peer")
    elif not selects:
        yield required(path, "must specify a peer")


def _block_errors(block: IPBlock, path: Path, known: frozenset[str]) -> Errors:
    if not block.cidr:
        yield required(path.child("cidr"))
        return
    if block.cidr not in known:
        yield from (invalid(path.child("cidr"), block.cidr, words) for words in addresses.cidr(block.cidr))
    whole = addresses.parse_range(block.cidr)
    if whole is None:
        return
    for index, text_ in enumerate(block.except_):
        at = path.child("except").index(index)
        if text_ not in known:
            yield from (invalid(at, text_, words) for words in addresses.cidr(text_))
        part = addresses.parse_range(text_)
        if part is not None and not (part.network_address in whole and part.prefixlen > whole.prefixlen):
            yield invalid(at, text_, "must be a strict subset of `cidr`")


def warnings(new: NetworkPolicy, old: NetworkPolicy | None) -> Sequence[str]:  # noqa: ARG001
    """Warn of ranges that are oddly spelled."""
    found: list[str] = []
    for path, peer in _peers(new):
        if peer.ip_block is None:
            continue
        at = path.child("ipBlock")
        found += addresses.cidr_warnings(peer.ip_block.cidr, at.child("cidr"))
        for index, part in enumerate(peer.ip_block.except_):
            found += addresses.cidr_warnings(part, at.child("except").index(index))
    return found


def cells(obj: NetworkPolicy, now: float) -> Sequence[Any]:
    """Return the row."""
    return (obj.metadata.name, selectors.format_label_selector(obj.spec.pod_selector), age(obj, now))


STRATEGY: Strategy[NetworkPolicy] = Strategy(
    default=default,
    validate=validate,
    validate_update=validate_update,
    validates_update_fully=True,
    warnings=warnings,
    generation=spec_changed,
    columns=(NAME, text("Pod-Selector", "Which pods the policy is for."), AGE),
    cells=cells,
)
