"""StorageObjectInUseProtection: claims, volumes and attribute classes stay until nobody uses them.

The finalizers are taken away by the controllers of the same names. Upstream:
`plugin/pkg/admission/storage/storageobjectinuseprotection`.
"""

from typing import Any

from msgspec.structs import replace

from pinnace.apiserver.admission.interface import CREATE, Attributes, Plugin, Target

FINALIZERS = {
    ("", "persistentvolumeclaims"): "kubernetes.io/pvc-protection",
    ("", "persistentvolumes"): "kubernetes.io/pv-protection",
    ("storage.k8s.io", "volumeattributesclasses"): "kubernetes.io/vac-protection",
}


class StorageObjectInUseProtection(Plugin):
    """Adds the finalizers."""

    name = "StorageObjectInUseProtection"

    def handles(self, target: Target) -> bool:
        return target.operation == CREATE and not target.subresource and (target.group, target.resource) in FINALIZERS

    async def mutate(self, attributes: Attributes, obj: Any, old: Any) -> Any:  # noqa: ARG002
        finalizer = FINALIZERS[attributes.group, attributes.resource]
        meta = obj.metadata
        if finalizer in meta.finalizers:
            return obj
        return replace(obj, metadata=replace(meta, finalizers=(*meta.finalizers, finalizer)))
