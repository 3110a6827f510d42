import base64
import random

import pytest
from msgspec.structs import replace

from pinnace.api.authentication_v1 import TokenRequest
from pinnace.api.core_v1 import Secret, ServiceAccount
from pinnace.api.meta_v1 import ObjectMeta
from pinnace.apiserver.authentication import InvalidToken, SignedClaims, StoredTokens
from pinnace.apiserver.service_account_tokens import SigningKey, TokenIssuer
from pinnace.component.clock import VirtualClock
from pinnace.component.identity import Identity
from support.authorization import Objects

KEY = SigningKey()
ACCOUNT = ServiceAccount(metadata=ObjectMeta(name="sa", namespace="ns", uid="sa-uid"))
SECRET = Secret(metadata=ObjectMeta(name="s", namespace="ns"), type="kubernetes.io/service-account-token")


class Kept(Objects):
    """Objects that can be updated."""

    def __init__(self, *objects):
        super().__init__(*objects)
        self.updates = []

    async def update(self, obj):
        self.updates.append(obj)
        self._objects = [one for one in self._objects if type(one) is not type(obj)] + [obj]
        return obj


def issuer(key=KEY):
    return TokenIssuer(key, "https://i", ("https://i",), VirtualClock(), Identity(random.Random(1)))


TOKEN = issuer().stored(ACCOUNT, SECRET)


def holding(token, **meta):
    data = {"token": base64.b64encode(token.encode()).decode()}
    return replace(SECRET, metadata=replace(SECRET.metadata, **meta), data=data)


def ask(objects, clock=None, token=TOKEN):
    tokens = StoredTokens(SignedClaims(lambda: [issuer().public_key]), objects, clock or VirtualClock())
    return tokens.authenticate_token(token, ())


async def test_token_of_a_secret_is_its_account():
    """The user is the account, with its groups, for whatever audience the API server has."""
    found = await ask(Kept(ACCOUNT, holding(TOKEN)))
    assert (found.user.name, found.user.uid) == ("system:serviceaccount:ns:sa", "sa-uid")
    assert found.user.groups == ("system:serviceaccounts", "system:serviceaccounts:ns")
    assert found.audiences is None


async def test_use_is_noted_once_a_day():
    """The label holds the day of the last use."""
    objects, clock = Kept(ACCOUNT, holding(TOKEN)), VirtualClock()
    for _ in range(3):
        await ask(objects, clock)
    assert len(objects.updates) == 1
    await clock.advance(86400)
    await ask(objects, clock)
    days = [one.metadata.labels["kubernetes.io/legacy-token-last-used"] for one in objects.updates]
    assert len(set(days)) == 2


@pytest.mark.parametrize(
    ("objects", "reason"),
    [
        pytest.param((ACCOUNT,), "invalidated", id="no secret"),
        pytest.param((ACCOUNT, holding("other")), "does not match server's copy", id="another token"),
        pytest.param((ACCOUNT, SECRET), "does not match server's copy", id="empty secret"),
        pytest.param(
            (ACCOUNT, holding(TOKEN, deletion_timestamp="2026-01-01T00:00:00Z")), "invalidated", id="secret going"
        ),
        pytest.param((holding(TOKEN),), "has been deleted", id="no account"),
        pytest.param(
            (replace(ACCOUNT, metadata=replace(ACCOUNT.metadata, uid="new")), holding(TOKEN)),
            "does not match claim",
            id="another account of the name",
        ),
        pytest.param(
            (ACCOUNT, holding(TOKEN, labels={"kubernetes.io/legacy-token-invalid-since": "2026-01-01"})),
            "marked invalid",
            id="marked",
        ),
    ],
)
async def test_token_without_its_secret_or_account_is_refused(objects, reason):
    """The signature alone is worth nothing."""
    with pytest.raises(InvalidToken, match=reason):
        await ask(Kept(*objects))


async def test_token_of_another_key_is_refused_and_bound_tokens_are_left_alone():
    """Only our key counts; what is not kept in a Secret is not this kind's business."""
    foreign = issuer(SigningKey()).stored(ACCOUNT, SECRET)
    with pytest.raises(InvalidToken):
        await ask(Kept(ACCOUNT, holding(foreign)), token=foreign)
    bound = (await issuer().create(ACCOUNT, TokenRequest(), Objects(ACCOUNT))).status.token
    assert await ask(Kept(ACCOUNT), token=bound) is None
