"""What kubectl asks before it does anything: kinds, versions, documentation, and where the cluster is."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from pinnace.api.resources import GROUPS, RESOURCES, Resource
from pinnace.apiserver.resource_metrics import ResourceMetrics
from support.kubectl import Kubectl

# What is stored, and what is computed.
SERVED = (*(one for one in RESOURCES if one.version == GROUPS[one.group][0]), *ResourceMetrics.resources)
EXPLAINED = [one for one in RESOURCES if one.is_stored or "create" in one.verbs]


@pytest.mark.parametrize("resource", EXPLAINED, ids=lambda one: f"{one.plural}.{one.version}.{one.group}")
def test_explain_knows_every_kind(kubectl_now: Kubectl, resource: Resource) -> None:
    """explain --recursive prints kind, version, description and the whole tree of fields."""
    text = kubectl_now("explain", resource.plural, f"--api-version={resource.api_version}", "--recursive")
    assert f"KIND:       {resource.kind}\n" in text
    assert f"VERSION:    {resource.version}\n" in text
    assert "<empty>" not in text.partition("FIELDS")[0]
    fields = text.partition("FIELDS:\n")[2]
    assert "  apiVersion\t<string>" in fields
    assert "  metadata\t<ObjectMeta>" in fields


@pytest.mark.parametrize(
    ("field", "words"),
    [
        pytest.param("pods.spec.containers.resources.limits", ["map[string]Quantity"], id="map"),
        pytest.param("deployments.spec.strategy.rollingUpdate", ["maxSurge", "maxUnavailable"], id="object"),
        pytest.param("services.spec.ports", ["-required-", "targetPort\t<IntOrString>"], id="list"),
        pytest.param("cronjobs.spec.schedule", ["string", "Cron"], id="string"),
        pytest.param("nodes.status.conditions", ["lastHeartbeatTime"], id="status"),
    ],
)
def test_explain_shows_one_field(kubectl_now: Kubectl, field: str, words: list[str]) -> None:
    """A path leads to type, description and members."""
    text = kubectl_now("explain", field)
    for word in words:
        assert word in text


def test_explain_refuses_what_is_not_there(kubectl: Kubectl) -> None:
    """A misspelt field is an error that names it."""
    done = kubectl.run("explain", "pods.spec.containrs")
    assert done.code == 1
    assert 'field "containrs" does not exist' in done.stderr


def test_api_resources_lists_all_and_only_what_is_served(kubectl: Kubectl) -> None:
    """The names that api-resources prints are those of the preferred versions, each once."""
    served = {one.qualified for one in SERVED}
    assert set(kubectl("api-resources", "-o", "name").split()) == served


@pytest.mark.parametrize(
    ("option", "chosen"),
    [
        pytest.param("--namespaced=false", lambda one: not one.namespaced, id="cluster"),
        pytest.param("--api-group=apps", lambda one: one.group == "apps", id="group"),
        pytest.param("--verbs=list,watch", lambda one: {"list", "watch"} <= set(one.verbs), id="verbs"),
        pytest.param("--categories=all", lambda one: "all" in one.categories, id="categories"),
    ],
)
def test_api_resources_filters(kubectl_now: Kubectl, option: str, chosen: object) -> None:
    """Scope, group, verbs and categories are as the table of resources says."""
    assert callable(chosen)
    served = {one.qualified for one in SERVED if chosen(one)}
    assert set(kubectl_now("api-resources", option, "-o", "name").split()) == served


def test_api_versions_lists_every_group_version(kubectl: Kubectl) -> None:
    """One line for each version of each group, the core group's alone."""
    served = {one.api_version for one in (*RESOURCES, *ResourceMetrics.resources)}
    assert set(kubectl("api-versions").split()) == served


def test_version_names_the_server(kubectl: Kubectl) -> None:
    """The server says 1.36; the client adds nothing that is not its own."""
    version = json.loads(kubectl("version", "-o", "json"))["serverVersion"]
    assert (version["major"], version["minor"]) == ("1", "36")
    assert version["gitVersion"].startswith("v1.36.")


def test_cluster_info_names_the_control_plane(kubectl_now: Kubectl, tmp_path: Path) -> None:
    """cluster-info prints the address; its dump holds nodes, events and logs of the namespace."""
    assert re.search(r"control plane.* is running at .*https://127\.0\.0\.1:\d+", kubectl_now("cluster-info"))
    kubectl_now("run", "web", "--image=example.org/web:1")
    kubectl_now("wait", "--for=condition=Ready", "pod/web", "--timeout=30s")
    folder = tmp_path / "dump"
    kubectl_now("cluster-info", "dump", f"--namespaces={kubectl_now.namespace}", f"--output-directory={folder}")
    assert json.loads((folder / "nodes.json").read_text())["items"]
    dumped = folder / kubectl_now.namespace
    assert [pod["metadata"]["name"] for pod in json.loads((dumped / "pods.json").read_text())["items"]] == ["web"]
    assert (dumped / "web" / "logs.txt").exists()


def test_config_view_hides_secrets(kubectl: Kubectl) -> None:
    """The kubeconfig is one that kubectl reads, with one cluster, user and context."""
    config = json.loads(kubectl("config", "view", "-o", "json"))
    assert len(config["clusters"]) == len(config["users"]) == len(config["contexts"]) == 1
    assert config["current-context"] == config["contexts"][0]["name"]
    assert "certificate-authority-data" in config["clusters"][0]["cluster"]
    assert config["current-context"] in kubectl("config", "get-contexts")


def test_top_shows_what_nodes_and_pods_use(kubectl: Kubectl) -> None:
    """Without anything installed, of nodes, of pods and of their containers."""
    kubectl("run", "web", "--image=example.org/web:1")
    kubectl("wait", "--for=condition=Ready", "pod/web", "--timeout=30s")
    header, *nodes = kubectl("top", "node").splitlines()
    assert header.split() == ["NAME", "CPU(cores)", "CPU%", "MEMORY(bytes)", "MEMORY%"] or "MEMORY(%)" in header
    assert nodes
    assert kubectl("top", "pod").splitlines()[1].split()[0] == "web"
    assert kubectl("top", "pod", "--containers").splitlines()[1].split()[:2] == ["web", "web"]
