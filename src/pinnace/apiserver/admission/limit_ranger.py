"""LimitRanger: a namespace's limit ranges give pods the requests and limits they lack, and bound those they have.

Upstream: `plugin/pkg/admission/limitranger`.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from pinnace.api.core_v1 import Container, LimitRange, LimitRangeItem, PersistentVolumeClaim, Pod, PodSpec
from pinnace.api.pod_totals import Totals, parsed, pod_limits, pod_requests
from pinnace.apiserver.admission.interface import CREATE, UPDATE, Attributes, Objects, Plugin, Target
from pinnace.machinery.memo import Memo
from pinnace.machinery.quantity import Quantity, parse

ANNOTATION = "kubernetes.io/limit-ranger"
_PREFIX = "LimitRanger plugin set: "
_Amounts = tuple[tuple[str, str], ...]


class LimitRanger(Plugin):
    """Applies limit ranges to pods and claims."""

    name = "LimitRanger"

    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    def handles(self, target: Target) -> bool:
        if target.is_on("", "pods"):
            return target.operation == CREATE
        if target.is_on("", "pods", "resize"):
            return target.operation == UPDATE
        return target.is_on("", "persistentvolumeclaims") and target.operation in {CREATE, UPDATE}

    async def mutate(self, attributes: Attributes, obj: Any, old: Any) -> Any:  # noqa: ARG002
        if attributes.resource == "pods" and attributes.operation == CREATE:
            for one in await self._objects.list(LimitRange, attributes.namespace):
                obj = _with_defaults(obj, one)
        return obj

    async def validate(self, attributes: Attributes, obj: Any, old: Any) -> None:  # noqa: ARG002
        ranges = await self._objects.list(LimitRange, attributes.namespace)
        # What is on its way out may be written without looking at what it asks for.
        if not ranges or (attributes.operation == UPDATE and obj.metadata.deletion_timestamp is not None):
            return
        violations = _pod_violations if attributes.resource == "pods" else _claim_violations
        for one in ranges:
            found = list(dict.fromkeys(text for item in one.spec.limits or () for text in violations(item, obj)))
            if found:
                raise attributes.refuse(found[0] if len(found) == 1 else f"[{', '.join(found)}]", obj)


# ── defaults ──


class _Completed(Struct, frozen=True):
    """A spec with defaults, and what was added to it."""

    spec: PodSpec
    note: str


def _with_defaults(pod: Pod, limits: LimitRange) -> Pod:
    requests: dict[str, str] = {}
    bounds: dict[str, str] = {}
    for item in limits.spec.limits or ():
        if item.type == "Container":
            requests |= item.default_request
            bounds |= item.default
    if not requests and not bounds:
        return pod
    completed = _complete(pod.spec, tuple(sorted(requests.items())), tuple(sorted(bounds.items())))
    if not completed.note:
        return pod
    annotations = {**pod.metadata.annotations, ANNOTATION: completed.note}
    return replace(pod, metadata=replace(pod.metadata, annotations=annotations), spec=completed.spec)


def _completed(spec: PodSpec, requests: _Amounts, limits: _Amounts) -> _Completed:
    notes: list[str] = []
    containers = tuple(_filled(one, requests, limits, "container", notes) for one in spec.containers)
    inits = tuple(_filled(one, requests, limits, "init container", notes) for one in spec.init_containers)
    if not notes:
        return _Completed(spec, "")
    return _Completed(replace(spec, containers=containers, init_containers=inits), _PREFIX + "; ".join(notes))


_complete: Memo[PodSpec, _Completed] = Memo(_completed)


def _filled(container: Container, requests: _Amounts, limits: _Amounts, what: str, notes: list[str]) -> Container:
    resources = container.resources
    more_requests = {name: text for name, text in requests if name not in resources.requests}
    more_limits = {name: text for name, text in limits if name not in resources.limits}
    for added, word in ((more_requests, "request"), (more_limits, "limit")):
        if added:
            notes.append(f"{', '.join(added)} {word} for {what} {container.name}")
    if not more_requests and not more_limits:
        return container
    filled = replace(
        resources, requests={**resources.requests, **more_requests}, limits={**resources.limits, **more_limits}
    )
    return replace(container, resources=filled)


# ── bounds ──


def _pod_violations(item: LimitRangeItem, pod: Pod) -> Iterator[str]:
    if item.type == "Container":
        for container in (*pod.spec.containers, *pod.spec.init_containers):
            yield from _violations(item, parsed(container.resources.requests), parsed(container.resources.limits))
    elif item.type == "Pod":
        yield from _violations(item, pod_requests(pod, with_overhead=False), pod_limits(pod, with_overhead=False))


def _claim_violations(item: LimitRangeItem, claim: PersistentVolumeClaim) -> Iterator[str]:
    if item.type != "PersistentVolumeClaim":
        return
    requests = parsed(claim.spec.resources.requests)
    for name, bound in sorted(item.min.items()):
        yield from _below(item.type, name, parse(bound), requests, {})
    for name, bound in sorted(item.max.items()):
        most, request = parse(bound), requests.get(name)
        if request is None:
            yield f"maximum {name} usage per {item.type} is {most}.  No request is specified"
        elif most < request:
            yield f"maximum {name} usage per {item.type} is {most}, but request is {request}"


def _violations(item: LimitRangeItem, requests: Totals, limits: Totals) -> Iterator[str]:
    for name, bound in sorted(item.min.items()):
        yield from _below(item.type, name, parse(bound), requests, limits)
    for name, bound in sorted(item.max.items()):
        yield from _above(item.type, name, parse(bound), requests, limits)
    for name, ratio in sorted(item.max_limit_request_ratio.items()):
        yield from _over_ratio(item.type, name, parse(ratio), requests, limits)


def _below(kind: str, name: str, least: Quantity, requests: Totals, limits: Mapping[str, Quantity]) -> Iterator[str]:
    """Complain about the first of request and limit that is below the least."""
    request, limit = requests.get(name), limits.get(name)
    if request is None:
        yield f"minimum {name} usage per {kind} is {least}.  No request is specified"
    elif request < least:
        yield f"minimum {name} usage per {kind} is {least}, but request is {request}"
    elif limit is not None and limit < least:
        yield f"minimum {name} usage per {kind} is {least}, but limit is {limit}"


def _above(kind: str, name: str, most: Quantity, requests: Totals, limits: Totals) -> Iterator[str]:
    """Complain about the first of limit and request that is above the most."""
    request, limit = requests.get(name), limits.get(name)
    if limit is None:
        yield f"maximum {name} usage per {kind} is {most}.  No limit is specified"
    elif most < limit:
        yield f"maximum {name} usage per {kind} is {most}, but limit is {limit}"
    elif request is not None and most < request:
        yield f"maximum {name} usage per {kind} is {most}, but request is {request}"


def _over_ratio(kind: str, name: str, ratio: Quantity, requests: Totals, limits: Totals) -> Iterator[str]:
    request, limit = requests.get(name), limits.get(name)
    text = f"{name} max limit to request ratio per {kind} is {ratio}, but"
    if not request:
        yield f"{text} no request is specified or request is 0"
    elif not limit:
        yield f"{text} no limit is specified or limit is 0"
    # In whole nano-units, so that nothing is rounded.
    elif limit.nanos * 10**9 > ratio.nanos * request.nanos:
        yield f"{text} provided ratio is {limit.nanos / request.nanos:f}"
