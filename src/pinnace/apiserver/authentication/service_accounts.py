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
from pinnace.machinery.memo import Memo

# Seconds after an object's deletionTimestamp for which tokens bound to it still work, so that a pod can end in order.
DELETION_LEEWAY_SECONDS = 60.0
# Seconds that a token's beginning may lie in the future: clocks of several API servers differ.
_NOT_BEFORE_LEEWAY_SECONDS = 60.0
_REQUIRED = frozenset({"exp", "iat", "nbf", "iss", "sub", "aud", "jti"})
_EXTRA = "authentication.kubernetes.io/"
_MALFORMED = "token claims are malformed or another issuer's"


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
        if claims["iss"] != self._issuer:
            raise InvalidToken(_MALFORMED)
        said = _read(claims)
        self._check_time(said)
        meant = tuple(one for one in audiences if one in said.audiences)
        if not meant:
            raise InvalidToken(
                f"token audiences {_quoted(said.audiences)} is invalid for the target audiences {_quoted(audiences)}"
            )
        for reference in said.bound:
            await self._check_bound(reference)
        return TokenUser(said.user, meant)

    def _check_time(self, said: "_Said") -> None:
        now = self._clock.time()
        if now >= said.expires:
            raise InvalidToken("service account token has expired")
        if now + _NOT_BEFORE_LEEWAY_SECONDS < said.not_before:
            raise InvalidToken("service account token is not valid yet")

    async def _check_bound(self, reference: "_Reference") -> None:
        found = await self._lookup.get(reference.type, reference.name, reference.namespace)
        meta: ObjectMeta | None = getattr(found, "metadata", None)
        if meta is None or meta.uid != reference.uid:
            raise InvalidToken(f"{reference.what} of the token does not exist any more")
        deleted = meta.deletion_timestamp
        if deleted and self._clock.time() > timestamps.parse(deleted) + DELETION_LEEWAY_SECONDS:
            raise InvalidToken(f"{reference.what} of the token has been deleted")


class _Reference(Struct, frozen=True):
    """An object that a token dies with."""

    type: type[Struct]
    what: str
    namespace: str
    name: str
    uid: str


class _Said(Struct, frozen=True):
    """What a token says: of its user, of when and for whom it is good, and what it is bound to."""

    user: UserInfo
    audiences: tuple[str, ...]
    not_before: float
    expires: float
    bound: tuple[_Reference, ...]


def _read_claims(claims: Mapping[str, Any]) -> _Said:
    if not _is_shaped(claims):
        raise InvalidToken(_MALFORMED)
    private = claims[CLAIM]
    account, namespace = private["serviceaccount"], private["namespace"]
    bound = [_Reference(ServiceAccount, "service account", namespace, account["name"], account["uid"])]
    kind = next((kind for kind in _BOUND if kind in private), None)
    if kind is not None:
        cls, is_namespaced = _BOUND[kind]
        one = private[kind]
        bound.append(_Reference(cls, kind, namespace if is_namespaced else "", one["name"], str(one.get("uid", ""))))
    user = UserInfo(
        name=f"system:serviceaccount:{namespace}:{account['name']}",
        uid=account["uid"],
        groups=("system:serviceaccounts", f"system:serviceaccounts:{namespace}"),
        extra=_extra(claims, private),
    )
    return _Said(user, tuple(claims["aud"]), claims["nbf"], claims["exp"], tuple(bound))


# The claims of a token are kept by whoever verified them, so that it is read once.
_read: Memo[Mapping[str, Any], _Said] = Memo(_read_claims, limit=4096)
# What a token can be bound to beside its account: the first of these that it names counts. Nodes have no namespace.
_BOUND: dict[str, tuple[type[Struct], bool]] = {"pod": (Pod, True), "secret": (Secret, True), "node": (Node, False)}


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
