"""The claims of a StatefulSet's pods: made before the pod, kept for its successor, and deleted only when the set says so.

Claims are deleted by the garbage collector, through owner references: to the set when they go with it, to the pod when they go with
an ordinal that is scaled away. Upstream: pkg/controller/statefulset/{stateful_pod_control,stateful_set_utils}.go, KEP-1847.
"""

from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from pinnace.api.apps_v1 import StatefulSet
from pinnace.api.core_v1 import PersistentVolumeClaim, PersistentVolumeClaimStatus, Pod
from pinnace.api.meta_v1 import ObjectMeta, OwnerReference
from pinnace.client import Cache, Client, EventRecorder
from pinnace.controllers import statefulset_pods as rules
from pinnace.controllers.ownership import owner_reference
from pinnace.machinery.errors import ApiError
from pinnace.machinery.meta import controller_of

DELETE, RETAIN = "Delete", "Retain"


class ClaimGoes(Exception):
    """A claim that a pod needs is being deleted, or belongs to a pod that was there before; the pod must wait."""


class Claims:
    """Writes claims in the controller's name."""

    def __init__(self, client: Client, recorder: EventRecorder, cache: Cache[PersistentVolumeClaim]) -> None:
        self._client = client
        self._recorder = recorder
        self._cache = cache

    def _of(self, owner: StatefulSet, ordinal: int) -> list[PersistentVolumeClaim]:
        names = rules.claim_names(owner, ordinal).values()
        found = (self._cache.get(f"{owner.metadata.namespace}/{name}") for name in names)
        return [claim for claim in found if claim is not None]

    async def prepare(self, owner: StatefulSet, pod: Pod, ordinal: int) -> None:
        """See that a pod which is to be created finds its claims.

        Raises:
            ClaimGoes: one of them is still somebody else's.
            ApiError: one could not be made; the set has an event of it.
        """
        if _policy(owner)[1] == DELETE:
            for claim in self._of(owner, ordinal):
                if any(_is_former(one, pod) for one in claim.metadata.owner_references):
                    raise ClaimGoes(claim.metadata.name)
        await self.make_missing(owner, pod, ordinal)

    async def make_missing(self, owner: StatefulSet, pod: Pod, ordinal: int) -> None:
        """Create the claims that an ordinal lacks.

        Raises:
            ClaimGoes: one is being deleted.
            ApiError: the server refused one; the set has an event of it.
        """
        names = rules.claim_names(owner, ordinal)
        for template in owner.spec.volume_claim_templates:
            name = names[template.metadata.name]
            there = self._cache.get(f"{owner.metadata.namespace}/{name}")
            if there is None:
                await self._create(owner, pod, _claim(owner, template, name))
            elif there.metadata.deletion_timestamp is not None:
                raise ClaimGoes(name)

    async def _create(self, owner: StatefulSet, pod: Pod, claim: PersistentVolumeClaim) -> None:
        names = f"{pod.metadata.name} in StatefulSet {owner.metadata.name}"
        try:
            await self._client.create(claim)
        except ApiError as error:
            if error.reason == "AlreadyExists":
                return
            text = f"create Claim {claim.metadata.name} for Pod {names} failed error: {error}"
            self._recorder.event(owner, "Warning", "FailedCreate", text)
            raise
        text = f"create Claim {claim.metadata.name} Pod {names} success"
        self._recorder.event(owner, "Normal", "SuccessfulCreate", text)

    async def retain_or_not(self, owner: StatefulSet, pod: Pod, ordinal: int) -> None:
        """Give the claims of a pod that is there the owners that the set's retention policy asks for."""
        for claim in self._of(owner, ordinal):
            others = [one for one in claim.metadata.owner_references if not _is_ours(one, owner, pod)]
            wanted = _owners(owner, pod, ordinal)
            stranger = controller_of(others)
            if stranger is not None and wanted:
                text = (
                    f"PersistentVolumeClaim {claim.metadata.name} has a conflicting OwnerReference that acts as a managing "
                    "controller, the retention policy is ignored for this claim"
                )
                self._recorder.event(owner, "Warning", "ConflictingController", text)
                wanted = ()
            refs = (*others, *wanted)
            if set(refs) != set(claim.metadata.owner_references):
                meta = replace(claim.metadata, owner_references=refs)
                await self._client.update(replace(claim, metadata=meta))


def _policy(owner: StatefulSet) -> tuple[str, str]:
    """Return what becomes of claims when the set is deleted, and when an ordinal is scaled away."""
    policy = owner.spec.persistent_volume_claim_retention_policy
    return (policy.when_deleted or RETAIN, policy.when_scaled or RETAIN) if policy is not None else (RETAIN, RETAIN)


def _owners(owner: StatefulSet, pod: Pod, ordinal: int) -> Sequence[OwnerReference]:
    when_deleted, when_scaled = _policy(owner)
    if when_scaled == DELETE and ordinal not in rules.ordinals(owner):
        return (owner_reference(pod),)
    return (owner_reference(owner),) if when_deleted == DELETE else ()


def _is_ours(reference: OwnerReference, owner: StatefulSet, pod: Pod) -> bool:
    return reference.uid in {owner.metadata.uid, pod.metadata.uid}


def _is_former(reference: OwnerReference, pod: Pod) -> bool:
    same = reference.kind == "Pod" and reference.name == pod.metadata.name
    return same and reference.uid != pod.metadata.uid


def _claim(owner: StatefulSet, template: PersistentVolumeClaim, name: str) -> PersistentVolumeClaim:
    selector: Any = owner.spec.selector
    metadata = ObjectMeta(
        name=name,
        namespace=owner.metadata.namespace,
        labels={**template.metadata.labels, **selector.match_labels},
        annotations=template.metadata.annotations,
    )
    return replace(template, metadata=metadata, status=PersistentVolumeClaimStatus())
