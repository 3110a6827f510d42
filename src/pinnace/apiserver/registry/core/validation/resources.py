"""Requests and limits of containers, of claims and of whole pods.

Upstream: pkg/apis/core/validation `ValidateResourceRequirements`, `validatePodResources`.
"""

from collections.abc import Iterator, Mapping, Sequence

from pinnace.api import core_v1 as v1
from pinnace.apiserver.registry.core import pod_resources
from pinnace.machinery import names, quantity
from pinnace.machinery.field import FieldError, Path, duplicate, forbidden, invalid, not_found, not_supported, required

Errors = Iterator[FieldError]

STANDARD = frozenset({"cpu", "memory", "ephemeral-storage", "storage"})
CONTAINER = frozenset({"cpu", "memory", "ephemeral-storage"})
_INTEGER = "must be an integer"


def name_errors(name: str, path: Path) -> Errors:
    """Check a resource's name: a standard one, or `domain/name`."""
    found = names.qualified_name(name)
    yield from (invalid(path, name, text) for text in found)
    if not found and "/" not in name and name not in STANDARD and not name.startswith(pod_resources.HUGE_PAGES):
        yield invalid(path, name, "must be a standard resource type or fully qualified")


def container_name_errors(name: str, path: Path) -> Errors:
    """Check the name of a resource that a container may ask for."""
    found = list(name_errors(name, path))
    yield from found
    if found:
        return
    if "/" not in name:
        if name not in CONTAINER and not name.startswith(pod_resources.HUGE_PAGES):
            yield invalid(path, name, "must be a standard resource for containers")
    elif is_native(name):
        return
    elif name.startswith("requests."):
        yield invalid(path, name, "doesn't follow extended resource name standard")


def is_native(name: str) -> bool:
    """Tell whether a name belongs to Kubernetes itself."""
    return "/" not in name or "kubernetes.io/" in name


def _is_whole(name: str) -> bool:
    """Extended resources and huge pages come in whole units."""
    return not is_native(name)


def quantity_errors(name: str, text: str, path: Path) -> Errors:
    """Check an amount: not negative, and whole where the resource is."""
    amount = quantity.parse(text)
    if amount.nanos < 0:
        yield invalid(path, str(amount), "must be greater than or equal to 0")
    if _is_whole(name) and amount.milli() % 1000:
        yield invalid(path, str(amount), _INTEGER)


def _list_errors(amounts: Mapping[str, str], path: Path) -> Errors:
    for name in sorted(amounts):
        yield from container_name_errors(name, path.key(name))
        yield from quantity_errors(name, amounts[name], path.key(name))


def requirement_errors(resources: v1.ResourceRequirements, path: Path, claims: Sequence[str] = ()) -> Errors:
    """Check a container's requests, limits and claims."""
    limits, requests = path.child("limits"), path.child("requests")
    yield from _list_errors(resources.limits, limits)
    for name in sorted(resources.requests):
        yield from container_name_errors(name, requests.key(name))
        yield from quantity_errors(name, resources.requests[name], requests.key(name))
        yield from _above_limit(name, resources, requests)
    asks = set(resources.requests) | set(resources.limits)
    huge = sorted(name for name in asks if name.startswith(pod_resources.HUGE_PAGES))
    if huge and not asks & {"cpu", "memory"}:
        yield forbidden(path, "HugePages require cpu or memory")
    yield from _claim_errors(resources.claims, path.child("claims"), claims)


def _above_limit(name: str, resources: v1.ResourceRequirements, path: Path) -> Errors:
    limit = resources.limits.get(name)
    request = quantity.parse(resources.requests[name])
    if limit is not None:
        bound = quantity.parse(limit)
        if name.startswith(pod_resources.HUGE_PAGES) or not is_native(name):
            if request.nanos != bound.nanos:
                yield invalid(path, str(request), f"must be equal to {name} limit of {bound}")
        elif bound < request:
            yield invalid(path, str(request), f"must be less than or equal to {name} limit of {bound}")
    elif not is_native(name) or name.startswith(pod_resources.HUGE_PAGES):
        yield required(path.child("limits"), "Limit must be set for non overcommitable resources")


def _claim_errors(claims: Sequence[v1.ResourceClaim], path: Path, known: Sequence[str]) -> Errors:
    taken: set[tuple[str, str]] = set()
    for index, claim in enumerate(claims):
        at = path.index(index)
        if not claim.name:
            yield required(at)
            continue
        key = (claim.name, claim.request)
        if key in taken:
            yield duplicate(at, claim.name if not claim.request else f"{claim.name}/{claim.request}")
        taken.add(key)
        if claim.name not in known:
            yield not_found(at, claim.name)


def pod_level_errors(spec: v1.PodSpec, path: Path) -> Errors:
    """Check what a whole pod asks for: no less than its containers together."""
    resources = spec.resources
    if resources is None:
        return
    if resources.claims:
        yield forbidden(path.child("claims"), "claims cannot be set for Resources at pod-level")
    for amounts, wire in ((resources.limits, "limits"), (resources.requests, "requests")):
        for name in sorted(amounts):
            at = path.child(wire).key(name)
            if name not in pod_resources.POD_LEVEL and not name.startswith(pod_resources.HUGE_PAGES):
                yield not_supported(at, name, ("cpu", pod_resources.HUGE_PAGES, "memory"))
                continue
            yield from quantity_errors(name, amounts[name], at)
            if wire == "requests":
                yield from _above_limit(name, resources, path.child(wire))
    together = pod_resources.totals(spec, "requests")
    for name, amount in sorted(together.items()):
        own = resources.requests.get(name)
        if own is not None and quantity.parse(own) < amount:
            text = f"must be greater than or equal to aggregate container requests of {amount}"
            yield invalid(path.child("requests").key(name), own, text)
    for index, container in enumerate(spec.containers):
        for name, bound in sorted(resources.limits.items()):
            own = container.resources.limits.get(name)
            if own is not None and quantity.parse(bound) < quantity.parse(own):
                at = Path("spec").child("containers").index(index).child("resources").child("limits")
                yield invalid(at.key(name), own, f"must be less than or equal to pod limits of {bound}")
