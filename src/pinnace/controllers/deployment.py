"""Deployment: moves pods from one template to the next by scaling ReplicaSets (pkg/controller/deployment).

The set whose template equals the Deployment's is the new one; it is made when there is none. A rolling update takes one step per
look: it grows the new set as far as the surge allows, or shrinks old ones as far as availability allows. Sets are named after a hash
of the template; the hash is never compared.
"""

from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from pinnace.api import apps_v1, codec, core_v1
from pinnace.api.meta_v1 import LabelSelector, ObjectMeta
from pinnace.client import Client, InformerFactory
from pinnace.component.clock import Clock
from pinnace.controllers import pods as pod_rules
from pinnace.controllers.controller import Controller
from pinnace.machinery import intstr, timestamps
from pinnace.machinery.errors import AlreadyExists, ApiError
from pinnace.machinery.hashing import template_hash
from pinnace.machinery.meta import controller_of

HASH_LABEL = "pod-template-hash"
_PREFIX = "deployment.kubernetes.io/"
REVISION, DESIRED, MAXIMUM = f"{_PREFIX}revision", f"{_PREFIX}desired-replicas", f"{_PREFIX}max-replicas"
_NOT_COPIED = frozenset({
    REVISION,
    DESIRED,
    MAXIMUM,
    f"{_PREFIX}revision-history",
    "kubectl.kubernetes.io/last-applied-configuration",
})
_BY_OWNER = "controller uid"
DEFAULT_HISTORY_LIMIT = 10


class DeploymentController(Controller):
    """Reconciles Deployments."""

    name = "deployment-controller"
    component = "deployment-controller"

    def __init__(self, client: Client, informers: InformerFactory, clock: Clock) -> None:
        super().__init__(client, informers, clock)
        self._deployments = informers.informer(apps_v1.Deployment)
        self._sets = informers.informer(apps_v1.ReplicaSet)
        self._pods = informers.informer(core_v1.Pod)
        for informer in (self._sets, self._pods):
            informer.cache.add_index(_BY_OWNER, lambda obj: (pod_rules.controller_uid(obj),))
        self._deployments.add_handler(self.enqueue, lambda _, new: self.enqueue(new))
        self._sets.add_handler(self._set_changed, lambda _, new: self._set_changed(new), self._set_changed)
        self._pods.add_handler(on_delete=self._pod_deleted)

    async def reconcile(self, key: str) -> float | None:
        deployment = self._deployments.cache.get(key)
        if deployment is None:
            return None
        sets = sorted(self._sets.cache.by_index(_BY_OWNER, deployment.metadata.uid), key=_age)
        if deployment.metadata.deletion_timestamp is None:
            sets = await self._progress(deployment, sets)
        await self._write_status(deployment, sets)
        return None

    async def _progress(
        self, deployment: apps_v1.Deployment, sets: list[apps_v1.ReplicaSet]
    ) -> list[apps_v1.ReplicaSet]:
        """Take the next step, and return the sets as they are after it."""
        new = _new_set(deployment, sets)
        old = [item for item in sets if item is not new]
        if deployment.spec.paused:
            return sets if new is None else [*old, await self._scale(deployment, new, _replicas(deployment))]
        if new is None:
            if _is_recreate(deployment) and (any(map(_wanted, old)) or self._has_pods(old)):
                return [await self._scale(deployment, item, 0) for item in old]
            return [*old, await self._create(deployment, sets)]
        new = await self._annotate(deployment, new, sets)
        if _is_recreate(deployment):
            old = [await self._scale(deployment, item, 0) for item in old]
            if not self._has_pods(old):
                new = await self._scale(deployment, new, _replicas(deployment))
        else:
            old, new = await self._roll(deployment, old, new)
        if _is_complete(deployment, [*old, new], new):
            old = await self._clean_up(deployment, old)
        return [*old, new]

    async def _roll(
        self, deployment: apps_v1.Deployment, old: list[apps_v1.ReplicaSet], new: apps_v1.ReplicaSet
    ) -> tuple[list[apps_v1.ReplicaSet], apps_v1.ReplicaSet]:
        replicas = _replicas(deployment)
        surge, unavailable = bounds(deployment)
        total = sum(map(_wanted, old)) + _wanted(new)
        if _wanted(new) > replicas:
            return old, await self._scale(deployment, new, replicas)
        if _wanted(new) < replicas and total < replicas + surge:
            more = min(replicas + surge - total, replicas - _wanted(new))
            return old, await self._scale(deployment, new, _wanted(new) + more)
        budget = total - (replicas - unavailable) - (_wanted(new) - new.status.available_replicas)
        if budget <= 0 or not any(map(_wanted, old)):
            return old, new
        old = await self._shrink_unhealthy(deployment, old, budget)
        available = sum(item.status.available_replicas for item in [*old, new])
        left = available - (replicas - unavailable)
        shrunk = []
        for item in old:
            step = min(_wanted(item), max(left, 0))
            left -= step
            shrunk.append(await self._scale(deployment, item, _wanted(item) - step))
        return shrunk, new

    async def _shrink_unhealthy(
        self, deployment: apps_v1.Deployment, old: list[apps_v1.ReplicaSet], budget: int
    ) -> list[apps_v1.ReplicaSet]:
        """Take the old pods first that do not serve anyway, oldest sets first."""
        left, out = budget, []
        for item in old:
            step = min(left, max(_wanted(item) - item.status.available_replicas, 0))
            left -= step
            out.append(await self._scale(deployment, item, _wanted(item) - step))
        return out

    def _has_pods(self, sets: Sequence[apps_v1.ReplicaSet]) -> bool:
        return any(
            pod.status.phase not in {"Succeeded", "Failed"}
            for item in sets
            for pod in self._pods.cache.by_index(_BY_OWNER, item.metadata.uid)
        )

    async def _create(self, deployment: apps_v1.Deployment, sets: Sequence[apps_v1.ReplicaSet]) -> apps_v1.ReplicaSet:
        made = _first_form(deployment, sets)
        try:
            created = await self.client.create(made)
        except AlreadyExists:
            # Either the cache is late, or another template has this hash: then the next look uses another one.
            there = await self.client.get(apps_v1.ReplicaSet, made.metadata.name, made.metadata.namespace)
            if controller_of(there.metadata.owner_references) is not None and _same_template(there, deployment):
                return there
            count = (deployment.status.collision_count or 0) + 1
            status = replace(deployment.status, collision_count=count)
            await self.client.update(replace(deployment, status=status), subresource="status")
            raise
        except ApiError as error:
            text = f'Failed to create new replica set "{made.metadata.name}": {error}'
            self.recorder.event(deployment, "Warning", "ReplicaSetCreateError", text)
            raise
        if created.spec.replicas:
            self._tell_scaled(deployment, created, 0)
        return created

    async def _annotate(
        self, deployment: apps_v1.Deployment, new: apps_v1.ReplicaSet, sets: Sequence[apps_v1.ReplicaSet]
    ) -> apps_v1.ReplicaSet:
        """Keep the new set's revision the highest, and the Deployment's equal to it."""
        highest = max((_revision(item) for item in sets if item is not new), default=0)
        revision = _revision(new) if _revision(new) > highest else highest + 1
        if _revision(new) != revision:
            new = await self._annotated(new, {REVISION: str(revision)})
        if deployment.metadata.annotations.get(REVISION) != str(revision):
            annotations = {**deployment.metadata.annotations, REVISION: str(revision)}
            await self.client.update(
                replace(deployment, metadata=replace(deployment.metadata, annotations=annotations))
            )
        return new

    async def _annotated(self, item: apps_v1.ReplicaSet, annotations: Mapping[str, str]) -> apps_v1.ReplicaSet:
        patch = {"metadata": {"annotations": dict(annotations)}}
        return await self.client.patch(apps_v1.ReplicaSet, item.metadata.name, patch, namespace=item.metadata.namespace)

    async def _scale(
        self, deployment: apps_v1.Deployment, item: apps_v1.ReplicaSet, replicas: int
    ) -> apps_v1.ReplicaSet:
        limits = _limits(deployment)
        before = _wanted(item)
        if before == replicas and all(item.metadata.annotations.get(name) == value for name, value in limits.items()):
            return item
        patch = {"metadata": {"annotations": limits}, "spec": {"replicas": replicas}}
        scaled = await self.client.patch(
            apps_v1.ReplicaSet, item.metadata.name, patch, namespace=item.metadata.namespace
        )
        if before != replicas:
            self._tell_scaled(deployment, scaled, before)
        return scaled

    def _tell_scaled(self, deployment: apps_v1.Deployment, item: apps_v1.ReplicaSet, before: int) -> None:
        direction = "up" if _wanted(item) > before else "down"
        text = f"Scaled {direction} replica set {item.metadata.name} from {before} to {_wanted(item)}"
        self.recorder.event(deployment, "Normal", "ScalingReplicaSet", text)

    async def _clean_up(
        self, deployment: apps_v1.Deployment, old: list[apps_v1.ReplicaSet]
    ) -> list[apps_v1.ReplicaSet]:
        """Delete the oldest sets beyond the history's limit."""
        limit = deployment.spec.revision_history_limit
        keep = DEFAULT_HISTORY_LIMIT if limit is None else limit
        idle = [item for item in sorted(old, key=_revision) if not _wanted(item) and not item.status.replicas]
        doomed = idle[: max(len(old) - keep, 0)]
        for item in doomed:
            await self.client.delete(
                apps_v1.ReplicaSet, item.metadata.name, item.metadata.namespace, uid=item.metadata.uid
            )
        return [item for item in old if item not in doomed]

    async def _write_status(self, deployment: apps_v1.Deployment, sets: Sequence[apps_v1.ReplicaSet]) -> None:
        new = _new_set(deployment, sets)
        wanted = sum(map(_wanted, sets))
        available = sum(item.status.available_replicas for item in sets)
        status = replace(
            deployment.status,
            replicas=sum(item.status.replicas for item in sets),
            updated_replicas=new.status.replicas if new is not None else 0,
            ready_replicas=sum(item.status.ready_replicas for item in sets),
            available_replicas=available,
            unavailable_replicas=max(wanted - available, 0),
            observed_generation=deployment.metadata.generation,
        )
        status = replace(status, conditions=self._conditions(deployment, status, sets, new))
        if status != deployment.status:
            # Without a version: this very step may have written the revision just before.
            meta = replace(deployment.metadata, resource_version="")
            await self.client.update(replace(deployment, metadata=meta, status=status), subresource="status")

    def _conditions(
        self,
        deployment: apps_v1.Deployment,
        status: apps_v1.DeploymentStatus,
        sets: Sequence[apps_v1.ReplicaSet],
        new: apps_v1.ReplicaSet | None,
    ) -> tuple[apps_v1.DeploymentCondition, ...]:
        now = timestamps.format(self.clock.time())
        known = {item.type: item for item in deployment.status.conditions}
        _, unavailable = bounds(deployment)
        enough = status.available_replicas >= _replicas(deployment) - unavailable
        wanted = [
            (
                "Available",
                "True" if enough else "False",
                "MinimumReplicasAvailable" if enough else "MinimumReplicasUnavailable",
                "Deployment has minimum availability." if enough else "Deployment does not have minimum availability.",
            )
        ]
        if new is not None and not deployment.spec.paused:
            name = new.metadata.name
            if _is_complete(deployment, sets, new):
                text = f'ReplicaSet "{name}" has successfully progressed.'
                wanted.append(("Progressing", "True", "NewReplicaSetAvailable", text))
            else:
                text = f'ReplicaSet "{name}" is progressing.'
                wanted.append(("Progressing", "True", "ReplicaSetUpdated", text))
        return tuple(
            _condition(known.get(kind), kind, value, reason, text, now) for kind, value, reason, text in wanted
        )

    # ── what the informers tell ──

    def _set_changed(self, item: apps_v1.ReplicaSet) -> None:
        owner = controller_of(item.metadata.owner_references)
        if owner is not None and owner.kind == "Deployment":
            self.enqueue_key(f"{item.metadata.namespace}/{owner.name}")

    def _pod_deleted(self, pod: core_v1.Pod) -> None:
        owner = controller_of(pod.metadata.owner_references)
        if owner is not None and owner.kind == "ReplicaSet":
            found = self._sets.cache.get(f"{pod.metadata.namespace}/{owner.name}")
            if found is not None:
                self._set_changed(found)


def bounds(deployment: apps_v1.Deployment) -> tuple[int, int]:
    """Return (maxSurge, maxUnavailable) as numbers of pods; never both 0."""
    replicas = _replicas(deployment)
    rolling = deployment.spec.strategy.rolling_update
    if _is_recreate(deployment) or rolling is None:
        return 0, 0
    surge = intstr.scaled(rolling.max_surge if rolling.max_surge is not None else "25%", replicas, round_up=True)
    share = rolling.max_unavailable if rolling.max_unavailable is not None else "25%"
    unavailable = intstr.scaled(share, replicas, round_up=False)
    if not surge and not unavailable:
        unavailable = 1
    return surge, min(unavailable, replicas)


def _condition(
    old: apps_v1.DeploymentCondition | None, kind: str, value: str, reason: str, message: str, now: str
) -> apps_v1.DeploymentCondition:
    if old is not None and (old.status, old.reason, old.message) == (value, reason, message):
        return old
    since = old.last_transition_time if old is not None and old.status == value else now
    return apps_v1.DeploymentCondition(
        type=kind, status=value, reason=reason, message=message, last_update_time=now, last_transition_time=since
    )


def _is_recreate(deployment: apps_v1.Deployment) -> bool:
    return deployment.spec.strategy.type == "Recreate"


def _replicas(deployment: apps_v1.Deployment) -> int:
    return 1 if deployment.spec.replicas is None else deployment.spec.replicas


def _wanted(item: apps_v1.ReplicaSet) -> int:
    return 1 if item.spec.replicas is None else item.spec.replicas


def _revision(item: apps_v1.ReplicaSet) -> int:
    text = item.metadata.annotations.get(REVISION, "")
    return int(text) if text.isdecimal() else 0


def _age(item: apps_v1.ReplicaSet) -> tuple[str, int, str]:
    return item.metadata.creation_timestamp or "", _revision(item), item.metadata.name


def _is_complete(deployment: apps_v1.Deployment, sets: Sequence[apps_v1.ReplicaSet], new: apps_v1.ReplicaSet) -> bool:
    replicas = _replicas(deployment)
    return (
        new.status.replicas == replicas
        and new.status.available_replicas == replicas
        and sum(item.status.replicas for item in sets) == replicas
        and new.status.observed_generation >= new.metadata.generation
    )


def _same_template(item: apps_v1.ReplicaSet, deployment: apps_v1.Deployment) -> bool:
    return _bare(item.spec.template) == _bare(deployment.spec.template)


def _bare(template: core_v1.PodTemplateSpec) -> core_v1.PodTemplateSpec:
    labels = {name: value for name, value in template.metadata.labels.items() if name != HASH_LABEL}
    return replace(template, metadata=replace(template.metadata, labels=labels))


def _new_set(deployment: apps_v1.Deployment, sets: Sequence[apps_v1.ReplicaSet]) -> apps_v1.ReplicaSet | None:
    return next((item for item in sets if _same_template(item, deployment)), None)


def _limits(deployment: apps_v1.Deployment) -> dict[str, str]:
    replicas = _replicas(deployment)
    return {DESIRED: str(replicas), MAXIMUM: str(replicas + bounds(deployment)[0])}


def _first_form(deployment: apps_v1.Deployment, sets: Sequence[apps_v1.ReplicaSet]) -> apps_v1.ReplicaSet:
    """Return the set of the Deployment's present template, as large as it may be at once."""
    template = deployment.spec.template
    digest = template_hash(codec.encode(_bare(template)), deployment.status.collision_count)
    labels = {**template.metadata.labels, HASH_LABEL: digest}
    selector = deployment.spec.selector or LabelSelector()
    replicas = _replicas(deployment)
    room = replicas + bounds(deployment)[0] - sum(map(_wanted, sets))
    annotations = {name: value for name, value in deployment.metadata.annotations.items() if name not in _NOT_COPIED}
    revision = max(map(_revision, sets), default=0) + 1
    annotations |= {REVISION: str(revision), **_limits(deployment)}
    metadata = ObjectMeta(
        name=f"{deployment.metadata.name}-{digest}",
        namespace=deployment.metadata.namespace,
        labels=labels,
        annotations=annotations,
        owner_references=(pod_rules.owner_reference(deployment),),
    )
    spec = apps_v1.ReplicaSetSpec(
        replicas=replicas if _is_recreate(deployment) else max(min(room, replicas), 0),
        min_ready_seconds=deployment.spec.min_ready_seconds,
        selector=replace(selector, match_labels={**selector.match_labels, HASH_LABEL: digest}),
        template=replace(template, metadata=replace(template.metadata, labels=labels)),
    )
    return apps_v1.ReplicaSet(metadata=metadata, spec=spec)
