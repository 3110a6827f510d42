"""kubectl certificate: requests are shown, approved and denied, once."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from support.kubectl import Kubectl
from support.manifests import certificate_request

SIGNER = "kubernetes.io/kube-apiserver-client"


@contextmanager
def requested(kubectl: Kubectl) -> Iterator[str]:
    """A fresh request for a client's certificate."""
    name = "request-" + uuid.uuid4().hex[:6]
    body = {
        "apiVersion": "certificates.k8s.io/v1",
        "kind": "CertificateSigningRequest",
        "metadata": {"name": name},
        "spec": {
            "request": certificate_request("alice"),
            "signerName": SIGNER,
            "usages": ["client auth"],
            "expirationSeconds": 7200,
        },
    }
    kubectl("create", "-f", "-", stdin=json.dumps(body))
    yield name
    kubectl("delete", "csr", name)


@pytest.mark.parametrize(
    ("verb", "said", "condition"), [("approve", "approved", "Approved"), ("deny", "denied", "Denied")]
)
def test_certificate_decisions_are_made_once(kubectl_now: Kubectl, verb: str, said: str, condition: str) -> None:
    """The table shows the request and then the decision, which the other command cannot turn."""
    with requested(kubectl_now) as name:
        header, row = kubectl_now("get", "csr", name).splitlines()
        assert header.split() == ["NAME", "AGE", "SIGNERNAME", "REQUESTOR", "REQUESTEDDURATION", "CONDITION"]
        assert row.split()[2:] == [SIGNER, "kubernetes-admin", "120m", "Pending"]
        shown = kubectl_now("certificate", verb, name)
        assert shown == f"certificatesigningrequest.certificates.k8s.io/{name} {said}\n"
        assert condition in kubectl_now("get", "csr", name).splitlines()[1].split()[-1]
        kubectl_now("wait", f"--for=condition={condition}", f"csr/{name}", "--timeout=5s")
        described = kubectl_now("describe", "csr", name)
        assert "Common Name:    alice" in described
        assert condition in described
        other = "deny" if verb == "approve" else "approve"
        refused = kubectl_now.run("certificate", other, name)
        assert refused.code == 1
        assert f"is already {condition}" in refused.stderr


def test_certificate_of_nobody_is_not_found(kubectl_now: Kubectl) -> None:
    """A request that is not there is named."""
    done = kubectl_now.run("certificate", "approve", "nobody")
    assert done.code == 1
    assert 'certificatesigningrequests.certificates.k8s.io "nobody" not found' in done.stderr
