"""kubectl's view of who may do what: auth can-i, whoami, reconcile, create token, --as."""

from __future__ import annotations

import base64
import json
import time
from pathlib import Path

import pytest

from support.kubectl import Kubectl

ROLES = """
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: reader, namespace: NAMESPACE}
rules:
- {apiGroups: [""], resources: [pods, pods/log], verbs: [get, list]}
- {apiGroups: [""], resources: [configmaps], resourceNames: [settings], verbs: [get]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: reader, namespace: NAMESPACE}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: reader}
subjects:
- {kind: User, name: jane, apiGroup: rbac.authorization.k8s.io}
- {kind: ServiceAccount, name: default, namespace: NAMESPACE}
"""


def reconcile(kubectl: Kubectl, *options: str) -> str:
    """Bring the roles above into the namespace; this command wants it said in the manifest."""
    return kubectl("auth", "reconcile", *options, "-f", "-", stdin=ROLES.replace("NAMESPACE", kubectl.namespace))


@pytest.fixture
def bound(kubectl_now: Kubectl) -> Kubectl:
    """A namespace where jane and the default account may read pods."""
    reconcile(kubectl_now)
    return kubectl_now


def with_token(kubectl: Kubectl, folder: Path, token: str) -> Kubectl:
    """The same program, known by a token instead of a certificate."""
    config = json.loads(kubectl("config", "view", "--raw", "-o", "json"))
    for entry in config["users"]:
        entry["user"] = {"token": token}
    path = folder / "token.kubeconfig"
    path.write_text(json.dumps(config))
    return Kubectl(kubectl.program, path, kubectl.namespace)


def bearer(kubectl: Kubectl, folder: Path, *options: str) -> Kubectl:
    """The default account, by a token of its own."""
    return with_token(kubectl, folder, kubectl("create", "token", "default", *options).strip())


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        (("list", "pods"), "yes"),
        (("get", "pods/log"), "yes"),
        (("get", "pods", "--subresource=log"), "yes"),
        (("delete", "pods"), "no"),
        (("get", "configmaps/settings"), "yes"),
        (("get", "configmaps"), "no"),
        (("list", "pods", "--all-namespaces"), "no"),
        (("get", "/version"), "yes"),
        (("get", "/metrics"), "no"),
        (("create", "selfsubjectreviews.authentication.k8s.io"), "yes"),
    ],
)
def test_can_i_answers_for_another_user(bound: Kubectl, question: tuple[str, ...], answer: str) -> None:
    """The answer is a word and an exit code."""
    done = bound.run("auth", "can-i", *question, "--as", "jane")
    assert done.stdout.split()[0] == answer
    assert done.code == (0 if answer == "yes" else 1)


def test_can_i_list_shows_every_rule(bound: Kubectl) -> None:
    """Rules of the namespace stand beside what every user may do."""
    shown = [line.split() for line in bound("auth", "can-i", "--list", "--as", "jane").splitlines()]
    lines = {line[0]: line for line in shown if line}
    assert lines["pods"][-2:] == ["[get", "list]"]
    assert lines["pods/log"][-2:] == ["[get", "list]"]
    assert lines["configmaps"] == ["configmaps", "[]", "[settings]", "[get]"]
    assert lines["selfsubjectreviews.authentication.k8s.io"][-1] == "[create]"
    assert any("[/api/*]" in line for line in shown)
    everything = bound("auth", "can-i", "--list")
    assert "*.*" in everything


def test_whoami_shows_name_groups_and_extra(bound: Kubectl, tmp_path: Path) -> None:
    """The administrator by certificate, somebody else by impersonation, an account by token."""
    assert bound.json("auth", "whoami")["status"]["userInfo"]["username"] == "kubernetes-admin"
    jane = bound.json("auth", "whoami", "--as", "jane", "--as-group", "devs", "--as-uid", "7")
    info = jane["status"]["userInfo"]
    assert info["uid"] == "7"
    assert (info["username"], info["groups"]) == ("jane", ["devs", "system:authenticated"])
    account = bearer(bound, tmp_path)
    info = account.json("auth", "whoami")["status"]["userInfo"]
    assert info["username"] == f"system:serviceaccount:{bound.namespace}:default"
    assert info["groups"][:2] == ["system:serviceaccounts", f"system:serviceaccounts:{bound.namespace}"]
    assert "Username" in account("auth", "whoami")


def test_account_does_what_its_role_lets_it(bound: Kubectl, tmp_path: Path) -> None:
    """By its token the account reads pods, and is told in upstream's words what it may not."""
    account = bearer(bound, tmp_path)
    assert "No resources found" in account.run("get", "pods").stderr
    refused = account.run("get", "secrets")
    assert refused.code == 1
    assert (
        f'secrets is forbidden: User "system:serviceaccount:{bound.namespace}:default" cannot list resource "secrets" '
        f'in API group "" in the namespace "{bound.namespace}"' in refused.stderr
    )
    bound("delete", "rolebinding", "reader")
    assert account.run("get", "pods").code == 1


def test_reconcile_adds_what_is_missing_and_keeps_the_rest(bound: Kubectl) -> None:
    """A second run changes nothing; a role that lost a rule gets it back; extra ones go only when asked."""
    assert "reconciled" in reconcile(bound)
    rule = {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["get"]}
    bound("patch", "role", "reader", "--type", "merge", "-p", json.dumps({"rules": [rule]}))
    assert "reconciled" in reconcile(bound)
    rules = bound.json("get", "role", "reader")["rules"]
    assert rule in rules
    assert len(rules) > 1
    reconcile(bound, "--remove-extra-permissions")
    assert rule not in bound.json("get", "role", "reader")["rules"]


def test_token_dies_with_the_pod_it_is_bound_to(bound: Kubectl, tmp_path: Path) -> None:
    """Two seconds after the pod is gone its token opens nothing."""
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "holder"},
        "spec": {"containers": [{"name": "c", "image": "example.org/c:1"}]},
    }
    bound("create", "-f", "-", stdin=json.dumps(pod))
    account = bearer(
        bound, tmp_path, "--bound-object-kind", "Pod", "--bound-object-name", "holder", "--duration", "10m"
    )
    extra = account.json("auth", "whoami")["status"]["userInfo"]["extra"]
    assert extra["authentication.kubernetes.io/pod-name"] == ["holder"]
    bound("delete", "pod", "holder", "--force", "--grace-period", "0")
    begun = time.monotonic()
    while (done := account.run("auth", "whoami")).code == 0:
        assert time.monotonic() - begun < 2
    assert "Unauthorized" in done.stderr


def test_token_for_another_audience_opens_nothing_here(bound: Kubectl, tmp_path: Path) -> None:
    """A review for that audience accepts it; the API server itself does not."""
    token = bound("create", "token", "default", "--audience", "vault").strip()
    assert "You must be logged in" in with_token(bound, tmp_path, token).run("get", "pods").stderr
    review = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenReview",
        "spec": {"token": token, "audiences": ["vault", "other"]},
    }
    status = json.loads(bound("create", "-f", "-", "-o", "json", stdin=json.dumps(review)))["status"]
    assert status["authenticated"] is True
    assert status["audiences"] == ["vault"]
    review["spec"] = {"token": token}
    status = json.loads(bound("create", "-f", "-", "-o", "json", stdin=json.dumps(review)))["status"]
    assert "authenticated" not in status
    assert "audiences" in status["error"]


def test_bootstrap_token_joins_its_groups(kubectl_now: Kubectl, tmp_path: Path) -> None:
    """The token of a Secret in kube-system is a user whose groups may be granted something."""
    texts = {
        "token-id": "07401b",
        "token-secret": "f395accd246ae52d",
        "usage-bootstrap-authentication": "true",
        "auth-extra-groups": "system:bootstrappers:workers",
    }
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "bootstrap.kubernetes.io/token",
        "metadata": {"name": "bootstrap-token-07401b", "namespace": "kube-system"},
        "data": {key: base64.b64encode(value.encode()).decode() for key, value in texts.items()},
    }
    system = kubectl_now.within("kube-system")
    system("create", "-f", "-", stdin=json.dumps(secret))
    try:
        joiner = with_token(kubectl_now, tmp_path, "07401b.f395accd246ae52d")
        info = joiner.json("auth", "whoami")["status"]["userInfo"]
        assert info["username"] == "system:bootstrap:07401b"
        assert info["groups"] == ["system:bootstrappers", "system:bootstrappers:workers", "system:authenticated"]
    finally:
        system("delete", "secret", "bootstrap-token-07401b")
    assert "Unauthorized" in joiner.run("auth", "whoami").stderr


def test_issuer_discovery_leads_to_the_key_that_signs(bound: Kubectl, tmp_path: Path) -> None:
    """An account reads the issuer's configuration and keys, and finds its own token's key there."""
    token = bound("create", "token", "default").strip()
    account = with_token(bound, tmp_path, token)
    configuration = json.loads(account("get", "--raw", "/.well-known/openid-configuration"))
    keys = json.loads(account("get", "--raw", "/openid/v1/jwks"))["keys"]
    header = json.loads(base64.urlsafe_b64decode(token.split(".")[0] + "=="))
    claims = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
    assert configuration["issuer"] == claims["iss"]
    assert configuration["jwks_uri"].endswith("/openid/v1/jwks")
    assert header["kid"] in {key["kid"] for key in keys}


def test_describe_and_get_show_roles_and_bindings(bound: Kubectl) -> None:
    """Tables and descriptions name role and subjects."""
    wide = bound("get", "rolebinding", "reader", "-o", "wide")
    assert "Role/reader" in wide
    assert "jane" in wide
    assert "configmaps" in bound("describe", "role", "reader")
    assert "ServiceAccount" in bound("describe", "rolebinding", "reader")
    assert "[*]" in bound("describe", "clusterrole", "cluster-admin")


def test_create_role_and_binding_by_command(bound: Kubectl) -> None:
    """The imperative commands make what they say."""
    bound("create", "role", "writer", "--verb=create,update", "--resource=configmaps,deployments.apps/scale")
    bound("create", "rolebinding", "writer", "--role=writer", "--user=jane", "--group=devs", "--serviceaccount=ns:sa")
    rules = bound.json("get", "role", "writer")["rules"]
    assert {rule["resources"][0] for rule in rules} == {"configmaps", "deployments/scale"}
    assert bound("auth", "can-i", "create", "configmaps", "--as", "x", "--as-group", "devs").strip() == "yes"
