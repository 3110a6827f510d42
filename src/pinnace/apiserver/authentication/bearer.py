"""Bearer tokens: where a request carries one, and what kinds are tried.

A token comes in the Authorization header, or, for WebSocket clients in browsers, which cannot set it, as a subprotocol. Invariant: a token
that nobody accepts is 401; it never makes an anonymous request. Upstream: apiserver `authentication/request/{bearertoken,websocket}`.
"""

import base64
import binascii
import hashlib
from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from pinnace.apiserver.authentication.interface import Authenticator, InvalidToken, TokenAuthenticator, TokenUser
from pinnace.component.http import Headers, Request, UserInfo
from pinnace.component.http.websocket import is_websocket
from pinnace.component.logging import get_logger
from pinnace.machinery.errors import Unauthorized

SUBPROTOCOL_PREFIX = "base64url.bearer.authorization.k8s.io."
_log = get_logger("authentication")


class BearerAuthenticator(Authenticator):
    """Tries each kind of token in turn."""

    def __init__(self, kinds: Sequence[TokenAuthenticator], audiences: tuple[str, ...]) -> None:
        """Try `kinds` in order; `audiences` are the API server's own, for which a request's token must be."""
        self._kinds = tuple(kinds)
        self._audiences = audiences

    async def authenticate(self, request: Request) -> UserInfo | None:
        token = bearer_token(request)
        if not token:
            return None
        try:
            return (await self.review(token)).user
        except InvalidToken as error:
            _log.info("bearer token refused", reason=str(error))
            raise Unauthorized("Unauthorized") from error

    async def review(self, token: str, audiences: tuple[str, ...] = ()) -> TokenUser:
        """Return a token's user, and for which of `audiences` (the API server's own when empty) the token is.

        Raises:
            InvalidToken: no kind accepts it; the text has every reason.
        """
        wanted = audiences or self._audiences
        reasons: list[str] = []
        for kind in self._kinds:
            try:
                found = await kind.authenticate_token(token, wanted)
            except InvalidToken as error:
                reasons.append(str(error))
                continue
            if found is None:
                continue
            if found.audiences is not None:
                return found
            # What knows no audiences is for the API server.
            own = tuple(one for one in wanted if one in self._audiences)
            if own:
                return replace(found, audiences=own)
        if not reasons:
            raise InvalidToken("invalid bearer token")
        raise InvalidToken("[" + ", ".join(["invalid bearer token", *dict.fromkeys(reasons)]) + "]")


class StaticTokens(TokenAuthenticator):
    """Tokens given at start, each for one user; kept as digests only."""

    def __init__(self, users: Mapping[str, UserInfo]) -> None:
        self._users = {_digest(token): user for token, user in users.items()}

    async def authenticate_token(self, token: str, audiences: tuple[str, ...]) -> TokenUser | None:  # noqa: ARG002
        user = self._users.get(_digest(token)) if self._users else None
        return None if user is None else TokenUser(user)


def bearer_token(request: Request) -> str:
    """Return the token that a request shows, an empty text when it shows none.

    Raises:
        Unauthorized: the subprotocol that should hold a token is malformed.
    """
    scheme, _, token = request.headers.get("Authorization").strip().partition(" ")
    if scheme.lower() == "bearer" and token.strip():
        return token.strip()
    if is_websocket(request):
        return _subprotocol_token(request.headers)
    return ""


def without_credentials(headers: Headers) -> Headers:
    """Return a request's headers less all that says who makes it, as they may be passed on to others."""
    protocols = headers.tokens("Sec-WebSocket-Protocol")
    acting = (name for name in headers if name.lower().startswith(("impersonate-", "x-remote-")))
    stripped = headers.without("Authorization", "Cookie", *acting)
    if any(name.startswith(SUBPROTOCOL_PREFIX) for name in protocols):
        kept = ", ".join(name for name in protocols if not name.startswith(SUBPROTOCOL_PREFIX))
        stripped = stripped.without("Sec-WebSocket-Protocol").extended(("Sec-WebSocket-Protocol", kept))
    return stripped


def _subprotocol_token(headers: Headers) -> str:
    protocols = headers.tokens("Sec-WebSocket-Protocol")
    encoded = [name.removeprefix(SUBPROTOCOL_PREFIX) for name in protocols if name.startswith(SUBPROTOCOL_PREFIX)]
    if not encoded:
        return ""
    # The token itself may not be the answer's subprotocol, so there must be another to choose.
    if len(encoded) > 1 or len(protocols) < 2:
        raise Unauthorized("Unauthorized")
    try:
        padded = encoded[0] + "=" * (-len(encoded[0]) % 4)
        return base64.b64decode(padded, altchars=b"-_", validate=True).decode()
    except (binascii.Error, UnicodeDecodeError) as error:
        raise Unauthorized("Unauthorized") from error


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
