"""Tokens that somebody made up or changed: none may be accepted, and none may appear in a log."""

import base64
import contextlib
import hashlib
import hmac
import json
import logging
import random

import jwt
import pytest
import structlog
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from pinnace.api.authentication_v1 import TokenRequest, TokenRequestSpec
from pinnace.api.core_v1 import ServiceAccount
from pinnace.api.meta_v1 import ObjectMeta
from pinnace.apiserver.authentication import (
    BearerAuthenticator,
    BootstrapTokens,
    InvalidToken,
    RequestAuthenticator,
    ServiceAccountAuthenticator,
    SignedClaims,
    StaticTokens,
)
from pinnace.apiserver.service_account_tokens import SigningKey, TokenIssuer
from pinnace.component import logging as component_logging
from pinnace.component.clock import VirtualClock
from pinnace.component.http import Headers, Request
from pinnace.component.identity import Identity
from pinnace.machinery.errors import Unauthorized
from support.authorization import Objects

ISSUER = "https://kubernetes.default.svc.cluster.local"
KEY, OTHER = SigningKey(), SigningKey()
ACCOUNT = ServiceAccount(metadata=ObjectMeta(name="sa", namespace="ns", uid="sa-uid"))
ROUNDS = 2000


def encode(part):
    return base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()


def public_pem():
    return KEY.private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def sign_with_public_key(header, claims):
    """The classic forgery: the public key taken for the secret of an HMAC."""
    body = f"{encode(header)}.{encode(claims)}"
    mac = hmac.new(public_pem(), body.encode(), hashlib.sha256).digest()
    return f"{body}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"


class Court:
    """An authenticator with a good token, and what is in it."""

    def __init__(self):
        self.clock = VirtualClock()
        self.objects = Objects(ACCOUNT)
        self.issuer = TokenIssuer(KEY, ISSUER, (ISSUER,), self.clock, Identity(random.Random(1)))
        self.accounts = ServiceAccountAuthenticator(
            SignedClaims(lambda: [self.issuer.public_key]), ISSUER, self.objects, self.clock
        )

    async def token(self, **spec):
        request = TokenRequest(spec=TokenRequestSpec(**spec))
        return (await self.issuer.create(ACCOUNT, request, self.objects)).status.token

    async def refuses(self, token):
        text = ""
        try:
            user = await self.accounts.authenticate_token(token, (ISSUER,))
        except InvalidToken as error:
            user, text = None, str(error)
        assert token not in text
        return user is None


@pytest.fixture
def court():
    return Court()


def changed(claims, **changes):
    return {**claims, **changes}


FORGERIES = {
    "alg none": lambda head, claims: f"{encode({**head, 'alg': 'none'})}.{encode(claims)}.",
    "alg None": lambda head, claims: f"{encode({**head, 'alg': 'None'})}.{encode(claims)}.",
    "no alg": lambda head, claims: f"{encode({'kid': head['kid']})}.{encode(claims)}.",
    "HS256 with the public key": lambda head, claims: sign_with_public_key({**head, "alg": "HS256"}, claims),
    "HS256 said to be RS256": sign_with_public_key,
    "another key under our kid": lambda head, claims: jwt.encode(claims, OTHER.private, "RS256", headers=head),
    "our key under another kid": lambda head, claims: jwt.encode(claims, KEY.private, "RS256", headers={"kid": "x"}),
    "our key without kid": lambda head, claims: jwt.encode(claims, KEY.private, "RS256"),
    "PS256 with our key": lambda head, claims: jwt.encode(claims, KEY.private, "PS256", headers={"kid": head["kid"]}),
    "RS512 with our key": lambda head, claims: jwt.encode(claims, KEY.private, "RS512", headers={"kid": head["kid"]}),
    "ES256 with a key in the header": lambda head, claims: jwt.encode(
        claims, ec.generate_private_key(ec.SECP256R1()), "ES256", headers={"kid": head["kid"], "jku": "http://x"}
    ),
    "no signature": lambda head, claims: f"{encode(head)}.{encode(claims)}.",
    "two parts": lambda head, claims: f"{encode(head)}.{encode(claims)}",
    "five parts": lambda head, claims: f"{encode(head)}..{encode(claims)}..x",
    "huge": lambda head, claims: f"{encode(head)}.{'A' * 20000}.x",
    "no json": lambda head, claims: "YQ.YQ.YQ",
}
# Claims signed by the right key, which only the server itself could make; they are refused all the same.
BAD_CLAIMS = {
    "other issuer": lambda claims: changed(claims, iss="https://evil.example"),
    "no issuer": lambda claims: {key: value for key, value in claims.items() if key != "iss"},
    "issuer list": lambda claims: changed(claims, iss=[ISSUER]),
    "other audience": lambda claims: changed(claims, aud=["vault"]),
    "no audience": lambda claims: changed(claims, aud=[]),
    "audience text": lambda claims: changed(claims, aud=ISSUER),
    "expired": lambda claims: changed(claims, exp=claims["iat"] - 1),
    "expiry text": lambda claims: changed(claims, exp="never"),
    "no expiry": lambda claims: {key: value for key, value in claims.items() if key != "exp"},
    "not yet": lambda claims: changed(claims, nbf=claims["iat"] + 600),
    "other subject": lambda claims: changed(claims, sub="system:serviceaccount:kube-system:admin"),
    "other uid": lambda claims: changed(
        claims, **{"kubernetes.io": {"namespace": "ns", "serviceaccount": {"name": "sa", "uid": "x"}}}
    ),
    "no uid": lambda claims: changed(
        claims, **{"kubernetes.io": {"namespace": "ns", "serviceaccount": {"name": "sa"}}}
    ),
    "other namespace": lambda claims: changed(
        claims,
        sub="system:serviceaccount:kube-system:sa",
        **{"kubernetes.io": {"namespace": "kube-system", "serviceaccount": {"name": "sa", "uid": "sa-uid"}}},
    ),
    "ghost pod": lambda claims: changed(
        claims, **{"kubernetes.io": {**claims["kubernetes.io"], "pod": {"name": "ghost", "uid": "p"}}}
    ),
    "ghost secret": lambda claims: changed(
        claims, **{"kubernetes.io": {**claims["kubernetes.io"], "secret": {"name": "ghost", "uid": "p"}}}
    ),
    "ghost node": lambda claims: changed(
        claims, **{"kubernetes.io": {**claims["kubernetes.io"], "node": {"name": "ghost", "uid": "p"}}}
    ),
    "pod is text": lambda claims: changed(claims, **{"kubernetes.io": {**claims["kubernetes.io"], "pod": "web"}}),
    "no private claims": lambda claims: {key: value for key, value in claims.items() if key != "kubernetes.io"},
}


async def test_the_unchanged_token_is_accepted(court):
    """What the tables below start from is good."""
    assert not await court.refuses(await court.token())


@pytest.mark.parametrize("forge", FORGERIES.values(), ids=FORGERIES)
async def test_forged_token_is_refused(court, forge):
    """No algorithm but the one that tokens are signed with, and no key but the server's."""
    token = await court.token()
    claims = jwt.decode(token, options={"verify_signature": False})
    assert await court.refuses(forge(jwt.get_unverified_header(token), claims))


@pytest.mark.parametrize("change", BAD_CLAIMS.values(), ids=BAD_CLAIMS)
async def test_token_with_other_claims_is_refused(court, change):
    """A good signature is not enough: issuer, audience, time, account and what it is bound to must all be right."""
    token = await court.token()
    head = jwt.get_unverified_header(token)
    claims = change(jwt.decode(token, options={"verify_signature": False}))
    body = f"{encode(head)}.{encode(claims)}"
    signature = jwt.get_algorithm_by_name("RS256").sign(body.encode(), KEY.private)
    assert await court.refuses(f"{body}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}")


async def test_no_change_of_a_token_is_accepted(court):
    """Of many tokens with a character changed, dropped or doubled none is accepted, and none breaks the server."""
    token = await court.token()
    source = random.Random(7)
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.=%\0é"
    # The last character of the signature holds bits that no decoder looks at.
    for _ in range(ROUNDS):
        place = source.randrange(len(token) - 1)
        other = source.choice(["", token[place] * 2, source.choice(alphabet)])
        if other == token[place]:
            continue
        mutated = token[:place] + other + token[place + 1 :]
        assert await court.refuses(mutated), (place, other)


async def test_no_token_appears_in_a_log_at_any_level(court, capsys, request):
    """Good, expired, forged and unknown tokens leave no trace, at the most talkative level."""
    component_logging.configure(level=logging.DEBUG)
    request.addfinalizer(structlog.reset_defaults)
    bearer = BearerAuthenticator(
        (StaticTokens({}), court.accounts, BootstrapTokens(court.objects, court.clock)), (ISSUER,)
    )
    authenticator = RequestAuthenticator([bearer])
    good = await court.token()
    shown = [good, good[:-20] + "A" * 20, "abcdef.0123456789abcdef", "plain-secret-token"]
    for token in shown:
        shown_by = Request("GET", "/api", headers=Headers([("Authorization", f"Bearer {token}")]))
        with contextlib.suppress(Unauthorized):
            await authenticator.authenticate(shown_by)
    written = "".join(capsys.readouterr())
    assert "bearer token refused" in written
    for token in shown:
        assert token not in written
        assert token.rpartition(".")[2][:12] not in written
