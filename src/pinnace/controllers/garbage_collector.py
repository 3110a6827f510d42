"""Garbage collector: what is owned goes when its owners have gone (pkg/controller/garbagecollector).

A graph of uids is kept from the informers of every kind. An object all of whose owners are absent (looked up once more before it is
believed) is deleted. An owner that is being deleted in the foreground waits for the dependents that block it; one that is to leave
orphans has its references taken out of them first.
"""

from collections import defaultdict
from dataclasses import dataclass
from functools import partial
from typing import Any

from pinnace.api.meta_v1 import ObjectMeta, OwnerReference
from pinnace.api.resources import RESOURCES, Resource, by_kind
from pinnace.client import Client, InformerFactory, PatchType
from pinnace.component.clock import Clock
from pinnace.controllers.controller import Controller
from pinnace.machinery.errors import NotFound

FOREGROUND, ORPHAN = "foregroundDeletion", "orphan"


@dataclass(frozen=True, slots=True)
class _Node:
    """An object as far as ownership goes."""

    resource: Resource
    metadata: ObjectMeta


class GarbageCollector(Controller):
    """Reconciles uids."""

    name = "generic-garbage-collector"
    component = "garbage-collector-controller"

    def __init__(self, client: Client, informers: InformerFactory, clock: Clock) -> None:
        super().__init__(client, informers, clock)
        self._nodes: dict[str, _Node] = {}
        self._dependents: dict[str, set[str]] = defaultdict(set)
        seen: set[str] = set()
        for resource in RESOURCES:
            # Events own nothing and are owned by nothing; a second version of a kind shows the same objects.
            if {"delete", "list", "watch"} <= set(resource.verbs) and resource.plural not in seen | {"events"}:
                seen.add(resource.plural)
                informers.informer(resource.type).add_handler(
                    partial(self._seen, resource), partial(self._changed, resource), self._gone
                )

    def _changed(self, resource: Resource, _: Any, new: Any) -> None:
        self._seen(resource, new)

    def _seen(self, resource: Resource, obj: Any) -> None:
        metadata: ObjectMeta = obj.metadata
        known = self._nodes.get(metadata.uid)
        if known is not None:
            for owner in known.metadata.owner_references:
                self._dependents[owner.uid].discard(metadata.uid)
        self._nodes[metadata.uid] = _Node(resource, metadata)
        for owner in metadata.owner_references:
            self._dependents[owner.uid].add(metadata.uid)
        if metadata.owner_references or (
            metadata.deletion_timestamp and {FOREGROUND, ORPHAN} & set(metadata.finalizers)
        ):
            self.enqueue_key(metadata.uid)

    def _gone(self, obj: Any) -> None:
        metadata: ObjectMeta = obj.metadata
        self._nodes.pop(metadata.uid, None)
        for owner in metadata.owner_references:
            self._dependents[owner.uid].discard(metadata.uid)
            self.enqueue_key(owner.uid)
        for dependent in self._dependents.pop(metadata.uid, set()):
            self.enqueue_key(dependent)

    async def reconcile(self, key: str) -> float | None:
        node = self._nodes.get(key)
        if node is None:
            return None
        metadata = node.metadata
        if metadata.deletion_timestamp is not None:
            if ORPHAN in metadata.finalizers:
                await self._orphan_dependents(key)
                await self._remove_finalizer(node, ORPHAN)
            elif FOREGROUND in metadata.finalizers and not await self._is_blocked(key):
                await self._remove_finalizer(node, FOREGROUND)
            return None
        if metadata.owner_references:
            await self._collect(node)
        return None

    async def _collect(self, node: _Node) -> None:
        """Delete an object without owners; take dangling references out of one that has others."""
        solid, dangling, waiting = [], [], []
        for owner in node.metadata.owner_references:
            found = self._nodes.get(owner.uid)
            if found is None and not await self._exists(owner, node.metadata.namespace):
                dangling.append(owner)
            elif found is not None and found.metadata.deletion_timestamp and FOREGROUND in found.metadata.finalizers:
                waiting.append(owner)
            else:
                solid.append(owner)
        if solid:
            if dangling or waiting:
                await self._patch_metadata(node, {"ownerReferences": [_reference(owner) for owner in solid]})
        elif waiting:
            await self._delete(node, "Foreground" if self._dependents.get(node.metadata.uid) else "Background")
        else:
            policy = "Foreground" if FOREGROUND in node.metadata.finalizers else "Background"
            await self._delete(node, "Orphan" if ORPHAN in node.metadata.finalizers else policy)

    async def _exists(self, owner: OwnerReference, namespace: str) -> bool:
        """Ask the server whether an owner that the graph does not know is there."""
        resource = by_kind(owner.api_version, owner.kind)
        if resource is None:
            return True  # a kind that is not known here may well have objects
        if resource.namespaced and not namespace:
            return True  # a cluster-scoped object cannot be owned like that; upstream leaves it alone
        try:
            found: Any = await self.client.get(resource.type, owner.name, namespace if resource.namespaced else None)
        except NotFound:
            return False
        return bool(found.metadata.uid == owner.uid)

    async def _is_blocked(self, uid: str) -> bool:
        """Have the dependents deleted, and tell whether one is left that blocks its owner."""
        blocked = False
        for dependent in list(self._dependents.get(uid, ())):
            node = self._nodes.get(dependent)
            if node is None:
                continue
            if node.metadata.deletion_timestamp is None:
                self.enqueue_key(dependent)
            blocked = blocked or any(
                owner.uid == uid and owner.block_owner_deletion for owner in node.metadata.owner_references
            )
        return blocked

    async def _orphan_dependents(self, uid: str) -> None:
        for dependent in list(self._dependents.get(uid, ())):
            node = self._nodes.get(dependent)
            if node is not None:
                left = [_reference(owner) for owner in node.metadata.owner_references if owner.uid != uid]
                await self._patch_metadata(node, {"ownerReferences": left or None})

    async def _remove_finalizer(self, node: _Node, finalizer: str) -> None:
        left = [item for item in node.metadata.finalizers if item != finalizer]
        await self._patch_metadata(node, {"finalizers": left or None})

    async def _patch_metadata(self, node: _Node, change: dict[str, Any]) -> None:
        metadata = node.metadata
        patch = {"metadata": {"uid": metadata.uid, "resourceVersion": metadata.resource_version, **change}}
        try:
            await self.client.patch(
                node.resource.type, metadata.name, patch, type=PatchType.MERGE, namespace=metadata.namespace or None
            )
        except NotFound:
            return

    async def _delete(self, node: _Node, policy: str) -> None:
        metadata = node.metadata
        try:
            await self.client.delete(
                node.resource.type,
                metadata.name,
                metadata.namespace or None,
                uid=metadata.uid,
                propagation_policy=policy,
            )
        except NotFound:
            return


def _reference(owner: OwnerReference) -> dict[str, Any]:
    tree: dict[str, Any] = {
        "apiVersion": owner.api_version,
        "kind": owner.kind,
        "name": owner.name,
        "uid": owner.uid,
        "controller": owner.controller,
        "blockOwnerDeletion": owner.block_owner_deletion,
    }
    return {key: value for key, value in tree.items() if value is not None}
