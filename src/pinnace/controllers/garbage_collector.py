"""Garbage collector: what is owned goes when its owners have gone (pkg/controller/garbagecollector).

A graph of uids is kept from the informers of every kind. An object all of whose owners are absent (looked up once more before it is
believed) is deleted. An owner that is being deleted in the foreground waits for the dependents that block it; one that is to leave
orphans has its references taken out of them first. An owner must be cluster-scoped or in the same namespace: elsewhere it is absent.
"""

from collections.abc import Iterable
from functools import partial
from typing import Any, ClassVar

from msgspec import Struct

from pinnace.api.core_v1 import ObjectReference
from pinnace.api.meta_v1 import ObjectMeta, OwnerReference
from pinnace.api.resources import RESOURCES, Resource, by_kind
from pinnace.client import Client, InformerFactory, PatchType
from pinnace.component.clock import Clock
from pinnace.controllers.controller import Controller
from pinnace.machinery.errors import Conflict, NotFound

FOREGROUND, ORPHAN = "foregroundDeletion", "orphan"
# Owners known to be absent; upstream's number.
_ABSENT_LIMIT = 500


class _Node(Struct, frozen=True):
    """An object as far as ownership goes."""

    resource: Resource
    metadata: ObjectMeta

    @property
    def is_deleting_dependents(self) -> bool:
        return self.metadata.deletion_timestamp is not None and FOREGROUND in self.metadata.finalizers

    @property
    def is_orphaning(self) -> bool:
        return self.metadata.deletion_timestamp is not None and ORPHAN in self.metadata.finalizers


class GarbageCollector(Controller):
    """Reconciles uids."""

    name = "generic-garbage-collector"
    component = "garbage-collector-controller"
    workers: ClassVar[int] = 20

    def __init__(self, client: Client, informers: InformerFactory, clock: Clock) -> None:
        super().__init__(client, informers, clock)
        self._nodes: dict[str, _Node] = {}
        # Owner → dependents, in the order in which they were seen.
        self._dependents: dict[str, dict[str, None]] = {}
        self._absent: dict[tuple[OwnerReference, str], None] = {}
        seen: set[tuple[str, str]] = set()
        for resource in RESOURCES:
            # Events own nothing and are owned by nothing; a second version of a kind shows the same objects.
            name = (resource.group, resource.plural)
            if {"delete", "list", "watch"} <= set(resource.verbs) and resource.plural != "events" and name not in seen:
                seen.add(name)
                informers.informer(resource.type).add_handler(
                    partial(self._seen, resource), partial(self._changed, resource), self._gone
                )

    # ── what the informers tell ──

    def _changed(self, resource: Resource, _: Any, new: Any) -> None:
        self._seen(resource, new)

    def _seen(self, resource: Resource, obj: Any) -> None:
        node = _Node(resource, obj.metadata)
        metadata = node.metadata
        known = self._nodes.get(metadata.uid)
        self._nodes[metadata.uid] = node
        before = known.metadata.owner_references if known is not None else ()
        if before != metadata.owner_references:
            self._enter(metadata.uid, before, metadata.owner_references)
        elif known is not None and not metadata.deletion_timestamp:
            # Neither its owners nor its end have changed: nothing here is to be decided anew.
            return
        if metadata.owner_references or node.is_deleting_dependents or node.is_orphaning:
            self.enqueue_key(metadata.uid)

    def _enter(self, uid: str, before: Iterable[OwnerReference], now: Iterable[OwnerReference]) -> None:
        for owner in before:
            self._leave(owner.uid, uid)
            # One that is no longer blocked by this dependent may go.
            waiting = self._nodes.get(owner.uid)
            if waiting is not None and waiting.is_deleting_dependents:
                self.enqueue_key(owner.uid)
        for owner in now:
            self._dependents.setdefault(owner.uid, {})[uid] = None

    def _leave(self, owner: str, uid: str) -> None:
        dependents = self._dependents.get(owner, {})
        dependents.pop(uid, None)
        if not dependents:
            self._dependents.pop(owner, None)

    def _gone(self, obj: Any) -> None:
        metadata: ObjectMeta = obj.metadata
        self._nodes.pop(metadata.uid, None)
        for owner in metadata.owner_references:
            self._leave(owner.uid, metadata.uid)
            if owner.uid in self._nodes:
                self.enqueue_key(owner.uid)
        for dependent in self._dependents.get(metadata.uid, ()):
            self.enqueue_key(dependent)

    # ── one object ──

    async def reconcile(self, key: str) -> float | None:
        node = self._nodes.get(key)
        if node is None:
            return None
        if node.is_orphaning:
            await self._orphan_dependents(key)
            await self._remove_finalizer(node, ORPHAN)
        elif node.is_deleting_dependents:
            if not self._is_blocked(key):
                await self._remove_finalizer(node, FOREGROUND)
        elif node.metadata.deletion_timestamp is None and node.metadata.owner_references:
            await self._collect(node)
        return None

    async def _collect(self, node: _Node) -> None:
        """Delete an object without owners; take dangling references out of one that has others."""
        solid, dangling, waiting = [], [], []
        for owner in node.metadata.owner_references:
            alive = await self._is_alive(node, owner)
            if alive is None:
                return
            found = self._nodes.get(owner.uid)
            if not alive:
                dangling.append(owner)
            elif found is not None and found.is_deleting_dependents:
                waiting.append(owner)
            else:
                solid.append(owner)
        if solid:
            if dangling or waiting:
                await self._remove_owners(node, [owner.uid for owner in (*dangling, *waiting)])
        elif waiting and self._dependents.get(node.metadata.uid):
            await self._unblock(node)
            await self._delete(node, "Foreground")
        elif ORPHAN in node.metadata.finalizers:
            await self._delete(node, "Orphan")
        else:
            await self._delete(node, "Foreground" if FOREGROUND in node.metadata.finalizers else "Background")

    async def _is_alive(self, node: _Node, owner: OwnerReference) -> bool | None:
        """Tell whether an owner exists where it may be; None when that cannot be told, and nothing is to be done."""
        namespace = node.metadata.namespace
        found = self._nodes.get(owner.uid)
        if found is not None and _is_referred_to(found, owner, namespace):
            return True
        if found is not None and found.metadata.namespace not in ("", namespace):
            self._tell_invalid_namespace(node, owner)
        if (owner, namespace) in self._absent:
            return False
        resource = by_kind(owner.api_version, owner.kind)
        if resource is None:
            return None  # a kind that is not known here may well have objects
        if resource.namespaced and not namespace:
            return None  # a cluster-scoped object cannot be owned like that; upstream leaves it alone
        try:
            live: Any = await self.client.get(resource.type, owner.name, namespace if resource.namespaced else None)
        except NotFound:
            live = None
        if live is not None and live.metadata.uid == owner.uid:
            return True
        self._absent[owner, namespace] = None
        if len(self._absent) > _ABSENT_LIMIT:
            del self._absent[next(iter(self._absent))]
        return False

    def _tell_invalid_namespace(self, node: _Node, owner: OwnerReference) -> None:
        metadata, resource = node.metadata, node.resource
        about = ObjectReference(
            kind=resource.kind,
            api_version=resource.api_version,
            namespace=metadata.namespace,
            name=metadata.name,
            uid=metadata.uid,
        )
        identity = (
            f"[{owner.api_version}/{owner.kind}, namespace: {metadata.namespace}, name: {owner.name}, uid: {owner.uid}]"
        )
        text = f'ownerRef {identity} does not exist in namespace "{metadata.namespace}"'
        self.recorder.event(about, "Warning", "OwnerRefInvalidNamespace", text)

    def _is_blocked(self, uid: str) -> bool:
        """Have the dependents looked at that block an owner, and tell whether there is one."""
        blocked = False
        for dependent in self._dependents.get(uid, ()):
            node = self._nodes.get(dependent)
            if node is None:
                continue
            if node.metadata.deletion_timestamp is None:
                self.enqueue_key(dependent)
            blocked = blocked or any(
                owner.uid == uid and owner.block_owner_deletion for owner in node.metadata.owner_references
            )
        return blocked

    # ── writes ──

    async def _orphan_dependents(self, uid: str) -> None:
        for dependent in list(self._dependents.get(uid, ())):
            node = self._nodes.get(dependent)
            if node is not None:
                await self._remove_owners(node, [uid])

    async def _remove_owners(self, node: _Node, uids: Iterable[str]) -> None:
        references = [{"$patch": "delete", "uid": uid} for uid in uids]
        change = {"uid": node.metadata.uid, "ownerReferences": references}
        await self._patch(node, change, PatchType.STRATEGIC)

    async def _unblock(self, node: _Node) -> None:
        """Let a circle of owners go: when a dependent waits already, this object keeps none of its owners."""
        dependents = (self._nodes.get(uid) for uid in self._dependents.get(node.metadata.uid, ()))
        if not any(item is not None and item.is_deleting_dependents for item in dependents):
            return
        references = [
            {"uid": owner.uid, "blockOwnerDeletion": False}
            for owner in node.metadata.owner_references
            if owner.block_owner_deletion
        ]
        if references:
            change = {"uid": node.metadata.uid, "ownerReferences": references}
            await self._patch(node, change, PatchType.STRATEGIC)

    async def _remove_finalizer(self, node: _Node, finalizer: str) -> None:
        metadata = node.metadata
        left = [item for item in metadata.finalizers if item != finalizer]
        change = {"uid": metadata.uid, "resourceVersion": metadata.resource_version, "finalizers": left or None}
        await self._patch(node, change, PatchType.MERGE)

    async def _patch(self, node: _Node, change: dict[str, Any], kind: PatchType) -> None:
        metadata = node.metadata
        try:
            await self.client.patch(
                node.resource.type,
                metadata.name,
                {"metadata": change},
                type=kind,
                namespace=metadata.namespace or None,
            )
        except NotFound:
            return

    async def _delete(self, node: _Node, policy: str) -> None:
        """Delete an object that has not changed since it was judged, or not in what it was judged by."""
        metadata, cls = node.metadata, node.resource.type
        namespace = metadata.namespace or None
        try:
            try:
                await self.client.delete(
                    cls,
                    metadata.name,
                    namespace,
                    uid=metadata.uid,
                    resource_version=metadata.resource_version,
                    propagation_policy=policy,
                )
            except Conflict:
                live: Any = await self.client.get(cls, metadata.name, namespace)
                if live.metadata.uid != metadata.uid:
                    return
                if live.metadata.owner_references != metadata.owner_references:
                    raise
                await self.client.delete(cls, metadata.name, namespace, uid=metadata.uid, propagation_policy=policy)
        except NotFound:
            return


def _is_referred_to(found: _Node, owner: OwnerReference, namespace: str) -> bool:
    """Tell whether a known object is the one that a reference from this namespace means."""
    return (
        found.metadata.name == owner.name
        and found.resource.kind == owner.kind
        and found.resource.group == owner.api_version.rpartition("/")[0]
        and found.metadata.namespace in ("", namespace)
    )
