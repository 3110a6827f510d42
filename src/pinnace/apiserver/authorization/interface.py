"""What authorization decides on, and how it answers."""

from abc import abstractmethod
from enum import Enum
from typing import Protocol

from msgspec import Struct

from pinnace.apiserver.endpoints.request_info import RequestInfo
from pinnace.component.http import Request, UserInfo
from pinnace.machinery import errors
from pinnace.machinery.selectors import FieldSelector, parse_fields

_EVERY_FIELD = FieldSelector()
_SELECTING = frozenset({"list", "watch", "deletecollection"})


class Attributes(Struct, frozen=True, gc=False):
    """Who wants to do what to what; the fields after `path` are empty for a request that is not for a resource."""

    user: UserInfo
    verb: str
    path: str = ""
    is_resource: bool = False
    group: str = ""
    version: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    # What a list, watch or deletecollection is narrowed to, so far as it could be read.
    fields: FieldSelector = _EVERY_FIELD

    @property
    def resource_path(self) -> str:
        """The resource as rules name it: `pods` or `pods/log`."""
        return f"{self.resource}/{self.subresource}" if self.subresource else self.resource


class Decision(Enum):
    """An authorizer's answer; the first that has an opinion decides."""

    ALLOWED = "allowed"
    DENIED = "denied"
    NO_OPINION = "no opinion"


class Verdict(Struct, frozen=True, gc=False):
    """A decision with the reason that SubjectAccessReview and 403 texts give."""

    decision: Decision
    reason: str = ""


NO_OPINION = Verdict(Decision.NO_OPINION)
ALLOWED = Verdict(Decision.ALLOWED)


class Authorizer(Protocol):
    """Says who may do what; asked once per request, before the request is read any further."""

    @abstractmethod
    async def authorize(self, attributes: Attributes) -> Verdict:
        """Return whether the request is allowed; NO_OPINION leaves it to the next, and to refusal in the end."""


async def require(authorizer: Authorizer, attributes: Attributes) -> None:
    """Let an allowed request pass.

    Raises:
        Forbidden: it is not allowed, with upstream's text.
    """
    verdict = await authorizer.authorize(attributes)
    if verdict.decision is not Decision.ALLOWED:
        raise refusal(attributes, verdict.reason)


async def check(authorizer: Authorizer, user: UserInfo, info: RequestInfo, request: Request, *, verb: str = "") -> None:
    """Let a request pass that its user may make; `verb` asks for another one than the request's own.

    Raises:
        Forbidden: the user may not.
    """
    await require(authorizer, attributes_of(user, info, request, verb=verb))


def attributes_of(user: UserInfo, info: RequestInfo, request: Request, *, verb: str = "") -> Attributes:
    """Return what a request asks for, with another verb than its own when one is given."""
    name, fields = info.name, _EVERY_FIELD
    if info.is_resource and info.verb in _SELECTING and request.query:
        fields = _selected_fields(request)
        if not name and info.verb != "deletecollection":
            name = _selected_name(fields)
    return Attributes(
        user=user,
        verb=verb or info.verb,
        path=info.path,
        is_resource=info.is_resource,
        group=info.group,
        version=info.version,
        resource=info.resource,
        subresource=info.subresource,
        namespace=info.namespace,
        name=name,
        fields=fields,
    )


def _selected_fields(request: Request) -> FieldSelector:
    """Return the request's field selector; one that does not parse narrows nothing, and is refused when it is handled."""
    text = request.param("fieldSelector")
    if not text:
        return _EVERY_FIELD
    try:
        return parse_fields(text)
    except ValueError:
        return _EVERY_FIELD


def _selected_name(fields: FieldSelector) -> str:
    """Return the one name that a list or watch is narrowed to, on which authorization may rest."""
    name = fields.exact("metadata.name") or ""
    return "" if name in {".", ".."} or "/" in name or "%" in name else name


def refusal(attributes: Attributes, reason: str = "") -> errors.Forbidden:
    """Return the 403 for a request that is not allowed."""
    user = attributes.user.name.replace("\\", "\\\\").replace('"', '\\"')
    suffix = f": {reason}" if reason else ""
    if not attributes.is_resource:
        return errors.Forbidden(
            f'forbidden: User "{user}" cannot {attributes.verb} path "{attributes.path}"{suffix}', errors.Details()
        )
    where = f'in the namespace "{attributes.namespace}"' if attributes.namespace else "at the cluster scope"
    return errors.forbidden(
        attributes.group,
        attributes.resource,
        attributes.name,
        f'User "{user}" cannot {attributes.verb} resource "{attributes.resource_path}" in API group '
        f'"{attributes.group}" {where}{suffix}',
    )
