"""Certificate signing requests: who asks, what is refused, and that approval and issue happen once."""

import base64

import pytest
from msgspec.structs import replace
from tests.support.kind_rules import Rules

from pinnace.api.certificates_v1 import CertificateSigningRequestCondition
from pinnace.apiserver.registry.certificates import pem
from pinnace.apiserver.registry.certificates.certificate_signing_request import (
    prepare_approval,
    prepare_create,
    prepare_status,
)
from pinnace.apiserver.registry.strategy import Context
from pinnace.component.http import UserInfo
from pinnace.component.tls import CertificateAuthority

NOW = 1_700_000_000.0
USER = UserInfo("alice", uid="u", groups=("devs", "system:authenticated"), extra={"team": ("red",)})
CONTEXT = Context(user=USER, now=NOW, identity=None, objects=None)


def condition(kind, status="True", **members):
    return CertificateSigningRequestCondition(type=kind, status=status, **members)


@pytest.fixture(scope="module")
def rules():
    return Rules("certificatesigningrequests")


@pytest.fixture(scope="module")
def certificate():
    made = CertificateAuthority.create("test", NOW).certificate_pem
    return base64.b64encode(made).decode()


def test_requester_is_who_was_authenticated(rules):
    """What a client says of itself, or of the request's fate, is dropped."""
    sent = rules.make({"spec.username": "root", "spec.groups": ["system:masters"], "status.certificate": "eA=="})
    made = prepare_create(CONTEXT, sent)
    assert (made.spec.username, made.spec.uid, made.spec.groups) == ("alice", "u", ("devs", "system:authenticated"))
    assert made.spec.extra == {"team": ("red",)}
    assert made.status == type(made.status)()


@pytest.mark.parametrize(
    ("changes", "complaints"),
    [
        pytest.param({}, [], id="good"),
        pytest.param(
            {"spec.request": "bm90IHBlbQ=="},
            ['spec.request: Invalid value: "bm90IHBlbQ==": PEM block type must be CERTIFICATE REQUEST'],
            id="no PEM",
        ),
        pytest.param(
            {"spec.signerName": "plain"},
            [
                (
                    'spec.signerName: Invalid value: "plain": must be a fully qualified domain and path of the form '
                    "'example.com/signer-name'"
                )
            ],
            id="signer without a domain",
        ),
        pytest.param(
            {"spec.signerName": "local/a"},
            [
                'spec.signerName: Invalid value: "local": should be a domain with at least two segments separated by dots'
            ],
            id="signer with a short domain",
        ),
        pytest.param(
            {"spec.signerName": "kubernetes.io/legacy-unknown"},
            [
                (
                    'spec.signerName: Invalid value: "kubernetes.io/legacy-unknown": the legacy signerName is not allowed via '
                    "this API version"
                )
            ],
            id="legacy signer",
        ),
        pytest.param({"spec.usages": []}, ["spec.usages: Required value"], id="no usages"),
        pytest.param(
            {"spec.usages": ["client auth", "client auth"], "spec.expirationSeconds": 10},
            [
                'spec.usages[1]: Duplicate value: "client auth"',
                "spec.expirationSeconds: Invalid value: 10: may not specify a duration less than 600 seconds (10 minutes)",
            ],
            id="usage twice, short life",
        ),
    ],
)
def test_request_is_refused(rules, changes, complaints):
    """The complaints are upstream's, in its order."""
    assert rules.refused(changes) == complaints


def test_request_with_a_changed_byte_is_refused(rules):
    """A request must be signed by the key it names."""
    text = base64.b64decode(rules.body["spec"]["request"])
    (block,) = pem.blocks(text)
    data = bytearray(block.data)
    data[-1] ^= 1
    changed = (
        b"-----BEGIN CERTIFICATE REQUEST-----\n" + base64.b64encode(data) + b"\n-----END CERTIFICATE REQUEST-----\n"
    )
    (found,) = rules.refused({"spec.request": base64.b64encode(changed).decode()})
    assert found.startswith("spec.request: Invalid value: ")


def test_approval_fills_in_times_and_cannot_be_taken_back(rules):
    """An approval stands; a denial beside it is refused, as is taking it away."""
    old = rules.make({})
    asked = replace(old, status=replace(old.status, conditions=(condition("Approved"),), certificate="eA=="))
    approved = prepare_approval(CONTEXT, asked, old)
    (made,) = approved.status.conditions
    assert made.last_update_time == made.last_transition_time == "2023-11-14T22:13:20Z"
    assert approved.status.certificate == ""
    part = rules.strategy.parts["approval"].validate_update
    assert [str(one) for one in part(approved, old)] == []
    both = replace(approved, status=replace(approved.status, conditions=(made, condition("Denied"))))
    assert [str(one) for one in part(both, approved)] == [
        'status.conditions: Invalid value: "Denied": Approved and Denied conditions are mutually exclusive'
    ]
    none = replace(approved, status=replace(approved.status, conditions=()))
    removed = 'status.conditions: Forbidden: updates may not remove a condition of type "Approved"'
    assert [str(one) for one in part(none, approved)] == [removed]


def test_status_path_does_not_approve_but_issues_once(rules, certificate):
    """Approval and issue have a path each; a certificate stands once it is there."""
    old = rules.make({})
    part = rules.strategy.parts["status"].validate_update
    approved = replace(old, status=replace(old.status, conditions=(condition("Approved"),)))
    assert [str(one) for one in part(approved, old)] == [
        'status.conditions: Forbidden: updates may not add a condition of type "Approved"'
    ]
    issued = prepare_status(CONTEXT, replace(old, status=replace(old.status, certificate=certificate)), old)
    assert [str(one) for one in part(issued, old)] == []
    other = replace(issued, status=replace(issued.status, certificate="eA=="))
    assert [str(one) for one in part(other, issued)] == [
        'status.certificate: Invalid value: "<certificate data>": must contain at least one CERTIFICATE PEM block',
        "status.certificate: Forbidden: updates may not modify existing certificate content",
    ]


@pytest.mark.parametrize(
    ("conditions", "certificate", "shown"),
    [
        pytest.param([], "", "Pending", id="pending"),
        pytest.param(["Approved"], "eA==", "Approved,Issued", id="issued"),
        pytest.param(["Denied"], "", "Denied", id="denied"),
        pytest.param(["Approved", "Failed"], "", "Approved,Failed", id="failed"),
    ],
)
def test_request_shows_how_far_it_has_come(rules, conditions, certificate, shown):
    """The last column tells the state."""
    changes = {
        "status.conditions": [{"type": one, "status": "True"} for one in conditions],
        "status.certificate": certificate,
        "spec.expirationSeconds": 86400,
    }
    row = rules.row(changes)
    assert (row["Condition"], row["RequestedDuration"], row["SignerName"]) == (shown, "24h", "example.com/a")


def test_pem_with_many_beginnings_is_read_in_one_pass():
    """Beginnings without an end cost no more than their length."""
    assert list(pem.blocks(b"-----BEGIN A-----\n" * 100_000)) == []
