"""The bootstrap tokens of a cluster, as its administrator makes, lists and deletes them. Upstream: kubeadm `token`."""

import string

from pinnace.api.bootstrap_tokens import NAME_PREFIX, NAMESPACE, SECRET_TYPE, BootstrapToken, secret_of, token_of
from pinnace.api.core_v1 import Secret
from pinnace.client import Client
from pinnace.cluster.join_access import DEFAULT_NODE_TOKEN
from pinnace.component.identity import Identity
from pinnace.machinery import timestamps

_ALPHABET = string.ascii_lowercase + string.digits
_ID_LENGTH, _SECRET_LENGTH = 6, 16


async def create_token(
    client: Client, identity: Identity, now: float, *, lifetime_seconds: float, description: str = ""
) -> BootstrapToken:
    """Make a token that lets nodes in; a lifetime of 0 never ends.

    Raises:
        ApiError: it cannot be written.
    """
    draw = identity.random.choices
    token = BootstrapToken(
        id="".join(draw(_ALPHABET, k=_ID_LENGTH)),
        secret="".join(draw(_ALPHABET, k=_SECRET_LENGTH)),
        expiration=timestamps.format(now + lifetime_seconds) if lifetime_seconds else "",
        description=description,
        groups=(DEFAULT_NODE_TOKEN,),
    )
    await client.create(secret_of(token))
    return token


async def list_tokens(client: Client) -> list[BootstrapToken]:
    """Return every token, by what is left of its time."""
    found = await client.list(Secret, NAMESPACE, field_selector=f"type={SECRET_TYPE}")
    tokens = [token for token in map(token_of, found.items) if token is not None]
    return sorted(tokens, key=lambda token: (token.expiration or "~", token.id))


async def delete_token(client: Client, token_id: str) -> None:
    """Delete a token.

    Raises:
        ApiError: NotFound, and others.
    """
    await client.delete(Secret, NAME_PREFIX + token_id, NAMESPACE)
