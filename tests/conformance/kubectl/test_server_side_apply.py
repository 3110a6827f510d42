"""kubectl apply --server-side: who owns which field, conflicts, and the way to and from client-side apply."""

from __future__ import annotations

import json

import pytest

from support.kubectl import Kubectl

SETTINGS = """
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {colour: red, legacy: unused}
"""
BLUE = SETTINGS.replace("red", "blue")
WITHOUT_LEGACY = SETTINGS.replace(", legacy: unused", "")
APPLIED = "configmap/settings serverside-applied\n"


def apply(kubectl: Kubectl, manifest: str, *options: str) -> str:
    """What a server-side apply of the manifest prints; it must succeed."""
    return kubectl("apply", "--server-side", "-f", "-", *options, stdin=manifest)


def data(kubectl: Kubectl) -> dict[str, str]:
    """What the config map holds now."""
    found: dict[str, str] = kubectl.json("get", "configmap", "settings")["data"]
    return found


def managers(kubectl: Kubectl) -> list[tuple[str, str]]:
    """Who manages fields of the config map, and how."""
    raw = json.loads(kubectl("get", "--raw", f"/api/v1/namespaces/{kubectl.namespace}/configmaps/settings"))
    return [(entry["manager"], entry["operation"]) for entry in raw["metadata"]["managedFields"]]


def test_apply_by_the_server_creates_and_owns(kubectl_now: Kubectl) -> None:
    """The first apply creates without an annotation; a second changes nothing, not even the resource version."""
    assert apply(kubectl_now, SETTINGS) == APPLIED
    made = kubectl_now.json("get", "configmap", "settings")
    assert managers(kubectl_now) == [("kubectl", "Apply")]
    assert "annotations" not in made["metadata"]
    assert apply(kubectl_now, SETTINGS) == APPLIED
    assert (
        kubectl_now.json("get", "configmap", "settings")["metadata"]["resourceVersion"]
        == (made["metadata"]["resourceVersion"])
    )


def test_apply_by_the_server_removes_what_it_no_longer_says(kubectl_now: Kubectl) -> None:
    """A field that left the manifest goes with its only owner, and stays while somebody else owns it."""
    apply(kubectl_now, SETTINGS)
    apply(kubectl_now, WITHOUT_LEGACY)
    assert data(kubectl_now) == {"colour": "red"}
    apply(kubectl_now, SETTINGS)
    apply(kubectl_now, SETTINGS, "--field-manager=other")
    apply(kubectl_now, WITHOUT_LEGACY)
    assert data(kubectl_now) == {"colour": "red", "legacy": "unused"}
    apply(kubectl_now, WITHOUT_LEGACY, "--field-manager=other")
    assert data(kubectl_now) == {"colour": "red"}


def test_apply_by_the_server_refuses_a_conflict_until_forced(kubectl: Kubectl) -> None:
    """Another manager's value is a conflict that names manager and field; by force the field changes hands."""
    apply(kubectl, SETTINGS)
    refused = kubectl.run("apply", "--server-side", "--field-manager=other", "-f", "-", stdin=BLUE)
    assert refused.code == 1
    assert 'Apply failed with 1 conflict: conflict with "kubectl": .data.colour' in refused.stderr
    assert "re-run the apply\n  command with the `--force-conflicts` flag" in refused.stderr
    assert data(kubectl)["colour"] == "red"
    apply(kubectl, BLUE, "--field-manager=other", "--force-conflicts")
    assert data(kubectl)["colour"] == "blue"
    refused = kubectl.run("apply", "--server-side", "-f", "-", stdin=SETTINGS)
    assert 'conflict with "other": .data.colour' in refused.stderr


def test_apply_by_the_server_conflicts_with_what_others_wrote(kubectl_now: Kubectl) -> None:
    """patch owns what it wrote, under its own name and version."""
    apply(kubectl_now, SETTINGS)
    kubectl_now("patch", "configmap", "settings", "-p", '{"data":{"colour":"green"}}')
    refused = kubectl_now.run("apply", "--server-side", "-f", "-", stdin=SETTINGS)
    assert refused.code == 1
    assert 'conflict with "kubectl-patch" using v1: .data.colour' in refused.stderr
    apply(kubectl_now, SETTINGS.replace("red", "green"))
    assert ("kubectl-patch", "Update") in managers(kubectl_now)


@pytest.mark.parametrize(
    ("manifest", "words"),
    [
        pytest.param(SETTINGS.replace("\ndata:", "\ndada:"), ".dada: field not declared in schema", id="unknown-field"),
        pytest.param(SETTINGS.replace("red", "[red]"), ".data.colour: expected string", id="wrong-type"),
        pytest.param(SETTINGS.replace("settings", "Bad_Name"), 'The ConfigMap "Bad_Name" is invalid', id="name"),
        pytest.param(SETTINGS.replace("kind: ConfigMap", "kind: Bogus"), 'no matches for kind "Bogus"', id="kind"),
    ],
)
def test_apply_by_the_server_says_what_is_wrong(kubectl_now: Kubectl, manifest: str, words: str) -> None:
    """What the schema does not know, and what validation forbids, comes back by name."""
    done = kubectl_now.run("apply", "--server-side", "-f", "-", stdin=manifest)
    assert done.code == 1
    assert words in done.stderr


def test_apply_by_the_server_dry_run_changes_nothing(kubectl_now: Kubectl) -> None:
    """A dry run creates nothing, and leaves what is there as it was."""
    said = apply(kubectl_now, SETTINGS, "--dry-run=server")
    assert said == "configmap/settings serverside-applied (server dry run)\n"
    assert "(NotFound)" in kubectl_now.run("get", "configmap", "settings").stderr
    apply(kubectl_now, SETTINGS)
    apply(kubectl_now, BLUE, "--dry-run=server")
    assert data(kubectl_now)["colour"] == "red"


def test_diff_by_the_server_shows_what_apply_would_do(kubectl_now: Kubectl) -> None:
    """diff --server-side exits 0 without a change, 1 with one, and reports a conflict as apply does."""
    apply(kubectl_now, SETTINGS)
    same = kubectl_now.run("diff", "--server-side", "--field-manager=kubectl", "-f", "-", stdin=SETTINGS)
    assert (same.code, same.stdout) == (0, "")
    changed = kubectl_now.run("diff", "--server-side", "--field-manager=kubectl", "-f", "-", stdin=BLUE)
    assert changed.code == 1
    assert "-  colour: red\n+  colour: blue\n" in changed.stdout
    refused = kubectl_now.run("diff", "--server-side", "--field-manager=other", "-f", "-", stdin=BLUE)
    assert refused.code > 0
    assert 'conflict with "kubectl": .data.colour' in refused.stderr
    forced = ("diff", "--server-side", "--field-manager=other", "--force-conflicts", "-f", "-")
    assert "+  colour: blue\n" in kubectl_now.run(*forced, stdin=BLUE).stdout


def test_apply_moves_to_the_server_and_back(kubectl_now: Kubectl) -> None:
    """Server-side apply takes over what client-side apply wrote, keeps its annotation true, and can be left again."""
    kubectl_now("apply", "-f", "-", stdin=SETTINGS)
    assert managers(kubectl_now) == [("kubectl-client-side-apply", "Update")]
    apply(kubectl_now, WITHOUT_LEGACY)
    assert data(kubectl_now) == {"colour": "red"}
    assert ("kubectl-client-side-apply", "Update") not in managers(kubectl_now)
    assert "legacy" not in kubectl_now("apply", "view-last-applied", "configmap/settings")
    assert kubectl_now("apply", "-f", "-", stdin=BLUE) == "configmap/settings configured\n"
    assert data(kubectl_now) == {"colour": "blue", "legacy": "unused"}
    assert kubectl_now("apply", "-f", "-", stdin=WITHOUT_LEGACY) == "configmap/settings configured\n"
    assert data(kubectl_now) == {"colour": "red"}


def test_apply_by_the_server_under_another_name_does_not_take_over(kubectl_now: Kubectl) -> None:
    """Only kubectl's own manager inherits from client-side apply: any other conflicts with it."""
    kubectl_now("apply", "-f", "-", stdin=SETTINGS)
    refused = kubectl_now.run("apply", "--server-side", "--field-manager=not-kubectl", "-f", "-", stdin=BLUE)
    assert refused.code == 1
    assert 'conflict with "kubectl-client-side-apply" using v1: .data.colour' in refused.stderr


def test_apply_by_the_server_merges_lists_by_their_keys(kubectl_now: Kubectl) -> None:
    """Two managers own an item each of the same list, ports by port and protocol, and let go of their own only."""
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}}

    def ports(*named: tuple[str, int]) -> str:
        return json.dumps({**service, "spec": {"ports": [{"name": name, "port": port} for name, port in named]}})

    apply(kubectl_now, ports(("http", 80)))
    apply(kubectl_now, ports(("https", 443)), "--field-manager=other")
    shown = ("get", "service", "web", "-o", "jsonpath={.spec.ports[*].name}")
    assert kubectl_now(*shown) == "http https"
    apply(kubectl_now, ports(("http", 80), ("extra", 8080)))
    assert kubectl_now(*shown) == "http https extra"
    apply(kubectl_now, ports(("https", 443), ("last", 9000)), "--field-manager=other")
    apply(kubectl_now, ports(("http", 80)))
    assert set(kubectl_now(*shown).split()) == {"http", "https", "last"}


def test_scale_and_apply_share_a_deployment(kubectl_now: Kubectl) -> None:
    """Whoever leaves replicas out of the manifest leaves them to scale; whoever says them conflicts with it."""
    deployment = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 1
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: "example.org/web:1"}]}
"""
    apply(kubectl_now, deployment)
    kubectl_now("scale", "deployment/web", "--replicas=3")
    refused = kubectl_now.run("apply", "--server-side", "-f", "-", stdin=deployment)
    assert refused.code == 1
    assert ".spec.replicas" in refused.stderr
    assert "Apply failed with 1 conflict" in refused.stderr
    apply(kubectl_now, deployment.replace("  replicas: 1\n", ""))
    assert kubectl_now.json("get", "deployment", "web")["spec"]["replicas"] == 3
