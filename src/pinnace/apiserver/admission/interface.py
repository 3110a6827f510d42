"""Admission: what is checked and completed about a write after the user was found to be allowed to make it.

A plug-in mutates, validates, or both. The mutating pass runs over all plug-ins in order, then the validating pass in the same order.
A plug-in says once for each kind of write whether it has anything to do with it, so a write meets only the plug-ins that it concerns.
Functions of a user's own are plug-ins like any other (`functions.py`). Upstream: apiserver `admission/{interfaces,chain}.go`.
"""

from abc import abstractmethod
from collections.abc import Callable, Iterable
from typing import Any, ClassVar, Protocol, TypeVar

from msgspec import Struct

from pinnace.component.http import UserInfo
from pinnace.machinery import errors

S = TypeVar("S", bound=Struct)

CREATE, UPDATE, DELETE, CONNECT = "CREATE", "UPDATE", "DELETE", "CONNECT"


def _no_warning(_text: str) -> None:
    """Drop a warning: the caller has nobody to show it to."""


class Attributes(Struct, frozen=True, kw_only=True, gc=False):
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
    warn: Callable[[str], None] = _no_warning

    def refuse(
        self, text: str, obj: Any = None, *, name: str = "", causes: Iterable[errors.Cause] = ()
    ) -> errors.Forbidden:
        """Return the 403 of a plug-in that refuses.

        It names what the URL names, else the object, by what its name will begin with where it is yet to be generated.
        """
        name = self.name or name
        if not name and obj is not None:
            name = obj.metadata.name or obj.metadata.generate_name or "Unknown"
        return errors.forbidden(self.group, self.resource, name, text, causes=tuple(causes))


class Target(Struct, frozen=True):
    """What kind of write it is: all that a plug-in may base its interest on."""

    operation: str
    group: str
    resource: str
    subresource: str = ""

    def is_on(self, group: str, resource: str, subresource: str = "") -> bool:
        """Tell whether the write is on a resource, or on one of its subresources."""
        return (self.group, self.resource, self.subresource) == (group, resource, subresource)


class Objects(Protocol):
    """Reads objects of the API server's own cache, for plug-ins that depend on others; nothing here waits."""

    async def get(self, cls: type[S], name: str, namespace: str = "") -> S | None: ...
    async def list(self, cls: type[S], namespace: str = "") -> tuple[S, ...]: ...


class Plugin:
    """One admission plug-in; what it leaves out it lets pass."""

    name: ClassVar[str] = ""

    def handles(self, target: Target) -> bool:  # noqa: ARG002
        """Tell whether the plug-in has anything to do with such writes; the answer is remembered."""
        return True

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


_Key = tuple[str, str, str, str]


class AdmissionChain(Admission):
    """The plug-ins of an API server, in order."""

    def __init__(self, plugins: Iterable[Plugin]) -> None:
        self._plugins = tuple(plugins)
        # Which plug-ins each kind of write meets. There are as many as the table of resources has paths to write to.
        self._mutating: dict[_Key, tuple[Plugin, ...]] = {}
        self._validating: dict[_Key, tuple[Plugin, ...]] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """The plug-ins' names in order, for the log and the tests."""
        return tuple(plugin.name for plugin in self._plugins)

    async def mutate(self, attributes: Attributes, obj: Any, old: Any) -> Any:
        key = (attributes.resource, attributes.subresource, attributes.operation, attributes.group)
        plugins = self._mutating.get(key)
        if plugins is None:
            plugins = self._mutating[key] = self._concerned(attributes, Plugin.mutate)
        for plugin in plugins:
            obj = await plugin.mutate(attributes, obj, old)
        return obj

    async def validate(self, attributes: Attributes, obj: Any, old: Any) -> None:
        key = (attributes.resource, attributes.subresource, attributes.operation, attributes.group)
        plugins = self._validating.get(key)
        if plugins is None:
            plugins = self._validating[key] = self._concerned(attributes, Plugin.validate)
        for plugin in plugins:
            await plugin.validate(attributes, obj, old)

    def _concerned(self, attributes: Attributes, nothing: Callable[..., Any]) -> tuple[Plugin, ...]:
        """Return the plug-ins that have a say in such a write, in the pass whose empty implementation is `nothing`."""
        target = Target(attributes.operation, attributes.group, attributes.resource, attributes.subresource)
        return tuple(
            plugin
            for plugin in self._plugins
            if getattr(type(plugin), nothing.__name__) is not nothing and plugin.handles(target)
        )
