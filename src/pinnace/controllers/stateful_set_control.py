"""One walk over a StatefulSet's ordinals: up through those that are to be there, down through those too many, down again to update.

Unless the set allows bursts, a walk ends at the first pod that is not yet as it should be. Upstream:
pkg/controller/statefulset/stateful_set_control.go.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping

from msgspec.structs import replace

from pinnace.api.apps_v1 import StatefulSet, StatefulSetStatus
from pinnace.api.core_v1 import Pod
from pinnace.controllers import controller_history
from pinnace.controllers import pods as pod_rules
from pinnace.controllers import statefulset_pods as rules
from pinnace.controllers.slow_start import slow_start
from pinnace.controllers.stateful_pod_control import StatefulPodControl
from pinnace.controllers.statefulset_history import Revisions

# What is done about one ordinal; tells whether a set that goes one by one stops there.
Step = Callable[[int], Awaitable[bool]]


class Walk:
    """A set, its revisions and its pods by ordinal, as one look sees them."""

    def __init__(
        self,
        control: StatefulPodControl,
        owner: StatefulSet,
        revisions: Revisions,
        pods: Mapping[int, Pod],
        now: float,
    ) -> None:
        self._control = control
        self._owner = owner
        self._revisions = revisions
        self._pods = pods
        self._now = now
        self._wanted = rules.ordinals(owner)
        self._condemned = sorted((ordinal for ordinal in pods if ordinal not in self._wanted), reverse=True)
        self._is_ordered = owner.spec.pod_management_policy != "Parallel"

    async def run(self) -> None:
        """Do what can be done now.

        Raises:
            ClaimGoes: a pod waits for its claim.
            ApiError: the server refused something.
        """
        if await self._each(self._wanted, self._keep):
            return
        for ordinal in self._condemned:
            await self._control.retain_or_not(self._owner, self._pods[ordinal], ordinal)
        if await self._each(self._condemned, self._take_away):
            return
        await self._update()

    async def _each(self, ordinals: Iterable[int], step: Step) -> bool:
        """Take a step for each ordinal: one by one until one stops, or all of them in growing batches."""
        if self._is_ordered:
            for ordinal in ordinals:
                if await step(ordinal):
                    return True
            return False

        async def attempt(ordinal: int) -> None:
            await step(ordinal)

        outcome = await slow_start(list(ordinals), attempt)
        if outcome.error is not None:
            raise outcome.error
        return False

    async def _keep(self, ordinal: int) -> bool:
        """See that a pod is there, has what it needs, and serves."""
        pod = self._pods.get(ordinal)
        if pod is None:
            await self._control.create(self._owner, self._made(ordinal), ordinal)
            return True
        if rules.has_ended(pod):
            if not rules.is_terminating(pod):
                await self._control.delete(self._owner, pod)
            return True
        if rules.is_terminating(pod):
            return True
        await self._control.mend(self._owner, pod, ordinal)
        return not self._is_healthy(pod)

    def _made(self, ordinal: int) -> Pod:
        revision = self._revisions.current if self._is_held_back(ordinal) else self._revisions.update
        template = controller_history.template_of(revision)
        return rules.make_pod(self._owner, template, revision.metadata.name, ordinal)

    def _is_held_back(self, ordinal: int) -> bool:
        """Tell whether an ordinal is made anew from the revision that the set comes from."""
        strategy = self._owner.spec.update_strategy
        if strategy.type != "RollingUpdate":
            return False
        partition = strategy.rolling_update.partition if strategy.rolling_update is not None else None
        held = self._owner.status.current_replicas if partition is None else partition
        return ordinal < rules.start_of(self._owner) + held

    async def _take_away(self, ordinal: int) -> bool:
        """Delete a pod that is one too many; one that does not serve waits for those below, but the lowest of them is free to go."""
        pod = self._pods[ordinal]
        broken = [other for other in self._condemned if not self._is_healthy(self._pods[other])]
        waits = self._is_ordered and ordinal in broken and ordinal != min(broken)
        if not rules.is_terminating(pod) and not waits:
            await self._control.delete(self._owner, pod)
        return True

    async def _update(self) -> None:
        """Delete the topmost pod of another revision, when all above it serve."""
        strategy = self._owner.spec.update_strategy
        if strategy.type != "RollingUpdate":
            return
        partition = (strategy.rolling_update.partition or 0) if strategy.rolling_update is not None else 0
        for ordinal in reversed(self._wanted[partition:]):
            pod = self._pods.get(ordinal)
            if pod is None:
                return
            if rules.revision_of(pod) != self._revisions.update.metadata.name and not rules.is_terminating(pod):
                await self._control.delete(self._owner, pod)
                return
            if not self._is_healthy(pod):
                return

    def _is_healthy(self, pod: Pod) -> bool:
        return rules.is_healthy(self._owner, pod, self._now)

    def status(self) -> StatefulSetStatus:
        """Return what the status is to say."""
        pods = list(self._pods.values())
        staying = [rules.revision_of(pod) for pod in pods if not rules.is_terminating(pod)]
        current, update = self._revisions.current.metadata.name, self._revisions.update.metadata.name
        ready = sum(rules.is_ready(pod) for pod in pods)
        updated = staying.count(update)
        is_rolling = self._owner.spec.update_strategy.type == "RollingUpdate"
        if is_rolling and len(pods) == ready == updated == len(self._wanted):
            current = update
        return replace(
            self._owner.status,
            observed_generation=self._owner.metadata.generation,
            replicas=len(pods),
            ready_replicas=ready,
            available_replicas=sum(rules.is_available(self._owner, pod, self._now) for pod in pods),
            current_replicas=staying.count(current),
            updated_replicas=updated,
            current_revision=current,
            update_revision=update,
            collision_count=self._revisions.collision_count,
        )

    def until_available(self) -> float | None:
        """Return the seconds until a ready pod becomes available."""
        seconds = self._owner.spec.min_ready_seconds
        waits = (pod_rules.available_in(pod, seconds, self._now) for pod in self._pods.values())
        return min((wait for wait in waits if wait), default=None)
