"""Dry runs: every way to write is answered as if it had been done, and leaves nothing behind."""

import base64

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from tests.support.in_process import running_server

CORE = "/api/v1/namespaces/default"
APPS = "/apis/apps/v1/namespaces/default"
REQUESTS = "/apis/certificates.k8s.io/v1/certificatesigningrequests"
POD = {
    "metadata": {"name": "p"},
    "spec": {"containers": [{"name": "c", "image": "i:1", "resources": {"requests": {"cpu": "1"}}}]},
}
DEPLOYMENT = {
    "metadata": {"name": "d"},
    "spec": {
        "selector": {"matchLabels": {"a": "b"}},
        "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i:1"}]}},
    },
}
MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"


def certificate_request():
    """A request for a client's certificate."""
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "x")])
    made = x509.CertificateSigningRequestBuilder().subject_name(name)
    signed = made.sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
    return {
        "metadata": {"name": "r"},
        "spec": {
            "request": base64.b64encode(signed.public_bytes(serialization.Encoding.PEM)).decode(),
            "signerName": "kubernetes.io/kube-apiserver-client",
            "usages": ["client auth"],
        },
    }


async def make_all(server):
    """Make one object of each kind that has subresources to try."""
    bodies = {
        f"{CORE}/serviceaccounts": {"metadata": {"name": "default"}},
        f"{CORE}/pods": POD,
        f"{APPS}/deployments": DEPLOYMENT,
        REQUESTS: certificate_request(),
        "/api/v1/namespaces": {"metadata": {"name": "n"}},
    }
    for path, body in bodies.items():
        answer = await server("POST", path, body)
        assert answer.status == 201, answer.body


async def state(server):
    """The revision of the whole store, which any write moves on."""
    return (await server.json("GET", f"{CORE}/configmaps"))["metadata"]["resourceVersion"]


APPROVED = {"type": "Approved", "status": "True", "reason": "r", "message": "m"}
DEBUGGER = {"spec": {"ephemeralContainers": [{"name": "e", "image": "i:1", "targetContainerName": "c"}]}}


@pytest.mark.parametrize(
    ("method", "path", "body", "media", "status"),
    [
        pytest.param("POST", f"{CORE}/configmaps", {"metadata": {"name": "m"}}, "", 201, id="create"),
        pytest.param("DELETE", f"{CORE}/pods/p", None, "", 200, id="delete"),
        pytest.param("DELETE", f"{CORE}/pods", None, "", 200, id="delete of a collection"),
        pytest.param("DELETE", "/api/v1/namespaces/n", None, "", 200, id="delete of a namespace"),
        pytest.param(
            "POST", f"{CORE}/pods/p/binding", {"target": {"kind": "Node", "name": "n"}}, "", 201, id="binding"
        ),
        pytest.param(
            "POST",
            f"{CORE}/bindings",
            {"metadata": {"name": "p"}, "target": {"kind": "Node", "name": "n"}},
            "",
            201,
            id="binding by its kind",
        ),
        pytest.param("POST", f"{CORE}/pods/p/eviction", {"metadata": {"name": "p"}}, "", 201, id="eviction"),
        pytest.param("PATCH", f"{CORE}/pods/p/status", {"status": {"phase": "Running"}}, MERGE, 200, id="status"),
        pytest.param("PATCH", f"{CORE}/pods/p/ephemeralcontainers", DEBUGGER, STRATEGIC, 200, id="debug container"),
        pytest.param(
            "PATCH",
            f"{CORE}/pods/p/resize",
            {"spec": {"containers": [{"name": "c", "resources": {"requests": {"cpu": "2"}}}]}},
            STRATEGIC,
            200,
            id="resize",
        ),
        pytest.param("PATCH", f"{APPS}/deployments/d/scale", {"spec": {"replicas": 3}}, MERGE, 200, id="scale"),
        pytest.param("POST", f"{CORE}/serviceaccounts/default/token", {"spec": {"audiences": []}}, "", 201, id="token"),
        pytest.param(
            "PATCH", f"{REQUESTS}/r/approval", {"status": {"conditions": [APPROVED]}}, MERGE, 200, id="approval"
        ),
        pytest.param(
            "PUT", "/api/v1/namespaces/n/finalize", {"metadata": {"name": "n"}, "spec": {}}, "", 200, id="finalize"
        ),
    ],
)
async def test_dry_run_leaves_nothing(method, path, body, media, status):
    """The answer is that of the real write; the store stays as it was."""
    async with running_server() as server:
        await make_all(server)
        before = await state(server)
        headers = {"Content_Type": media} if media else {}
        answer = await server(method, path, body, query="dryRun=All", **headers)
        assert answer.status == status, answer.body
        assert await state(server) == before
        if not path.endswith("/token"):
            # The same without a dry run is a write; that of a token is none in either case.
            assert (await server(method, path, body, **headers)).status == status
            assert await state(server) != before
