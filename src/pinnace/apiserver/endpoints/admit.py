"""Admission as the registry calls it: the chain, bound to one request."""

from typing import Any

from pinnace.apiserver.admission import Admission, Attributes
from pinnace.apiserver.endpoints.scope import Scope


class BoundAdmission:
    """The admission of one write."""

    __slots__ = ("_attributes", "_chain")

    def __init__(self, chain: Admission, scope: Scope, operation: str, *, dry_run: bool, options: Any) -> None:
        info, resource = scope.info, scope.resource
        self._chain = chain
        self._attributes = Attributes(
            user=scope.user,
            operation=operation,
            group=resource.group,
            version=resource.version,
            kind=resource.kind,
            resource=resource.plural,
            subresource=info.subresource,
            namespace=info.namespace,
            name=info.name,
            dry_run=dry_run,
            options=options,
            warn=scope.warnings.append,
        )

    async def mutate(self, obj: Any, old: Any) -> Any:
        """Run the mutating pass."""
        return await self._chain.mutate(self._attributes, obj, old)

    async def validate(self, obj: Any, old: Any) -> None:
        """Run the validating pass."""
        await self._chain.validate(self._attributes, obj, old)
