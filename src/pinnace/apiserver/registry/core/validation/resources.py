"""Requests and limits of containers, of claims and of whole pods.

Upstream: pkg/apis/core/validation `ValidateResourceRequirements`, `validatePodResources`.
"""

from collections.abc import Iterator, Sequence

from msgspec.structs import replace

from pinnace.api import core_v1 as v1
from pinnace.apiserver.registry.core import pod_resources
from pinnace.machinery import names, quantity
from pinnace.machinery.field import FieldError, Path, duplicate, forbidden, invalid, not_found, not_supported, required

Errors = Iterator[FieldError]

CONTAINER = frozenset({"cpu", "memory", "ephemeral-storage"})
# What needs no domain before its name: what containers, claims and quotas count.
_STANDARD = (
    CONTAINER
    | {f"{side}.{name}" for side in ("limits", "requests") for name in CONTAINER}
    | {
        "configmaps",
        "persistentvolumeclaims",
        "pods",
        "replicationcontrollers",
        "requests.storage",
        "resourcequotas",
        "secrets",
        "services",
        "services.loadbalancers",
        "services.nodeports",
        "storage",
    }
)
_QUOTA_HUGE_PAGES = (pod_resources.HUGE_PAGES, f"requests.{pod_resources.HUGE_PAGES}")
_INTEGER = "must be an integer"
_KNOWN_CLAIMS = "must be one of the names in pod.spec.resourceClaims"


def name_errors(name: str, path: Path) -> Errors:
    """Check a resource's name: a standard one, or `domain/name`."""
    found = names.qualified_name(name)
    yield from (invalid(path, name, text) for text in found)
    if not found and "/" not in name and name not in _STANDARD and not name.startswith(_QUOTA_HUGE_PAGES):
        yield invalid(path, name, "must be a standard resource type or fully qualified")


def container_name_errors(name: str, path: Path) -> Errors:
    """Check the name of a resource that a container may ask for."""
    yield from name_errors(name, path)
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


def _amount_errors(name: str, text: str, path: Path) -> Errors:
    yield from container_name_errors(name, path)
    yield from quantity_errors(name, text, path)


def _page_errors(name: str, text: str, path: Path) -> Errors:
    """Huge pages are asked for in whole pages of a size that there can be."""
    if not name.startswith(pod_resources.HUGE_PAGES):
        return
    try:
        page = quantity.parse(name.removeprefix(pod_resources.HUGE_PAGES)).nanos
    except ValueError:
        page = 0
    amount = quantity.parse(text)
    if page <= 0 or amount.nanos % page:
        yield invalid(path, str(amount), f"{amount} is not positive integer multiple of {name}")


def requirement_errors(resources: v1.ResourceRequirements, path: Path, claims: Sequence[str] = ()) -> Errors:
    """Check a container's requests, limits and claims."""
    limits, requests = path.child("limits"), path.child("requests")
    for name, text in sorted(resources.limits.items()):
        yield from _amount_errors(name, text, limits.key(name))
        yield from _page_errors(name, text, limits.key(name))
    for name, text in sorted(resources.requests.items()):
        yield from _amount_errors(name, text, requests.key(name))
        yield from _limit_errors(name, resources, path)
        yield from _page_errors(name, text, requests.key(name))
    asks = set(resources.requests) | set(resources.limits)
    if any(name.startswith(pod_resources.HUGE_PAGES) for name in asks) and not asks & {"cpu", "memory"}:
        yield forbidden(path, "HugePages require cpu or memory")
    yield from _claim_errors(resources.claims, path.child("claims"), claims)


def _limit_errors(name: str, resources: v1.ResourceRequirements, path: Path) -> Errors:
    """Check a request against its limit, which it must equal where more cannot be promised than there is."""
    is_exact = name.startswith(pod_resources.HUGE_PAGES) or not is_native(name)
    limit, request = resources.limits.get(name), quantity.parse(resources.requests[name])
    if limit is None:
        if is_exact:
            yield required(path.child("limits"), "Limit must be set for non overcommitable resources")
        return
    bound = quantity.parse(limit)
    if is_exact and request.nanos != bound.nanos:
        yield invalid(path.child("requests"), str(request), f"must be equal to {name} limit of {bound}")
    elif bound < request:
        yield invalid(path.child("requests"), str(request), f"must be less than or equal to {name} limit of {bound}")


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
            yield replace(not_found(at, claim.name), detail=f"{_KNOWN_CLAIMS}{_listed(known)}")


def _listed(names: Sequence[str]) -> str:
    return f": {', '.join(sorted(names))}" if names else " which is empty"


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
                yield from _limit_errors(name, resources, path)
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
