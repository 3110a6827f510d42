"""ResourceQuota: what would use more than a namespace may have is refused; what is let in is charged before it is stored.

The charge is a write of the quota's status at the version it was read, so two servers cannot both spend the last of it. Requests
of one namespace that come together are charged by whichever of them comes to hold the namespace's lock, in one write. A charge
for a write that fails afterwards stays until the quota controller counts anew, as upstream. Upstream:
apiserver `admission/plugin/resourcequota`.
"""

import asyncio
from typing import Any, Protocol

from msgspec import Struct, field
from msgspec.structs import replace

from pinnace.api.core_v1 import ResourceQuota
from pinnace.api.pod_totals import Totals, parsed
from pinnace.api.quota import Evaluator, evaluator_of, is_within, shown
from pinnace.apiserver.admission.interface import CREATE, UPDATE, Attributes, Objects, Plugin, S, Target
from pinnace.component.clock import Clock
from pinnace.machinery.errors import ApiError, Conflict, NotFound

# Attempts at a charge, when the quota changes under it; the controller writes it seldom.
ATTEMPTS = 5
_UPDATED = frozenset({("", "persistentvolumeclaims", ""), ("", "services", ""), ("", "pods", "resize")})
# What is never stored, and what comes and goes by itself.
_UNCOUNTED = frozenset({"bindings", "events", "componentstatuses"})
_REVIEWS = frozenset({"authentication.k8s.io", "authorization.k8s.io"})


class Quotas(Objects, Protocol):
    """The objects, and the one write that a charge is."""

    async def update(self, obj: S, subresource: str = "") -> S: ...


class _Request(Struct, eq=False):
    """One write that waits to be charged."""

    attributes: Attributes
    evaluator: Evaluator
    obj: Any
    old: Any
    is_done: bool = False
    refusal: ApiError | None = None


class _Line(Struct):
    """Those who wait for their charges in one namespace."""

    waiting: list[_Request] = field(default_factory=list)
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class QuotaAdmission(Plugin):
    """Keeps namespaces within their quotas."""

    name = "ResourceQuota"

    def __init__(self, objects: Quotas, clock: Clock) -> None:
        self._objects = objects
        self._clock = clock
        self._lines: dict[str, _Line] = {}

    def handles(self, target: Target) -> bool:
        if target.operation == UPDATE:
            return (target.group, target.resource, target.subresource) in _UPDATED
        if target.operation != CREATE or target.subresource:
            return False
        return target.resource not in _UNCOUNTED and target.group not in _REVIEWS

    async def validate(self, attributes: Attributes, obj: Any, old: Any) -> None:
        namespace = attributes.namespace
        if not namespace or not await self._objects.list(ResourceQuota, namespace):
            return
        request = _Request(attributes, evaluator_of(attributes.group, attributes.resource), obj, old)
        line = self._lines.setdefault(namespace, _Line())
        line.waiting.append(request)
        try:
            async with line.lock:
                if not request.is_done:
                    await self._settle(namespace, line)
        finally:
            if request in line.waiting:
                line.waiting.remove(request)
            if not line.waiting and not line.lock.locked():
                self._lines.pop(namespace, None)
        if request.refusal is not None:
            raise request.refusal

    async def _settle(self, namespace: str, line: _Line) -> None:
        """Charge all who wait; whoever is left when this is cancelled waits on for the next to hold the lock."""
        batch, line.waiting = line.waiting, []
        try:
            await self._charge(namespace, batch)
        except ApiError as failure:
            for request in batch:
                request.refusal = request.refusal or failure
        except asyncio.CancelledError:
            line.waiting = batch + line.waiting
            raise
        for request in batch:
            request.is_done = True

    async def _charge(self, namespace: str, batch: list[_Request]) -> None:
        written: set[str] = set()
        for attempt in range(ATTEMPTS):
            quotas = await self._objects.list(ResourceQuota, namespace)
            open_quotas = [quota for quota in quotas if quota.metadata.name not in written]
            used = {quota.metadata.name: parsed(quota.status.used) for quota in open_quotas}
            for request in batch:
                if request.refusal is None:
                    self._admit(request, open_quotas, used)
            try:
                for quota in open_quotas:
                    await self._write(quota, used[quota.metadata.name])
                    written.add(quota.metadata.name)
            except Conflict:
                if attempt + 1 == ATTEMPTS:
                    raise
            else:
                return

    async def _write(self, quota: ResourceQuota, used: Totals) -> None:
        if used == parsed(quota.status.used):
            return
        texts = {name: str(amount) for name, amount in sorted(used.items())}
        try:
            await self._objects.update(replace(quota, status=replace(quota.status, used=texts)), "status")
        except NotFound:
            return  # a quota that is gone bounds nothing

    def _admit(self, request: _Request, quotas: list[ResourceQuota], used: dict[str, Totals]) -> None:
        """Add what a request uses to what is used, or refuse it where that is too much; a refused one adds nothing."""
        charged: dict[str, Totals] = {}
        for quota in quotas:
            name = quota.metadata.name
            try:
                charged[name] = _charged(request, quota, used[name], self._clock.time())
            except ApiError as refusal:
                request.refusal = refusal
                return
        if not request.attributes.dry_run:
            used.update(charged)


def _charged(request: _Request, quota: ResourceQuota, used: Totals, now: float) -> Totals:
    """Return what is used of a quota with a request.

    Raises:
        Forbidden: it would be too much, or cannot be told.
    """
    attributes, evaluator, obj = request.attributes, request.evaluator, request.obj
    hard = parsed(quota.status.hard)
    required = [name for name in hard if evaluator.counts(name)]
    if not required or not is_within(quota, evaluator, obj):
        return used
    name = quota.metadata.name
    missing = evaluator.missing(required, obj)
    if missing:
        raise attributes.refuse(f"failed quota: {name}: {missing}", obj)
    if any(resource not in used for resource in required):
        text = f"status unknown for quota: {name}, resources: {','.join(sorted(required))}"
        raise attributes.refuse(text, obj)
    asked = evaluator.usage(obj, now)
    negative = sorted(resource for resource, amount in asked.items() if amount.nanos < 0)
    if negative:
        raise attributes.refuse(f"quota usage is negative for resource(s): {','.join(negative)}", obj)
    if request.old is not None and is_within(quota, evaluator, request.old):
        asked = _grown(asked, evaluator.usage(request.old, now))
    asked = {resource: amount for resource, amount in asked.items() if amount and resource in hard}
    total = {resource: used[resource] + amount for resource, amount in asked.items()}
    over = [resource for resource, amount in total.items() if hard[resource] < amount]
    if over:
        requested = shown({resource: asked[resource] for resource in over})
        before = shown({resource: used[resource] for resource in over})
        limited = shown({resource: hard[resource] for resource in over})
        text = f"exceeded quota: {name}, requested: {requested}, used: {before}, limited: {limited}"
        raise attributes.refuse(text, obj)
    return {**used, **total}


def _grown(new: Totals, old: Totals) -> Totals:
    """Return by how much usage grows; what shrinks frees nothing until the controller has counted."""
    grown: Totals = {}
    for name, amount in new.items():
        more = amount - old[name] if name in old else amount
        if more.nanos > 0:
            grown[name] = more
    return grown
