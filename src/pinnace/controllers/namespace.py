"""Namespace: empties a namespace that is being deleted, pods first, then lets it go (pkg/controller/namespace/deletion).

Whatever discovery names is deleted, custom kinds included. What is left, and why, stands in the namespace's conditions; it is looked
at again until nothing is.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import ClassVar

import msgspec
from msgspec import Struct, field
from msgspec.structs import replace

from pinnace.api import core_v1
from pinnace.client import Client, InformerFactory
from pinnace.client.discovery import ServedResource, discover
from pinnace.component.backoff import Backoff
from pinnace.component.clock import Clock
from pinnace.controllers import conditions
from pinnace.controllers.controller import Controller
from pinnace.machinery import timestamps
from pinnace.machinery.errors import ApiError, Conflict, MethodNotAllowed, NotFound

FINALIZER = "kubernetes"
# Seconds between looks while pods are on their way out, and while something else keeps objects from going.
PODS_SECONDS, FINALIZERS_SECONDS = 1.0, 5.0
# Objects asked for at a time.
_PAGE = 500
_OPTIONS = b'{"kind":"DeleteOptions","apiVersion":"v1","propagationPolicy":"Background"}'


class _Metadata(msgspec.Struct):
    name: str = ""
    finalizers: tuple[str, ...] = ()


class _Item(msgspec.Struct):
    metadata: _Metadata = msgspec.field(default_factory=_Metadata)


class _ListMeta(msgspec.Struct, rename="camel"):
    remaining_item_count: int = 0


class _List(msgspec.Struct):
    items: tuple[_Item, ...] | None = ()
    metadata: _ListMeta = msgspec.field(default_factory=_ListMeta)


class _Content(Struct):
    """What is left of a namespace: objects by resource, objects by finalizer, and what went wrong."""

    left: dict[str, int] = field(default_factory=dict)
    finalizers: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    unknown: dict[str, str] = field(default_factory=dict)
    pods_left: bool = False

    @property
    def is_gone(self) -> bool:
        """Whether nothing is left that anybody knows of."""
        return not (self.left or self.failures or self.unknown or self.pods_left)


class NamespaceController(Controller):
    """Reconciles namespaces that are being deleted."""

    name = "namespace-controller"
    component = "namespace-controller"
    workers: ClassVar[int] = 10
    backoff: ClassVar[Backoff] = Backoff(0.005, 60.0)

    def __init__(self, client: Client, informers: InformerFactory, clock: Clock) -> None:
        super().__init__(client, informers, clock)
        self._namespaces = informers.informer(core_v1.Namespace)
        self._namespaces.add_handler(self._seen, lambda _, new: self._seen(new))

    def _seen(self, namespace: core_v1.Namespace) -> None:
        if namespace.metadata.deletion_timestamp is not None:
            self.enqueue(namespace)

    async def reconcile(self, key: str) -> float | None:
        namespace = self._namespaces.cache.get(key)
        if namespace is None or namespace.metadata.deletion_timestamp is None:
            return None
        if FINALIZER not in namespace.spec.finalizers:
            return None
        content = await self._empty(key)
        if content.is_gone:
            await self._finalize(key)
            return None
        await self._write_conditions(key, content)
        return PODS_SECONDS if content.pods_left else FINALIZERS_SECONDS

    async def _empty(self, name: str) -> _Content:
        """Delete everything, pods first, and return what is still there."""
        content = _Content()
        found = await discover(self.client)
        content.unknown = found.failures
        contained = [item for item in found.resources if item.namespaced and {"delete", "list"} <= item.verbs]
        pods = _Content()
        for resource in contained:
            if (resource.group_version, resource.plural) == ("v1", "pods"):
                await self._empty_of(name, resource, pods)
        if pods.left or pods.failures:
            # While only pods are in the way, upstream's conditions do not speak of them.
            content.failures, content.pods_left = pods.failures, True
            return content
        for resource in contained:
            await self._empty_of(name, resource, content)
        return content

    async def _empty_of(self, name: str, resource: ServedResource, content: _Content) -> None:
        try:
            items, count = await self._list(name, resource)
            if count:
                await self._delete_all(name, resource, items)
                items, count = await self._list(name, resource)
        except (NotFound, MethodNotAllowed):
            return
        except ApiError as error:
            content.failures.append(str(error))
            return
        if count:
            content.left[resource.qualified] = count
            content.finalizers.update(finalizer for item in items for finalizer in item.metadata.finalizers)

    async def _delete_all(self, name: str, resource: ServedResource, items: Sequence[_Item]) -> None:
        if "deletecollection" in resource.verbs:
            await self.client.raw("DELETE", resource.path(name), body=_OPTIONS)
            return
        for item in items:
            try:
                await self.client.raw("DELETE", resource.path(name, item.metadata.name), body=_OPTIONS)
            except NotFound:
                continue

    async def _list(self, name: str, resource: ServedResource) -> tuple[Sequence[_Item], int]:
        body = await self.client.raw("GET", resource.path(name), query=f"limit={_PAGE}")
        listed = msgspec.json.decode(body, type=_List)
        items = listed.items or ()
        return items, len(items) + listed.metadata.remaining_item_count

    async def _write_conditions(self, name: str, content: _Content) -> None:
        try:
            namespace = await self.client.get(core_v1.Namespace, name)
            known = namespace.status.conditions
            for made in _conditions(content, timestamps.format(self.clock.time())):
                old = conditions.find(known, made.type)
                if old is not None and (old.status, old.message) == (made.status, made.message):
                    continue
                if old is not None and old.status == made.status:
                    made = replace(made, last_transition_time=old.last_transition_time)
                known = (
                    (*known, made) if old is None else tuple(made if item.type == made.type else item for item in known)
                )
            if known != namespace.status.conditions:
                await self.write_status(namespace, replace(namespace.status, conditions=known))
        except (NotFound, Conflict):
            return

    async def _finalize(self, name: str) -> None:
        try:
            namespace = await self.client.get(core_v1.Namespace, name)
            finalizers = tuple(item for item in namespace.spec.finalizers if item != FINALIZER)
            spec = replace(namespace.spec, finalizers=finalizers)
            await self.client.update(replace(namespace, spec=spec), subresource="finalize")
        except NotFound:
            return


def _conditions(content: _Content, now: str) -> Iterable[core_v1.NamespaceCondition]:
    """Return what the namespace says of its deletion, in upstream's order."""
    unknown = "".join(f"{version}: {why}; " for version, why in content.unknown.items()).removesuffix("; ")
    failures = ", ".join(content.failures)
    left = ", ".join(f"{what} has {count} resource instances" for what, count in content.left.items())
    finalizers = ", ".join(
        f"{name} in {count} resource instances" for name, count in sorted(content.finalizers.items())
    )
    rows = (
        (
            "NamespaceDeletionDiscoveryFailure",
            ("ResourcesDiscovered", "All resources successfully discovered"),
            ("DiscoveryFailed", f"Discovery failed for some groups, {len(content.unknown)} failing: {unknown}"),
            bool(content.unknown),
        ),
        (
            "NamespaceDeletionGroupVersionParsingFailure",
            ("ParsedGroupVersions", "All legacy kube types successfully parsed"),
            ("GroupVersionParsingFailed", ""),
            False,
        ),
        (
            "NamespaceDeletionContentFailure",
            ("ContentDeleted", "All content successfully deleted, may be waiting on finalization"),
            (
                "ContentDeletionFailed",
                f"Failed to delete all resource types, {len(content.failures)} remaining: {failures}",
            ),
            bool(content.failures),
        ),
        (
            "NamespaceContentRemaining",
            ("ContentRemoved", "All content successfully removed"),
            ("SomeResourcesRemain", f"Some resources are remaining: {left}"),
            bool(content.left),
        ),
        (
            "NamespaceFinalizersRemaining",
            ("ContentHasNoFinalizers", "All content-preserving finalizers finished"),
            (
                "SomeFinalizersRemain",
                f"Some content in the namespace has finalizers remaining: {finalizers}",
            ),
            bool(content.finalizers),
        ),
    )
    for kind, good, bad, holds in rows:
        reason, message = bad if holds else good
        yield core_v1.NamespaceCondition(
            type=kind,
            status="True" if holds else "False",
            reason=reason,
            message=message,
            last_transition_time=now,
        )
