"""Objects by which somebody takes what is not theirs: certificates, containers, addresses and nodes (checks 34 and 35).

A whole server with authentication, RBAC and admission on; each test names the CVE class that it holds.
"""

import base64

import pytest
import pytest_asyncio
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from tests.support.bad_input import bad_input_server, bind, status_of

from pinnace.api.core_v1 import Node, Pod
from pinnace.apiserver.admission.functions import validating
from pinnace.apiserver.config import ApiServerConfig
from pinnace.component.http import UserInfo

pytestmark = pytest.mark.asyncio(loop_scope="module")

JANE, EDDY = (UserInfo(name, groups=("system:authenticated",)) for name in ("jane", "eddy"))
NODE = UserInfo("system:node:n1", groups=("system:nodes", "system:authenticated"))
RBAC = "/apis/rbac.authorization.k8s.io/v1"
CSRS = "/apis/certificates.k8s.io/v1/certificatesigningrequests"
HERE = "/api/v1/namespaces/default"
CLIENT, KUBELET_CLIENT = "kubernetes.io/kube-apiserver-client", "kubernetes.io/kube-apiserver-client-kubelet"
MERGE, JSON_PATCH = "application/merge-patch+json", "application/json-patch+json"
STRATEGIC, APPLY = "application/strategic-merge-patch+json", "application/apply-patch+yaml"
IMAGE = {"name": "e", "image": "good:1"}


def no_evil_image(request):
    spec = request.object.spec
    containers = (*spec.init_containers, *spec.containers, *spec.ephemeral_containers)
    if any("evil" in one.image for one in containers):
        request.deny("evil image")


class Seen:
    """What a policy was shown of writes to nodes."""

    def __init__(self):
        self.labels = []

    def __call__(self, request):
        self.labels.append((request.old.metadata.labels.get("zone"), request.object.metadata.labels.get("zone")))
        if self.labels[-1][0] != self.labels[-1][1]:
            request.deny("zones stay")


SEEN = Seen()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server():
    """A server where jane may ask for certificates and write everything of one namespace, eddy may edit it, and policies look at images and nodes."""
    plugins = (
        validating(Pod, no_evil_image),
        validating(Pod, no_evil_image, subresource="ephemeralcontainers"),
        validating(Node, SEEN, operations=("UPDATE",)),
    )
    config = ApiServerConfig(enable_admission_plugins=("DenyServiceExternalIPs",))
    async with bad_input_server(config=config, admission_plugins=plugins) as running:
        everything = {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}
        asking = {
            "verbs": ["create", "get", "update", "patch"],
            "apiGroups": ["certificates.k8s.io"],
            "resources": ["certificatesigningrequests"],
        }
        parts = [f"certificatesigningrequests/{part}" for part in ("approval", "status")]
        await running.send(
            "POST", f"{RBAC}/namespaces/default/roles", {"metadata": {"name": "all"}, "rules": [everything]}
        )
        await running.send(
            "POST",
            f"{RBAC}/clusterroles",
            {"metadata": {"name": "ask"}, "rules": [asking, {**asking, "resources": parts}]},
        )
        await bind(running, "all", "Role", "jane", "default")
        await bind(running, "ask", "ClusterRole", "jane")
        await bind(running, "edit", "ClusterRole", "eddy", "default")
        # What the controller of aggregated roles would gather.
        for part in ("edit", "view"):
            found = status_of(await running.send("GET", f"{RBAC}/clusterroles/system:aggregate-to-{part}"))
            role = status_of(await running.send("GET", f"{RBAC}/clusterroles/edit"))
            role["rules"] = [*(role["rules"] or []), *found["rules"]]
            assert (await running.send("PUT", f"{RBAC}/clusterroles/edit", role)).status == 200
        yield running


# ── certificates ──


def request_pem(name, *organizations):
    key = ec.generate_private_key(ec.SECP256R1())
    parts = [(NameOID.COMMON_NAME, name), *((NameOID.ORGANIZATION_NAME, one) for one in organizations)]
    subject = x509.Name([x509.NameAttribute(oid, text) for oid, text in parts])
    built = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    return built.public_bytes(serialization.Encoding.PEM)


MASTERS, PLAIN = request_pem("root", "system:masters"), request_pem("jane", "devs")
REQUESTS = {
    "masters": (MASTERS, CLIENT, 403),
    "masters among others": (request_pem("jane", "a", "system:masters", "b"), CLIENT, 403),
    "masters, and another behind": (MASTERS + PLAIN, CLIENT, 403),
    "masters, behind one that only careless readers see": (b"x" + PLAIN + MASTERS, CLIENT, 403),
    "masters, behind text": (b"Subject: nobody\n" + MASTERS, CLIENT, 403),
    "masters, for any other signer": (MASTERS, "example.com/mine", 201),
    "a node": (request_pem("system:node:n2", "system:nodes"), KUBELET_CLIENT, 201),
    "nobody special": (PLAIN, CLIENT, 201),
}


@pytest.mark.parametrize(("pem", "signer", "code"), REQUESTS.values(), ids=REQUESTS)
async def test_request_for_masters_is_refused_however_it_is_wrapped(server, pem, signer, code):
    """The signer of client certificates is asked for no masters, by whichever reader; what others sign is not this server's to trust (check 35)."""
    body = {
        "metadata": {"generateName": "c-"},
        "spec": {"request": base64.b64encode(pem).decode(), "signerName": signer, "usages": ["client auth"]},
    }
    answer = await server.send("POST", CSRS, body, who=JANE)
    assert answer.status == code, answer.body


@pytest.mark.parametrize("signer", [KUBELET_CLIENT, "kubernetes.io/kubelet-serving"])
@pytest.mark.parametrize(
    ("names", "code"),
    [
        pytest.param(["system:node:n1"], 201, id="its own"),
        pytest.param(["system:node:n2"], 403, id="another's"),
        pytest.param(["admin"], 403, id="an administrator's"),
        pytest.param(["system:node:n1", "system:node:n2"], 403, id="its own and another's"),
        pytest.param([], 403, id="nobody's"),
    ],
)
async def test_node_asks_for_certificates_of_its_own_name(server, signer, names, code):
    """Of the signers for nodes, under whose name it could act or serve; a second common name is another's for who reads the last."""
    key = ec.generate_private_key(ec.SECP256R1())
    parts = [(NameOID.ORGANIZATION_NAME, "system:nodes"), *((NameOID.COMMON_NAME, name) for name in names)]
    subject = x509.Name([x509.NameAttribute(oid, text) for oid, text in parts])
    pem = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    text = base64.b64encode(pem.public_bytes(serialization.Encoding.PEM)).decode()
    usage = "server auth" if signer.endswith("serving") else "client auth"
    spec = {"request": text, "signerName": signer, "usages": ["digital signature", usage]}
    answer = await server.send("POST", CSRS, {"metadata": {"generateName": "n-"}, "spec": spec}, who=NODE)
    assert answer.status == code, answer.body
    if code == 403:
        assert "can only create a node CSR with CN=system:node:n1" in status_of(answer)["message"]


@pytest.mark.parametrize("signer", [CLIENT, KUBELET_CLIENT, "kubernetes.io/kubelet-serving"])
async def test_request_does_not_approve_itself(server, signer):
    """Who asks is who was authenticated, and neither the asking nor the right to the path approves or issues: that takes the signer's."""
    forged = {"username": "system:node:n2", "groups": ["system:nodes"], "uid": "1", "extra": {"a": ["b"]}}
    usages = ["digital signature", "server auth" if signer.endswith("serving") else "client auth"]
    pem = request_pem("system:node:n2", "system:nodes")
    approved = {"conditions": [{"type": "Approved", "status": "True", "reason": "x", "message": ""}]}
    body = {
        "metadata": {"generateName": "c-"},
        "spec": {"request": base64.b64encode(pem).decode(), "signerName": signer, "usages": usages, **forged},
        "status": {**approved, "certificate": base64.b64encode(b"x").decode()},
    }
    made = status_of(await server.send("POST", CSRS, body, who=JANE))
    assert (made["spec"]["username"], made["spec"]["groups"]) == ("jane", ["system:authenticated"])
    assert {"uid", "extra"}.isdisjoint(made["spec"])
    assert made["status"] == {}
    path = f"{CSRS}/{made['metadata']['name']}"
    for part in ("approval", "status"):
        patch = {"status": approved}
        answer = await server.send("PATCH", f"{path}/{part}", patch, who=JANE, headers={"Content-Type": MERGE})
        assert answer.status in ({403} if part == "approval" else {403, 422}), answer.body
    assert (
        await server.send(
            "PATCH", path, {"status": approved, "spec": forged}, who=JANE, headers={"Content-Type": MERGE}
        )
    ).status == 200
    kept = status_of(await server.send("GET", path, who=JANE))
    assert (kept["spec"], kept["status"]) == (made["spec"], {})


# ── containers ──


async def make_pod(server, name, **spec):
    body = {"metadata": {"name": name}, "spec": {"containers": [{"name": "c", "image": "good:1"}], **spec}}
    return await server.send("POST", f"{HERE}/pods", body, who=JANE)


@pytest.mark.parametrize(
    ("kind", "container"),
    [
        pytest.param("initContainers", {"image": "evil:1"}, id="init"),
        pytest.param("containers", {"image": "evil:1"}, id="container"),
        pytest.param("ephemeralContainers", {"image": "evil:1"}, id="ephemeral"),
    ],
)
async def test_image_policy_sees_every_kind_of_container(server, kind, container):
    """What is added to a running pod passes the same policy as what it began with (CVE-2023-2727)."""
    if kind != "ephemeralContainers":
        listed = [{"name": "c", "image": "good:1"}] if kind == "initContainers" else []
        spec = (
            {"containers": listed, kind: [{"name": "e", **container}]}
            if listed
            else {kind: [{"name": "e", **container}]}
        )
        answer = await make_pod(server, "evil", **spec)
        assert answer.status == 403
        return
    assert (await make_pod(server, "imaged")).status == 201
    path = f"{HERE}/pods/imaged/ephemeralcontainers"
    for media in (STRATEGIC, MERGE):
        patch = {"spec": {kind: [{"name": "e", **container}]}}
        answer = await server.send("PATCH", path, patch, who=JANE, headers={"Content-Type": media})
        assert answer.status == 403, answer.body
        assert "evil image" in status_of(answer)["message"]


SECRET_USES = {
    "variable": {"env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "other", "key": "k"}}}]},
    "all variables": {"envFrom": [{"secretRef": {"name": "other"}}]},
}


@pytest.mark.parametrize("use", SECRET_USES.values(), ids=SECRET_USES)
async def test_account_that_lists_its_secrets_binds_every_kind_of_container(server, use):
    """Init, plain and ephemeral containers, one key or all of them (CVE-2023-2728, 2024-3177)."""
    account = {
        "metadata": {"name": "bound", "annotations": {"kubernetes.io/enforce-mountable-secrets": "true"}},
        "secrets": [{"name": "mine"}],
    }
    await server.send("POST", f"{HERE}/serviceaccounts", account)
    for kind in ("initContainers", "containers"):
        spec = {"serviceAccountName": "bound", kind: [{**IMAGE, **use}]}
        assert (await make_pod(server, "taker", **spec)).status == 403
    assert (await make_pod(server, "bound", serviceAccountName="bound")).status in {201, 409}
    patch = {"spec": {"ephemeralContainers": [{**IMAGE, **use}]}}
    answer = await server.send(
        "PATCH", f"{HERE}/pods/bound/ephemeralcontainers", patch, who=JANE, headers={"Content-Type": STRATEGIC}
    )
    assert answer.status == 403, answer.body
    assert "does not reference that secret" in status_of(answer)["message"]


MIRROR = {"kubernetes.io/config.mirror": "x"}


@pytest.mark.parametrize("part", ["", "/status", "/ephemeralcontainers", "/resize"])
async def test_running_pod_becomes_no_mirror(server, part):
    """By no path does a pod get the annotation of those that policies leave alone since a node made them, nor labels by one that is for a part of it."""
    answer = await make_pod(server, "plain", nodeName="n9")
    assert answer.status in {201, 409}
    changes = {
        "metadata": {
            "annotations": MIRROR,
            "labels": {"taken": "yes"} if part in {"/ephemeralcontainers", "/resize"} else {},
        }
    }
    answer = await server.send("PATCH", f"{HERE}/pods/plain{part}", changes, who=JANE, headers={"Content-Type": MERGE})
    assert answer.status in {200, 422}
    meta = status_of(await server.send("GET", f"{HERE}/pods/plain"))["metadata"]
    assert {"annotations", "labels"}.isdisjoint(meta)


async def test_restricted_namespace_binds_containers_that_come_later(server):
    """PodSecurity looks at ephemeral containers as at any other, and the way of a workload makes no way around it."""
    labels = {"pod-security.kubernetes.io/enforce": "baseline"}
    await server.send("POST", "/api/v1/namespaces", {"metadata": {"name": "held", "labels": labels}})
    await server.send("POST", "/api/v1/namespaces/held/serviceaccounts", {"metadata": {"name": "default"}})
    pods = "/api/v1/namespaces/held/pods"
    privileged = {"name": "e", "image": "good:1", "securityContext": {"privileged": True}}
    body = {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "good:1"}]}}
    assert (await server.send("POST", pods, body)).status == 201
    for change in (
        {"containers": [privileged]},
        {"hostPID": True},
        {"volumes": [{"name": "v", "hostPath": {"path": "/"}}]},
    ):
        answer = await server.send(
            "POST", pods, {**body, "metadata": {"name": "q"}, "spec": {**body["spec"], **change}}
        )
        assert answer.status == 403
    patch = {"spec": {"ephemeralContainers": [privileged]}}
    answer = await server.send("PATCH", f"{pods}/p/ephemeralcontainers", patch, headers={"Content-Type": STRATEGIC})
    assert answer.status == 403
    assert "violates PodSecurity" in status_of(answer)["message"]


@pytest.mark.parametrize("place", ["pod", "container", "ephemeral"])
@pytest.mark.parametrize(
    "profile", [{"type": "Localhost"}, {"type": "Localhost", "localhostProfile": ""}], ids=["none", "empty"]
)
async def test_local_profile_without_a_name_is_no_profile(server, place, profile):
    """It is an error, and never means that there is nothing to confine the container (CVE-2023-2431)."""
    for kind in ("seccompProfile", "appArmorProfile"):
        context = {"securityContext": {kind: profile}}
        container = {"name": "c", "image": "good:1", **(context if place == "container" else {})}
        if place == "ephemeral":
            await make_pod(server, "profiled")
            patch = {"spec": {"ephemeralContainers": [{"name": "e", "image": "good:1", **context}]}}
            path, headers = f"{HERE}/pods/profiled/ephemeralcontainers", {"Content-Type": STRATEGIC}
            answer = await server.send("PATCH", path, patch, who=JANE, headers=headers)
        else:
            answer = await make_pod(server, "unnamed", containers=[container], **(context if place == "pod" else {}))
        assert answer.status == 422, answer.body
        assert "localhostProfile: Required value" in status_of(answer)["message"]


# ── addresses ──


async def test_external_addresses_are_taken_by_nobody(server):
    """With DenyServiceExternalIPs on, no way of writing adds one; without it, too, none is the machine's own (CVE-2020-8554)."""
    spec = {"ports": [{"port": 80}], "externalIPs": ["192.0.2.1"]}
    answer = await server.send("POST", f"{HERE}/services", {"metadata": {"name": "taker"}, "spec": spec}, who=EDDY)
    assert answer.status == 403
    made = await server.send(
        "POST", f"{HERE}/services", {"metadata": {"name": "taker"}, "spec": {"ports": spec["ports"]}}, who=EDDY
    )
    assert made.status == 201
    patch, operations = (
        {"spec": {"externalIPs": ["192.0.2.1"]}},
        [{"op": "add", "path": "/spec/externalIPs", "value": ["192.0.2.1"]}],
    )
    for media, body in ((MERGE, patch), (STRATEGIC, patch), (JSON_PATCH, operations)):
        answer = await server.send("PATCH", f"{HERE}/services/taker", body, who=EDDY, headers={"Content-Type": media})
        assert answer.status == 403
        assert "Use of external IPs is denied by admission control" in status_of(answer)["message"]
    status = {"status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}}
    answer = await server.send(
        "PATCH", f"{HERE}/services/taker/status", status, who=EDDY, headers={"Content-Type": MERGE}
    )
    assert answer.status == 403


SPECIAL = [
    "127.0.0.1",
    "127.255.255.254",
    "::1",
    "169.254.169.254",
    "fe80::1",
    "0.0.0.0",
    "::",
    "224.0.0.1",
    "ff02::1",
    "ff12::1",
    "::ffff:127.0.0.1",
    "127.0.0.01",
]


@pytest.mark.parametrize("address", SPECIAL)
async def test_endpoints_lead_to_no_special_address(server, address):
    """Neither endpoints nor slices nor external addresses of services name the machine that calls them, or its link (CVE-2021-25737)."""
    family = "IPv6" if ":" in address else "IPv4"
    objects = {
        f"{HERE}/endpoints": {"subsets": [{"addresses": [{"ip": address}], "ports": [{"port": 80}]}]},
        "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices": {
            "addressType": family,
            "endpoints": [{"addresses": [address]}],
        },
        f"{HERE}/services": {"spec": {"ports": [{"port": 80}], "externalIPs": [address]}},
    }
    for where, body in objects.items():
        answer = await server.send("POST", f"{where}?dryRun=All", {"metadata": {"name": "special"}, **body})
        assert answer.status == 422, (where, answer.body)


@pytest.mark.parametrize("where", [f"{HERE}/endpoints", "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices"])
async def test_editor_leads_no_service_to_another_namespace(server, where):
    """The default roles do not write endpoints, so traffic that one was let send to a service goes to its own pods (CVE-2021-25740)."""
    for method, target in (
        ("POST", where),
        ("PUT", f"{where}/a"),
        ("PATCH", f"{where}/a"),
        ("DELETE", f"{where}/a"),
        ("DELETE", where),
    ):
        headers = {"Content-Type": MERGE} if method == "PATCH" else {}
        assert (await server.send(method, target, {}, who=EDDY, headers=headers)).status == 403
    assert (await server.send("GET", where, who=EDDY)).status == 200


# ── nodes ──

NODE_WRITES = {
    "merge": ("PATCH", "", MERGE, lambda zone: {"metadata": {"labels": {"zone": zone}}}),
    "json": ("PATCH", "", JSON_PATCH, lambda zone: [{"op": "replace", "path": "/metadata/labels/zone", "value": zone}]),
    "strategic": ("PATCH", "", STRATEGIC, lambda zone: {"metadata": {"labels": {"zone": zone}}}),
    "apply": ("PATCH", "?fieldManager=m&force=true", APPLY, lambda zone: {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "seen", "labels": {"zone": zone}}}),
    "update": ("PUT", "", "application/json", lambda zone: {"metadata": {"name": "seen", "labels": {"zone": zone}}}),
}  # fmt: skip


@pytest.mark.parametrize(("method", "query", "media", "body"), NODE_WRITES.values(), ids=NODE_WRITES)
async def test_policy_sees_a_node_as_it_is_and_as_it_is_to_be(server, method, query, media, body):
    """By no way of writing is the old object what the new one says, so a policy on what may change cannot be talked around (CVE-2021-25735)."""
    await server.send("POST", "/api/v1/nodes", {"metadata": {"name": "seen", "labels": {"zone": "a"}}})
    SEEN.labels.clear()
    answer = await server.send(method, f"/api/v1/nodes/seen{query}", body("b"), headers={"Content-Type": media})
    assert SEEN.labels == [("a", "b")]
    assert answer.status == 403, answer.body
    assert status_of(await server.send("GET", "/api/v1/nodes/seen"))["metadata"]["labels"]["zone"] == "a"


MIRRORS = {
    "resource claims": {"resourceClaims": [{"name": "d", "resourceClaimName": "device"}]},
    "resource claims by template": {"resourceClaims": [{"name": "d", "resourceClaimTemplateName": "t"}]},
    "a service account": {"serviceAccountName": "default"},
    "a secret": {"volumes": [{"name": "v", "secret": {"secretName": "key"}}]},
    "a projected secret": {"volumes": [{"name": "v", "projected": {"sources": [{"secret": {"name": "key"}}]}}]},
    "a token": {"volumes": [{"name": "v", "projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}}]},
    "a config map": {"volumes": [{"name": "v", "configMap": {"name": "m"}}]},
    "a claim": {"volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "c"}}]},
    "a secret to pull with": {"imagePullSecrets": [{"name": "key"}]},
    "another node": {"nodeName": "n2"},
}


@pytest.mark.parametrize("change", MIRRORS.values(), ids=MIRRORS)
async def test_mirror_pod_gives_its_node_nothing(server, change):
    """A node makes pods that stand for what runs on it; one that refers to anything would let the node read or hold it (CVE-2025-4563)."""
    await server.send("POST", "/api/v1/nodes", {"metadata": {"name": "n1"}})
    uid = status_of(await server.send("GET", "/api/v1/nodes/n1"))["metadata"]["uid"]
    owner = {"apiVersion": "v1", "kind": "Node", "name": "n1", "uid": uid, "controller": True}
    meta = {"name": "mirror", "annotations": {"kubernetes.io/config.mirror": "x"}, "ownerReferences": [owner]}
    spec = {"nodeName": "n1", "containers": [{"name": "c", "image": "good:1"}]}
    pods = f"{HERE}/pods?dryRun=All"
    assert (await server.send("POST", pods, {"metadata": meta, "spec": spec}, who=NODE)).status == 201
    answer = await server.send("POST", pods, {"metadata": meta, "spec": {**spec, **change}}, who=NODE)
    assert answer.status == 403, answer.body
