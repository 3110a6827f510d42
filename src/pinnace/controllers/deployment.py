"""Deployment: moves pods from one template to the next by scaling ReplicaSets (pkg/controller/deployment).

One step per look: a rolling update grows the new set as far as the surge allows, or shrinks old ones as far as availability allows;
a recreation waits until the old pods have gone. While paused, or when only the size has changed, sets keep their proportions. Every
write to a set has its resourceVersion as a precondition, so that a look at an outdated cache changes nothing.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, ClassVar

from msgspec.structs import replace

from pinnace.api import apps_v1, core_v1
from pinnace.client import Client, InformerFactory
from pinnace.component.clock import Clock
from pinnace.controllers import deployment_sets as rules
from pinnace.controllers import deployment_status as progress
from pinnace.controllers import ownership
from pinnace.controllers.controller import Controller
from pinnace.controllers.deployment_sets import replicas_of
from pinnace.controllers.pod_control import is_terminating
from pinnace.machinery import selectors
from pinnace.machinery.errors import AlreadyExists, ApiError, NotFound
from pinnace.machinery.meta import controller_of, is_controlled_by

DEFAULT_HISTORY_LIMIT = 10
_NO_LIMIT = 2**31 - 1

Sets = list[apps_v1.ReplicaSet]


class DeploymentController(Controller):
    """Reconciles Deployments."""

    name = "deployment-controller"
    component = "deployment-controller"
    retry_limit: ClassVar[int | None] = 15

    def __init__(self, client: Client, informers: InformerFactory, clock: Clock) -> None:
        super().__init__(client, informers, clock)
        self._deployments = informers.informer(apps_v1.Deployment)
        self._sets = informers.informer(apps_v1.ReplicaSet)
        self._pods = informers.informer(core_v1.Pod)
        for informer in (self._sets, self._pods):
            ownership.add_indexes(informer.cache)
        self._deployments.add_handler(self.enqueue, lambda _, new: self.enqueue(new))
        self._sets.add_handler(self._set_changed, self._set_updated, self._set_changed)
        self._pods.add_handler(on_delete=self._pod_deleted)

    async def reconcile(self, key: str) -> float | None:
        deployment = self._deployments.cache.get(key)
        if deployment is None:
            return None
        selector = selectors.from_label_selector(deployment.spec.selector)
        if selector.is_everything:
            text = "This deployment is selecting all pods. A non-empty selector is required."
            self.recorder.event(deployment, "Warning", "SelectingAll", text)
            return None
        sets = sorted(await ownership.claim(self.client, deployment, self._sets.cache, selector), key=rules.age_order)
        new = rules.new_set(deployment, sets)
        if deployment.metadata.deletion_timestamp is not None:
            now = self.clock.time()
            return await self._write(deployment, progress.counted(deployment, sets, new, now))
        deployment = await self._tell_pause(deployment)
        if deployment.spec.paused:
            return await self._keep_size(deployment, sets)
        if rules.ROLLBACK_TO in deployment.metadata.annotations:
            await self._roll_back(deployment, sets)
            return None
        if rules.is_scaling_event(deployment, sets):
            return await self._keep_size(deployment, sets)
        step = self._recreate if rules.is_recreate(deployment) else self._roll
        return await step(deployment, sets)

    # ── the ways of one look ──

    async def _keep_size(self, deployment: apps_v1.Deployment, sets: Sets) -> float | None:
        """Scale without a change of template: paused, or in the middle of a rollout."""
        deployment, new, old = await self._renew(deployment, sets)
        old, new = await self._scale_all(deployment, old, new)
        if deployment.spec.paused:
            old = await self._clean_up(deployment, old)
        everything = _all(old, new)
        return await self._write(deployment, progress.counted(deployment, everything, new, self.clock.time()))

    async def _roll(self, deployment: apps_v1.Deployment, sets: Sets) -> float | None:
        deployment, new, old = await self._renew(deployment, sets)
        if new is None:
            deployment, new = await self._create(deployment, old)
        before = replicas_of(new)
        if before > replicas_of(deployment):
            new = await self._scale(deployment, new, replicas_of(deployment))
        elif before < replicas_of(deployment):
            new = await self._scale(deployment, new, rules.grown(deployment, before, old))
        if replicas_of(new) == before:
            old = await self._shrink(deployment, old, new)
        return await self._finish(deployment, old, new)

    async def _recreate(self, deployment: apps_v1.Deployment, sets: Sets) -> float | None:
        deployment, new, old = await self._renew(deployment, sets)
        if rules.active(old):
            old = [await self._scale(deployment, item, 0) for item in old]
            return await self._finish(deployment, old, new)
        if self._have_pods(old):
            return await self._finish(deployment, old, new)
        if new is None:
            deployment, new = await self._create(deployment, old)
        new = await self._scale(deployment, new, replicas_of(deployment))
        return await self._finish(deployment, old, new)

    async def _finish(self, deployment: apps_v1.Deployment, old: Sets, new: apps_v1.ReplicaSet | None) -> float | None:
        if progress.is_complete(deployment, deployment.status):
            old = await self._clean_up(deployment, old)
        return await self._write(deployment, progress.rolled(deployment, _all(old, new), new, self.clock.time()))

    async def _roll_back(self, deployment: apps_v1.Deployment, sets: Sets) -> None:
        """Put back the template of a former revision, the last but one for 0; the request is taken away in any case."""
        text = deployment.metadata.annotations[rules.ROLLBACK_TO]
        revision = int(text) if text.isdecimal() else 0
        if not revision:
            revisions = sorted(map(rules.revision_of, sets))
            revision = revisions[-2] if len(revisions) > 1 else 0
        found = next((item for item in sets if revision and rules.revision_of(item) == revision), None)
        annotations = {
            name: value for name, value in deployment.metadata.annotations.items() if name != rules.ROLLBACK_TO
        }
        changed = deployment
        if found is None:
            self._warn(deployment, "DeploymentRollbackRevisionNotFound", "Unable to find the revision to rollback to.")
        elif rules.same_template(found, deployment):
            name = deployment.metadata.name
            text = f'The rollback revision contains the same template as current deployment "{name}"'
            self._warn(deployment, "DeploymentRollbackTemplateUnchanged", text)
        else:
            changed = replace(changed, spec=replace(changed.spec, template=rules.bare(found.spec.template)))
            text = f'Rolled back deployment "{deployment.metadata.name}" to revision {revision}'
            self.recorder.event(deployment, "Normal", "DeploymentRollback", text)
        await self.client.update(replace(changed, metadata=replace(changed.metadata, annotations=annotations)))

    # ── the sets ──

    async def _renew(
        self, deployment: apps_v1.Deployment, sets: Sets
    ) -> tuple[apps_v1.Deployment, apps_v1.ReplicaSet | None, Sets]:
        """Keep the new set's annotations and the Deployment's revision current; return (Deployment, new set, old sets)."""
        new = rules.new_set(deployment, sets)
        old = [item for item in sets if item is not new]
        if new is None:
            return deployment, None, old
        annotations = rules.renewed_annotations(deployment, new, old)
        if annotations or new.spec.min_ready_seconds != deployment.spec.min_ready_seconds:
            spec = {"minReadySeconds": deployment.spec.min_ready_seconds}
            new = await self._patch_set(new, annotations, spec)
        deployment = await self._show_revision(deployment, new)
        if progress.has_deadline(deployment) and not any(
            item.type == progress.PROGRESSING for item in deployment.status.conditions
        ):
            text = f'Found new replica set "{new.metadata.name}"'
            now = self.clock.time()
            deployment = progress.with_progressing(deployment, "True", "FoundNewReplicaSet", text, now)
            deployment = await self.write_status(deployment, deployment.status)
        return deployment, new, old

    async def _show_revision(self, deployment: apps_v1.Deployment, new: apps_v1.ReplicaSet) -> apps_v1.Deployment:
        revision = new.metadata.annotations.get(rules.REVISION, "")
        metadata = deployment.metadata
        if metadata.annotations.get(rules.REVISION) == revision:
            return deployment
        annotations = {**metadata.annotations, rules.REVISION: revision}
        stored = await self.client.update(replace(deployment, metadata=replace(metadata, annotations=annotations)))
        # Of the answer only what makes the next write valid: the status in hand may know more than the stored one.
        return replace(deployment, metadata=stored.metadata)

    async def _create(self, deployment: apps_v1.Deployment, old: Sets) -> tuple[apps_v1.Deployment, apps_v1.ReplicaSet]:
        made = rules.first_form(deployment, old)
        name, now = made.metadata.name, self.clock.time()
        try:
            created = await self.client.create(made)
        except AlreadyExists:
            # Either the cache is late, or another template has this hash: then the next look uses another one.
            there = await self.client.get(apps_v1.ReplicaSet, name, made.metadata.namespace)
            if is_controlled_by(there, deployment.metadata.uid) and rules.same_template(there, deployment):
                return deployment, there
            status = replace(deployment.status, collision_count=(deployment.status.collision_count or 0) + 1)
            await self.write_status(deployment, status)
            raise
        except ApiError as error:
            if not is_terminating(error):
                text = f'Failed to create new replica set "{name}": {error}'
                self._warn(deployment, "ReplicaSetCreateError", text)
                failed = progress.with_progressing(deployment, "False", "ReplicaSetCreateError", text, now)
                if failed.status != deployment.status:
                    await self.write_status(deployment, failed.status)
            raise
        if created.spec.replicas:
            self._tell_scaled(deployment, created, 0)
        deployment = await self._show_revision(deployment, created)
        text = f'Created new replica set "{name}"'
        return progress.with_progressing(deployment, "True", "NewReplicaSetCreated", text, now), created

    async def _shrink(self, deployment: apps_v1.Deployment, old: Sets, new: apps_v1.ReplicaSet) -> Sets:
        """Take pods from the old sets, those first that do not serve anyway, as long as enough are available."""
        least = replicas_of(deployment) - rules.bounds(deployment)[1]
        unavailable = replicas_of(new) - new.status.available_replicas
        budget = rules.total([*old, new]) - least - unavailable
        if budget <= 0 or not rules.active(old):
            return old
        cleaned = []
        for item in old:
            step = min(budget, max(replicas_of(item) - item.status.available_replicas, 0))
            budget -= step
            cleaned.append(await self._scale(deployment, item, replicas_of(item) - step) if step else item)
        spare = rules.available([*cleaned, new]) - least
        shrunk = []
        for item in cleaned:
            step = min(replicas_of(item), max(spare, 0))
            spare -= step
            shrunk.append(await self._scale(deployment, item, replicas_of(item) - step) if step else item)
        return shrunk

    async def _scale_all(
        self, deployment: apps_v1.Deployment, old: Sets, new: apps_v1.ReplicaSet | None
    ) -> tuple[Sets, apps_v1.ReplicaSet | None]:
        """Bring the sets to the Deployment's size, each keeping its part."""
        everything = _all(old, new)
        active, replicas = rules.active(everything), replicas_of(deployment)
        if len(active) > 1 and new is not None and _is_saturated(deployment, new):
            sizes = {item.metadata.name: 0 for item in old}
        elif len(active) > 1:
            sizes = {} if rules.is_recreate(deployment) else rules.proportional(deployment, active)
        else:
            only = active[0] if active else new or (old[-1] if old else None)
            sizes = {only.metadata.name: replicas} if only is not None else {}
        scaled = {
            item.metadata.name: await self._scale(deployment, item, sizes[item.metadata.name])
            for item in everything
            if item.metadata.name in sizes
        }
        kept = [scaled.get(item.metadata.name, item) for item in old]
        return kept, scaled.get(new.metadata.name, new) if new is not None else None

    async def _scale(
        self, deployment: apps_v1.Deployment, item: apps_v1.ReplicaSet, replicas: int
    ) -> apps_v1.ReplicaSet:
        limits, before = rules.limits(deployment), replicas_of(item)
        if before == replicas and all(item.metadata.annotations.get(name) == value for name, value in limits.items()):
            return item
        scaled = await self._patch_set(item, limits, {"replicas": replicas})
        if before != replicas:
            self._tell_scaled(deployment, scaled, before)
        return scaled

    async def _patch_set(
        self, item: apps_v1.ReplicaSet, annotations: Mapping[str, str], spec: Mapping[str, int]
    ) -> apps_v1.ReplicaSet:
        metadata = item.metadata
        patch: dict[str, Any] = {
            "metadata": {"resourceVersion": metadata.resource_version, "annotations": dict(annotations)},
            "spec": dict(spec),
        }
        return await self.client.patch(apps_v1.ReplicaSet, metadata.name, patch, namespace=metadata.namespace)

    async def _clean_up(self, deployment: apps_v1.Deployment, old: Sets) -> Sets:
        """Delete the oldest sets beyond the history's limit."""
        limit = deployment.spec.revision_history_limit
        limit = DEFAULT_HISTORY_LIMIT if limit is None else limit
        alive = [item for item in old if item.metadata.deletion_timestamp is None]
        if limit == _NO_LIMIT or len(alive) <= limit:
            return old
        doomed = []
        for item in sorted(alive, key=rules.revision_of)[: len(alive) - limit]:
            idle = not replicas_of(item) and not item.status.replicas
            if not idle or item.metadata.generation > item.status.observed_generation:
                continue
            metadata = item.metadata
            with suppress(NotFound):
                await self.client.delete(apps_v1.ReplicaSet, metadata.name, metadata.namespace, uid=metadata.uid)
            doomed.append(item)
        return [item for item in old if item not in doomed]

    def _have_pods(self, sets: Sequence[apps_v1.ReplicaSet]) -> bool:
        return any(
            pod.status.phase not in {"Succeeded", "Failed"}
            for item in sets
            for pod in ownership.owned(self._pods.cache, item)
        )

    # ── what is told ──

    async def _tell_pause(self, deployment: apps_v1.Deployment) -> apps_v1.Deployment:
        told = progress.with_pause(deployment, self.clock.time())
        return deployment if told is deployment else await self.write_status(deployment, told.status)

    async def _write(self, deployment: apps_v1.Deployment, status: apps_v1.DeploymentStatus) -> float | None:
        """Store a status that differs from the stored one, and return when to look again."""
        stored = self._deployments.cache.get(f"{deployment.metadata.namespace}/{deployment.metadata.name}")
        if stored is None or status != stored.status or status != deployment.status:
            try:
                await self.write_status(deployment, status)
            except NotFound:
                return None
        return progress.look_again_seconds(deployment, status, self.clock.time())

    def _tell_scaled(self, deployment: apps_v1.Deployment, item: apps_v1.ReplicaSet, before: int) -> None:
        direction = "up" if replicas_of(item) > before else "down"
        text = f"Scaled {direction} replica set {item.metadata.name} from {before} to {replicas_of(item)}"
        self.recorder.event(deployment, "Normal", "ScalingReplicaSet", text)

    def _warn(self, deployment: apps_v1.Deployment, reason: str, text: str) -> None:
        self.recorder.event(deployment, "Warning", reason, text)

    # ── what the informers tell ──

    def _set_changed(self, item: apps_v1.ReplicaSet) -> None:
        key = ownership.owner_key(item, "Deployment")
        if key is not None:
            self.enqueue_key(key)
        elif controller_of(item.metadata.owner_references) is None and item.metadata.labels:
            for deployment in self._deployments.cache.list(item.metadata.namespace):
                if selectors.from_label_selector(deployment.spec.selector).matches(item.metadata.labels):
                    self.enqueue(deployment)

    def _set_updated(self, old: apps_v1.ReplicaSet, new: apps_v1.ReplicaSet) -> None:
        before = ownership.owner_key(old, "Deployment")
        if before is not None and before != ownership.owner_key(new, "Deployment"):
            self.enqueue_key(before)
        self._set_changed(new)

    def _pod_deleted(self, pod: core_v1.Pod) -> None:
        """A recreation may have waited for this one."""
        key = ownership.owner_key(pod, "ReplicaSet")
        found = self._sets.cache.get(key) if key is not None else None
        if found is not None:
            self._set_changed(found)


def _all(old: Sets, new: apps_v1.ReplicaSet | None) -> Sets:
    return [*old, new] if new is not None else list(old)


def _is_saturated(deployment: apps_v1.Deployment, new: apps_v1.ReplicaSet) -> bool:
    replicas = replicas_of(deployment)
    return (
        replicas_of(new) == replicas
        and new.metadata.annotations.get(rules.DESIRED) == str(replicas)
        and new.status.available_replicas == replicas
    )
