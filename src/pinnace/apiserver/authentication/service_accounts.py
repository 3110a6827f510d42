"""Service-account tokens as credentials: signature, issuer, time, audience, and whether what they are bound to still lives.

Only RS256 with a known key is ever tried, whatever the token's header says. Signatures are checked once per token and remembered; everything that
can change (time, account, pod, secret, node) is checked at each use, so that a token dies at once with what it is bound to.
Upstream: `pkg/serviceaccount/{jwt,claims}.go`.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from msgspec import Struct

from pinnace.api.core_v1 import Node, Pod, Secret, ServiceAccount
from pinnace.api.meta_v1 import ObjectMeta
from pinnace.apiserver.authentication.interface import CREDENTIAL_ID_KEY, InvalidToken, TokenAuthenticator, TokenUser
from pinnace.apiserver.service_account_tokens import CLAIM, Lookup, key_id
from pinnace.component.clock import Clock
from pinnace.component.http import UserInfo
from pinnace.machinery import timestamps
from pinnace.machinery.field import go_quoted

# Seconds after an object's deletionTimestamp for which tokens bound to it still work, so that a pod can end in order.
DELETION_LEEWAY_SECONDS = 60.0
# Seconds that a token's beginning may lie in the future: clocks of several API servers differ.
_NOT_BEFORE_LEEWAY_SECONDS = 60.0
_REMEMBERED = 4096
_TOKEN_LIMIT = 16 * 1024
_EXTRA = "authentication.kubernetes.io/"


class ServiceAccountAuthenticator(TokenAuthenticator):
    """Users of service-account tokens: `system:serviceaccount:<namespace>:<name>`."""

    def __init__(
        self,
        keys: Sequence[rsa.RSAPublicKey],
        issuer: str,
        lookup: Lookup,
        clock: Clock,
    ) -> None:
        self._keys = {key_id(key): key for key in keys}
        self._issuer = issuer
        self._lookup = lookup
        self._clock = clock
        self._verified: dict[str, Mapping[str, Any]] = {}

    async def authenticate_token(self, token: str, audiences: tuple[str, ...]) -> TokenUser | None:
        claims = self._claims(token)
        self._check_time(claims)
        meant = tuple(one for one in audiences if one in claims["aud"])
        if not meant:
            raise InvalidToken(
                f"token audiences {_quoted(claims['aud'])} is invalid for the target audiences {_quoted(audiences)}"
            )
        private = claims[CLAIM]
        account = private["serviceaccount"]
        namespace = private["namespace"]
        await self._check_bound(ServiceAccount, account, namespace, "service account")
        if "pod" in private:
            await self._check_bound(Pod, private["pod"], namespace, "pod")
        elif "secret" in private:
            await self._check_bound(Secret, private["secret"], namespace, "secret")
        elif "node" in private:
            await self._check_bound(Node, private["node"], "", "node")
        user = UserInfo(
            name=f"system:serviceaccount:{namespace}:{account['name']}",
            uid=account["uid"],
            groups=("system:serviceaccounts", f"system:serviceaccounts:{namespace}"),
            extra=_extra(claims, private),
        )
        return TokenUser(user, meant)

    def _claims(self, token: str) -> Mapping[str, Any]:
        """Return a token's claims, checked for signature, issuer and shape."""
        known = self._verified.get(token)
        if known is not None:
            return known
        if len(token) > _TOKEN_LIMIT:
            raise InvalidToken("token is too long")
        try:
            key = self._keys.get(str(jwt.get_unverified_header(token).get("kid", "")))
            if key is None:
                raise InvalidToken("token is signed by an unknown key")
            # Time and audience are checked at each use, by the clock of the cluster.
            claims: Mapping[str, Any] = jwt.decode(
                token,
                key,
                algorithms=["RS256"],
                issuer=self._issuer,
                options={
                    "require": ["exp", "iat", "nbf", "iss", "sub", "aud", "jti"],
                    "verify_exp": False,
                    "verify_nbf": False,
                    "verify_iat": False,
                    "verify_aud": False,
                },
            )
        except jwt.PyJWTError as error:
            raise InvalidToken(f"token is not valid: {type(error).__name__}") from error
        if not _is_shaped(claims):
            raise InvalidToken("token claims are malformed")
        if len(self._verified) >= _REMEMBERED:
            self._verified.clear()
        self._verified[token] = claims
        return claims

    def _check_time(self, claims: Mapping[str, Any]) -> None:
        now = self._clock.time()
        if now >= claims["exp"]:
            raise InvalidToken("service account token has expired")
        if now + _NOT_BEFORE_LEEWAY_SECONDS < claims["nbf"]:
            raise InvalidToken("service account token is not valid yet")

    async def _check_bound(self, cls: type[Struct], reference: Mapping[str, Any], namespace: str, what: str) -> None:
        found = await self._lookup.get(cls, reference["name"], namespace)
        meta: ObjectMeta | None = getattr(found, "metadata", None)
        if meta is None or meta.uid != reference.get("uid"):
            raise InvalidToken(f"{what} of the token does not exist any more")
        deleted = meta.deletion_timestamp
        if deleted and self._clock.time() > timestamps.parse(deleted) + DELETION_LEEWAY_SECONDS:
            raise InvalidToken(f"{what} of the token has been deleted")


def _quoted(words: Iterable[str]) -> str:
    """Return words as Go prints a slice of quoted strings."""
    return "[" + " ".join(map(go_quoted, words)) + "]"


def _is_shaped(claims: Mapping[str, Any]) -> bool:
    private = claims.get(CLAIM)
    if not isinstance(private, dict) or not isinstance(private.get("namespace"), str):
        return False
    references = [private.get(name) for name in ("serviceaccount", "pod", "secret", "node") if name in private]
    if "serviceaccount" not in private or not all(
        isinstance(one, dict) and isinstance(one.get("name"), str) for one in references
    ):
        return False
    account = private["serviceaccount"]
    subject = f"system:serviceaccount:{private['namespace']}:{account['name']}"
    return (
        claims["sub"] == subject
        and isinstance(account.get("uid"), str)
        and isinstance(claims["aud"], list)
        and all(isinstance(one, str) for one in claims["aud"])
        and all(isinstance(claims[name], int | float) for name in ("exp", "nbf"))
    )


def _extra(claims: Mapping[str, Any], private: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    extra: dict[str, tuple[str, ...]] = {CREDENTIAL_ID_KEY: (f"JTI={claims['jti']}",)}
    for what in ("node", "pod"):
        if what in private:
            for part in ("name", "uid"):
                if private[what].get(part):
                    extra[f"{_EXTRA}{what}-{part}"] = (str(private[what][part]),)
    return extra
