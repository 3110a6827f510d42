"""Claims, volumes and attribute classes stay until nobody uses them (pkg/controller/volume/{pvc,pv,vac}protection).

Admission gives each a finalizer; the controllers here take it away from one that is being deleted once its last user has gone, and
give it to one that never had it. Whether a claim is in use is asked of the server as well before it is let go: the cache may not
have seen the newest pod yet.
"""

from abc import abstractmethod
from collections.abc import Iterable
from typing import Any, ClassVar

from msgspec import Struct
from msgspec.structs import replace

from pinnace.api import core_v1, storage_v1
from pinnace.client import Client, InformerFactory
from pinnace.component.clock import Clock
from pinnace.controllers.controller import Controller
from pinnace.machinery.errors import NotFound
from pinnace.machinery.meta import is_controlled_by
from pinnace.machinery.meta import key as key_of

_CLAIMS, _CLASSES = "claims", "attribute classes"


class ProtectionController(Controller):
    """Reconciles the objects of one kind: the finalizer is there as long as the object is wanted or used."""

    # What is protected, and by which finalizer.
    kind: ClassVar[type[Struct]]
    finalizer: ClassVar[str]

    def __init__(self, client: Client, informers: InformerFactory, clock: Clock) -> None:
        super().__init__(client, informers, clock)
        self._objects = informers.informer(self.kind)
        self._objects.add_handler(self.enqueue, lambda _, new: self.enqueue(new))

    @abstractmethod
    async def is_used(self, obj: Any) -> bool:
        """Tell whether an object must stay although it is being deleted."""

    async def reconcile(self, key: str) -> float | None:
        obj: Any = self._objects.cache.get(key)
        if obj is None:
            return None
        finalizers = obj.metadata.finalizers
        if obj.metadata.deletion_timestamp is None:
            if self.finalizer not in finalizers:
                await self._write(obj, (*finalizers, self.finalizer))
        elif self.finalizer in finalizers and not await self.is_used(obj):
            await self._write(obj, tuple(name for name in finalizers if name != self.finalizer))
        return None

    async def _write(self, obj: Any, finalizers: tuple[str, ...]) -> None:
        try:
            await self.client.update(replace(obj, metadata=replace(obj.metadata, finalizers=finalizers)))
        except NotFound:
            return


class PVCProtectionController(ProtectionController):
    """Claims are used by the pods that have a node and name them, or that they were made for."""

    name = "pvc-protection-controller"
    component = "pvc-protection-controller"
    kind = core_v1.PersistentVolumeClaim
    finalizer = "kubernetes.io/pvc-protection"

    def __init__(self, client: Client, informers: InformerFactory, clock: Clock) -> None:
        super().__init__(client, informers, clock)
        self._pods = informers.informer(core_v1.Pod)
        self._pods.cache.add_index(_CLAIMS, claims_of)
        self._pods.add_handler(on_update=lambda _, new: self._maybe_freed(new), on_delete=self._freed)

    def _maybe_freed(self, pod: core_v1.Pod) -> None:
        if not pod.spec.node_name or pod.status.phase in {"Succeeded", "Failed"} or _is_shut_down(pod):
            self._freed(pod)

    def _freed(self, pod: core_v1.Pod) -> None:
        for key in claims_of(pod):
            if self._objects.cache.get(key) is not None:
                self.enqueue_key(key)

    async def is_used(self, obj: core_v1.PersistentVolumeClaim) -> bool:
        if any(_uses(pod, obj) for pod in self._pods.cache.by_index(_CLAIMS, key_of(obj))):
            return True
        live = await self.client.list(core_v1.Pod, obj.metadata.namespace)
        return any(_uses(pod, obj) for pod in live.items)


def claims_of(pod: core_v1.Pod) -> Iterable[str]:
    """Yield the keys of the claims that a pod's volumes are, or are made from."""
    metadata = pod.metadata
    for volume in pod.spec.volumes:
        if volume.persistent_volume_claim is not None:
            yield f"{metadata.namespace}/{volume.persistent_volume_claim.claim_name}"
        elif volume.ephemeral is not None:
            yield f"{metadata.namespace}/{metadata.name}-{volume.name}"


def _uses(pod: core_v1.Pod, claim: core_v1.PersistentVolumeClaim) -> bool:
    # No agent starts a pod over a claim that is being deleted, so those without a node cannot come to use it.
    if not pod.spec.node_name:
        return False
    name = claim.metadata.name
    for volume in pod.spec.volumes:
        if volume.persistent_volume_claim is not None and volume.persistent_volume_claim.claim_name == name:
            return True
        if volume.ephemeral is not None and f"{pod.metadata.name}-{volume.name}" == name:
            return not _is_shut_down(pod) and is_controlled_by(claim, pod.metadata.uid)
    return False


def _is_shut_down(pod: core_v1.Pod) -> bool:
    """Tell whether the agent is done with a pod that something else keeps from going."""
    return pod.metadata.deletion_timestamp is not None and pod.metadata.deletion_grace_period_seconds == 0


class PVProtectionController(ProtectionController):
    """Volumes are used while they are bound to a claim."""

    name = "pv-protection-controller"
    component = "pv-protection-controller"
    kind = core_v1.PersistentVolume
    finalizer = "kubernetes.io/pv-protection"

    async def is_used(self, obj: core_v1.PersistentVolume) -> bool:
        return obj.status.phase == "Bound"


class VACProtectionController(ProtectionController):
    """Attribute classes are used by the volumes and claims that name them, or are being moved to them."""

    name = "volumeattributesclass-protection-controller"
    component = "volumeattributesclass-protection-controller"
    kind = storage_v1.VolumeAttributesClass
    finalizer = "kubernetes.io/vac-protection"

    def __init__(self, client: Client, informers: InformerFactory, clock: Clock) -> None:
        super().__init__(client, informers, clock)
        volumes, claims = (
            informers.informer(core_v1.PersistentVolume),
            informers.informer(core_v1.PersistentVolumeClaim),
        )
        self._caches = (volumes.cache, claims.cache)
        volumes.cache.add_index(_CLASSES, _class_of_volume)
        volumes.add_handler(
            on_update=lambda old, _: self._freed(_class_of_volume(old)),
            on_delete=lambda old: self._freed(_class_of_volume(old)),
        )
        claims.cache.add_index(_CLASSES, _classes_of_claim)
        claims.add_handler(
            on_update=lambda old, _: self._freed(_classes_of_claim(old)),
            on_delete=lambda old: self._freed(_classes_of_claim(old)),
        )

    def _freed(self, names: Iterable[str]) -> None:
        for name in names:
            self.enqueue_key(name)

    async def is_used(self, obj: storage_v1.VolumeAttributesClass) -> bool:
        return any(cache.by_index(_CLASSES, obj.metadata.name) for cache in self._caches)


def _class_of_volume(volume: core_v1.PersistentVolume) -> tuple[str, ...]:
    name = volume.spec.volume_attributes_class_name
    return (name,) if name else ()


def _classes_of_claim(claim: core_v1.PersistentVolumeClaim) -> tuple[str, ...]:
    moving = claim.status.modify_volume_status
    names = (
        claim.spec.volume_attributes_class_name,
        claim.status.current_volume_attributes_class_name,
        moving.target_volume_attributes_class_name if moving is not None else None,
    )
    return tuple(dict.fromkeys(name for name in names if name))
