"""NamespaceLifecycle: nothing is created in a namespace that is going or not there, and some namespaces stay.

Upstream: apiserver `admission/plugin/namespace/lifecycle`.
"""

from typing import Any

from pinnace.api.core_v1 import Namespace
from pinnace.apiserver.admission.interface import CREATE, DELETE, Attributes, Objects, Plugin, Target
from pinnace.machinery import errors

IMMORTAL = frozenset({"default", "kube-system", "kube-public"})
# What may be created in a namespace that is not there: reviews are about it, not in it.
_REVIEWS = frozenset({("authorization.k8s.io", "localsubjectaccessreviews")})


class NamespaceLifecycle(Plugin):
    """Guards the beginning and the end of namespaces."""

    name = "NamespaceLifecycle"

    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    def handles(self, target: Target) -> bool:
        if target.is_on("", "namespaces"):
            return target.operation == DELETE
        # Updates and deletes are let through, so that a namespace can be emptied.
        return target.operation == CREATE and (target.group, target.resource) not in _REVIEWS

    async def mutate(self, attributes: Attributes, obj: Any, old: Any) -> Any:  # noqa: ARG002
        if attributes.operation == DELETE:
            if attributes.name in IMMORTAL:
                raise attributes.refuse("this namespace may not be deleted")
        elif attributes.namespace:
            await self._check(attributes, obj)
        return obj

    async def _check(self, attributes: Attributes, obj: Any) -> None:
        name = attributes.namespace
        namespace = await self._objects.get(Namespace, name)
        if namespace is None:
            raise errors.not_found("", "namespaces", name)
        if namespace.metadata.deletion_timestamp or namespace.status.phase == "Terminating":
            cause = errors.Cause("NamespaceTerminating", f"namespace {name} is being terminated", "metadata.namespace")
            text = f"unable to create new content in namespace {name} because it is being terminated"
            raise attributes.refuse(text, obj, causes=(cause,))
