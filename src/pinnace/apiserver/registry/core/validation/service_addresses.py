"""The addresses of a Service and their families: that they agree, and how they may change.

Upstream: pkg/apis/core/validation `ValidateServiceClusterIPsRelatedFields`, `validateUpgradeDowngradeClusterIPs`,
`validateUpgradeDowngradeIPFamilies`.
"""

from collections.abc import Iterator

from pinnace.api.core_v1 import ServiceSpec
from pinnace.apiserver.registry.core.service_fields import EXTERNAL_NAME, HEADLESS, is_headless
from pinnace.machinery.addresses import ip_address, parse
from pinnace.machinery.field import FieldError, Path, duplicate, invalid, not_supported, required

Errors = Iterator[FieldError]

_SPEC = Path("spec")
_IPS, _FAMILIES, _POLICY = _SPEC.child("clusterIPs"), _SPEC.child("ipFamilies"), _SPEC.child("ipFamilyPolicy")
_KNOWN_FAMILIES = ("IPv4", "IPv6")
_SINGLE_STACK = "SingleStack"
_POLICIES = ("PreferDualStack", "RequireDualStack", _SINGLE_STACK)
_KEPT = "may not change once set"


def address_errors(spec: ServiceSpec) -> Errors:
    """Check addresses, families and policy of a Service that is in the cluster."""
    if spec.type == EXTERNAL_NAME:
        return
    yield from _pair_errors(spec)
    found: set[str] = set()
    for index, family in enumerate(spec.ip_families):
        if family not in _KNOWN_FAMILIES:
            yield not_supported(_FAMILIES.index(index), family, _KNOWN_FAMILIES)
        if family in found:
            yield duplicate(_FAMILIES.index(index), family)
        found.add(family)
    if spec.ip_family_policy is not None and spec.ip_family_policy not in _POLICIES:
        yield not_supported(_POLICY, spec.ip_family_policy, _POLICIES)
    wrong = list(_form_errors(spec.cluster_ips))
    yield from wrong
    if len(spec.cluster_ips) > 2:
        yield invalid(_IPS, spec.cluster_ips, "may only hold up to 2 values")
    if not wrong:
        yield from _stack_errors(spec)


def _pair_errors(spec: ServiceSpec) -> Errors:
    """The first of the addresses stands alone, too."""
    if not spec.cluster_ip:
        if spec.cluster_ips:
            yield invalid(_IPS, spec.cluster_ips, "must be empty when `clusterIP` is not specified")
    elif not spec.cluster_ips:
        yield required(_IPS)
    elif spec.cluster_ips[0] != spec.cluster_ip:
        yield invalid(_IPS, spec.cluster_ips, "first value must match `clusterIP`")


def _form_errors(addresses: tuple[str, ...]) -> Errors:
    for index, address in enumerate(addresses):
        if index == 0 and address == HEADLESS:
            if len(addresses) > 1:
                yield invalid(_IPS, addresses, "'None' must be the first and only value")
            continue
        yield from (invalid(_IPS.index(index), address, text) for text in ip_address(address))


def _stack_errors(spec: ServiceSpec) -> Errors:
    """Check well-formed addresses against each other and against the families."""
    if is_headless(spec):
        return
    families = [_family(address) for address in spec.cluster_ips]
    if len(families) > 1 and len(set(families)) < 2:
        yield invalid(_IPS, spec.cluster_ips, "may specify no more than one IP for each IP family")
    for index, (address, own, wanted) in enumerate(zip(spec.cluster_ips, families, spec.ip_families, strict=False)):
        if wanted in _KNOWN_FAMILIES and wanted != own:
            text = f"expected an {wanted} value as indicated by `ipFamilies[{index}]`"
            yield invalid(_IPS.index(index), address, text)


def _family(address: str) -> str:
    parsed = parse(address)
    return "IPv6" if parsed is not None and parsed.version == 6 else "IPv4"


def address_update_errors(after: ServiceSpec, before: ServiceSpec) -> Errors:
    """Check what changed: the first address and family stay, a second one comes and goes with the policy."""
    if EXTERNAL_NAME in {after.type, before.type}:
        return
    was, now = is_headless(before), is_headless(after)
    if not (was and now):
        yield from _list_errors(_IPS, "clusterIP", after.cluster_ips, before.cluster_ips, after)
    if not was and not now:
        yield from _list_errors(_FAMILIES, "ipFamily", after.ip_families, before.ip_families, after)


def _list_errors(path: Path, what: str, after: tuple[str, ...], before: tuple[str, ...], spec: ServiceSpec) -> Errors:
    if len(after) == len(before):
        for index, (new, old) in enumerate(zip(after, before, strict=True)):
            if new != old:
                # Upstream names the first family whichever changed.
                yield invalid(path.index(index if path is _IPS else 0), after, _KEPT)
        return
    # Upstream shows the addresses also where it is the families that changed.
    if len(before) > len(after) and not spec.cluster_ips:
        yield invalid(path.index(0), after or None, f"primary {what} can not be unset")
    if before and after and after[0] != before[0]:
        yield invalid(path.index(0), spec.cluster_ips, _KEPT)
    if len(before) > len(after) == 1 and spec.ip_family_policy != _SINGLE_STACK:
        text = f"must be set to '{_SINGLE_STACK}' when releasing the secondary {what}"
        yield invalid(_POLICY, spec.ip_family_policy, text)
