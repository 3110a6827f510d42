"""PersistentVolumeClaimResize: a claim grows only once it is bound, and only where its class lets it.

Upstream: `plugin/pkg/admission/storage/persistentvolume/resize`.
"""

from typing import Any

from pinnace.api.core_v1 import PersistentVolumeClaim
from pinnace.api.storage_v1 import StorageClass
from pinnace.apiserver.admission.interface import UPDATE, Attributes, Objects, Plugin, Target
from pinnace.machinery.quantity import ZERO, Quantity, parse

_CLAIM_ANNOTATION = "volume.beta.kubernetes.io/storage-class"
_REFUSED = (
    "only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must support resize"
)


class PersistentVolumeClaimResize(Plugin):
    """Guards the growth of claims."""

    name = "PersistentVolumeClaimResize"

    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    def handles(self, target: Target) -> bool:
        return target.is_on("", "persistentvolumeclaims") and target.operation == UPDATE

    async def validate(self, attributes: Attributes, obj: Any, old: Any) -> None:
        new: PersistentVolumeClaim = obj
        if _size(new) <= _size(old):
            return
        if old.status.phase != "Bound":
            raise attributes.refuse("Only bound persistent volume claims can be expanded", new)
        name = new.metadata.annotations.get(_CLAIM_ANNOTATION) or new.spec.storage_class_name or ""
        klass = await self._objects.get(StorageClass, name) if name else None
        if klass is None or not klass.allow_volume_expansion:
            raise attributes.refuse(_REFUSED, new)


def _size(claim: PersistentVolumeClaim) -> Quantity:
    text = claim.spec.resources.requests.get("storage")
    return parse(text) if text is not None else ZERO
