import base64

import pytest

from pinnace.api.core_v1 import Secret
from pinnace.api.meta_v1 import ObjectMeta
from pinnace.apiserver.authentication import BootstrapTokens
from pinnace.component.clock import VirtualClock
from pinnace.machinery import timestamps
from support.authorization import Objects

TOKEN = "abcdef.0123456789abcdef"
DATA = {
    "token-id": "abcdef",
    "token-secret": "0123456789abcdef",
    "usage-bootstrap-authentication": "true",
}


def make_secret(
    data, *, name="bootstrap-token-abcdef", namespace="kube-system", type_="bootstrap.kubernetes.io/token", **meta
):
    encoded = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
    return Secret(metadata=ObjectMeta(name=name, namespace=namespace, **meta), type=type_, data=encoded)


async def ask(secret, token=TOKEN, clock=None):
    found = await BootstrapTokens(Objects(secret), clock or VirtualClock()).authenticate_token(token, ())
    return None if found is None else found.user


async def test_token_names_its_id_and_groups():
    """The user is the token's id; further groups come from the secret."""
    user = await ask(make_secret(DATA))
    assert (user.name, user.groups) == ("system:bootstrap:abcdef", ("system:bootstrappers",))
    extra = {"auth-extra-groups": "system:bootstrappers:workers,system:bootstrappers:kubeadm:default-node-token"}
    groups = (await ask(make_secret({**DATA, **extra}))).groups
    assert groups == (
        "system:bootstrappers",
        "system:bootstrappers:kubeadm:default-node-token",
        "system:bootstrappers:workers",
    )


@pytest.mark.parametrize(
    ("secret", "token"),
    [
        pytest.param(make_secret(DATA), "abcdef.fedcba9876543210", id="other secret"),
        pytest.param(make_secret(DATA), "abcdef.0123456789abcde", id="too short"),
        pytest.param(make_secret(DATA), "ABCDEF.0123456789abcdef", id="capitals"),
        pytest.param(make_secret(DATA), f"{TOKEN}\n", id="newline"),
        pytest.param(make_secret({**DATA, "token-id": "fedcba"}), TOKEN, id="id of another"),
        pytest.param(make_secret(DATA, type_="Opaque"), TOKEN, id="another type"),
        pytest.param(make_secret(DATA, namespace="default"), TOKEN, id="another namespace"),
        pytest.param(make_secret(DATA, deletion_timestamp="2026-01-01T00:00:00Z"), TOKEN, id="being deleted"),
        pytest.param(make_secret({**DATA, "usage-bootstrap-authentication": "false"}), TOKEN, id="not for this"),
        pytest.param(make_secret({**DATA, "expiration": "soon"}), TOKEN, id="unreadable expiration"),
        pytest.param(make_secret({**DATA, "auth-extra-groups": "system:masters"}), TOKEN, id="masters"),
        pytest.param(
            make_secret({**DATA, "auth-extra-groups": "system:bootstrappers:a,system:nodes"}), TOKEN, id="one bad group"
        ),
        pytest.param(make_secret({"token-id": "abcdef"}), TOKEN, id="no secret"),
    ],
)
async def test_flawed_token_is_nobodys(secret, token):
    """Each thing that upstream asks of a token is asked."""
    assert await ask(secret, token) is None


async def test_token_ends_when_it_says():
    """The expiration is a moment of the cluster's clock."""
    clock = VirtualClock()
    secret = make_secret({**DATA, "expiration": timestamps.format(clock.time() + 60)})
    assert await ask(secret, clock=clock)
    await clock.advance(60)
    assert await ask(secret, clock=clock) is None
