"""What a signed token says, once its signature has been checked.

Only RS256 with a known key is ever tried, whatever the token's header says. Good tokens are remembered, so each is verified once; whatever can
change (time, account, what it is bound to) is for whoever reads the claims to check at each use. Upstream: `pkg/serviceaccount/jwt.go`.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

from pinnace.apiserver.authentication.interface import InvalidToken
from pinnace.apiserver.service_account_tokens import key_id

_REMEMBERED = 4096
_TOKEN_LIMIT = 16 * 1024
# Times and audience are checked by the cluster's clock and by what is asked; the issuer by whoever reads the claims.
_OPTIONS = {
    "require": ["iss", "sub"],
    "verify_exp": False,
    "verify_nbf": False,
    "verify_iat": False,
    "verify_aud": False,
    "verify_iss": False,
}


class SignedClaims:
    """Reads tokens that one of the server's keys has signed."""

    def __init__(self, keys: Callable[[], Sequence[rsa.RSAPublicKey]]) -> None:
        """Trust the keys that `keys` gives when the first token comes."""
        self._give_keys = keys
        self._verified: dict[str, Mapping[str, Any]] = {}

    @cached_property
    def _keys(self) -> Mapping[str, rsa.RSAPublicKey]:
        return {key_id(key): key for key in self._give_keys()}

    def read(self, token: str) -> Mapping[str, Any]:
        """Return a token's claims; `iss` and `sub` are there.

        Raises:
            InvalidToken: it is none of ours, or has been changed.
        """
        known = self._verified.get(token)
        if known is not None:
            return known
        if len(token) > _TOKEN_LIMIT:
            raise InvalidToken("token is too long")
        try:
            key = self._keys.get(str(jwt.get_unverified_header(token).get("kid", "")))
            if key is None:
                raise InvalidToken("token is signed by an unknown key")
            claims: Mapping[str, Any] = jwt.decode(token, key, algorithms=["RS256"], options=_OPTIONS)  # type: ignore[arg-type]
        except jwt.PyJWTError as error:
            raise InvalidToken(f"token is not valid: {type(error).__name__}") from error
        if len(self._verified) >= _REMEMBERED:
            self._verified.clear()
        self._verified[token] = claims
        return claims
