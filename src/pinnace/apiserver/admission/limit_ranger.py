"""LimitRanger: a namespace's limit ranges give pods the requests and limits they lack, and bound those they have.

Upstream: `plugin/pkg/admission/limitranger`.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from msgspec.structs import replace

from pinnace.api.core_v1 import Container, LimitRange, LimitRangeItem, PersistentVolumeClaim, Pod, ResourceRequirements
from pinnace.apiserver.admission.interface import CREATE, UPDATE, Attributes, Objects, Plugin
from pinnace.machinery import quantity

ANNOTATION = "kubernetes.io/limit-ranger"
_PREFIX = "LimitRanger plugin set: "


class LimitRanger(Plugin):
    """Applies limit ranges to pods and claims."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    async def mutate(self, attributes: Attributes, obj: Any, old: Any) -> Any:  # noqa: ARG002
        if attributes.operation != CREATE or attributes.resource != "pods" or attributes.subresource:
            return obj
        pod: Pod = obj
        for limits in await self._items(attributes):
            pod = _with_defaults(pod, [item for item in limits if item.type == "Container"])
        return pod

    async def validate(self, attributes: Attributes, obj: Any, old: Any) -> None:  # noqa: ARG002
        if attributes.subresource or attributes.group:
            return
        found: list[str] = []
        for limits in await self._items_for(attributes):
            for item in limits:
                if attributes.resource == "pods":
                    found += _pod_violations(item, obj)
                elif item.type == "PersistentVolumeClaim":
                    found += _claim_violations(item, obj)
        if found:
            text = found[0] if len(found) == 1 else "[" + ", ".join(dict.fromkeys(found)) + "]"
            raise attributes.refuse(text, name=obj.metadata.name)

    async def _items_for(self, attributes: Attributes) -> list[tuple[LimitRangeItem, ...]]:
        """Return what applies to a write: pods when they are made, claims also when they change."""
        operations = {"pods": {CREATE}, "persistentvolumeclaims": {CREATE, UPDATE}}.get(attributes.resource, set())
        return await self._items(attributes) if attributes.operation in operations else []

    async def _items(self, attributes: Attributes) -> list[tuple[LimitRangeItem, ...]]:
        ranges = await self._objects.list(LimitRange, attributes.namespace)
        return [one.spec.limits or () for one in ranges]


def _with_defaults(pod: Pod, items: list[LimitRangeItem]) -> Pod:
    requests: dict[str, str] = {}
    limits: dict[str, str] = {}
    for item in items:
        requests |= item.default_request
        limits |= item.default
    if not requests and not limits:
        return pod
    notes: list[str] = []
    containers = tuple(_completed(one, requests, limits, "container", notes) for one in pod.spec.containers)
    inits = tuple(_completed(one, requests, limits, "init container", notes) for one in pod.spec.init_containers)
    if not notes:
        return pod
    annotations = {**pod.metadata.annotations, ANNOTATION: _PREFIX + "; ".join(notes)}
    return replace(
        pod,
        metadata=replace(pod.metadata, annotations=annotations),
        spec=replace(pod.spec, containers=containers, init_containers=inits),
    )


def _completed(
    container: Container, requests: Mapping[str, str], limits: Mapping[str, str], what: str, notes: list[str]
) -> Container:
    resources = container.resources
    own_requests, set_requests = _merged(resources.requests, requests)
    own_limits, set_limits = _merged(resources.limits, limits)
    for names, word in ((set_requests, "request"), (set_limits, "limit")):
        if names:
            notes.append(f"{', '.join(names)} {word} for {what} {container.name}")
    if not set_requests and not set_limits:
        return container
    return replace(container, resources=replace(resources, requests=own_requests, limits=own_limits))


def _merged(own: Mapping[str, str], defaults: Mapping[str, str]) -> tuple[Mapping[str, str], list[str]]:
    missing = sorted(name for name in defaults if name not in own)
    return {**own, **{name: defaults[name] for name in missing}}, missing


def _pod_violations(item: LimitRangeItem, pod: Pod) -> Iterator[str]:
    if item.type == "Container":
        for container in (*pod.spec.containers, *pod.spec.init_containers):
            yield from _violations(item, container.resources)
    elif item.type == "Pod":
        yield from _violations(item, _pod_totals(pod))


def _claim_violations(item: LimitRangeItem, claim: PersistentVolumeClaim) -> Iterator[str]:
    requests = claim.spec.resources.requests
    for name, bound in sorted(item.min.items()):
        if name in requests and quantity.parse(requests[name]) < quantity.parse(bound):
            yield f"minimum {name} usage per {item.type} is {bound}, but request is {requests[name]}"
    for name, bound in sorted(item.max.items()):
        if name in requests and quantity.parse(bound) < quantity.parse(requests[name]):
            yield f"maximum {name} usage per {item.type} is {bound}, but request is {requests[name]}"


def _violations(item: LimitRangeItem, resources: ResourceRequirements) -> Iterator[str]:
    for name, bound in sorted(item.min.items()):
        yield from _below(item.type, name, bound, resources)
    for name, bound in sorted(item.max.items()):
        yield from _above(item.type, name, bound, resources)
    for name, ratio in sorted(item.max_limit_request_ratio.items()):
        yield from _over_ratio(item.type, name, ratio, resources)


def _below(kind: str, name: str, bound: str, resources: ResourceRequirements) -> Iterator[str]:
    request, limit = resources.requests.get(name), resources.limits.get(name)
    least = quantity.parse(bound)
    if request is None:
        yield f"minimum {name} usage per {kind} is {bound}.  No request is specified"
    elif quantity.parse(request) < least:
        yield f"minimum {name} usage per {kind} is {bound}, but request is {request}"
    if limit is not None and quantity.parse(limit) < least:
        yield f"minimum {name} usage per {kind} is {bound}, but limit is {limit}"


def _above(kind: str, name: str, bound: str, resources: ResourceRequirements) -> Iterator[str]:
    request, limit = resources.requests.get(name), resources.limits.get(name)
    most = quantity.parse(bound)
    if limit is None:
        yield f"maximum {name} usage per {kind} is {bound}.  No limit is specified"
    elif most < quantity.parse(limit):
        yield f"maximum {name} usage per {kind} is {bound}, but limit is {limit}"
    if request is not None and most < quantity.parse(request):
        yield f"maximum {name} usage per {kind} is {bound}, but request is {request}"


def _over_ratio(kind: str, name: str, ratio: str, resources: ResourceRequirements) -> Iterator[str]:
    request, limit = resources.requests.get(name), resources.limits.get(name)
    if request is None or limit is None or not quantity.parse(request) or not quantity.parse(limit):
        yield f"{name} max limit to request ratio per {kind} is {ratio}, but no request is specified or request is 0"
        return
    actual = quantity.parse(limit).milli() / quantity.parse(request).milli()
    if actual > quantity.parse(ratio).milli() / 1000:
        yield f"{name} max limit to request ratio per {kind} is {ratio}, but provided ratio is {actual:f}"


def _pod_totals(pod: Pod) -> ResourceRequirements:
    """Add up a pod: its containers together, or its largest init container where that is more."""
    spec = pod.spec
    return ResourceRequirements(
        requests=_total(
            [one.resources.requests for one in spec.containers],
            [one.resources.requests for one in spec.init_containers],
        ),
        limits=_total(
            [one.resources.limits for one in spec.containers], [one.resources.limits for one in spec.init_containers]
        ),
    )


def _total(together: Iterable[Mapping[str, str]], alone: Iterable[Mapping[str, str]]) -> dict[str, str]:
    sums: dict[str, quantity.Quantity] = {}
    for each in together:
        for name, text in each.items():
            sums[name] = sums[name] + quantity.parse(text) if name in sums else quantity.parse(text)
    for each in alone:
        for name, text in each.items():
            amount = quantity.parse(text)
            if name not in sums or sums[name] < amount:
                sums[name] = amount
    return {name: str(amount) for name, amount in sums.items()}
