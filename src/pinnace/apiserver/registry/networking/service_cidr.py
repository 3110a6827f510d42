"""ServiceCIDR (upstream pkg/registry/networking/servicecidr, pkg/apis/networking/validation `ValidateServiceCIDR`)."""

from collections.abc import Iterator, Sequence
from typing import Any

from pinnace.api.networking_v1 import ServiceCIDR
from pinnace.apiserver.registry.immutable import IMMUTABLE
from pinnace.apiserver.registry.metadata import kept_for_status
from pinnace.apiserver.registry.printing import AGE, NAME, age, text
from pinnace.apiserver.registry.strategy import Context, Part, Strategy, take_only_status
from pinnace.machinery import addresses
from pinnace.machinery.field import FieldError, Path, invalid, required

Errors = Iterator[FieldError]

# One range a family.
RANGES_LIMIT = 2
_CIDRS = Path("spec", "cidrs")


def validate(obj: ServiceCIDR) -> Sequence[FieldError]:
    """Check the ranges: one, or one of each family."""
    return tuple(_errors(obj))


def _errors(obj: ServiceCIDR) -> Errors:
    cidrs = obj.spec.cidrs
    if not cidrs:
        yield required(_CIDRS, "at least one CIDR required")
        return
    if len(cidrs) > RANGES_LIMIT:
        yield invalid(_CIDRS, {"CIDRs": cidrs}, "may only hold up to 2 values")
        return
    for index, cidr in enumerate(cidrs):
        yield from (invalid(_CIDRS.index(index), cidr, words) for words in addresses.canonical_cidr(cidr))
    families = [network.version for network in map(addresses.parse_range, cidrs) if network is not None]
    if len(families) == RANGES_LIMIT and len(set(families)) == 1:
        words = "may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64"
        yield invalid(_CIDRS, cidrs, words)


def validate_update(new: ServiceCIDR, old: ServiceCIDR) -> Sequence[FieldError]:
    """Hold the ranges; only the second family may come."""
    return tuple(_update_errors(new, old))


def _update_errors(new: ServiceCIDR, old: ServiceCIDR) -> Errors:
    after, before = new.spec.cidrs, old.spec.cidrs
    gains_family = len(before) == 1 and len(after) == RANGES_LIMIT
    if len(after) != len(before) and not gains_family:
        yield invalid(_CIDRS, after, IMMUTABLE)
        return
    for index, (cidr, was) in enumerate(zip(after, before, strict=False)):
        if cidr != was:
            yield invalid(_CIDRS.index(index), cidr, IMMUTABLE)
    if gains_family:
        yield from _errors(new)


def prepare_status(ctx: Context, new: ServiceCIDR, old: ServiceCIDR) -> ServiceCIDR:
    """Take the status alone, not even labels."""
    return kept_for_status(take_only_status(ctx, new, old), old)


def cells(obj: ServiceCIDR, now: float) -> Sequence[Any]:
    """Return the row."""
    return (obj.metadata.name, ",".join(obj.spec.cidrs), age(obj, now))


STRATEGY: Strategy[ServiceCIDR] = Strategy(
    validate=validate,
    validate_update=validate_update,
    validates_update_fully=True,
    resets_status=False,
    columns=(NAME, text("CIDRs", "Where Services get their addresses from."), AGE),
    cells=cells,
    parts={"status": Part(prepare_update=prepare_status)},
)
