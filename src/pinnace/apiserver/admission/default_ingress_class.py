"""DefaultIngressClass: an ingress that names no class gets the one that is marked as the default.

Upstream: `plugin/pkg/admission/network/defaultingressclass`.
"""

from typing import Any

from msgspec.structs import replace

from pinnace.api.networking_v1 import Ingress, IngressClass
from pinnace.apiserver.admission.interface import CREATE, Attributes, Objects, Plugin, Target

_CLASS_ANNOTATION = "kubernetes.io/ingress.class"
_DEFAULT_ANNOTATION = "ingressclass.kubernetes.io/is-default-class"


class DefaultIngressClass(Plugin):
    """Gives ingresses the default class."""

    name = "DefaultIngressClass"

    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    def handles(self, target: Target) -> bool:
        return target.is_on("networking.k8s.io", "ingresses") and target.operation == CREATE

    async def mutate(self, attributes: Attributes, obj: Any, old: Any) -> Any:  # noqa: ARG002
        ingress: Ingress = obj
        if ingress.spec.ingress_class_name is not None or _CLASS_ANNOTATION in ingress.metadata.annotations:
            return ingress
        marked = [
            one
            for one in await self._objects.list(IngressClass)
            if one.metadata.annotations.get(_DEFAULT_ANNOTATION) == "true"
        ]
        if not marked:
            return ingress
        # The newest wins, the first by name among equals.
        marked.sort(key=lambda one: one.metadata.name)
        chosen = max(marked, key=lambda one: one.metadata.creation_timestamp or "")
        return replace(ingress, spec=replace(ingress.spec, ingress_class_name=chosen.metadata.name))
