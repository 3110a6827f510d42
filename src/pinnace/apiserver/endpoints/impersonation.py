"""Acting for somebody else: the Impersonate-* headers.

The real user needs the verb `impersonate` on every name asked for. Upstream: apiserver `endpoints/filters/impersonation`.
"""

from urllib.parse import unquote

from pinnace.apiserver.authorization import Attributes, Authorizer, require
from pinnace.component.http import Request, UserInfo
from pinnace.machinery.errors import BadRequest

_PREFIX = "impersonate-"
_EXTRA = "impersonate-extra-"
_ACCOUNT = "system:serviceaccount:"


def is_impersonating(request: Request) -> bool:
    """Tell whether a request asks to act for somebody else."""
    return any(name[:12].lower() == _PREFIX for name in request.headers)


async def impersonate(request: Request, user: UserInfo, authorizer: Authorizer) -> UserInfo:
    """Return who the request acts for.

    Raises:
        BadRequest: groups, uid or extra without a name.
        Forbidden: the user may not act for that.
    """
    name = request.headers.get("Impersonate-User")
    uid = request.headers.get("Impersonate-Uid")
    groups = request.headers.get_all("Impersonate-Group")
    extra = {
        unquote(header[len(_EXTRA) :]).lower(): request.headers.get_all(header)
        for header in request.headers
        if header.lower().startswith(_EXTRA)
    }
    if not name:
        listed = ", ".join(f'"{group}"' for group in groups)
        shown = f"[]string{{{listed}}}" if groups else "[]string(nil)"
        raise BadRequest(
            f'requested &user.DefaultInfo{{Name:"", UID:"{uid}", Groups:{shown}, Extra:map[string][]string(nil)}} '
            "without impersonating a user name"
        )
    for group, version, resource, namespace, subject in _subjects(name, uid, groups, extra):
        attributes = Attributes(
            user=user,
            verb="impersonate",
            group=group,
            version=version,
            resource=resource.partition("/")[0],
            subresource=resource.partition("/")[2],
            namespace=namespace,
            name=subject,
            is_resource=True,
        )
        await require(authorizer, attributes)
    return UserInfo(name, uid, _with_implied(name, groups), extra)


def _subjects(
    name: str, uid: str, groups: tuple[str, ...], extra: dict[str, tuple[str, ...]]
) -> list[tuple[str, str, str, str, str]]:
    """Return what has to be allowed: group, version, resource, namespace and name of each subject."""
    found = []
    if name.startswith(_ACCOUNT) and name.count(":") == 3:
        _, _, namespace, account = name.split(":")
        found.append(("", "v1", "serviceaccounts", namespace, account))
    else:
        found.append(("", "v1", "users", "", name))
    if uid:
        found.append(("authentication.k8s.io", "v1", "uids", "", uid))
    found += [("", "v1", "groups", "", group) for group in groups]
    found += [
        ("authentication.k8s.io", "v1", f"userextras/{key}", "", value)
        for key, values in extra.items()
        for value in values
    ]
    return found


def _with_implied(name: str, groups: tuple[str, ...]) -> tuple[str, ...]:
    implied: tuple[str, ...] = ()
    if name.startswith(_ACCOUNT) and name.count(":") == 3 and not groups:
        implied = ("system:serviceaccounts", f"system:serviceaccounts:{name.split(':')[2]}")
    last = "system:unauthenticated" if name == "system:anonymous" else "system:authenticated"
    return tuple(dict.fromkeys((*groups, *implied, last)))
