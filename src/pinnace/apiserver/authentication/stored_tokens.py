"""Tokens that are kept in Secrets of type kubernetes.io/service-account-token: without an end, until the Secret or its account is gone.

The use of each is noted on its Secret, by day, so that unused ones can be found; one that has been marked invalid for that reason is
refused. Upstream: `pkg/serviceaccount/legacy.go`.
"""

import base64
import hmac
from collections.abc import Mapping
from typing import Any, Protocol, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from pinnace.api.core_v1 import Secret, ServiceAccount
from pinnace.apiserver.authentication.interface import InvalidToken, TokenAuthenticator, TokenUser
from pinnace.apiserver.authentication.signed_claims import SignedClaims
from pinnace.apiserver.service_account_tokens import STORED_CLAIM, STORED_ISSUER
from pinnace.component.clock import Clock
from pinnace.component.http import UserInfo
from pinnace.component.logging import get_logger
from pinnace.machinery import timestamps
from pinnace.machinery.errors import ApiError

LAST_USED = "kubernetes.io/legacy-token-last-used"
INVALID_SINCE = "kubernetes.io/legacy-token-invalid-since"
_CLAIMS = tuple(
    STORED_CLAIM + name for name in ("namespace", "secret.name", "service-account.name", "service-account.uid")
)
_log = get_logger("authentication")
S = TypeVar("S", bound=Struct)


class Objects(Protocol):
    """Reads and updates objects of the API server's own store."""

    async def get(self, cls: type[S], name: str, namespace: str = "") -> S | None: ...
    async def update(self, obj: S) -> S: ...


class StoredTokens(TokenAuthenticator):
    """Users of service-account tokens that a Secret holds."""

    def __init__(self, claims: SignedClaims, objects: Objects, clock: Clock) -> None:
        self._claims = claims
        self._objects = objects
        self._clock = clock

    async def authenticate_token(self, token: str, audiences: tuple[str, ...]) -> TokenUser | None:  # noqa: ARG002
        claims = self._claims.read(token)
        if claims["iss"] != STORED_ISSUER:
            return None
        namespace, secret_name, name, uid = _named(claims)
        secret = await self._secret(namespace, secret_name, token)
        account = await self._objects.get(ServiceAccount, name, namespace)
        if account is None or account.metadata.deletion_timestamp is not None:
            raise InvalidToken(f"ServiceAccount {namespace}/{name} has been deleted")
        if account.metadata.uid != uid:
            raise InvalidToken(f"ServiceAccount UID ({account.metadata.uid}) does not match claim ({uid})")
        if INVALID_SINCE in secret.metadata.labels:
            raise InvalidToken(
                f"the token in secret {namespace}/{secret_name} for service account {namespace}/{name} has been marked invalid. "
                "Use tokens from the TokenRequest API or manually created secret-based tokens, or remove the "
                f"'{INVALID_SINCE}' label from the secret to temporarily allow use of this token"
            )
        await self._note_use(secret)
        groups = ("system:serviceaccounts", f"system:serviceaccounts:{namespace}")
        return TokenUser(UserInfo(f"system:serviceaccount:{namespace}:{name}", uid, groups))

    async def _secret(self, namespace: str, name: str, token: str) -> Secret:
        secret = await self._objects.get(Secret, name, namespace)
        if secret is None or secret.metadata.deletion_timestamp is not None:
            raise InvalidToken("Token has been invalidated")
        held = secret.data.get("token", "")
        if not hmac.compare_digest(held, base64.b64encode(token.encode()).decode()):
            raise InvalidToken("Token does not match server's copy")
        return secret

    async def _note_use(self, secret: Secret) -> None:
        today = timestamps.format(self._clock.time())[:10]
        if secret.metadata.labels.get(LAST_USED) == today:
            return
        labels = {**secret.metadata.labels, LAST_USED: today}
        try:
            await self._objects.update(replace(secret, metadata=replace(secret.metadata, labels=labels)))
        except ApiError as error:
            # A note that is lost is made at the next use; the request must not fail for it.
            _log.info("use of a token not noted", secret=secret.metadata.name, reason=str(error))


def _named(claims: Mapping[str, Any]) -> tuple[str, str, str, str]:
    """Return namespace and name of the Secret, and name and uid of the account.

    Raises:
        InvalidToken: one is missing, or they contradict the subject.
    """
    values = [claims.get(name) for name in _CLAIMS]
    for name, value in zip(_CLAIMS, values, strict=True):
        if not isinstance(value, str) or not value:
            raise InvalidToken(f"{name.rpartition('/')[2]} claim is missing")
    namespace, secret, name, uid = (str(value) for value in values)
    if claims["sub"] != f"system:serviceaccount:{namespace}:{name}":
        raise InvalidToken("sub claim is invalid")
    return namespace, secret, name, uid
