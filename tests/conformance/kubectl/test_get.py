"""kubectl get: every output format, selection, order, and watching."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pinnace.api.resources import RESOURCES, Resource
from support.clusters import RunningCluster
from support.kubectl import Kubectl, program_of
from support.manifests import manifest
from support.namespaces import fresh_namespace
from support.waiting import eventually

MAPS = "\n".join(
    json.dumps({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "labels": {"app": "demo", "size": size}},
        "data": {"rank": rank},
    })
    for name, size, rank in (("one", "small", "3"), ("two", "large", "1"), ("three", "large", "2"))
)


@pytest.fixture(scope="module", params=["path", "1.20"])
def three(request: pytest.FixtureRequest, simulated: RunningCluster) -> Iterator[Kubectl]:
    """A namespace with three labelled config maps that nobody changes, by each kubectl."""
    with fresh_namespace(program_of(request.param), simulated) as kubectl:
        kubectl("create", "-f", "-", stdin=MAPS)
        yield kubectl


@pytest.mark.parametrize(
    ("options", "printed"),
    [
        pytest.param(["-o", "name"], "configmap/one\nconfigmap/three\nconfigmap/two\n", id="name"),
        pytest.param(["-o", "jsonpath={.items[*].data.rank}"], "3 2 1", id="jsonpath"),
        pytest.param(
            ["-o", 'jsonpath={range .items[?(@.data.rank>"1")]}{.metadata.name}={.data.rank};{end}'],
            "one=3;three=2;",
            id="jsonpath-filter",
        ),
        pytest.param(
            ["-o", "go-template={{range .items}}{{.metadata.name}}{{if .data}}!{{end}} {{end}}"],
            "one! three! two! ",
            id="go-template",
        ),
        pytest.param(
            ["-o", "custom-columns=NAME:.metadata.name,SIZE:.metadata.labels.size,NONE:.nothing"],
            "NAME    SIZE    NONE\none     small   <none>\nthree   large   <none>\ntwo     large   <none>\n",
            id="custom-columns",
        ),
        pytest.param(
            ["--sort-by=.data.rank", "-o", "name"], "configmap/two\nconfigmap/three\nconfigmap/one\n", id="sort"
        ),
        pytest.param(["--field-selector=metadata.name=two", "-o", "name"], "configmap/two\n", id="field-selector"),
        pytest.param(
            ["--field-selector=metadata.name=two", "-o", "jsonpath-as-json={.items[0].metadata.labels}"],
            '[\n    {\n        "app": "demo",\n        "size": "large"\n    }\n]\n',
            id="jsonpath-as-json",
        ),
        pytest.param(["--template={{len .items}}"], "3", id="template"),
        pytest.param(["-o", "jsonpath={.missing}"], "", id="missing-key"),
    ],
)
def test_get_prints_in_every_format(three: Kubectl, options: list[str], printed: str) -> None:
    """The formats that take an expression print what it says."""
    assert three("get", "configmaps", "-l", "app=demo", *options) == printed


@pytest.mark.parametrize(
    ("output", "template", "printed"),
    [
        pytest.param("jsonpath-file", "{.items[*].data.rank}", "3 2 1", id="jsonpath-file"),
        pytest.param("go-template-file", "{{range .items}}{{.data.rank}}{{end}}", "321", id="go-template-file"),
        pytest.param(
            "custom-columns-file", "A B\nmetadata.name data.rank\n", "A B one 3 three 2 two 1", id="custom-columns-file"
        ),
    ],
)
def test_get_prints_by_a_template_from_a_file(
    three: Kubectl, tmp_path: Path, output: str, template: str, printed: str
) -> None:
    """The same expressions, read from a file."""
    file = tmp_path / "template"
    file.write_text(template)
    shown = three("get", "configmaps", "-l", "app=demo", "-o", f"{output}={file}")
    assert " ".join(shown.split()) == printed


def test_get_insists_on_keys_when_told(three: Kubectl) -> None:
    """--allow-missing-template-keys=false makes an error of a key that is not there."""
    strictly = ("get", "configmap", "one", "--allow-missing-template-keys=false", "-o")
    for template in ("jsonpath={.missing}", "go-template={{.missing}}"):
        done = three.run(*strictly, template)
        assert done.code == 1
        assert "missing" in done.stderr


@pytest.mark.parametrize(
    ("selector", "names"),
    [
        pytest.param("size=large", ["three", "two"], id="equal"),
        pytest.param("app=demo,size!=large", ["one"], id="not-equal"),
        pytest.param("size in (small,large)", ["one", "three", "two"], id="in"),
        pytest.param("app=demo,size notin (large)", ["one"], id="notin"),
        pytest.param("size", ["one", "three", "two"], id="exists"),
        pytest.param("app=demo,!size", [], id="not-exists"),
    ],
)
def test_get_selects_by_labels(three: Kubectl, selector: str, names: list[str]) -> None:
    """Every form of label selector."""
    assert three("get", "configmaps", "-l", selector, "-o", "jsonpath={.items[*].metadata.name}").split() == names


def test_get_prints_tables_with_labels(three: Kubectl) -> None:
    """--show-labels and -L add columns to the server's table, -A one for the namespace; headers may go."""
    shown = three("get", "configmaps", "-l", "app=demo", "--show-labels").splitlines()
    assert shown[0].split() == ["NAME", "DATA", "AGE", "LABELS"]
    assert shown[1].split()[-1] == "app=demo,size=small"
    shown = three("get", "configmaps", "-l", "app=demo", "-L", "size,nothing").splitlines()
    assert shown[0].split() == ["NAME", "DATA", "AGE", "SIZE", "NOTHING"]
    assert shown[1].split()[-1] == "small"
    rows = three("get", "configmaps", "-l", "app=demo", "--no-headers").splitlines()
    assert [row.split()[0] for row in rows] == ["one", "three", "two"]
    header = three("get", "configmaps", "-A").splitlines()[0]
    assert header.split() == ["NAMESPACE", "NAME", "DATA", "AGE"]


def test_get_sorts_the_servers_table(three: Kubectl) -> None:
    """--sort-by works on a table as on objects."""
    rows = three("get", "configmaps", "-l", "app=demo", "--sort-by=.metadata.labels.size", "--no-headers").splitlines()
    assert rows[-1].split()[0] == "one"


def test_get_in_chunks_gives_all(three: Kubectl) -> None:
    """Pages of one object each come together, in order."""
    names = three("get", "configmaps", "-l", "app=demo", "--chunk-size=1", "-o", "name").split()
    assert names == ["configmap/one", "configmap/three", "configmap/two"]


def test_get_prints_whole_objects(three: Kubectl) -> None:
    """YAML and JSON hold the object; one object is printed alone, several as a List."""
    assert "kind: ConfigMap" in three("get", "configmap", "one", "-o", "yaml")
    assert three.json("get", "configmap", "one")["data"] == {"rank": "3"}
    listed = three.json("get", "configmap", "one", "two")
    assert (listed["kind"], listed["apiVersion"], len(listed["items"])) == ("List", "v1", 2)


def test_get_several_kinds(three: Kubectl) -> None:
    """Kinds with commas and kind/name pairs are printed as tables of their own."""
    shown = three("get", "configmap/one", "serviceaccount/default")
    assert "configmap/one" in shown
    assert "serviceaccount/default" in shown
    assert "configmap/two" in three("get", "configmaps,serviceaccounts")


def test_get_hides_and_shows_managed_fields(kubectl_now: Kubectl) -> None:
    """managedFields are printed only when asked for."""
    kubectl_now("create", "configmap", "one", "--from-literal=a=b")
    assert "managedFields" not in kubectl_now("get", "configmap", "one", "-o", "yaml")
    assert "manager: kubectl-create" in kubectl_now("get", "configmap", "one", "-o", "yaml", "--show-managed-fields")


def test_get_a_subresource(kubectl_now: Kubectl) -> None:
    """--subresource prints status and scale, which have tables of their own."""
    kubectl_now("create", "deployment", "web", "--image=example.org/web:1", "--replicas=2")
    kubectl_now("rollout", "status", "deployment/web", "--timeout=30s")
    scale = kubectl_now("get", "deployment", "web", "--subresource=scale").splitlines()
    assert scale[0].split() == ["NAME", "DESIRED", "AVAILABLE", "AGE"]
    assert scale[1].split()[:3] == ["web", "2", "2"]
    assert kubectl_now.json("get", "deployment", "web", "--subresource=status")["status"]["replicas"] == 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        pytest.param(["pods", "nothing"], 'Error from server (NotFound): pods "nothing" not found', id="not-found"),
        pytest.param(["nonsense"], 'the server doesn\'t have a resource type "nonsense"', id="no-such-kind"),
        pytest.param(["pods", "--field-selector=a=b"], "field label not supported: a", id="field-label"),
        pytest.param(["pods", "-l", "a=b=c"], "found '=', expected: ',' or 'end of string'", id="selector"),
        pytest.param(
            ["pods", "--raw", "/api/v1/nothing"], "arguments may not be passed when --raw is specified", id="raw"
        ),
        pytest.param(["--raw", "/api/v1/nothing"], "(NotFound)", id="raw-not-found"),
    ],
)
def test_get_says_what_is_wrong(kubectl_now: Kubectl, arguments: list[str], words: str) -> None:
    """Refusals are upstream's, word for word."""
    done = kubectl_now.run("get", *arguments)
    assert done.code == 1
    assert words in done.stderr


def test_get_finds_nothing(kubectl: Kubectl) -> None:
    """An empty answer is a sentence on stderr, no error; --ignore-not-found is silent."""
    done = kubectl.run("get", "pods")
    assert (done.code, done.stdout) == (0, "")
    assert done.stderr == f"No resources found in {kubectl.namespace} namespace.\n"
    done = kubectl.run("get", "pod", "nothing", "--ignore-not-found")
    assert (done.code, done.stdout, done.stderr) == (0, "", "")


def test_get_watch_follows_a_table(kubectl: Kubectl) -> None:
    """-w prints the present rows, then a row for each change of any object."""
    kubectl("create", "configmap", "one", "--from-literal=a=b")
    with kubectl.started("get", "configmaps", "-w", "--field-selector=metadata.name!=kube-root-ca.crt") as watching:
        assert watching.stdout is not None
        assert watching.stdout.readline().split() == ["NAME", "DATA", "AGE"]
        assert watching.stdout.readline().split()[:2] == ["one", "1"]
        kubectl("create", "configmap", "two", "--from-literal=a=b", "--from-literal=c=d")
        assert watching.stdout.readline().split()[:2] == ["two", "2"]
        kubectl("patch", "configmap", "one", "-p", '{"data":{"e":"f"}}')
        assert watching.stdout.readline().split()[:2] == ["one", "2"]


def test_get_watch_only_skips_what_is_there(kubectl_now: Kubectl) -> None:
    """--watch-only begins with the first change, in the format asked for."""
    kubectl_now("create", "configmap", "one")
    with kubectl_now.started("get", "configmap", "one", "--watch-only", "-o", "jsonpath={.data.a};") as watching:
        assert watching.stdout is not None
        # The watch may begin after the first change: patch until one is seen.
        kubectl_now("patch", "configmap", "one", "-p", '{"data":{"a":"1"}}')
        kubectl_now("patch", "configmap", "one", "-p", '{"data":{"a":"2"}}')
        assert watching.stdout.read(2) in {"1;", "2;"}


WIDE = {
    "pods": "NAME READY STATUS RESTARTS AGE IP NODE NOMINATED NODE READINESS GATES",
    "deployments": "NAME READY UP-TO-DATE AVAILABLE AGE CONTAINERS IMAGES SELECTOR",
    "replicasets": "NAME DESIRED CURRENT READY AGE CONTAINERS IMAGES SELECTOR",
    "services": "NAME TYPE CLUSTER-IP EXTERNAL-IP PORT(S) AGE SELECTOR",
    "endpointslices": "NAME ADDRESSTYPE PORTS ENDPOINTS AGE",
    "nodes": "NAME STATUS ROLES AGE VERSION INTERNAL-IP EXTERNAL-IP OS-IMAGE KERNEL-VERSION CONTAINER-RUNTIME",
    "events": "LAST SEEN TYPE REASON OBJECT SUBOBJECT SOURCE MESSAGE FIRST SEEN COUNT NAME",
    "namespaces": "NAME STATUS AGE",
    "serviceaccounts": "NAME AGE",
}


def test_get_wide_has_the_kinds_columns(kubectl: Kubectl) -> None:
    """-o wide prints upstream's columns, those of low priority included."""
    kubectl("create", "deployment", "web", "--image=example.org/web:1")
    kubectl("expose", "deployment", "web", "--port=80")
    kubectl("rollout", "status", "deployment/web", "--timeout=30s")
    eventually(lambda: kubectl("get", "endpointslices", "-o", "name"))
    shown = {plural: kubectl("get", plural, "-o", "wide").splitlines()[0].split() for plural in WIDE}
    assert shown == {plural: columns.split() for plural, columns in WIDE.items()}


def test_get_prints_every_kind(kubectl_now: Kubectl) -> None:
    """Of each kind that is served: a wide table of its own rows, and its objects in the version asked for."""
    served = [one for one in RESOURCES if one.is_stored and one.namespaced and one.plural != "events"]
    objects = []
    for resource in served:
        if resource.stored_in is None:
            body = manifest(resource)
            body["metadata"] = {**body["metadata"], "namespace": kubectl_now.namespace}
            objects.append(json.dumps(body))
    kubectl_now("create", "-f", "-", stdin="\n".join(objects))

    def complaint(resource: Resource) -> str:
        plural = f"{resource.plural}.{resource.version}.{resource.group}" if resource.group else resource.plural
        header, *rows = kubectl_now("get", plural, "-o", "wide").splitlines()
        listed = {(one["apiVersion"], one["kind"]) for one in kubectl_now.json("get", plural)["items"]}
        is_table = header.startswith("NAME ") and any(row.startswith("a ") for row in rows)
        return "" if is_table and listed == {(resource.api_version, resource.kind)} else f"{plural}: {header} {listed}"

    with ThreadPoolExecutor(max_workers=4) as pool:
        assert [text for text in pool.map(complaint, served) if text] == []
