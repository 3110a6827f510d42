"""Admission by functions: policies of a cluster's own, in Python and in the process, with the types of what they see.

    def no_latest(request: Request[Pod]) -> None:
        if any(one.image.endswith(":latest") for one in request.object.spec.containers):
            request.deny("images need a version")

    plugins = [validating(Pod, no_latest), mutating(Deployment, add_team_label, operations={CREATE})]

Containers that are added to a running pod are written by a path of their own: hand a policy on containers in once more with
`subresource="ephemeralcontainers"`, or it is no policy. A function is called with the object as clients may write it, after the built-in plug-ins and where upstream calls webhooks: all
that mutate in order, then validation of the kind, then all that validate; quotas count what comes out. It may be a coroutine
function. One that raises anything but a refusal fails the write, as a webhook with failurePolicy Fail. Hand the plug-ins to
`api_server(admission_plugins=...)`.
"""

import inspect
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Generic, Never, TypeAlias, TypeVar

from msgspec import Struct

from pinnace.api import resources
from pinnace.apiserver.admission.interface import CREATE, DELETE, UPDATE, Attributes, Plugin, Target
from pinnace.component.http import UserInfo
from pinnace.machinery import errors

T = TypeVar("T", bound=Struct)


class Request(Struct, Generic[T], frozen=True):
    """One write: `object` is what it would store (on DELETE what is there), `old` what is there (None on CREATE)."""

    attributes: Attributes
    object: T
    old: T | None

    @property
    def user(self) -> UserInfo:
        return self.attributes.user

    @property
    def operation(self) -> str:
        return self.attributes.operation

    @property
    def is_dry_run(self) -> bool:
        """Whether nothing will be stored: such a request must have no effect elsewhere."""
        return self.attributes.dry_run

    def warn(self, text: str) -> None:
        """Show the client a warning beside the answer."""
        self.attributes.warn(text)

    def deny(self, reason: str) -> Never:
        """Refuse the write with a 403 that gives the reason."""
        raise self.attributes.refuse(reason, self.object)


Mutation: TypeAlias = Callable[[Request[T]], T | Awaitable[T]]
Validation: TypeAlias = Callable[[Request[T]], Awaitable[None] | None]


def mutating(
    kind: type[T], function: Mutation[T], *, operations: Iterable[str] = (CREATE, UPDATE), subresource: str = ""
) -> Plugin:
    """Return a plug-in that stores what a function makes of the objects of a kind; it must be idempotent."""
    return _Mutating(kind, function, operations, subresource)


def validating(
    kind: type[T],
    function: Validation[T],
    *,
    operations: Iterable[str] = (CREATE, UPDATE),
    subresource: str = "",
) -> Plugin:
    """Return a plug-in that lets a function refuse writes of a kind."""
    return _Validating(kind, function, operations, subresource)


class _ByFunction(Plugin):
    """A plug-in for one kind of write."""

    def __init__(
        self, kind: type[Any], function: Callable[..., Any], operations: Iterable[str], subresource: str
    ) -> None:
        resource = resources.by_type(kind)
        self._targets = frozenset(Target(each, resource.group, resource.plural, subresource) for each in operations)
        self._function = function
        self.name = getattr(function, "__qualname__", repr(function))  # type: ignore[misc] # each its own

    def handles(self, target: Target) -> bool:
        return target in self._targets

    async def _call(self, attributes: Attributes, obj: Any, old: Any) -> Any:
        shown = old if attributes.operation == DELETE else obj
        try:
            answer = self._function(Request(attributes, shown, old))
            return await answer if inspect.isawaitable(answer) else answer
        except errors.ApiError:
            raise
        except Exception as failure:
            text = f'failed calling admission function "{self.name}": {type(failure).__name__}: {failure}'
            raise errors.internal(text) from failure


class _Mutating(_ByFunction):
    async def mutate(self, attributes: Attributes, obj: Any, old: Any) -> Any:
        changed = await self._call(attributes, obj, old)
        if obj is not None and not isinstance(changed, type(obj)):
            what = type(changed).__name__
            raise errors.internal(f'admission function "{self.name}" returned {what} for {type(obj).__name__}')
        return changed if obj is not None else None


class _Validating(_ByFunction):
    async def validate(self, attributes: Attributes, obj: Any, old: Any) -> None:
        await self._call(attributes, obj, old)
