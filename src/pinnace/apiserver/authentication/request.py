"""Who makes a request: every way of authentication, in upstream's order, and the anonymous user when nothing is shown.

What an anonymous user may see (health and version) is authorization's to say. Upstream: kubeapiserver `authenticator/config.go`.
"""

from collections.abc import Sequence

from msgspec.structs import replace

from pinnace.apiserver.authentication.interface import (
    ALL_AUTHENTICATED,
    ALL_UNAUTHENTICATED,
    ANONYMOUS,
    Authenticator,
)
from pinnace.component.http import Request, UserInfo
from pinnace.machinery.errors import Unauthorized
from pinnace.machinery.memo import Memo

ANONYMOUS_USER = UserInfo(ANONYMOUS, groups=(ALL_UNAUTHENTICATED,))


class RequestAuthenticator:
    """The API server's authentication."""

    def __init__(self, authenticators: Sequence[Authenticator], *, anonymous: bool = True) -> None:
        """Ask `authenticators` in order; the first that knows the user decides. `anonymous` lets pass who shows nothing."""
        self._authenticators = tuple(authenticators)
        self._anonymous = anonymous

    async def authenticate(self, request: Request) -> UserInfo:
        """Return who makes a request.

        Raises:
            Unauthorized: what it shows is no good.
        """
        if request.connection.user is not None:
            return _authenticated(request.connection.user)
        for authenticator in self._authenticators:
            user = await authenticator.authenticate(request)
            if user is not None:
                return _authenticated(user)
        if not self._anonymous:
            raise Unauthorized("Unauthorized")
        return ANONYMOUS_USER


def _with_group(user: UserInfo) -> UserInfo:
    if ALL_AUTHENTICATED in user.groups or user.name == ANONYMOUS:
        return user
    return replace(user, groups=(*user.groups, ALL_AUTHENTICATED))


# The ways of authentication give the same credential's user out again and again.
_authenticated: Memo[UserInfo, UserInfo] = Memo(_with_group)
