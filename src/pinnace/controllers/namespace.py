"""Namespace: empties a namespace that is being deleted, pods first, then lets it go (pkg/controller/namespace/deletion).

What is left, and why, stands in the namespace's conditions; it is looked at again until nothing is.
"""

import msgspec
from msgspec.structs import replace

from pinnace.api import core_v1
from pinnace.api.resources import RESOURCES, Resource
from pinnace.client import Client, InformerFactory
from pinnace.component.clock import Clock
from pinnace.controllers.controller import Controller
from pinnace.machinery import timestamps
from pinnace.machinery.errors import ApiError, Conflict, NotFound

FINALIZER = "kubernetes"
# Seconds between looks while objects with finalizers or grace periods are on their way out.
LOOK_AGAIN_SECONDS = 1.0


class NamespaceController(Controller):
    """Reconciles namespaces that are being deleted."""

    name = "namespace-controller"
    component = "namespace-controller"

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
        left, failures = await self._empty(key)
        await self._write_conditions(key, left, failures)
        if left or failures:
            return LOOK_AGAIN_SECONDS
        await self._finalize(key)
        return None

    async def _empty(self, name: str) -> tuple[dict[str, int], list[str]]:
        """Delete everything, and return what is still there by resource, and what went wrong."""
        contained = [item for item in RESOURCES if item.namespaced and "deletecollection" in item.verbs]
        pods = [item for item in contained if item.plural == "pods"]
        left, failures = await self._empty_of(name, pods)
        if left or failures:
            return left, failures
        return await self._empty_of(name, [item for item in contained if item.plural != "pods"])

    async def _empty_of(self, name: str, contained: list[Resource]) -> tuple[dict[str, int], list[str]]:
        left: dict[str, int] = {}
        failures: list[str] = []
        options = b'{"kind":"DeleteOptions","apiVersion":"v1","propagationPolicy":"Background"}'
        for resource in contained:
            try:
                count = await self._count(resource, name)
                if count:
                    await self.client.raw("DELETE", resource.path(name), body=options)
                    count = await self._count(resource, name)
            except ApiError as error:
                failures.append(f"{resource.qualified}: {error}")
                continue
            if count:
                left[resource.qualified] = count
        return left, failures

    async def _count(self, resource: Resource, name: str) -> int:
        listed = msgspec.json.decode(await self.client.raw("GET", resource.path(name), query="limit=500"))
        return len(listed.get("items") or ())

    async def _write_conditions(self, name: str, left: dict[str, int], failures: list[str]) -> None:
        now = timestamps.format(self.clock.time())
        resources = ", ".join(f"{what} has {count} resource instances" for what, count in left.items())
        content = f"Some resources are remaining: {resources}" if left else "All content successfully removed"
        failed = f"Failed to delete all resource types, {len(failures)} remaining: {', '.join(failures)}"
        wanted = (
            (
                "NamespaceDeletionDiscoveryFailure",
                False,
                "ResourcesDiscovered",
                "All resources successfully discovered",
            ),
            (
                "NamespaceDeletionGroupVersionParsingFailure",
                False,
                "ParsedGroupVersions",
                "All legacy kube types successfully parsed",
            ),
            (
                "NamespaceDeletionContentFailure",
                bool(failures),
                "ContentDeletionFailed" if failures else "ContentDeleted",
                failed if failures else "All content successfully deleted, may be waiting on finalization",
            ),
            ("NamespaceContentRemaining", bool(left), "SomeResourcesRemain" if left else "ContentRemoved", content),
            (
                "NamespaceFinalizersRemaining",
                False,
                "ContentHasNoFinalizers",
                "All content-preserving finalizers finished",
            ),
        )
        conditions = tuple(
            core_v1.NamespaceCondition(
                type=kind,
                status="True" if bad else "False",
                reason=reason,
                message=message,
                last_transition_time=now,
            )
            for kind, bad, reason, message in wanted
        )
        if not left and not failures:
            return
        try:
            namespace = await self.client.get(core_v1.Namespace, name)
            if [(item.type, item.status, item.message) for item in namespace.status.conditions] == [
                (item.type, item.status, item.message) for item in conditions
            ]:
                return
            status = replace(namespace.status, conditions=conditions)
            await self.client.update(replace(namespace, status=status), subresource="status")
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
