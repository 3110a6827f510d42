"""How kubectl says who it is: plug-ins, tokens, issued certificates, impersonation; and which of them wins."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from support.kubectl import Kubectl
from support.waiting import eventually

V1, V1BETA1 = "client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1"


def with_user(kubectl: Kubectl, folder: Path, user: dict[str, Any]) -> Kubectl:
    """The same program with other credentials in its kubeconfig."""
    config = json.loads(kubectl("config", "view", "--raw", "-o", "json"))
    config["users"][0]["user"] = user
    path = folder / "config"
    path.write_text(json.dumps(config))
    return Kubectl(kubectl.program, path, kubectl.namespace)


def plugin(version: str, command: str, *arguments: str) -> dict[str, Any]:
    """A user whose credentials a program prints."""
    told = {"apiVersion": version, "command": command, "args": arguments, "interactiveMode": "IfAvailable"}
    return {"exec": told}


def whoami(kubectl: Kubectl, *options: str) -> Any:
    return kubectl.json("auth", "whoami", *options)["status"]["userInfo"]


@pytest.mark.parametrize("version", [V1, V1BETA1])
def test_credentials_come_from_a_plugin(kubectl_now: Kubectl, tmp_path: Path, version: str) -> None:
    """The token that the program prints is the user's."""
    token = kubectl_now("create", "token", "default").strip()
    printed = json.dumps({"apiVersion": version, "kind": "ExecCredential", "status": {"token": token}})
    user = with_user(kubectl_now, tmp_path, plugin(version, "echo", printed))
    assert whoami(user)["username"] == f"system:serviceaccount:{kubectl_now.namespace}:default"


def test_credentials_on_the_command_line_win(kubectl_now: Kubectl, tmp_path: Path) -> None:
    """With a token given, a plug-in that would fail is not asked."""
    user = with_user(kubectl_now, tmp_path, plugin(V1, "false"))
    assert user.run("get", "pods").code == 1
    token = kubectl_now("create", "token", "default").strip()
    assert whoami(user, f"--token={token}")["username"] == f"system:serviceaccount:{kubectl_now.namespace}:default"


def test_credentials_are_issued_by_the_cluster(kubectl_now: Kubectl, tmp_path: Path) -> None:
    """A request is approved, its certificate fetched, and whoever holds the key is who it says."""
    key = ec.generate_private_key(ec.SECP256R1())
    names = [
        x509.NameAttribute(x509.NameOID.COMMON_NAME, "casey"),
        x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, "crew"),
    ]
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(names)).sign(key, hashes.SHA256())
    pem = base64.b64encode(request.public_bytes(serialization.Encoding.PEM)).decode()
    name = kubectl_now.namespace
    body = {
        "apiVersion": "certificates.k8s.io/v1",
        "kind": "CertificateSigningRequest",
        "metadata": {"name": name},
        "spec": {"request": pem, "signerName": "kubernetes.io/kube-apiserver-client", "usages": ["client auth"]},
    }
    kubectl_now("create", "-f", "-", stdin=json.dumps(body))
    try:
        kubectl_now("certificate", "approve", "-f", "-", stdin=json.dumps(body))
        issued = eventually(lambda: kubectl_now("get", "csr", name, "-o", "jsonpath={.status.certificate}"))
        assert "Approved,Issued" in kubectl_now("get", "csr", name)
    finally:
        kubectl_now("delete", "csr", name)
    held = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    user = with_user(
        kubectl_now,
        tmp_path,
        {"client-certificate-data": issued, "client-key-data": base64.b64encode(held).decode()},
    )
    info = whoami(user)
    assert (info["username"], info["groups"]) == ("casey", ["crew", "system:authenticated"])
    refused = user.run("get", "pods")
    assert 'pods is forbidden: User "casey" cannot list resource "pods"' in refused.stderr


def test_credentials_of_another_are_noted_in_order(kubectl_now: Kubectl) -> None:
    """Who acts for somebody else names every group, and the object keeps them in that order."""
    name = kubectl_now.namespace
    body = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": {"verb": "list", "resource": "pods", "namespace": name}},
    }
    kubectl_now("create", "rolebinding", "viewers", "--clusterrole=view", "--group=group1")
    groups = ("--as-group=group2", "--as-group=group1", "--as-group=,,,chameleon")
    # Validating a kind that cannot be patched, kubectl would look for it among the custom resources, which user1 may not.
    options = ("--validate=false", "-o", "json", "--as=user1")
    review = kubectl_now("create", "-f", "-", *options, *groups, stdin=json.dumps(body))
    assert json.loads(review)["status"]["allowed"] is True
    info = whoami(kubectl_now, "--as=user1", *groups)
    assert (info["username"], info["groups"]) == (
        "user1",
        ["group2", "group1", ",,,chameleon", "system:authenticated"],
    )
    refused = kubectl_now.run("get", "pods", "--as-group=group1")
    assert refused.code == 1
    assert "without impersonating a user" in refused.stderr


@pytest.mark.parametrize(
    ("command", "manifest"),
    [
        pytest.param(
            "TokenReview", {"apiVersion": "authentication.k8s.io/v1", "spec": {"token": "abc"}}, id="token-review"
        ),
        pytest.param(
            "SubjectAccessReview",
            {
                "apiVersion": "authorization.k8s.io/v1",
                "spec": {"user": "jane", "resourceAttributes": {"verb": "get", "resource": "pods"}},
            },
            id="access-review",
        ),
    ],
)
def test_reviews_are_created_without_a_name(kubectl: Kubectl, command: str, manifest: dict[str, Any]) -> None:
    """`create` sends a review and reports it, though nothing is stored."""
    said = kubectl("create", "--validate=false", "-f", "-", stdin=json.dumps({"kind": command, **manifest}))
    assert said.endswith("created\n")
