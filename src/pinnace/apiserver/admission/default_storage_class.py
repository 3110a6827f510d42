"""DefaultStorageClass: a claim that names no class gets the one that is marked as the default.

Upstream: `plugin/pkg/admission/storage/storageclass/setdefault`.
"""

from typing import Any

from msgspec.structs import replace

from pinnace.api.core_v1 import PersistentVolumeClaim
from pinnace.api.storage_v1 import StorageClass
from pinnace.apiserver.admission.interface import CREATE, Attributes, Objects, Plugin, Target

_CLAIM_ANNOTATION = "volume.beta.kubernetes.io/storage-class"
_DEFAULT_ANNOTATIONS = (
    "storageclass.kubernetes.io/is-default-class",
    "storageclass.beta.kubernetes.io/is-default-class",
)


class DefaultStorageClass(Plugin):
    """Gives claims the default class."""

    name = "DefaultStorageClass"

    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    def handles(self, target: Target) -> bool:
        return target.is_on("", "persistentvolumeclaims") and target.operation == CREATE

    async def mutate(self, attributes: Attributes, obj: Any, old: Any) -> Any:  # noqa: ARG002
        claim: PersistentVolumeClaim = obj
        # An empty class is a choice too: no class at all.
        if claim.spec.storage_class_name is not None or _CLAIM_ANNOTATION in claim.metadata.annotations:
            return claim
        classes = [one for one in await self._objects.list(StorageClass) if _is_default(one)]
        if not classes:
            return claim
        # The newest wins, the first by name among equals, so that a default can be handed over without a gap.
        classes.sort(key=lambda one: one.metadata.name)
        chosen = max(classes, key=lambda one: one.metadata.creation_timestamp or "")
        return replace(claim, spec=replace(claim.spec, storage_class_name=chosen.metadata.name))


def _is_default(klass: StorageClass) -> bool:
    return any(klass.metadata.annotations.get(key) == "true" for key in _DEFAULT_ANNOTATIONS)
