"""Bootstrap tokens as Secrets: `bootstrap-token-<id>` in kube-system, from which `<id>.<secret>` is let in and signs.

Only the shape: who lets them in is the API server, who signs with them and clears them away are controllers. Upstream:
`cluster-bootstrap/token/api`, `cluster-bootstrap/util/secrets`.
"""

import base64
import binascii
import re

from msgspec import Struct

from pinnace.api.core_v1 import Secret
from pinnace.api.meta_v1 import ObjectMeta
from pinnace.machinery import timestamps

SECRET_TYPE, NAMESPACE, NAME_PREFIX = "bootstrap.kubernetes.io/token", "kube-system", "bootstrap-token-"
AUTHENTICATION, SIGNING = "usage-bootstrap-authentication", "usage-bootstrap-signing"
_TOKEN = re.compile(r"([a-z0-9]{6})\.([a-z0-9]{16})")


class BootstrapToken(Struct, frozen=True):
    """One token; `expiration` is a timestamp, empty for never."""

    id: str
    secret: str
    expiration: str = ""
    description: str = ""
    usages: tuple[str, ...] = (AUTHENTICATION, SIGNING)
    groups: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The token as its user types it."""
        return f"{self.id}.{self.secret}"

    def has_expired(self, now: float) -> bool:
        """Tell whether its time is over; a time that cannot be read is."""
        if not self.expiration:
            return False
        try:
            return now >= timestamps.parse(self.expiration)
        except ValueError:
            return True


def split(text: str) -> tuple[str, str]:
    """Return id and secret of a token as typed.

    Raises:
        ValueError: it does not look like one.
    """
    match = _TOKEN.fullmatch(text)
    if match is None:
        raise ValueError("a token is 6 and 16 small letters and digits with a dot between: abcdef.0123456789abcdef")
    return match[1], match[2]


def secret_of(token: BootstrapToken) -> Secret:
    """Return the Secret that makes a token known."""
    values = {
        "token-id": token.id,
        "token-secret": token.secret,
        "expiration": token.expiration,
        "description": token.description,
        "auth-extra-groups": ",".join(token.groups),
        **dict.fromkeys(token.usages, "true"),
    }
    data = {key: base64.b64encode(value.encode()).decode() for key, value in values.items() if value}
    metadata = ObjectMeta(name=NAME_PREFIX + token.id, namespace=NAMESPACE)
    return Secret(metadata=metadata, type=SECRET_TYPE, data=data)


def token_of(secret: Secret) -> BootstrapToken | None:
    """Return the token that a Secret makes known, None when it makes none."""
    values = {}
    for key, value in secret.data.items():
        try:
            values[key] = base64.b64decode(value, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            continue
    token = BootstrapToken(
        id=values.get("token-id", ""),
        secret=values.get("token-secret", ""),
        expiration=values.get("expiration", ""),
        description=values.get("description", ""),
        usages=tuple(sorted(key for key, value in values.items() if key.startswith("usage-") and value == "true")),
        groups=tuple(filter(None, values.get("auth-extra-groups", "").split(","))),
    )
    is_one = secret.type == SECRET_TYPE and secret.metadata.name == NAME_PREFIX + token.id and token.secret
    return token if is_one else None
