"""ResourceQuota: counts anew what the objects of a namespace use (pkg/controller/resourcequota).

Admission only adds to a quota's usage; whatever frees some (an object that goes, a pod that ends) is found here, and so is a charge for
a write that failed. What is counted is known from the informers of every kind. Every quota is counted again every five minutes.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Never

from pinnace.api.core_v1 import PersistentVolumeClaim, Pod, ResourceQuota, ResourceQuotaStatus, Service
from pinnace.api.pod_totals import Totals, add, parsed, pod_limits, pod_requests
from pinnace.api.quota import Evaluator, evaluator_of, is_finished, is_within
from pinnace.api.resources import RESOURCES
from pinnace.client import Cache, Client, InformerFactory
from pinnace.component.clock import Clock
from pinnace.controllers.controller import Controller
from pinnace.machinery.meta import key as key_of
from pinnace.machinery.quantity import of_value

RESYNC_SECONDS = 300.0
# For so long after a charge the object it is for may not have been seen, so that a lower count is not believed.
_SETTLE_SECONDS = 0.25
_NOTHING = of_value(0)


class ResourceQuotaController(Controller):
    """Keeps the status of ResourceQuotas."""

    name = "resourcequota-controller"
    component = "resourcequota-controller"

    def __init__(self, client: Client, informers: InformerFactory, clock: Clock) -> None:
        super().__init__(client, informers, clock)
        self._quotas = informers.informer(ResourceQuota)
        self._quotas.add_handler(self.enqueue, self._quota_changed, self._quota_gone)
        # When a quota was last charged by admission, by the monotonic clock.
        self._charged: dict[str, float] = {}
        self._counted: list[tuple[Evaluator, Cache[Any]]] = []
        seen: set[tuple[str, str]] = set()
        for resource in RESOURCES:
            name = (resource.group, resource.plural)
            if not resource.namespaced or not {"list", "watch"} <= set(resource.verbs) or name in seen:
                continue
            # A second version of a kind shows the same objects; events come and go by themselves.
            seen.add(name)
            if resource.plural == "events":
                continue
            evaluator, informer = evaluator_of(*name), informers.informer(resource.type)
            self._counted.append((evaluator, informer.cache))
            informer.add_handler(
                on_update=partial(self._changed, evaluator, _CHANGES.get(resource.type)),
                on_delete=partial(self._freed, evaluator),
            )

    async def run_beside(self) -> Never:
        await self.every(RESYNC_SECONDS, self._resync)

    async def _resync(self) -> None:
        for quota in self._quotas.cache.list():
            self.enqueue(quota)

    # ── what the informers tell ──

    def _quota_changed(self, old: ResourceQuota, new: ResourceQuota) -> None:
        if old.status.used != new.status.used:
            self._charged[key_of(new)] = self.clock.monotonic()
        # The status is written here and by admission, and is no reason to count.
        if old.spec != new.spec or new.status.hard != new.spec.hard:
            self.enqueue(new)

    def _quota_gone(self, quota: ResourceQuota) -> None:
        self._charged.pop(key_of(quota), None)

    def _changed(
        self, evaluator: Evaluator, matters: Callable[[Any, Any, float], bool] | None, old: Any, new: Any
    ) -> None:
        if matters is not None and matters(old, new, self.clock.time()):
            self._freed(evaluator, new)

    def _freed(self, evaluator: Evaluator, obj: Any) -> None:
        for quota in self._concerned(evaluator, obj):
            self.enqueue(quota)

    def _concerned(self, evaluator: Evaluator, obj: Any) -> list[ResourceQuota]:
        quotas = self._quotas.cache.list(obj.metadata.namespace)
        return [quota for quota in quotas if any(evaluator.counts(name) for name in quota.spec.hard)]

    # ── counting ──

    async def reconcile(self, key: str) -> float | None:
        quota: ResourceQuota | None = self._quotas.cache.get(key)
        if quota is None:
            return None
        counted, known = self._usage(quota), parsed(quota.status.used)
        if quota.status.hard == quota.spec.hard:
            if counted == known:
                return None
            wait = self._charged.get(key, -_SETTLE_SECONDS) + _SETTLE_SECONDS - self.clock.monotonic()
            if wait > 0.0 and any(amount < known.get(name, _NOTHING) for name, amount in counted.items()):
                return wait
        used = {name: str(amount) for name, amount in sorted(counted.items())}
        await self.write_status(quota, ResourceQuotaStatus(hard=quota.spec.hard, used=used))
        return None

    def _usage(self, quota: ResourceQuota) -> Totals:
        """Return what is used of each resource that the quota bounds and that some kind is measured by."""
        total: Totals = {}
        now = self.clock.time()
        for evaluator, cache in self._counted:
            bounded = [name for name in quota.spec.hard if evaluator.counts(name)]
            if not bounded:
                continue
            mine: Totals = dict.fromkeys(bounded, _NOTHING)
            for obj in cache.list(quota.metadata.namespace):
                if is_within(quota, evaluator, obj):
                    usage = evaluator.usage(obj, now)
                    add(mine, {name: usage[name] for name in bounded if name in usage})
            total |= mine
        return total


def _pod_frees(old: Pod, new: Pod, now: float) -> bool:
    """Tell whether a pod has ended, or asks for another amount."""
    if is_finished(new, now):
        return not is_finished(old, now)
    return (pod_requests(old), pod_limits(old)) != (pod_requests(new), pod_limits(new))


def _service_frees(old: Service, new: Service, _: float) -> bool:
    return old.spec != new.spec


def _claim_frees(old: PersistentVolumeClaim, new: PersistentVolumeClaim, _: float) -> bool:
    return (old.spec, old.status) != (new.spec, new.status)


# Changes of objects that may free something; of other kinds only the end does.
_CHANGES: Mapping[Any, Callable[[Any, Any, float], bool]] = {
    Pod: _pod_frees,
    Service: _service_frees,
    PersistentVolumeClaim: _claim_frees,
}
