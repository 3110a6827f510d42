"""Admission: what is checked and completed about a write after the user was found to be allowed to make it.

A plug-in mutates, validates, or both. The mutating pass runs over all plug-ins in order, then the validating pass in the same order.
Functions of a user's own are plug-ins like any other. Upstream: apiserver `admission/{interfaces,chain}.go`.
"""

from abc import abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from msgspec import Struct

from pinnace.component.http import UserInfo
from pinnace.machinery import errors

S = TypeVar("S", bound=Struct)

CREATE, UPDATE, DELETE, CONNECT = "CREATE", "UPDATE", "DELETE", "CONNECT"


def _no_warning(_text: str) -> None:
    """Drop a warning: the caller has nobody to show it to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attributes:
    """One write, as far as the request tells; `operation` is CREATE, UPDATE, DELETE or CONNECT."""

    user: UserInfo
    operation: str
    group: str = ""
    version: str = ""
    kind: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    dry_run: bool = False
    options: Any = None
    warn: Callable[[str], None] = field(default=_no_warning)

    def refuse(self, text: str, *, name: str = "", causes: Iterable[errors.Cause] = ()) -> errors.Forbidden:
        """Return the 403 of a plug-in that refuses; `name` where the URL has none, as on create."""
        return errors.forbidden(self.group, self.resource, self.name or name, text, causes=tuple(causes))


class Objects(Protocol):
    """Reads objects of the API server's own store, for plug-ins that depend on others."""

    async def get(self, cls: type[S], name: str, namespace: str = "") -> S | None: ...
    async def list(self, cls: type[S], namespace: str = "") -> tuple[S, ...]: ...


class Plugin:
    """One admission plug-in; what it leaves out it lets pass."""

    async def mutate(self, attributes: Attributes, obj: Any, old: Any) -> Any:  # noqa: ARG002
        """Return the object as it is to be, `obj` itself when nothing is to change. Must be idempotent.

        `obj` is None on delete and `old` on create. Called before validation of the kind.

        Raises:
            ApiError: the write is refused.
        """
        return obj

    async def validate(self, attributes: Attributes, obj: Any, old: Any) -> None:
        """Look at the final object.

        Raises:
            ApiError: the write is refused.
        """


class Admission(Protocol):
    """All of admission, as the server calls it."""

    @abstractmethod
    async def mutate(self, attributes: Attributes, obj: Any, old: Any) -> Any:
        """Run the mutating pass and return the object."""

    @abstractmethod
    async def validate(self, attributes: Attributes, obj: Any, old: Any) -> None:
        """Run the validating pass."""


class AdmissionChain(Admission):
    """The plug-ins of an API server, in order."""

    def __init__(self, plugins: Iterable[Plugin]) -> None:
        self._plugins = tuple(plugins)

    async def mutate(self, attributes: Attributes, obj: Any, old: Any) -> Any:
        for plugin in self._plugins:
            obj = await plugin.mutate(attributes, obj, old)
        return obj

    async def validate(self, attributes: Attributes, obj: Any, old: Any) -> None:
        for plugin in self._plugins:
            await plugin.validate(attributes, obj, old)

    def extended(self, *plugins: Plugin) -> "AdmissionChain":
        """Return the chain with further plug-ins behind, where upstream has its webhooks."""
        return AdmissionChain((*self._plugins, *plugins))
