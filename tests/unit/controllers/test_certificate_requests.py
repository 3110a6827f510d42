"""Certificate requests: what each signer lets pass, how long its certificates live, and when a request is past."""

import base64

import pytest

from pinnace.api.certificates_v1 import (
    CertificateSigningRequest,
    CertificateSigningRequestCondition,
    CertificateSigningRequestStatus,
)
from pinnace.api.meta_v1 import ObjectMeta
from pinnace.component.certificate_requests import RequestFacts, make_request, request_facts
from pinnace.component.tls import CertificateAuthority
from pinnace.controllers.certificate_requests import CLIENT, KUBELET_CLIENT, KUBELET_SERVING, complaint
from pinnace.controllers.certificate_signer import is_past, lifetime_seconds
from pinnace.machinery import timestamps

HOUR, DAY, NOW = 3600.0, 86400.0, 1_800_000_000.0
NODE = RequestFacts("system:node:n1", ("system:nodes",))
SERVER = RequestFacts("system:node:n1", ("system:nodes",), ("n1",), ("192.0.2.1",))
FOR_CLIENT, FOR_SERVER = ("digital signature", "client auth"), ("digital signature", "server auth")


@pytest.mark.parametrize(
    ("signer", "facts", "usages", "expected"),
    [
        pytest.param(KUBELET_CLIENT, NODE, FOR_CLIENT, "", id="node"),
        pytest.param(KUBELET_CLIENT, NODE, (*FOR_CLIENT, "key encipherment"), "", id="node with an RSA key"),
        pytest.param(KUBELET_CLIENT, NODE, FOR_SERVER, "usages did not match", id="node, for a server"),
        pytest.param(KUBELET_CLIENT, SERVER, FOR_CLIENT, "DNS subjectAltNames", id="node with names"),
        pytest.param(KUBELET_CLIENT, RequestFacts("jane", ("system:nodes",)), FOR_CLIENT, "common name", id="no node"),
        pytest.param(
            KUBELET_CLIENT,
            RequestFacts("system:node:n1", ("system:nodes", "system:masters")),
            FOR_CLIENT,
            "organization",
            id="node and more",
        ),
        pytest.param(KUBELET_SERVING, SERVER, FOR_SERVER, "", id="server"),
        pytest.param(KUBELET_SERVING, NODE, FOR_SERVER, "DNS or IP", id="server without names"),
        pytest.param(KUBELET_SERVING, SERVER, FOR_CLIENT, "usages did not match", id="server, for a client"),
        pytest.param(CLIENT, RequestFacts("jane", ()), FOR_CLIENT, "", id="person"),
        pytest.param(CLIENT, RequestFacts("jane", ()), FOR_SERVER, "client auth", id="person, for a server"),
    ],
)
def test_signer_takes_what_its_rules_allow(
    signer: str, facts: RequestFacts, usages: tuple[str, ...], expected: str
) -> None:
    """The first rule that is broken is named."""
    found = complaint(signer, facts, usages)
    assert expected in found if expected else not found


def test_request_says_what_it_was_made_for() -> None:
    """Subject and names come back, addresses as addresses; the key is for the request's eyes only."""
    made = make_request("system:node:n1", ["system:nodes"], ["n1", "192.0.2.1"])
    assert request_facts(made.request_pem) == SERVER
    assert b"PRIVATE" not in made.request_pem
    assert not request_facts(make_request("jane", []).request_pem).has_names


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        pytest.param(None, 365 * DAY - 300, id="as long as it may be"),
        pytest.param(60, 600, id="no shorter than ten minutes"),
        pytest.param(7200, 7200, id="short ones in full"),
        pytest.param(int(8 * HOUR), 8 * HOUR - 300, id="long ones pay for their head start"),
    ],
)
def test_lifetime_is_as_asked_within_bounds(wanted: int | None, expected: float) -> None:
    """A year at most, ten minutes at least."""
    assert lifetime_seconds(wanted) == expected


def request(age: float, *conditions: tuple[str, float], certificate: str = "") -> CertificateSigningRequest:
    listed = tuple(
        CertificateSigningRequestCondition(type=kind, status="True", last_update_time=timestamps.format(NOW - since))
        for kind, since in conditions
    )
    return CertificateSigningRequest(
        metadata=ObjectMeta(name="r", creation_timestamp=timestamps.format(NOW - age)),
        status=CertificateSigningRequestStatus(conditions=listed, certificate=certificate),
    )


def issued(lifetime: float) -> str:
    authority = CertificateAuthority.create("ca", NOW - 2 * DAY)
    pair = authority.issue_client("jane", [], NOW - DAY, lifetime_seconds=lifetime)
    return base64.b64encode(pair.certificate_pem).decode()


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        pytest.param(request(23 * HOUR), False, id="waits"),
        pytest.param(request(25 * HOUR), True, id="waited a day"),
        pytest.param(request(23 * HOUR, ("Approved", 22 * HOUR)), False, id="approved, not issued"),
        pytest.param(request(25 * HOUR, ("Approved", 22 * HOUR)), True, id="approved, not issued in a day"),
        pytest.param(request(HOUR, ("Denied", 0.5 * HOUR)), False, id="just denied"),
        pytest.param(request(3 * HOUR, ("Denied", 2 * HOUR)), True, id="denied an hour ago"),
        pytest.param(request(3 * HOUR, ("Approved", 0.5 * HOUR), certificate=issued(9 * DAY)), False, id="just issued"),
        pytest.param(request(3 * HOUR, ("Approved", 2 * HOUR), certificate=issued(9 * DAY)), True, id="issued"),
        pytest.param(request(HOUR, ("Approved", 60), certificate=issued(HOUR)), True, id="expired"),
    ],
)
def test_request_is_past_when_nobody_needs_it(found: CertificateSigningRequest, expected: bool) -> None:
    """Decided ones stay for an hour, others for a day, expired certificates not at all."""
    assert is_past(found, NOW) is expected
