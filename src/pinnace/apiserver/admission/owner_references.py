"""OwnerReferencesPermissionEnforcement: who makes an object go with another must be let delete it, and hold the other up.

Off unless it is asked for, as upstream. Upstream: `plugin/pkg/admission/gc/gc_admission.go`.
"""

from collections.abc import Iterable
from typing import Any

from pinnace.api import resources
from pinnace.api.meta_v1 import OwnerReference
from pinnace.apiserver.admission.interface import CREATE, UPDATE, Attributes, Plugin, Target
from pinnace.apiserver.authorization.interface import Attributes as Access
from pinnace.apiserver.authorization.interface import Authorizer, Decision, Verdict


class OwnerReferencesPermissionEnforcement(Plugin):
    """Guards owner references."""

    name = "OwnerReferencesPermissionEnforcement"

    def __init__(self, authorizer: Authorizer) -> None:
        self._authorizer = authorizer

    def handles(self, target: Target) -> bool:
        # A pod's binding and the like carry no owners.
        return target.operation in {CREATE, UPDATE} and target.subresource in {"", "status"}

    async def validate(self, attributes: Attributes, obj: Any, old: Any) -> None:
        new = obj.metadata.owner_references
        had = old.metadata.owner_references if old is not None else ()
        if new == had:
            return
        verdict = await self._may(attributes, "delete", attributes.group, attributes.version, attributes.resource, obj)
        if verdict.decision is not Decision.ALLOWED:
            text = f"cannot set an ownerRef on a resource you can't delete: {verdict.reason}, <nil>"
            raise attributes.refuse(text, obj)
        for owner in _newly_blocking(new, had):
            await self._check_blocking(attributes, obj, owner)

    async def _check_blocking(self, attributes: Attributes, obj: Any, owner: OwnerReference) -> None:
        group, _, version = owner.api_version.rpartition("/")
        kinds = [
            one for one in resources.RESOURCES if (one.group, one.version, one.kind) == (group, version, owner.kind)
        ]
        text = "cannot set blockOwnerDeletion if an ownerReference refers to a resource you can't set finalizers on: "
        for kind in kinds:
            access = Access(
                user=attributes.user,
                verb="update",
                is_resource=True,
                group=group,
                version=version,
                resource=kind.plural,
                subresource="finalizers",
                namespace=attributes.namespace if kind.namespaced else "",
                name=owner.name,
            )
            verdict = await self._authorizer.authorize(access)
            if verdict.decision is not Decision.ALLOWED:
                raise attributes.refuse(f"{text}{verdict.reason}, <nil>", obj)

    async def _may(self, attributes: Attributes, verb: str, group: str, version: str, plural: str, obj: Any) -> Verdict:
        return await self._authorizer.authorize(
            Access(
                user=attributes.user,
                verb=verb,
                is_resource=True,
                group=group,
                version=version,
                resource=plural,
                namespace=attributes.namespace,
                name=attributes.name or obj.metadata.name,
            )
        )


def _newly_blocking(new: Iterable[OwnerReference], had: Iterable[OwnerReference]) -> list[OwnerReference]:
    blocking = {owner.uid for owner in had if owner.block_owner_deletion}
    return [owner for owner in new if owner.block_owner_deletion and owner.uid not in blocking]
