"""Service-account tokens as credentials: issuer, time, audience, and whether what they are bound to still lives.

Signatures are `signed_claims.py`'s. Everything that can change (time, account, pod, secret, node) is checked at each use, so that a token
dies at once with what it is bound to. Upstream: `pkg/serviceaccount/claims.go`.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from msgspec import Struct

from pinnace.api.core_v1 import Node, Pod, Secret, ServiceAccount
from pinnace.api.meta_v1 import ObjectMeta
from pinnace.apiserver.authentication.interface import CREDENTIAL_ID_KEY, InvalidToken, TokenAuthenticator, TokenUser
from pinnace.apiserver.authentication.signed_claims import SignedClaims
from pinnace.apiserver.service_account_tokens import CLAIM, STORED_ISSUER, Lookup
from pinnace.component.clock import Clock
from pinnace.component.http import UserInfo
from pinnace.machinery import timestamps
from pinnace.machinery.field import go_quoted

# Seconds after an object's deletionTimestamp for which tokens bound to it still work, so that a pod can end in order.
DELETION_LEEWAY_SECONDS = 60.0
# Seconds that a token's beginning may lie in the future: clocks of several API servers differ.
_NOT_BEFORE_LEEWAY_SECONDS = 60.0
_REQUIRED = frozenset({"exp", "iat", "nbf", "iss", "sub", "aud", "jti"})
_EXTRA = "authentication.kubernetes.io/"


class ServiceAccountAuthenticator(TokenAuthenticator):
    """Users of service-account tokens: `system:serviceaccount:<namespace>:<name>`."""

    def __init__(
        self,
        claims: SignedClaims,
        issuer: str,
        lookup: Lookup,
        clock: Clock,
    ) -> None:
        self._claims = claims
        self._issuer = issuer
        self._lookup = lookup
        self._clock = clock

    async def authenticate_token(self, token: str, audiences: tuple[str, ...]) -> TokenUser | None:
        claims = self._claims.read(token)
        if claims["iss"] == STORED_ISSUER:
            return None
        if claims["iss"] != self._issuer or not _is_shaped(claims):
            raise InvalidToken("token claims are malformed or another issuer's")
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
    if not claims.keys() >= _REQUIRED:
        return False
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
