"""What kubectl sends as it is: --raw, kubectl proxy, the names under which commands write, and pages of what describe lists."""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from support.kubectl import Kubectl

NO_PROXY = urllib.request.build_opener(urllib.request.ProxyHandler({}))
POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "web", "labels": {"app": "web"}},
    "spec": {"containers": [{"name": "web", "image": "example.org/web:1"}]},
}


def test_raw_requests_make_change_and_delete(kubectl_now: Kubectl) -> None:
    """create, replace, get and delete --raw send the file to the path and print the answer."""
    maps = f"/api/v1/namespaces/{kubectl_now.namespace}/configmaps"
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "raw"}}
    made = json.loads(kubectl_now("create", "--raw", maps, "-f", "-", stdin=json.dumps(body)))
    changed = json.loads(
        kubectl_now("replace", "--raw", f"{maps}/raw", "-f", "-", stdin=json.dumps({**body, "data": {"a": "b"}}))
    )
    assert changed["metadata"]["uid"] == made["metadata"]["uid"]
    assert json.loads(kubectl_now("get", "--raw", f"{maps}/raw"))["data"] == {"a": "b"}
    assert json.loads(kubectl_now("delete", "--raw", f"{maps}/raw"))["status"] == "Success"
    assert 'configmaps "raw" not found' in kubectl_now.run("get", "--raw", f"{maps}/raw").stderr


@pytest.mark.parametrize(
    ("body", "words"),
    [
        pytest.param(
            json.dumps(POD),
            'Pod in version "v1" cannot be handled as a Namespace: converting (v1.Pod) to (core.Namespace): unknown conversion',
            id="another-kind",
        ),
        pytest.param(
            "apiVersion: v1\nkind: Pod\n",
            "the object provided is unrecognized (must be of type Namespace): couldn't get version/kind; json parse error",
            id="not-json",
        ),
    ],
)
def test_raw_requests_of_the_wrong_kind_are_refused(kubectl: Kubectl, body: str, words: str) -> None:
    """The path says which kind is meant, and the server says what it was given instead."""
    done = kubectl.run("create", "--raw", "/api/v1/namespaces", "-f", "-", stdin=body)
    assert done.code == 1
    assert words in done.stderr


@contextmanager
def proxied(kubectl: Kubectl, *options: str) -> Iterator[str]:
    """The address of a `kubectl proxy` that runs beside the body."""
    with kubectl.started("proxy", "--port=0", *options) as proxy:
        assert proxy.stdout is not None
        found = re.search(r"127\.0\.0\.1:\d+", proxy.stdout.readline())
        assert found is not None
        yield f"http://{found[0]}"


def status(url: str) -> int:
    """The code of a GET."""
    try:
        with NO_PROXY.open(url, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_proxy_serves_the_api_and_files(kubectl: Kubectl, tmp_path: Path) -> None:
    """Paths of the API, of what is no resource, and of a folder of this machine; exec is refused by the proxy itself."""
    (tmp_path / "page.txt").write_text("hello")
    with proxied(kubectl, f"--www={tmp_path}") as base:
        codes = {
            path: status(base + path)
            for path in ("/api/v1/namespaces", "/apis", "/apis/apps/", "/healthz", "/metrics", "/static/page.txt")
        }
        assert set(codes.values()) == {200}, codes
        assert status(f"{base}/api/kubernetes") == 404
        assert status(f"{base}/api/v1/namespaces/{kubectl.namespace}/pods/web/exec") == 403


def test_proxy_keeps_to_its_prefix_and_its_filters(kubectl: Kubectl) -> None:
    """--api-prefix moves the API, --accept-paths and --reject-paths say what of it is open."""
    with proxied(kubectl, "--api-prefix=/custom", "--accept-paths=^/(custom/)?api/.*$") as base:
        assert status(f"{base}/custom/api/v1/namespaces") == 200
        assert status(f"{base}/custom/apis/apps/v1") == 403
        assert status(f"{base}/custom/api/kubernetes") == 404


def test_proxy_appends_the_path_of_the_server(kubectl_now: Kubectl, tmp_path: Path) -> None:
    """A kubeconfig whose server has a path is followed with --append-server-path."""
    config = json.loads(kubectl_now("config", "view", "--raw", "-o", "json"))
    config["clusters"][0]["cluster"]["server"] += "/api"
    path = tmp_path / "config"
    path.write_text(json.dumps(config))
    with proxied(Kubectl(kubectl_now.program, path), "--append-server-path") as base:
        assert status(f"{base}/v1/namespaces") == 200


def managers(kubectl: Kubectl, what: str) -> set[str]:
    """Who owns fields of an object."""
    fields = kubectl.json("get", what, "--show-managed-fields")["metadata"]["managedFields"]
    return {one["manager"] for one in fields}


@pytest.mark.parametrize(
    ("command", "what", "manager"),
    [
        pytest.param("run other --image=i", "pod/other", "kubectl-run", id="run"),
        pytest.param("label pod web a=b", "pod/web", "kubectl-label", id="label"),
        pytest.param("annotate pod web a=b", "pod/web", "kubectl-annotate", id="annotate"),
        pytest.param('patch pod web -p {"metadata":{"labels":{"a":"b"}}}', "pod/web", "kubectl-patch", id="patch"),
        pytest.param("set image pod/web web=example.org/web:2", "pod/web", "kubectl-set", id="set"),
        pytest.param("expose pod web --port=80", "service/web", "kubectl-expose", id="expose"),
        pytest.param("create configmap made --from-literal=a=b", "configmap/made", "kubectl-create", id="create"),
        pytest.param("label pod web a=b --field-manager=mine", "pod/web", "mine", id="named"),
    ],
)
def test_commands_write_under_their_own_names(kubectl_now: Kubectl, command: str, what: str, manager: str) -> None:
    """managedFields tell which command wrote what."""
    kubectl_now("create", "-f", "-", stdin=json.dumps(POD))
    kubectl_now(*command.split())
    assert manager in managers(kubectl_now, what)


def test_commands_on_deployments_write_under_their_own_names(kubectl_now: Kubectl) -> None:
    """scale, rollout and autoscale do so, too; apply is told apart by its kind."""
    kubectl_now("create", "deployment", "web", "--image=example.org/web:1", "--replicas=0")
    kubectl_now("rollout", "restart", "deployment/web")
    kubectl_now("autoscale", "deployment", "web", "--max=2")
    assert {"kubectl-create", "kubectl-rollout"} <= managers(kubectl_now, "deployment/web")
    assert managers(kubectl_now, "hpa/web") == {"kubectl-autoscale"}
    kubectl_now("apply", "-f", "-", stdin="apiVersion: v1\nkind: ConfigMap\nmetadata: {name: applied}\ndata: {a: b}\n")
    assert managers(kubectl_now, "configmap/applied") == {"kubectl-client-side-apply"}


@pytest.mark.parametrize(
    ("arguments", "requests"),
    [
        pytest.param(["describe", "nodes"], ["/nodes?limit=1", "/pods?fieldSelector=spec.nodeName"], id="nodes"),
        pytest.param(["describe", "namespaces"], ["/namespaces?continue=", "/resourcequotas?limit=1"], id="namespaces"),
        pytest.param(["describe", "configmaps"], ["/configmaps?continue=", "/events?fieldSelector="], id="configmaps"),
        pytest.param(["get", "namespaces"], ["/namespaces?limit=1 200 OK", "/namespaces?continue="], id="get"),
    ],
)
def test_lists_come_in_pages(kubectl_now: Kubectl, arguments: list[str], requests: list[str]) -> None:
    """With --chunk-size, what is listed and what belongs to it is asked for page by page."""
    kubectl_now("create", "configmap", "cm")
    done = kubectl_now.run(*arguments, "--chunk-size=1", "-v=6")
    assert done.code == 0
    for request in requests:
        assert request in done.stderr


def test_get_all_asks_each_kind_of_the_category(kubectl_now: Kubectl) -> None:
    """`all` is what the discovery documents say it is."""
    said = kubectl_now.run("get", "all", "--chunk-size=0", "-v=6").stderr
    served = (
        "/api/v1/namespaces/{}/pods",
        "/api/v1/namespaces/{}/replicationcontrollers",
        "/api/v1/namespaces/{}/services",
        "/apis/apps/v1/namespaces/{}/daemonsets",
        "/apis/apps/v1/namespaces/{}/deployments",
        "/apis/apps/v1/namespaces/{}/replicasets",
        "/apis/apps/v1/namespaces/{}/statefulsets",
        "/apis/autoscaling/v2/namespaces/{}/horizontalpodautoscalers",
        "/apis/batch/v1/namespaces/{}/cronjobs",
        "/apis/batch/v1/namespaces/{}/jobs",
    )
    for path in served:
        assert f"{path.format(kubectl_now.namespace)} 200 OK" in said


def test_request_timeouts_end_a_watch_and_no_other(kubectl: Kubectl) -> None:
    """A watch ends when the client's time is over; a get is quicker; a time that is none is refused."""
    kubectl("create", "configmap", "cm")
    assert "cm" in kubectl("get", "configmap", "cm", "--request-timeout=1")
    header, row = kubectl("get", "configmap", "cm", "--watch", "--request-timeout=1").splitlines()
    assert header.split() == ["NAME", "DATA", "AGE"]
    assert row.split()[:2] == ["cm", "0"]
    assert kubectl("get", "configmap/cm", "-o", "name", "-w", "--request-timeout=1") == "configmap/cm\n"
    assert '"nobody" not found' in kubectl.run("get", "configmap/nobody", "-w", "--request-timeout=1").stderr
    assert "nvalid timeout value" in kubectl.run("get", "configmap", "cm", "--request-timeout=1p").stderr


def test_openapi_has_the_words_that_tools_look_for(kubectl_now: Kubectl) -> None:
    """The second version of the document describes lists, selectors and watches as upstream's does."""
    text = kubectl_now("get", "--raw", "/openapi/v2")
    for words in ("list of returned", "List of services", "Watch for changes to the described resources"):
        assert words in text
