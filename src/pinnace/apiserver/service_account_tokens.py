"""Service-account tokens: issue and TokenRequest.

A token is a JWT signed with RS256 that names its service account and, when bound, the pod, secret or node with which it dies. Checking
one is `authentication/service_accounts.py`. Upstream: `pkg/serviceaccount/claims.go`, `pkg/registry/core/serviceaccount/storage/token.go`.
Upstream stretches the usual pod token to a year for old clients; a token that outlives its purpose is a risk, so here it lives as
long as was asked, which every client of today refreshes.
"""

import base64
import hashlib
from functools import cached_property
from typing import Any, Protocol, TypeVar

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from msgspec import Struct
from msgspec.structs import replace

from pinnace.api.authentication_v1 import BoundObjectReference, TokenRequest, TokenRequestSpec, TokenRequestStatus
from pinnace.api.core_v1 import Node, Pod, Secret, ServiceAccount
from pinnace.api.meta_v1 import ObjectMeta
from pinnace.component.clock import Clock
from pinnace.component.identity import Identity
from pinnace.machinery import errors, timestamps
from pinnace.machinery.field import FieldError, Path, invalid

DEFAULT_EXPIRATION_SECONDS = 3600
MIN_EXPIRATION_SECONDS = 600
MAX_EXPIRATION_SECONDS = 1 << 32
CLAIM = "kubernetes.io"
# Of tokens that are kept in Secrets: their issuer, and how their claims begin.
STORED_ISSUER, STORED_CLAIM = "kubernetes/serviceaccount", "kubernetes.io/serviceaccount/"
_RSA_BITS = 2048

S = TypeVar("S", bound=Struct)


class Lookup(Protocol):
    """Reads objects of the API server's own store."""

    async def get(self, cls: type[S], name: str, namespace: str = "") -> S | None:
        """Return an object, None when there is none."""


class SigningKey:
    """An RSA key for signing tokens. A new one is made when it is first needed, which takes as long as many a test."""

    @classmethod
    def read(cls, key_pem: bytes) -> "SigningKey":
        """Return the key that a file in PEM holds.

        Raises:
            ValueError: it is no private key in PEM.
            TypeError: it is no RSA key.
        """
        # The key is our own: proving again that its numbers are primes takes as long as finding them did.
        found = serialization.load_pem_private_key(key_pem, password=None, unsafe_skip_rsa_key_validation=True)
        if not isinstance(found, rsa.RSAPrivateKey):
            raise TypeError("it holds no RSA key")
        key = cls()
        key.private = found
        return key

    @cached_property
    def private(self) -> rsa.RSAPrivateKey:
        return rsa.generate_private_key(public_exponent=65537, key_size=_RSA_BITS)

    @property
    def key_pem(self) -> bytes:
        """The key as a file holds it."""
        return self.private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )

    @property
    def public(self) -> rsa.RSAPublicKey:
        return self.private.public_key()

    @cached_property
    def id(self) -> str:
        """Its name in the tokens that it signs."""
        return key_id(self.public)


def key_id(public: rsa.RSAPublicKey) -> str:
    """Return a key's name in a token's header: base64url of the SHA-256 of its SPKI."""
    der = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return base64.urlsafe_b64encode(hashlib.sha256(der).digest()).rstrip(b"=").decode("ascii")


class TokenIssuer:
    """Signs tokens; its public half is what validation trusts."""

    def __init__(
        self,
        key: SigningKey,
        issuer: str,
        audiences: tuple[str, ...],
        clock: Clock,
        identity: Identity,
        *,
        jwks_uri: str = "",
    ) -> None:
        """Sign as `issuer`.

        `audiences` are those of a token that asks for none: the API server's own. `jwks_uri` is where others find the public
        key; below the issuer when it is empty.
        """
        self._key = key
        self._clock = clock
        self._identity = identity
        self._jwks_uri = jwks_uri or f"{issuer}/openid/v1/jwks"
        self.issuer = issuer
        self.audiences = audiences

    @property
    def public_key(self) -> rsa.RSAPublicKey:
        return self._key.public

    def jwks(self) -> dict[str, Any]:
        """Return the public key as a JSON Web Key Set, for /openid/v1/jwks."""
        numbers = self.public_key.public_numbers()
        key = {
            "use": "sig",
            "kty": "RSA",
            "kid": self._key.id,
            "alg": "RS256",
            "n": _number(numbers.n),
            "e": _number(numbers.e),
        }
        return {"keys": [key]}

    def discovery(self) -> dict[str, Any]:
        """Return the document for /.well-known/openid-configuration."""
        return {
            "issuer": self.issuer,
            "jwks_uri": self._jwks_uri,
            "response_types_supported": ["id_token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
        }

    async def create(self, account: ServiceAccount, request: TokenRequest, lookup: Lookup) -> TokenRequest:
        """Answer a TokenRequest for a service account.

        Raises:
            ApiError: Invalid for a lifetime out of bounds; BadRequest, NotFound or Conflict for the object it is to be bound to.
        """
        spec = request.spec
        seconds = DEFAULT_EXPIRATION_SECONDS if spec.expiration_seconds is None else spec.expiration_seconds
        found = _expiration_errors(seconds)
        if found:
            raise errors.invalid("authentication.k8s.io", "TokenRequest", "", found)
        audiences = spec.audiences or self.audiences
        bound = await _bound_claims(account, spec.bound_object_ref, lookup)
        now = int(self._clock.time())
        token = self._sign(account.metadata, audiences, now, now + seconds, bound)
        return replace(
            request,
            metadata=replace(
                request.metadata,
                name=account.metadata.name,
                namespace=account.metadata.namespace,
                creation_timestamp=timestamps.format(float(now)),
            ),
            spec=TokenRequestSpec(
                audiences=audiences, expiration_seconds=seconds, bound_object_ref=spec.bound_object_ref
            ),
            status=TokenRequestStatus(token=token, expiration_timestamp=timestamps.format(float(now + seconds))),
        )

    def stored(self, account: ServiceAccount, secret: Secret) -> str:
        """Return the token that a Secret is to hold for its account; it has no end of its own."""
        namespace, name = account.metadata.namespace, account.metadata.name
        claims = {
            "iss": STORED_ISSUER,
            f"{STORED_CLAIM}namespace": namespace,
            f"{STORED_CLAIM}secret.name": secret.metadata.name,
            f"{STORED_CLAIM}service-account.name": name,
            f"{STORED_CLAIM}service-account.uid": account.metadata.uid,
            "sub": f"system:serviceaccount:{namespace}:{name}",
        }
        return self._encode(claims)

    def _encode(self, claims: dict[str, Any]) -> str:
        return jwt.encode(claims, self._key.private, algorithm="RS256", headers={"kid": self._key.id, "typ": None})

    def _sign(
        self, account: ObjectMeta, audiences: tuple[str, ...], now: int, expires: int, bound: dict[str, Any]
    ) -> str:
        claims = {
            "aud": list(audiences),
            "exp": expires,
            "iat": now,
            "iss": self.issuer,
            "jti": self._identity.uid(),
            CLAIM: {
                "namespace": account.namespace,
                **bound,
                "serviceaccount": {"name": account.name, "uid": account.uid},
            },
            "nbf": now,
            "sub": f"system:serviceaccount:{account.namespace}:{account.name}",
        }
        return self._encode(claims)


def _expiration_errors(seconds: int) -> list[FieldError]:
    path = Path("spec").child("expirationSeconds")
    if seconds < MIN_EXPIRATION_SECONDS:
        return [invalid(path, seconds, "may not specify a duration less than 10 minutes")]
    if seconds > MAX_EXPIRATION_SECONDS:
        return [invalid(path, seconds, "may not specify a duration larger than 2^32 seconds")]
    return []


async def _bound_claims(
    account: ServiceAccount, reference: BoundObjectReference | None, lookup: Lookup
) -> dict[str, Any]:
    if reference is None:
        return {}
    namespace = account.metadata.namespace
    kind = (reference.api_version, reference.kind)
    if kind == ("v1", "Pod"):
        pod = await lookup.get(Pod, reference.name, namespace)
        meta = _checked(reference, pod.metadata if pod else None, "pods")
        assert pod is not None, "_checked refuses an absent one"
        if pod.spec.service_account_name != account.metadata.name:
            raise errors.BadRequest(
                f'cannot bind token for serviceaccount "{account.metadata.name}" to pod running with different '
                "serviceaccount name."
            )
        claims: dict[str, Any] = {"pod": {"name": meta.name, "uid": meta.uid}}
        if pod.spec.node_name:
            node = await lookup.get(Node, pod.spec.node_name)
            uid = {"uid": node.metadata.uid} if node is not None else {}
            claims = {"node": {"name": pod.spec.node_name, **uid}, **claims}
        return claims
    if kind == ("v1", "Secret"):
        secret = await lookup.get(Secret, reference.name, namespace)
        meta = _checked(reference, secret.metadata if secret else None, "secrets")
        return {"secret": {"name": meta.name, "uid": meta.uid}}
    if kind == ("v1", "Node"):
        node = await lookup.get(Node, reference.name)
        meta = _checked(reference, node.metadata if node else None, "nodes")
        return {"node": {"name": meta.name, "uid": meta.uid}}
    group, _, version = reference.api_version.rpartition("/")
    raise errors.BadRequest(f"cannot bind token to object of type {group}/{version}, Kind={reference.kind}")


def _checked(reference: BoundObjectReference, meta: ObjectMeta | None, plural: str) -> ObjectMeta:
    if meta is None:
        raise errors.not_found("", plural, reference.name)
    if reference.uid and reference.uid != meta.uid:
        raise errors.conflict(
            "",
            reference.kind,
            reference.name,
            f"the UID in the bound object reference ({reference.uid}) does not match the UID in record. "
            "The object might have been deleted and then recreated",
        )
    return meta


def _number(value: int) -> str:
    data = value.to_bytes((value.bit_length() + 7) // 8, "big")
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")
