"""Authentication: who makes a request."""

from pinnace.apiserver.authentication.bearer import (
    BearerAuthenticator,
    StaticTokens,
    bearer_token,
    without_credentials,
)
from pinnace.apiserver.authentication.bootstrap_tokens import BootstrapTokens
from pinnace.apiserver.authentication.certificates import CertificateAuthenticator
from pinnace.apiserver.authentication.interface import (
    ALL_AUTHENTICATED,
    ALL_UNAUTHENTICATED,
    ANONYMOUS,
    Authenticator,
    InvalidToken,
    TokenAuthenticator,
    TokenUser,
)
from pinnace.apiserver.authentication.request import ANONYMOUS_USER, RequestAuthenticator
from pinnace.apiserver.authentication.service_accounts import ServiceAccountAuthenticator
from pinnace.apiserver.authentication.signed_claims import SignedClaims
from pinnace.apiserver.authentication.stored_tokens import StoredTokens

__all__ = [
    "ALL_AUTHENTICATED",
    "ALL_UNAUTHENTICATED",
    "ANONYMOUS",
    "ANONYMOUS_USER",
    "Authenticator",
    "BearerAuthenticator",
    "BootstrapTokens",
    "CertificateAuthenticator",
    "InvalidToken",
    "RequestAuthenticator",
    "ServiceAccountAuthenticator",
    "SignedClaims",
    "StaticTokens",
    "StoredTokens",
    "TokenAuthenticator",
    "TokenUser",
    "bearer_token",
    "without_credentials",
]
