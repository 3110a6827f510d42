"""Acting for somebody else: the Impersonate-* headers.

There are two ways to be allowed to. The old verb `impersonate` on every name asked for lets the user do whatever the other may do. The
constrained verbs `impersonate:<mode>` let the user be the other only for requests that `impersonate-on:<mode>:<verb>` allows, in one
of four modes: the node that a service account runs on, any node, a service account, any other user. The modes are tried in this
order and the old way last; when all refuse, the first refusal is told. Upstream: apiserver `endpoints/filters/impersonation`, KEP-5284.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from urllib.parse import unquote

from msgspec import Struct
from msgspec.structs import replace

from pinnace.apiserver.authorization import MASTERS, Attributes, Authorizer, attributes_of, refusal, require
from pinnace.apiserver.authorization.roles import ACCOUNT_PREFIX
from pinnace.apiserver.endpoints.request_info import RequestInfo
from pinnace.component.http import Request, UserInfo
from pinnace.machinery.errors import BadRequest, Forbidden
from pinnace.machinery.field import go_quoted
from pinnace.machinery.names import dns_label, dns_subdomain

_ACTING = re.compile("impersonate-", re.IGNORECASE).match
_EXTRA = "impersonate-extra-"
_NODE_PREFIX = "system:node:"
_NODE_NAME = "authentication.kubernetes.io/node-name"
_AUTHENTICATION = "authentication.k8s.io"


def is_impersonating(request: Request) -> bool:
    """Tell whether a request asks to act for somebody else."""
    return any(map(_ACTING, request.headers))


class _Wanted(Struct, frozen=True):
    """Whom a request asks to act for."""

    name: str
    uid: str = ""
    groups: tuple[str, ...] = ()
    extra: Mapping[str, tuple[str, ...]] | None = None

    @property
    def is_name_alone(self) -> bool:
        return not (self.uid or self.groups or self.extra)


class _Mode(Struct, frozen=True):
    """A constrained way of impersonation, and for whom and by whom it can be used."""

    name: str
    applies: Callable[[_Wanted, UserInfo], bool]


_MODES = (
    _Mode("associated-node", lambda wanted, user: wanted.is_name_alone and _runs_on(user, wanted.name)),
    _Mode("arbitrary-node", lambda wanted, user: wanted.is_name_alone and _node(wanted.name) is not None),  # noqa: ARG005
    _Mode("serviceaccount", lambda wanted, user: wanted.is_name_alone and _account(wanted.name) is not None),  # noqa: ARG005
    _Mode("user-info", lambda wanted, user: _node(wanted.name) is None and _account(wanted.name) is None),  # noqa: ARG005
)


async def impersonate(request: Request, info: RequestInfo, user: UserInfo, authorizer: Authorizer) -> UserInfo:
    """Return who the request acts for.

    Raises:
        BadRequest: groups, uid or extra without a name.
        Forbidden: the user may not act for that.
    """
    wanted = _wanted(request)
    refused: Forbidden | None = None
    for mode in _MODES:
        if not mode.applies(wanted, user):
            continue
        asked = attributes_of(user, info, request)
        try:
            await require(authorizer, replace(asked, verb=f"impersonate-on:{mode.name}:{asked.verb}"))
            await _require_all(authorizer, user, wanted, mode)
        except Forbidden as error:
            refused = refused or error
        else:
            return _become(wanted, constrained=True)
    try:
        await _require_all(authorizer, user, wanted, None)
    except Forbidden as error:
        raise refused or error from None
    return _become(wanted, constrained=False)


def _wanted(request: Request) -> _Wanted:
    name = request.headers.get("Impersonate-User")
    uid = request.headers.get("Impersonate-Uid")
    groups = tuple(request.headers.get_all("Impersonate-Group"))
    extra: dict[str, tuple[str, ...]] = {}
    for header in dict.fromkeys(one.lower() for one in request.headers):
        if header.startswith(_EXTRA):
            key = unquote(header[len(_EXTRA) :])
            extra[key] = (*extra.get(key, ()), *request.headers.get_all(header))
    if name:
        return _Wanted(name, uid, groups, extra)
    shown = f"[]string{_go_words(groups)}" if groups else "[]string(nil)"
    listed = ", ".join(f"{go_quoted(key)}:[]string{_go_words(values)}" for key, values in sorted(extra.items()))
    shown_extra = f"map[string][]string{{{listed}}}" if extra else "map[string][]string(nil)"
    raise BadRequest(
        f'requested &user.DefaultInfo{{Name:"", UID:{go_quoted(uid)}, Groups:{shown}, Extra:{shown_extra}}} '
        "without impersonating a user name"
    )


def _go_words(words: tuple[str, ...]) -> str:
    return "{" + ", ".join(map(go_quoted, words)) + "}"


async def _require_all(authorizer: Authorizer, user: UserInfo, wanted: _Wanted, mode: _Mode | None) -> None:
    """Check that each thing about the wanted user may be taken on."""
    for attributes in _subjects(user, wanted, mode):
        if mode is not None:
            _refuse_never(attributes)
        await require(authorizer, attributes)


def _subjects(user: UserInfo, wanted: _Wanted, mode: _Mode | None) -> Iterator[Attributes]:
    """Yield what has to be allowed, one request a name."""
    verb = "impersonate" if mode is None else f"impersonate:{mode.name}"
    base = Attributes(user=user, verb=verb, version="v1", is_resource=True)
    named = replace(base, group="" if mode is None else _AUTHENTICATION)
    account, node = _account(wanted.name), _node(wanted.name)
    if account is not None:
        yield replace(named, resource="serviceaccounts", namespace=account[0], name=account[1])
    elif mode is not None and node is not None:
        # The node that an account runs on is known already; who may be it there may be it everywhere.
        yield replace(named, resource="nodes", name="*" if mode.name == "associated-node" else node)
    else:
        yield replace(named, resource="users", name=wanted.name)
    if wanted.uid:
        yield replace(base, group=_AUTHENTICATION, resource="uids", name=wanted.uid)
    for group in wanted.groups:
        yield replace(named, resource="groups", name=group)
    for key, values in (wanted.extra or {}).items():
        for value in values:
            yield replace(base, group=_AUTHENTICATION, resource="userextras", subresource=key, name=value)


def _refuse_never(attributes: Attributes) -> None:
    """Refuse what no role can allow in a constrained mode.

    Raises:
        Forbidden: it is one of these.
    """
    if attributes.resource == "groups":
        if not attributes.name:
            raise refusal(attributes, "impersonating the empty string group is not allowed")
        if attributes.name == MASTERS:
            raise refusal(attributes, "impersonating the system:masters group is not allowed")
    if attributes.resource == "userextras":
        bare = replace(attributes, subresource="", name="")
        if not attributes.subresource:
            raise refusal(bare, "impersonating the empty string key in extra is not allowed")
        if attributes.subresource != attributes.subresource.lower():
            key = go_quoted(attributes.subresource)
            raise refusal(bare, f"impersonating a non-lowercase key in extra is not allowed: {key}")
        if not attributes.name:
            raise refusal(bare, "impersonating the empty string value in extra is not allowed")


def _become(wanted: _Wanted, *, constrained: bool) -> UserInfo:
    groups, account = wanted.groups, _account(wanted.name)
    if account is not None and not groups:
        groups = ("system:serviceaccounts", f"system:serviceaccounts:{account[0]}")
    if constrained and _node(wanted.name) is not None:
        groups = ("system:nodes",)
    if wanted.name == "system:anonymous":
        groups = (*groups, "system:unauthenticated")
    elif "system:unauthenticated" not in groups:
        groups = (*groups, "system:authenticated")
    return UserInfo(wanted.name, wanted.uid, tuple(dict.fromkeys(groups)), wanted.extra or {})


def _account(name: str) -> tuple[str, str] | None:
    """Return namespace and name of the service account that a user name is, None for any other."""
    if not name.startswith(ACCOUNT_PREFIX):
        return None
    namespace, colon, account = name.removeprefix(ACCOUNT_PREFIX).partition(":")
    return (namespace, account) if colon and not dns_label(namespace) and not dns_subdomain(account) else None


def _node(name: str) -> str | None:
    """Return the node that a user name is, None for any other."""
    node = name.removeprefix(_NODE_PREFIX)
    return node if name.startswith(_NODE_PREFIX) and not dns_subdomain(node) else None


def _runs_on(user: UserInfo, name: str) -> bool:
    """Tell whether a user is a service account on the node that a user name is."""
    node = _node(name)
    return node is not None and _account(user.name) is not None and user.extra.get(_NODE_NAME) == (node,)
