"""kubectl create: every subcommand makes the object it says, and what it is told ends up where it belongs."""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.kubectl import Kubectl

# Arguments of `kubectl create`, what the object is called, a path into it, and what stands there.
IN_A_NAMESPACE = [
    pytest.param("configmap cm --from-literal=colour=red", "configmap/cm", "data.colour", "red", id="configmap"),
    pytest.param("secret generic s --from-literal=user=jane", "secret/s", "data.user", "amFuZQ==", id="secret-generic"),
    pytest.param(
        "secret docker-registry s --docker-username=u --docker-password=p --docker-server=registry.example.com",
        "secret/s",
        "type",
        "kubernetes.io/dockerconfigjson",
        id="secret-docker-registry",
    ),
    pytest.param("serviceaccount robot", "serviceaccount/robot", "metadata.name", "robot", id="serviceaccount"),
    pytest.param("role r --verb=get,list --resource=pods", "role/r", "rules.0.verbs", ["get", "list"], id="role"),
    pytest.param(
        "rolebinding rb --clusterrole=view --group=devs",
        "rolebinding/rb",
        "subjects.0",
        {"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "devs"},
        id="rolebinding",
    ),
    pytest.param(
        "deployment web --image=example.org/web:1 --replicas=2 --port=80",
        "deployment/web",
        "spec.template.spec.containers.0.ports.0",
        {"containerPort": 80, "protocol": "TCP"},
        id="deployment",
    ),
    pytest.param(
        "job once --image=example.org/once:1 -- sh -c true",
        "job/once",
        "spec.template.spec.containers.0.command",
        ["sh", "-c", "true"],
        id="job",
    ),
    pytest.param(
        "cronjob tick --image=example.org/tick:1 --schedule=@hourly --restart=Never",
        "cronjob/tick",
        "spec.schedule",
        "@hourly",
        id="cronjob",
    ),
    pytest.param(
        "ingress in --rule=example.com/path*=web:80,tls=cert --class=nginx --annotation a=b",
        "ingress/in",
        "spec.rules.0.http.paths.0",
        {"backend": {"service": {"name": "web", "port": {"number": 80}}}, "path": "/path", "pathType": "Prefix"},
        id="ingress",
    ),
    pytest.param(
        "ingress in --default-backend=web:http",
        "ingress/in",
        "spec.defaultBackend.service",
        {"name": "web", "port": {"name": "http"}},
        id="ingress-default-backend",
    ),
    pytest.param(
        "poddisruptionbudget pdb --selector=app=web --max-unavailable=50%",
        "poddisruptionbudget/pdb",
        "spec.maxUnavailable",
        "50%",
        id="poddisruptionbudget",
    ),
    pytest.param("quota q --hard=cpu=1000m,pods=5", "quota/q", "spec.hard", {"cpu": "1", "pods": "5"}, id="quota"),
    pytest.param(
        "quota q --hard=pods=5 --scopes=BestEffort", "quota/q", "spec.scopes", ["BestEffort"], id="quota-scopes"
    ),
    pytest.param("service clusterip s --tcp=80:8080", "service/s", "spec.ports.0.targetPort", 8080, id="clusterip"),
    pytest.param("service clusterip s --clusterip=None", "service/s", "spec.clusterIP", "None", id="headless"),
    pytest.param("service nodeport s --tcp=80", "service/s", "spec.type", "NodePort", id="nodeport"),
    pytest.param("service loadbalancer s --tcp=80", "service/s", "spec.type", "LoadBalancer", id="loadbalancer"),
    pytest.param(
        "service externalname s --external-name=example.com",
        "service/s",
        "spec.externalName",
        "example.com",
        id="externalname",
    ),
]
# The same without a namespace; NAME is one of the test's own.
IN_THE_CLUSTER = [
    pytest.param("namespace NAME", "namespace/NAME", "status.phase", "Active", id="namespace"),
    pytest.param(
        "clusterrole NAME --verb=get --resource=nodes --resource-name=n",
        "clusterrole/NAME",
        "rules.0.resourceNames",
        ["n"],
        id="clusterrole",
    ),
    pytest.param(
        "clusterrole NAME --verb=get --non-resource-url=/logs/*",
        "clusterrole/NAME",
        "rules.0.nonResourceURLs",
        ["/logs/*"],
        id="clusterrole-urls",
    ),
    pytest.param(
        "clusterrole NAME --aggregation-rule=to=NAME",
        "clusterrole/NAME",
        "aggregationRule.clusterRoleSelectors.0.matchLabels.to",
        "NAME",
        id="clusterrole-aggregated",
    ),
    pytest.param(
        "clusterrolebinding NAME --clusterrole=view --serviceaccount=ns:robot",
        "clusterrolebinding/NAME",
        "subjects.0",
        {"kind": "ServiceAccount", "name": "robot", "namespace": "ns"},
        id="clusterrolebinding",
    ),
    pytest.param(
        "priorityclass NAME --value=1000 --description=mine --preemption-policy=Never",
        "priorityclass/NAME",
        "preemptionPolicy",
        "Never",
        id="priorityclass",
    ),
]


def at(obj: Any, path: str) -> Any:
    """What stands at a path as `spec.ports.0.port`."""
    for step in path.split("."):
        obj = obj[int(step)] if isinstance(obj, list) else obj[step]
    return obj


@pytest.mark.parametrize(("command", "made", "path", "value"), IN_A_NAMESPACE)
def test_create_makes_what_it_says(kubectl_now: Kubectl, command: str, made: str, path: str, value: object) -> None:
    """The command reports the object, which holds what the flags said."""
    name = made.partition("/")[2]
    said = kubectl_now("create", *command.split())
    assert said.endswith(f"/{name} created\n")
    assert at(kubectl_now.json("get", made), path) == value


@pytest.fixture
def cluster_object(kubectl_now: Kubectl) -> Iterator[str]:
    """A name for objects outside of namespaces, all of which go at the end."""
    name = "made-" + uuid.uuid4().hex[:6]
    yield name
    for kind in ("namespace", "clusterrole", "clusterrolebinding", "priorityclass"):
        kubectl_now.run("delete", kind, name, "--ignore-not-found", "--wait=false")


@pytest.mark.parametrize(("command", "made", "path", "value"), IN_THE_CLUSTER)
def test_create_makes_cluster_objects(
    kubectl_now: Kubectl, cluster_object: str, command: str, made: str, path: str, value: object
) -> None:
    """The kinds outside of namespaces, the same way."""
    assert f"/{cluster_object} created" in kubectl_now("create", *command.replace("NAME", cluster_object).split())
    expected = cluster_object if value == "NAME" else value
    assert at(kubectl_now.json("get", made.replace("NAME", cluster_object)), path) == expected


@pytest.mark.parametrize(
    ("command", "made"),
    [
        pytest.param("namespace NAME", "namespace/NAME", id="namespace"),
        pytest.param("configmap cm --from-literal=a=b", "configmap/cm", id="configmap"),
        pytest.param("secret generic s --from-literal=a=b", "secret/s", id="secret"),
        pytest.param("serviceaccount robot", "serviceaccount/robot", id="serviceaccount"),
        pytest.param("deployment web --image=example.org/web:1", "deployment/web", id="deployment"),
        pytest.param("job once --image=example.org/once:1", "job/once", id="job"),
        pytest.param("service clusterip s --tcp=80:8080", "service/s", id="service"),
        pytest.param("service nodeport s --tcp=80:8080", "service/s", id="nodeport"),
        pytest.param("role r --verb=get --resource=pods", "role/r", id="role"),
        pytest.param("rolebinding rb --role=r --user=jane", "rolebinding/rb", id="rolebinding"),
        pytest.param("clusterrole NAME --verb=get --resource=nodes", "clusterrole/NAME", id="clusterrole"),
        pytest.param("clusterrolebinding NAME --clusterrole=view --user=u", "clusterrolebinding/NAME", id="binding"),
        pytest.param("priorityclass NAME --value=7", "priorityclass/NAME", id="priorityclass"),
        pytest.param("quota q --hard=pods=5", "quota/q", id="quota"),
        pytest.param("ingress in --rule=example.com/=web:80", "ingress/in", id="ingress"),
    ],
)
def test_create_works_with_every_kubectl(kubectl: Kubectl, cluster_object: str, command: str, made: str) -> None:
    """The stable kinds are made by an old kubectl as by a new one."""
    kubectl("create", *command.replace("NAME", cluster_object).split())
    shown = made.replace("NAME", cluster_object)
    assert shown.partition("/")[2] in kubectl("get", shown)


def test_create_secret_tls_reads_a_pair_of_files(kubectl_now: Kubectl, tmp_path: Path) -> None:
    """A certificate and its key become a Secret of the type tls; a key that does not fit is refused by kubectl."""
    certificate, key = tmp_path / "tls.crt", tmp_path / "tls.key"
    config = kubectl_now("config", "view", "--raw", "--minify", "-o", "json")
    user = json.loads(config)["users"][0]["user"]
    certificate.write_bytes(base64.b64decode(user["client-certificate-data"]))
    key.write_bytes(base64.b64decode(user["client-key-data"]))
    kubectl_now("create", "secret", "tls", "pair", f"--cert={certificate}", f"--key={key}")
    secret = kubectl_now.json("get", "secret", "pair")
    assert secret["type"] == "kubernetes.io/tls"
    assert sorted(secret["data"]) == ["tls.crt", "tls.key"]


def test_create_configmap_reads_files_and_folders(kubectl_now: Kubectl, tmp_path: Path) -> None:
    """Files become keys, what is no text goes to binaryData, an env file becomes its lines."""
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "text").write_text("hello\n")
    (folder / "bytes").write_bytes(b"\xff\xfe\x00")
    kubectl_now("create", "configmap", "files", f"--from-file={folder}", f"--from-file=renamed={folder / 'text'}")
    made = kubectl_now.json("get", "configmap", "files")
    assert made["data"] == {"renamed": "hello\n", "text": "hello\n"}
    assert made["binaryData"] == {"bytes": "//4A"}
    (tmp_path / "env").write_text("# comment\nA=1\nB=two words\n")
    kubectl_now("create", "configmap", "env", f"--from-env-file={tmp_path / 'env'}")
    assert kubectl_now.json("get", "configmap", "env")["data"] == {"A": "1", "B": "two words"}


def test_create_job_from_a_cronjob_copies_its_template(kubectl_now: Kubectl) -> None:
    """The job is owned by its cron job, and says that it was started by hand."""
    kubectl_now("create", "cronjob", "tick", "--image=example.org/tick:1", "--schedule=0 0 1 1 *", "--", "date")
    kubectl_now("create", "job", "now", "--from=cronjob/tick")
    job = kubectl_now.json("get", "job", "now")
    assert job["metadata"]["ownerReferences"][0]["kind"] == "CronJob"
    assert job["metadata"]["annotations"] == {"cronjob.kubernetes.io/instantiate": "manual"}
    assert job["spec"]["template"]["spec"]["containers"][0]["command"] == ["date"]


def test_create_token_gives_a_signed_token(kubectl_now: Kubectl) -> None:
    """`create token` prints a token of three parts, alone on its line."""
    assert kubectl_now("create", "token", "default", "--duration=10m").strip().count(".") == 2


@pytest.mark.parametrize("strategy", ["client", "server"])
def test_create_dry_run_stores_nothing(kubectl_now: Kubectl, strategy: str) -> None:
    """Neither dry run stores; the server's answers with defaults and a uid, the client's with what it sends."""
    shown = kubectl_now(
        "create", "deployment", "web", "--image=example.org/web:1", f"--dry-run={strategy}", "-o", "json"
    )
    assert ("uid" in json.loads(shown)["metadata"]) == (strategy == "server")
    assert ("revisionHistoryLimit" in json.loads(shown)["spec"]) == (strategy == "server")
    assert "(NotFound)" in kubectl_now.run("get", "deployment", "web").stderr


def test_create_twice_says_that_it_exists(kubectl: Kubectl) -> None:
    """The second create is refused in upstream's words."""
    kubectl("create", "configmap", "cm")
    done = kubectl.run("create", "configmap", "cm")
    assert done.code == 1
    assert 'configmaps "cm" already exists' in done.stderr


def test_create_from_a_stream_of_documents(kubectl: Kubectl) -> None:
    """A file of several documents, and a List, are made one by one; those that fail do not stop the others."""
    documents = "\n".join(
        json.dumps({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}}) for name in ("a", "Bad", "b")
    )
    done = kubectl.run("create", "-f", "-", stdin=documents)
    assert done.code == 1
    assert done.stdout.splitlines() == ["configmap/a created", "configmap/b created"]
    items = [{"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}} for name in ("c", "d")]
    listed = json.dumps({"apiVersion": "v1", "kind": "List", "items": items})
    assert kubectl("create", "-f", "-", stdin=listed).splitlines() == ["secret/c created", "secret/d created"]
