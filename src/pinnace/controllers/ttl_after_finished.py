"""TTL after finished: deletes Jobs some time after they have ended (pkg/controller/ttlafterfinished)."""

from contextlib import suppress

from pinnace.api.batch_v1 import Job
from pinnace.client import Client, InformerFactory
from pinnace.component.clock import Clock
from pinnace.controllers import conditions
from pinnace.controllers.controller import Controller
from pinnace.controllers.job_account import COMPLETE, FAILED
from pinnace.machinery import timestamps
from pinnace.machinery.errors import NotFound
from pinnace.machinery.meta import split_key


class TTLAfterFinishedController(Controller):
    """Deletes Jobs whose time is over."""

    name = "ttl-after-finished-controller"
    component = "ttl-after-finished-controller"

    def __init__(self, client: Client, informers: InformerFactory, clock: Clock) -> None:
        super().__init__(client, informers, clock)
        self._jobs = informers.informer(Job)
        self._jobs.add_handler(self._seen, lambda _, new: self._seen(new))

    def _seen(self, job: Job) -> None:
        if job.metadata.deletion_timestamp is None and _ends_at(job) is not None:
            self.enqueue(job)

    async def reconcile(self, key: str) -> float | None:
        known = self._jobs.cache.get(key)
        if known is None or (wait := self._wait(known)) is None:
            return None
        if wait > 0.0:
            return wait
        namespace, name = split_key(key)
        with suppress(NotFound):
            # What is deleted for good is looked at once more as it is now.
            job = await self.client.get(Job, name, namespace)
            wait = self._wait(job)
            if wait is None or wait > 0.0:
                return wait
            await self.client.delete(Job, name, namespace, uid=job.metadata.uid, propagation_policy="Foreground")
        return None

    def _wait(self, job: Job) -> float | None:
        """Return the seconds that a Job has left, None when it is not to be deleted."""
        end = _ends_at(job)
        return None if end is None or job.metadata.deletion_timestamp is not None else max(end - self.clock.time(), 0.0)


def _ends_at(job: Job) -> float | None:
    seconds = job.spec.ttl_seconds_after_finished
    ends = (conditions.find(job.status.conditions, kind) for kind in (COMPLETE, FAILED))
    end = next((item for item in ends if item is not None and item.status == "True"), None)
    if seconds is None or end is None or not end.last_transition_time:
        return None
    return timestamps.parse(end.last_transition_time) + seconds
