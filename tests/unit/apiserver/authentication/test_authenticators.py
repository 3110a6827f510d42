import base64
import random

import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from pinnace.api.authentication_v1 import BoundObjectReference, TokenRequest, TokenRequestSpec
from pinnace.api.core_v1 import Node, Pod, PodSpec, Secret, ServiceAccount
from pinnace.api.meta_v1 import ObjectMeta
from pinnace.apiserver.authentication import (
    ANONYMOUS_USER,
    BearerAuthenticator,
    CertificateAuthenticator,
    InvalidToken,
    RequestAuthenticator,
    ServiceAccountAuthenticator,
    SignedClaims,
    StaticTokens,
    without_credentials,
)
from pinnace.apiserver.service_account_tokens import SigningKey, TokenIssuer, key_id
from pinnace.component.clock import VirtualClock
from pinnace.component.http import Connection, Headers, Request, UserInfo
from pinnace.component.identity import Identity
from pinnace.component.tls import CertificateAuthority
from pinnace.machinery import timestamps
from pinnace.machinery.errors import ApiError, Unauthorized

ISSUER = "https://kubernetes.default.svc.cluster.local"
KEY = SigningKey()
# When the certificates of these tests are made, in seconds since the epoch.
ISSUED = 1_700_000_000.0
ALICE = UserInfo("alice", groups=("devs",))


class Objects:
    """A lookup over objects given by hand."""

    def __init__(self, *objects):
        self._objects = {(type(one), one.metadata.namespace, one.metadata.name): one for one in objects}

    async def get(self, cls, name, namespace=""):
        return self._objects.get((cls, namespace, name))

    def put(self, one):
        self._objects[type(one), one.metadata.namespace, one.metadata.name] = one

    def drop(self, one):
        del self._objects[type(one), one.metadata.namespace, one.metadata.name]


def meta(name, uid, namespace="ns", **fields):
    return ObjectMeta(name=name, namespace=namespace, uid=uid, **fields)


ACCOUNT = ServiceAccount(metadata=meta("sa", "sa-uid"))
POD = Pod(metadata=meta("web", "pod-uid"), spec=PodSpec(service_account_name="sa", node_name="n1"))
NODE = Node(metadata=meta("n1", "node-uid", namespace=""))


@pytest.fixture
def clock():
    return VirtualClock()


@pytest.fixture
def objects():
    return Objects(ACCOUNT, POD, NODE, Secret(metadata=meta("s", "secret-uid")))


@pytest.fixture
def issuer(clock):
    return TokenIssuer(KEY, ISSUER, (ISSUER,), clock, Identity(random.Random(1)))


@pytest.fixture
def accounts(issuer, objects, clock):
    return ServiceAccountAuthenticator(SignedClaims(lambda: [issuer.public_key]), ISSUER, objects, clock)


def ask(bound=None, **spec):
    return TokenRequest(spec=TokenRequestSpec(bound_object_ref=bound, **spec))


def pod_reference(uid="pod-uid"):
    return BoundObjectReference(kind="Pod", api_version="v1", name="web", uid=uid)


async def test_pod_bound_token_names_account_pod_and_node(issuer, accounts, objects):
    """A token issued for a pod authenticates as its account, with the pod and node it is bound to."""
    answer = await issuer.create(ACCOUNT, ask(pod_reference(), expiration_seconds=3607), objects)
    assert answer.spec.audiences == (ISSUER,)
    user = (await accounts.authenticate_token(answer.status.token, (ISSUER,))).user
    assert user.name == "system:serviceaccount:ns:sa"
    assert user.uid == "sa-uid"
    assert user.groups == ("system:serviceaccounts", "system:serviceaccounts:ns")
    extra = dict(user.extra)
    assert extra.pop("authentication.kubernetes.io/credential-id")[0].startswith("JTI=")
    assert extra == {
        "authentication.kubernetes.io/pod-name": ("web",),
        "authentication.kubernetes.io/pod-uid": ("pod-uid",),
        "authentication.kubernetes.io/node-name": ("n1",),
        "authentication.kubernetes.io/node-uid": ("node-uid",),
    }


async def test_token_has_upstreams_header_and_claims(issuer, objects, clock):
    """The JWT says what upstream's says, and no typ."""
    answer = await issuer.create(ACCOUNT, ask(audiences=("vault",)), objects)
    assert jwt.get_unverified_header(answer.status.token) == {"alg": "RS256", "kid": key_id(issuer.public_key)}
    claims = jwt.decode(answer.status.token, options={"verify_signature": False})
    now = int(clock.time())
    assert claims.pop("jti")
    assert claims == {
        "aud": ["vault"],
        "exp": now + 3600,
        "iat": now,
        "nbf": now,
        "iss": ISSUER,
        "kubernetes.io": {"namespace": "ns", "serviceaccount": {"name": "sa", "uid": "sa-uid"}},
        "sub": "system:serviceaccount:ns:sa",
    }
    assert answer.status.expiration_timestamp == timestamps.format(now + 3600.0)


async def test_token_expires_by_the_clusters_clock(issuer, accounts, objects, clock):
    """A token works until its last second and not at its end."""
    token = (await issuer.create(ACCOUNT, ask(expiration_seconds=600), objects)).status.token
    await clock.advance(599)
    assert await accounts.authenticate_token(token, (ISSUER,))
    await clock.advance(1)
    with pytest.raises(InvalidToken, match="expired"):
        await accounts.authenticate_token(token, (ISSUER,))


@pytest.mark.parametrize("gone", [ACCOUNT, POD], ids=["account", "pod"])
async def test_token_dies_with_what_it_is_bound_to(issuer, accounts, objects, gone):
    """A token that has been accepted is refused as soon as its account or pod is gone."""
    token = (await issuer.create(ACCOUNT, ask(pod_reference()), objects)).status.token
    assert await accounts.authenticate_token(token, (ISSUER,))
    objects.drop(gone)
    with pytest.raises(InvalidToken, match="does not exist"):
        await accounts.authenticate_token(token, (ISSUER,))


async def test_token_of_a_recreated_pod_is_refused(issuer, accounts, objects):
    """The same name with another uid is another pod."""
    token = (await issuer.create(ACCOUNT, ask(pod_reference()), objects)).status.token
    objects.put(Pod(metadata=meta("web", "other-uid"), spec=POD.spec))
    with pytest.raises(InvalidToken):
        await accounts.authenticate_token(token, (ISSUER,))


async def test_token_outlives_the_start_of_its_pods_deletion_by_a_minute(issuer, accounts, objects, clock):
    """A pod that ends in order can still use its token for a while."""
    token = (await issuer.create(ACCOUNT, ask(pod_reference(), expiration_seconds=3600), objects)).status.token
    objects.put(Pod(metadata=meta("web", "pod-uid", deletion_timestamp=timestamps.format(clock.time())), spec=POD.spec))
    await clock.advance(60)
    assert await accounts.authenticate_token(token, (ISSUER,))
    await clock.advance(1)
    with pytest.raises(InvalidToken, match="deleted"):
        await accounts.authenticate_token(token, (ISSUER,))


async def test_token_for_another_audience_is_refused(issuer, accounts, objects):
    """A token for someone else is no credential here, and is one for whom it was made."""
    token = (await issuer.create(ACCOUNT, ask(audiences=("vault",)), objects)).status.token
    with pytest.raises(InvalidToken, match="audiences"):
        await accounts.authenticate_token(token, (ISSUER,))
    assert await accounts.authenticate_token(token, ("vault",))


def forged(issuer, how, token):
    claims = jwt.decode(token, options={"verify_signature": False})
    header = {"kid": key_id(issuer.public_key)}
    private = KEY.private
    match how:
        case "none":
            return jwt.encode(claims, None, algorithm="none", headers=header)
        case "hs256 with the public key":
            secret = base64.b64encode(private.public_key().public_numbers().n.to_bytes(256, "big"))
            return jwt.encode(claims, secret, algorithm="HS256", headers=header)
        case "other key, our kid":
            return jwt.encode(claims, SigningKey().private, algorithm="RS256", headers=header)
        case "unknown kid":
            return jwt.encode(claims, private, algorithm="RS256", headers={"kid": "x"})
        case "rs512":
            return jwt.encode(claims, private, algorithm="RS512", headers=header)
        case "other issuer":
            return jwt.encode(claims | {"iss": "https://evil"}, private, algorithm="RS256", headers=header)
        case "other subject":
            return jwt.encode(
                claims | {"sub": "system:serviceaccount:ns:admin"}, private, algorithm="RS256", headers=header
            )
        case "no expiry":
            return jwt.encode(
                {k: v for k, v in claims.items() if k != "exp"}, private, algorithm="RS256", headers=header
            )
        case "no private claims":
            return jwt.encode(
                {k: v for k, v in claims.items() if k != "kubernetes.io"}, private, algorithm="RS256", headers=header
            )
        case "expiry as text":
            return jwt.encode(claims | {"exp": "9" * 20}, private, algorithm="RS256", headers=header)
        case "changed payload":
            head, payload, signature = token.split(".")
            return f"{head}.{payload[:-2]}{'AA' if payload[-2:] != 'AA' else 'BB'}.{signature}"
        case _:
            return how


@pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning")
@pytest.mark.parametrize(
    "how",
    [
        "none", "hs256 with the public key", "other key, our kid", "unknown kid", "rs512", "other issuer", "other subject",
        "no expiry", "no private claims", "expiry as text", "changed payload", "garbage", "a.b.c", "é.é.é", "x" * 20_000,
    ],
    ids=lambda how: how[:12],
)  # fmt: skip
async def test_forged_tokens_are_refused(issuer, accounts, objects, how):
    """Nothing but an untouched token of ours is accepted."""
    token = (await issuer.create(ACCOUNT, ask(), objects)).status.token
    with pytest.raises(InvalidToken):
        await accounts.authenticate_token(forged(issuer, how, token), (ISSUER,))


@pytest.mark.parametrize(
    ("request_", "code", "text"),
    [
        pytest.param(ask(expiration_seconds=599), 422, "may not specify a duration less than 10 minutes", id="short"),
        pytest.param(
            ask(expiration_seconds=(1 << 32) + 1), 422, "may not specify a duration larger than 2^32", id="long"
        ),
        pytest.param(ask(pod_reference("other")), 409, "the UID in the bound object reference (other)", id="uid"),
        pytest.param(
            ask(BoundObjectReference(kind="Pod", api_version="v1", name="x")), 404, 'pods "x" not found', id="no pod"
        ),
        pytest.param(
            ask(BoundObjectReference(kind="Service", api_version="v1", name="x")),
            400,
            "cannot bind token to object",
            id="kind",
        ),
    ],
)
async def test_token_request_refuses(issuer, objects, request_, code, text):
    """Lifetimes out of bounds and objects that are not there are refused with upstream's codes."""
    with pytest.raises(ApiError) as refused:
        await issuer.create(ACCOUNT, request_, objects)
    assert refused.value.code == code
    assert text in refused.value.message


async def test_token_request_refuses_a_pod_of_another_account(issuer, objects):
    """A token is not bound to a pod that runs as someone else."""
    other = ServiceAccount(metadata=meta("other", "u"))
    with pytest.raises(ApiError) as refused:
        await issuer.create(other, ask(pod_reference()), objects)
    assert refused.value.code == 400


def test_jwks_holds_the_key_that_signs(issuer):
    """The published key set verifies what is signed."""
    (key,) = issuer.jwks()["keys"]
    assert jwt.PyJWK(key).key.public_numbers() == issuer.public_key.public_numbers()


# ── requests ──


def authenticator(*kinds):
    return RequestAuthenticator([
        CertificateAuthenticator(VirtualClock(ISSUED)),
        BearerAuthenticator(kinds or [StaticTokens({"t0ken": ALICE})], (ISSUER,)),
    ])


def der(common_name, organizations):
    authority = CertificateAuthority.create("ca", ISSUED)
    pem = authority.issue_client(common_name, organizations, ISSUED).certificate_pem
    return x509.load_pem_x509_certificate(pem).public_bytes(Encoding.DER)


async def test_certificate_says_user_groups_and_credential():
    """Common name and organizations of a verified certificate become user and groups, in order."""
    request = Request("GET", "/", connection=Connection(certificate=der("jane", ["b", "a"])))
    user = await authenticator().authenticate(request)
    assert (user.name, user.groups) == ("jane", ("b", "a", "system:authenticated"))
    assert user.extra["authentication.kubernetes.io/credential-id"][0].startswith("X509SHA256=")


def der_with_uids(*uids):
    """A client certificate of jane's with uids in its subject."""
    key = ec.generate_private_key(ec.SECP256R1())
    texts = [(NameOID.COMMON_NAME, "jane"), *((x509.ObjectIdentifier("1.3.6.1.4.1.57683.2"), uid) for uid in uids)]
    subject = x509.Name([x509.NameAttribute(oid, text) for oid, text in texts])
    request = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    authority = CertificateAuthority.create("ca", ISSUED)
    pem = authority.sign_request(
        request.public_bytes(Encoding.PEM), [ExtendedKeyUsageOID.CLIENT_AUTH], ISSUED, lifetime_seconds=3600
    )
    return x509.load_pem_x509_certificate(pem).public_bytes(Encoding.DER)


async def test_certificate_may_say_a_uid():
    """One uid is the user's; two are no good credential, and nobody becomes anonymous by them."""
    request = Request("GET", "/", connection=Connection(certificate=der_with_uids("u-1")))
    assert (await authenticator().authenticate(request)).uid == "u-1"
    with pytest.raises(Unauthorized):
        await authenticator().authenticate(
            Request("GET", "/", connection=Connection(certificate=der_with_uids("u-1", "u-2")))
        )


async def test_last_common_name_is_the_user():
    """As Go reads it: whoever approved a request has looked at that one."""
    key = ec.generate_private_key(ec.SECP256R1())
    names = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name) for name in ("admin", "jane")])
    request = x509.CertificateSigningRequestBuilder().subject_name(names).sign(key, hashes.SHA256())
    pem = CertificateAuthority.create("ca", ISSUED).sign_request(
        request.public_bytes(Encoding.PEM), [ExtendedKeyUsageOID.CLIENT_AUTH], ISSUED, lifetime_seconds=3600
    )
    shown = Connection(certificate=x509.load_pem_x509_certificate(pem).public_bytes(Encoding.DER))
    assert (await authenticator().authenticate(Request("GET", "/", connection=shown))).name == "jane"


async def test_certificate_ends_while_its_connection_goes_on():
    """What was good in the handshake is no credential any more once its time is over, not even an anonymous one."""
    clock = VirtualClock(ISSUED)
    certificates = RequestAuthenticator([CertificateAuthenticator(clock)])
    request = Request("GET", "/", connection=Connection(certificate=der("jane", [])))
    assert (await certificates.authenticate(request)).name == "jane"
    await clock.advance(366 * 86400)
    with pytest.raises(Unauthorized):
        await certificates.authenticate(request)


async def test_request_without_credentials_is_refused_where_nobody_may_be_anonymous():
    """With anonymous requests switched off, who shows nothing is told to."""
    strict = RequestAuthenticator([CertificateAuthenticator(VirtualClock())], anonymous=False)
    with pytest.raises(Unauthorized):
        await strict.authenticate(Request("GET", "/healthz"))


async def test_certificate_without_a_name_is_no_credential():
    """A certificate that names nobody leaves the request anonymous."""
    request = Request("GET", "/", connection=Connection(certificate=der("", ["system:masters"])))
    assert await authenticator().authenticate(request) == ANONYMOUS_USER


async def test_bearer_token_of_a_header_is_accepted():
    """A known token is its user, who is authenticated."""
    request = Request("GET", "/", headers=Headers({"Authorization": "bearer  t0ken"}))
    assert await authenticator().authenticate(request) == UserInfo("alice", groups=("devs", "system:authenticated"))


@pytest.mark.parametrize("text", ["Bearer wrong", "Bearer t0ken x", "bearer T0KEN"])
async def test_bad_bearer_token_is_401_and_never_anonymous(text):
    """A token nobody knows refuses the request."""
    with pytest.raises(Unauthorized, match=r"^Unauthorized$"):
        await authenticator().authenticate(Request("GET", "/healthz", headers=Headers({"Authorization": text})))


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Basic abc"}, {"Authorization": "Bearer "}])
async def test_request_without_credentials_is_anonymous(headers):
    """Who shows nothing that is understood is anonymous."""
    assert await authenticator().authenticate(Request("GET", "/", headers=Headers(headers))) == ANONYMOUS_USER


def websocket(*protocols):
    fields = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Protocol": ", ".join(protocols)}
    return Request("GET", "/", headers=Headers(fields))


TOKEN_PROTOCOL = "base64url.bearer.authorization.k8s.io." + base64.urlsafe_b64encode(b"t0ken").decode().rstrip("=")


async def test_bearer_token_of_a_websocket_subprotocol_is_accepted_and_not_passed_on():
    """A browser's token works, and is cut out of what is forwarded."""
    request = websocket(TOKEN_PROTOCOL, "v5.channel.k8s.io")
    assert (await authenticator().authenticate(request)).name == "alice"
    assert without_credentials(request.headers).tokens("Sec-WebSocket-Protocol") == ("v5.channel.k8s.io",)


@pytest.mark.parametrize(
    "protocols",
    [(TOKEN_PROTOCOL,), (TOKEN_PROTOCOL, TOKEN_PROTOCOL, "x"), ("base64url.bearer.authorization.k8s.io.!!", "x")],
    ids=["alone", "twice", "not base64"],
)
async def test_malformed_subprotocol_token_is_401(protocols):
    """A token that cannot be read from the subprotocols refuses the request."""
    with pytest.raises(Unauthorized):
        await authenticator().authenticate(websocket(*protocols))


async def test_in_process_user_needs_no_credentials():
    """The in-process transport vouches for its caller."""
    user = await authenticator().authenticate(Request("GET", "/", connection=Connection(user=ALICE)))
    assert user == UserInfo("alice", groups=("devs", "system:authenticated"))


async def test_review_collects_every_kinds_reason(accounts):
    """A TokenReview hears why no kind took the token."""
    bearer = BearerAuthenticator([StaticTokens({}), accounts], (ISSUER,))
    with pytest.raises(InvalidToken, match=r"^\[invalid bearer token, token is not valid: DecodeError\]$"):
        await bearer.review("garbage")
