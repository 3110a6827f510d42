"""Bootstrap tokens: `<id>.<secret>`, kept as Secrets in kube-system, by which new nodes make themselves known.

Whatever is wrong with such a token makes it nobody's: which part was wrong is told to the log only, without the token. Upstream:
`plugin/pkg/auth/authenticator/token/bootstrap`, `cluster-bootstrap/token`.
"""

import base64
import binascii
import hmac
import re
from collections.abc import Mapping

from pinnace.api.core_v1 import Secret
from pinnace.apiserver.authentication.interface import TokenAuthenticator, TokenUser
from pinnace.apiserver.service_account_tokens import Lookup
from pinnace.component.clock import Clock
from pinnace.component.http import UserInfo
from pinnace.component.logging import get_logger
from pinnace.machinery import timestamps

SECRET_TYPE = "bootstrap.kubernetes.io/token"
NAMESPACE = "kube-system"
GROUP = "system:bootstrappers"
_TOKEN = re.compile(r"([a-z0-9]{6})\.([a-z0-9]{16})")
_GROUP_NAME = re.compile(r"system:bootstrappers:[a-z0-9:-]{0,255}[a-z0-9]")
_log = get_logger("authentication")


class BootstrapTokens(TokenAuthenticator):
    """Users of bootstrap tokens: `system:bootstrap:<id>`."""

    def __init__(self, lookup: Lookup, clock: Clock) -> None:
        self._lookup = lookup
        self._clock = clock

    async def authenticate_token(self, token: str, audiences: tuple[str, ...]) -> TokenUser | None:  # noqa: ARG002
        match = _TOKEN.fullmatch(token)
        if match is None:
            return None
        token_id, token_secret = match.groups()
        secret = await self._lookup.get(Secret, f"bootstrap-token-{token_id}", NAMESPACE)
        if secret is None:
            return None
        data = _decoded(secret.data)
        reason = self._flaw(secret, data, token_id, token_secret)
        if reason:
            _log.info("bootstrap token refused", secret=secret.metadata.name, reason=reason)
            return None
        groups = _groups(data.get("auth-extra-groups", ""))
        if groups is None:
            _log.info("bootstrap token refused", secret=secret.metadata.name, reason="a group that may not be given")
            return None
        return TokenUser(UserInfo(f"system:bootstrap:{token_id}", groups=groups))

    def _flaw(self, secret: Secret, data: Mapping[str, str], token_id: str, token_secret: str) -> str:
        """Return what is wrong with a token, an empty text when nothing is."""
        if secret.metadata.deletion_timestamp is not None:
            return "being deleted"
        if secret.type != SECRET_TYPE:
            return "another type"
        if not hmac.compare_digest(data.get("token-secret", "").encode(), token_secret.encode()):
            return "another secret"
        if data.get("token-id") != token_id:
            return "another id"
        if self._has_expired(data.get("expiration", "")):
            return "expired"
        return "" if data.get("usage-bootstrap-authentication") == "true" else "not for authentication"

    def _has_expired(self, expiration: str) -> bool:
        if not expiration:
            return False
        try:
            return self._clock.time() >= timestamps.parse(expiration)
        except ValueError:
            return True


def _decoded(data: Mapping[str, str]) -> dict[str, str]:
    """Return a secret's values as text; those that are none are left out."""
    found = {}
    for key, value in data.items():
        try:
            found[key] = base64.b64decode(value, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            continue
    return found


def _groups(extra: str) -> tuple[str, ...] | None:
    """Return the token's groups, in order; None when it names one that tokens may not give."""
    names = extra.split(",") if extra else []
    if not all(_GROUP_NAME.fullmatch(name) for name in names):
        return None
    return tuple(sorted({GROUP, *names}))
