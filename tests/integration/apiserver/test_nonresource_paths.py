"""The paths beside the resources, as `kubectl get --raw` and dashboards read them."""

import json
import re

import pytest
import pytest_asyncio
import yaml
from tests.support.callers import running_server, tree

pytestmark = pytest.mark.asyncio(loop_scope="module")


WARNING = (
    "This endpoint is not meant to be machine parseable, has no formatting compatibility guarantees and is for debugging "
    "purposes only."
)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def call():
    async with running_server() as call:
        yield call


def series(text: str) -> dict[str, float]:
    """Return the samples of a scrape."""
    lines = (line for line in text.splitlines() if line and not line.startswith("#"))
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


async def test_every_listed_path_is_there(call):
    """What `/` lists can be read, in the form that a client asks for who wants anything."""
    listed = tree(await call("GET", "/"))["paths"]
    assert listed == sorted(listed)
    assert tree(await call("GET", "/index.html"))["paths"] == listed
    answers = {path: (await call("GET", path)).status for path in listed}
    # A path that only begins others.
    assert answers.pop("/openapi/v3/") == 404
    assert set(answers.values()) == {200}
    for name in ("etcd-readiness", "informer-sync", "shutdown", "poststarthook/rbac/bootstrap-roles"):
        assert f"/readyz/{name}" in answers


@pytest.mark.parametrize(
    ("path", "media"),
    [
        pytest.param("/version", "application/json", id="version"),
        pytest.param("/version/", "application/json", id="version-slash"),
        pytest.param("/healthz", "text/plain; charset=utf-8", id="healthz"),
        pytest.param("/metrics", "text/plain; version=0.0.4; charset=utf-8; escaping=underscores", id="metrics"),
        pytest.param("/metrics/slis", "text/plain; version=0.0.4; charset=utf-8; escaping=underscores", id="slis"),
        pytest.param("/statusz", "text/plain; charset=utf-8", id="statusz"),
        pytest.param("/flagz", "text/plain; charset=utf-8", id="flagz"),
        pytest.param("/openid/v1/jwks", "application/jwk-set+json", id="jwks"),
        pytest.param("/.well-known/openid-configuration", "application/json", id="openid"),
    ],
)
async def test_path_answers_in_its_form(call, path, media):
    """The form does not depend on what was asked for."""
    answer = await call("GET", path)
    assert (answer.status, answer.headers.get("Content-Type")) == (200, media)


@pytest.mark.parametrize("path", ["/logs/", "/nope", "/apis2", "/api2/v1", "/configz", "//api/v1"])
async def test_unknown_path_is_not_found_as_text(call, path):
    """Go's own words, and no Status."""
    answer = await call("GET", path)
    assert (answer.status, answer.body) == (404, b"404 page not found\n")
    assert answer.headers.get("X-Content-Type-Options") == "nosniff"


async def test_statusz_says_what_runs_since_when(call):
    """The page names the component, its versions and where to look further."""
    lines = (await call("GET", "/statusz")).body.decode().splitlines()
    assert lines[:3] == [
        "",
        "kube-apiserver statusz",
        f"Warning: {WARNING}",
    ]
    facts = dict(line.split(": ", 1) for line in lines[4:])
    assert re.fullmatch(r"[A-Z][a-z]{2} [A-Z][a-z]{2} [ 0-9]\d \d\d:\d\d:\d\d UTC 2026", facts["Started"])
    assert facts["Up"] == "0 hr 00 min 00 sec"
    assert facts["Binary version"].startswith("1.36")
    assert facts["Paths"] == "/flagz /healthz /livez /metrics /readyz /statusz /version"


async def test_flagz_says_what_the_server_was_told(call):
    """Values stand under upstream's names of flags, sorted."""
    lines = (await call("GET", "/flagz")).body.decode().splitlines()
    assert lines[1] == "kube-apiserver flagz"
    assert lines[3:] == sorted(lines[3:])
    assert "service-cluster-ip-range=10.96.0.0/12" in lines
    assert "service-node-port-range=30000-32767" in lines
    assert {"request-timeout=1m0s", "event-ttl=1h0m0s", "min-request-timeout=1800"} <= set(lines)
    assert "anonymous-auth=true" in lines


@pytest.mark.parametrize(("path", "kind"), [("/statusz", "Statusz"), ("/flagz", "Flagz")])
@pytest.mark.parametrize(
    ("accept", "media", "version"),
    [
        pytest.param("", "text/plain", "", id="none"),
        pytest.param("*/*", "text/plain", "", id="anything"),
        pytest.param("text/html,text/plain;q=0.5", "text/plain", "", id="text second"),
        pytest.param("application/json;{beta}", "application/json", "v1beta1", id="json"),
        pytest.param("application/yaml;{beta}", "application/yaml", "v1beta1", id="yaml"),
        pytest.param("*/*;{beta}", "application/json", "v1beta1", id="any object"),
        pytest.param(
            "application/json;{alpha},application/json;{beta}", "application/json", "v1alpha1", id="alpha first"
        ),
        pytest.param(
            "application/json;{beta},application/json;{alpha}", "application/json", "v1beta1", id="beta first"
        ),
        pytest.param("text/plain;q=0.5,application/json;{beta}", "application/json", "v1beta1", id="rather an object"),
        pytest.param("application/json;v=foo;g=config.k8s.io;as={kind},*/*", "text/plain", "", id="unknown version"),
        pytest.param("application/json", "", "", id="bare json"),
        pytest.param("application/json;v=v1beta1;g=config.k8s.io", "", "", id="no kind"),
        pytest.param("application/json;v=v1beta1;g=config.k8s.io;as=Other", "", "", id="another kind"),
        pytest.param("application/json;v=v1beta1;g=meta.k8s.io;as={kind}", "", "", id="another group"),
        pytest.param("application/vnd.kubernetes.protobuf;{beta}", "", "", id="protobuf"),
        pytest.param("application/xml", "", "", id="xml"),
        pytest.param("text/plain;{beta}", "", "", id="object as text"),
    ],
)
async def test_pages_are_text_or_objects_by_version_and_kind(call, path, kind, accept, media, version):
    """Text for who asks for nothing else, an object for who names all of group, version and kind, and 406 for the rest."""
    beta, alpha = (f"g=config.k8s.io;v={one};as={kind}" for one in ("v1beta1", "v1alpha1"))
    answer = await call("GET", path, Accept=accept.format(beta=beta, alpha=alpha, kind=kind))
    if not media:
        assert (answer.status, tree(answer)["reason"]) == (406, "NotAcceptable")
        assert tree(answer)["message"] == (
            "only the following media types are accepted: application/json, application/yaml, "
            "application/vnd.kubernetes.protobuf, text/plain"
        )
        return
    assert (answer.status, answer.headers.get("Content-Type").partition(";")[0]) == (200, media)
    if version:
        shown = yaml.safe_load(answer.body)
        assert (shown["kind"], shown["apiVersion"]) == (kind, f"config.k8s.io/{version}")
        assert shown["metadata"] == {"name": "kube-apiserver"}
    old = f'299 - "This version of the {kind.lower()} endpoint is deprecated. Please use a newer version."'
    assert answer.headers.get("Warning") == (old if version == "v1alpha1" else "")


async def test_pages_say_the_same_in_either_form(call):
    """What a person reads on a page, a program finds in the object."""

    async def read(path, kind):
        lines = (await call("GET", path)).body.decode().splitlines()
        accept = f"application/json;g=config.k8s.io;v=v1beta1;as={kind}"
        return lines, tree(await call("GET", path, Accept=accept))

    lines, status = await read("/statusz", "Statusz")
    assert f"Binary version: {status['binaryVersion']}" in lines
    assert f"Go version: {status['goVersion']}" in lines
    assert f"Emulation version: {status['emulationVersion']}" in lines
    assert f"Paths: {' '.join(status['paths'])}" in lines
    assert re.fullmatch(r"2026-\d\d-\d\dT\d\d:\d\d:\d\dZ", status["startTime"])
    assert status["uptimeSeconds"] == 0
    lines, flags = await read("/flagz", "Flagz")
    assert lines[3:] == [f"{name}={value}" for name, value in flags["flags"].items()]


async def test_level_indicators_are_the_results_of_the_checks(call):
    """Each check of each family has its newest result, and how often it went which way; nothing else is there."""
    await call("GET", "/readyz")
    found = series((await call("GET", "/metrics/slis")).body.decode())
    assert found['kubernetes_healthcheck{name="etcd",type="livez"}'] == 1.0
    assert found['kubernetes_healthcheck{name="poststarthook/rbac/bootstrap-roles",type="readyz"}'] == 1.0
    assert found['kubernetes_healthchecks_total{name="shutdown",status="success",type="readyz"}'] >= 2.0
    assert {name.partition("{")[0] for name in found} == {"kubernetes_healthcheck", "kubernetes_healthchecks_total"}


async def test_metrics_have_the_names_that_dashboards_ask_for(call):
    """What upstream's dashboards and alerts for the API server are made of is there, with its labels."""
    await call("GET", "/api/v1/namespaces/default/configmaps")
    answer = await call("GET", "/metrics")
    assert answer.headers.get("Process-Start-Time-Unix") == "1767225600"
    found = series(answer.body.decode())
    place = (
        'component="apiserver",group="",resource="configmaps",scope="namespace",subresource="",verb="LIST",version="v1"'
    )
    assert found[f"apiserver_request_sli_duration_seconds_count{{{place}}}"] >= 1.0
    bucket = place.replace('group="",', 'group="",le="0.05",')
    assert f"apiserver_request_sli_duration_seconds_bucket{{{bucket}}}" in found
    assert found['apiserver_current_inflight_requests{request_kind="readOnly"}'] == 1.0
    assert found['apiserver_current_inflight_requests{request_kind="mutating"}'] == 0.0
    assert found['apiserver_storage_objects{resource="namespaces"}'] >= 4.0
    assert found['apiserver_resource_objects{group="apps",resource="deployments"}'] == 0.0
    assert found['apiserver_storage_size_bytes{storage_cluster_id="etcd-0"}'] >= 0.0
    assert found['apiserver_flowcontrol_nominal_limit_seats{priority_level="global-default"}'] > 0.0
    (info,) = (name for name in found if name.startswith("kubernetes_build_info"))
    assert 'major="1",minor="36"' in info


async def test_readiness_leaves_out_what_is_excluded(call):
    """Excluded checks are named, and a name that is none is complained about."""
    text = (await call("GET", "/readyz?verbose&exclude=etcd&exclude=nope")).body.decode()
    assert "[+]etcd excluded: ok\n" in text
    assert 'warn: some health checks cannot be excluded: no matches for "nope"\nreadyz check passed\n' in text


async def test_root_of_the_api_is_listed_as_json(call):
    """kubectl's discovery of old begins here."""
    assert json.loads((await call("GET", "/api")).body)["versions"] == ["v1"]
