"""kubectl describe of every built-in kind: it ends well, and shows what sets the kind apart."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from pinnace.api.resources import RESOURCES, Resource
from support.kubectl import Kubectl
from support.manifests import manifest
from support.waiting import eventually

# What the description of the kind's manifest holds, beside the name. Kinds that are not here have no description of their own in
# kubectl: it prints every field.
SHOWN = {
    "configmaps": ("Data", "BinaryData"),
    "endpoints": ("Subsets:", "Addresses:          10.1.2.3", "<unset>  80    TCP"),
    "limitranges": ("Container   cpu       -    2    2                2",),
    "namespaces": ("Status:       Active", "No resource quota.", "No LimitRange resource."),
    "nodes": ("Roles:", "Taints:", "Unschedulable:      false", "System Info:", "Non-terminated Pods:"),
    "persistentvolumeclaims": ("StorageClass:", "Status:", "VolumeMode:    Filesystem", "Used By:       <none>"),
    "persistentvolumes": ("Reclaim Policy:  Retain", "Access Modes:    RWO", "Capacity:        1Gi", "HostPath"),
    "pods": ("QoS Class:", "Service Account:  default", "Restart Count:  0", "Tolerations:", "not-ready:NoExecute"),
    "replicationcontrollers": ("Selector:     app=a", "Pods Status:", "Pod Template:"),
    "resourcequotas": ("Resource", "Used", "Hard"),
    "secrets": ("Type:  Opaque",),
    "serviceaccounts": ("Image pull secrets:  <none>", "Tokens:"),
    "services": (
        "Type:                     ClusterIP",
        "IP:                       10.96.",
        "TargetPort:               80/TCP",
    ),
    "daemonsets": ("Node-Selector:  <none>", "Desired Number of Nodes Scheduled:", "Pods Status:"),
    "deployments": ("StrategyType:           RollingUpdate", "25% max unavailable, 25% max surge", "Pod Template:"),
    "replicasets": ("Selector:     app=a", "Pods Status:", "Pod Template:"),
    "statefulsets": ("Selector:", "Update Strategy:", "Volume Claims:", "Pods Status:"),
    "horizontalpodautoscalers": ("Reference:", "Deployment/a", "Max replicas:", "3"),
    "cronjobs": ("Schedule:", "Concurrency Policy:", "Allow", "Last Schedule Time:", "Active Jobs:"),
    "jobs": ("Parallelism:", "Completions:", "Pods Statuses:", "Pod Template:"),
    "certificatesigningrequests": ("Requesting User:    kubernetes-admin", "Status:             Pending", "alice"),
    "ingressclasses": ("Controller:   example.com/a",),
    "ingresses": ("Default backend:", "a:80", "Rules:"),
    "networkpolicies": ("PodSelector:", "Policy Types: Ingress"),
    "poddisruptionbudgets": ("Min available:", "Selector:", "Allowed disruptions:"),
    "clusterrolebindings": ("Kind:  ClusterRole", "Name:  view", "Subjects:"),
    "rolebindings": ("Kind:  ClusterRole", "Name:  view", "Subjects:"),
    "clusterroles": ("PolicyRule:",),
    "roles": ("PolicyRule:",),
    "csinodes": ("Drivers:", "a.example.com:", "Node ID:  a"),
    "storageclasses": (
        "IsDefaultClass:        No",
        "ReclaimPolicy:         Delete",
        "VolumeBindingMode:     Immediate",
    ),
    "priorityclasses": ("Value:", "7", "PreemptionPolicy:  PreemptLowerPriority"),
    "endpointslices": ("AddressType:", "Addresses:", "10.1.2.3"),
    "ipaddresses": ("Parent Reference:",),
    "servicecidrs": ("CIDRs:",),
    "volumeattributesclasses": ("DriverName:",),
}
# kubectl 1.32 describes these by asking for beta versions, which a 1.36 server does not serve by default: so does upstream's say.
ASKED_FOR_IN_BETA = {"ipaddresses", "servicecidrs", "volumeattributesclasses"}
DESCRIBABLE = [one for one in RESOURCES if one.is_stored]
# Kinds whose description by kubectl 1.20 asks for versions that are served.
STABLE = [
    "configmaps",
    "endpoints",
    "limitranges",
    "namespaces",
    "nodes",
    "persistentvolumeclaims",
    "persistentvolumes",
    "pods",
    "replicationcontrollers",
    "resourcequotas",
    "secrets",
    "serviceaccounts",
    "services",
    "daemonsets",
    "deployments",
    "replicasets",
    "statefulsets",
    "jobs",
    "certificatesigningrequests",
    "ingresses",
    "clusterrolebindings",
    "rolebindings",
    "clusterroles",
    "roles",
    "csinodes",
    "storageclasses",
    "priorityclasses",
    "networkpolicies",
]


def full_name(resource: Resource) -> str:
    """The resource as kubectl is told exactly which version is meant."""
    return f"{resource.plural}.{resource.version}.{resource.group}" if resource.group else resource.plural


@contextmanager
def created(kubectl: Kubectl, resource: Resource) -> Iterator[str]:
    """The kind's manifest under a name of its own, deleted afterwards; gives `kind/name`."""
    body = manifest(resource)
    if body["metadata"]["name"] == "a":
        body["metadata"]["name"] = "a-" + uuid.uuid4().hex[:6]
    if resource.namespaced:
        body["metadata"]["namespace"] = kubectl.namespace
    for reference in ("involvedObject", "regarding"):
        if reference in body:
            body[reference] = {**body[reference], "namespace": kubectl.namespace}
    kubectl("create", "-f", "-", stdin=json.dumps(body))
    what = f"{full_name(resource)}/{body['metadata']['name']}"
    try:
        yield what
    finally:
        kubectl.run("delete", what, "--wait=false")


@pytest.mark.parametrize("resource", DESCRIBABLE, ids=full_name)
def test_describe_shows_the_kind(kubectl_now: Kubectl, resource: Resource) -> None:
    """The description names the object and holds the kind's own lines, or every field of kinds that have none."""
    with created(kubectl_now, resource) as what:
        done = kubectl_now.run("describe", what)
        if done.code and resource.plural in ASKED_FOR_IN_BETA:
            assert "the server could not find the requested resource" in done.stderr
            return
        assert done.code == 0, done.stderr
        assert re.search(rf"^Name:\s+{re.escape(what.partition('/')[2])}$", done.stdout, re.MULTILINE)
        for part in SHOWN.get(resource.plural, ("API Version:", resource.api_version, resource.kind)):
            assert part in done.stdout


@pytest.mark.parametrize("resource", [one for one in DESCRIBABLE if one.plural in STABLE], ids=full_name)
def test_describe_works_with_an_old_kubectl(kubectl_old: Kubectl, resource: Resource) -> None:
    """kubectl 1.20 describes the stable kinds."""
    with created(kubectl_old, resource) as what:
        described = kubectl_old("describe", what)
        assert what.partition("/")[2] in described.splitlines()[0]


def test_describe_shows_events_of_the_object(kubectl: Kubectl) -> None:
    """What happened to a pod stands at the end of its description."""
    kubectl("run", "web", "--image=example.org/web:1")
    described = eventually(lambda: kubectl("describe", "pod", "web"), lambda text: "Started" in text)
    for reason in ("Scheduled", "Pulled", "Created", "Started"):
        assert reason in described.partition("Events:")[2]


def test_describe_by_selector_and_prefix(kubectl: Kubectl) -> None:
    """Objects are found by label or by the beginning of their names; what is not there is an error."""
    for name in ("web-1", "web-2", "db"):
        kubectl("create", "configmap", name)
    kubectl("label", "configmap", "web-1", "db", "picked=yes")
    assert kubectl("describe", "configmap", "-l", "picked=yes").count("Name:") == 2
    assert kubectl("describe", "configmap", "web").count("Name:") == 2
    assert "NotFound" in kubectl.run("describe", "configmap", "nothing").stderr


def test_describe_node_sums_up_its_pods(kubectl: Kubectl) -> None:
    """A node's description counts requests and limits of the pods on it."""
    limits = (
        '{"spec":{"containers":[{"name":"web","image":"i","resources":{"limits":{"cpu":"250m","memory":"64Mi"}}}]}}'
    )
    kubectl("run", "web", "--image=i", f"--overrides={limits}")
    kubectl("wait", "--for=condition=Ready", "pod/web", "--timeout=30s")
    node = kubectl("get", "pod", "web", "-o", "jsonpath={.spec.nodeName}")
    row = next(line for line in kubectl("describe", "node", node).splitlines() if kubectl.namespace in line)
    assert row.split()[1] == "web"
    assert "250m" in row
    assert "64Mi" in row
