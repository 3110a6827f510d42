"""DELETE of objects and collections: what each combination of options leaves behind, and what it answers."""

import json

import pytest
import pytest_asyncio
from tests.support.callers import running_server, tree
from tests.support.manifests import manifest

from pinnace.api import resources

pytestmark = pytest.mark.asyncio(loop_scope="module")

CONFIG_MAPS = "/api/v1/namespaces/default/configmaps"
PODS = "/api/v1/namespaces/default/pods"
JOBS = "/apis/batch/v1/namespaces/default/jobs"
EVENTS = "/api/v1/namespaces/default/events"
CONTROLLERS = "/api/v1/namespaces/default/replicationcontrollers"
MERGE = "application/merge-patch+json"
ORPHANS = (
    '299 - "child pods are preserved by default when jobs are deleted; set propagationPolicy=Background to remove them or '
    'set propagationPolicy=Orphan to suppress this warning"'
)
HOLD = "example.com/hold"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def call():
    async with running_server() as call:
        yield call


async def made(call, path: str, name: str, *finalizers: str) -> dict:
    """Create an object of the kind that a path is of, and return it."""
    body = manifest(next(one for one in resources.RESOURCES if one.path("default") == path))
    body["metadata"] = {"name": name, "namespace": "default", "finalizers": list(finalizers)}
    answer = await call("POST", path, body)
    assert answer.status == 201, answer.body
    return tree(answer)


def held_by(answer) -> list[str] | None:
    """Return the finalizers of an object that is marked; None when the answer says that it is gone."""
    body = tree(answer)
    marked = body.get("metadata", {}).get("deletionTimestamp")
    return body["metadata"].get("finalizers", []) if marked and body["metadata"].get("finalizers") else None


OPTIONS = [
    pytest.param({}, [], (200, None), id="nothing"),
    pytest.param({"propagationPolicy": "Background"}, [], (200, None), id="background"),
    pytest.param({"propagationPolicy": "Orphan"}, [], (200, ["orphan"]), id="orphan"),
    pytest.param({"propagationPolicy": "Foreground"}, [], (200, ["foregroundDeletion"]), id="foreground"),
    pytest.param({"orphanDependents": True}, [], (200, ["orphan"]), id="orphan-dependents"),
    pytest.param({"orphanDependents": False}, [], (200, None), id="not-orphan-dependents"),
    pytest.param({}, [HOLD], (200, [HOLD]), id="held"),
    pytest.param({"propagationPolicy": "Background"}, [HOLD], (200, [HOLD]), id="held-background"),
    pytest.param({"propagationPolicy": "Orphan"}, [HOLD], (200, [HOLD, "orphan"]), id="held-orphan"),
    pytest.param(
        {"propagationPolicy": "Foreground"}, [HOLD], (200, [HOLD, "foregroundDeletion"]), id="held-foreground"
    ),
    pytest.param({"orphanDependents": True}, [HOLD], (200, [HOLD, "orphan"]), id="held-orphan-dependents"),
    # The one answer of 202: upstream would give it to every object that stays, were it not for old clients.
    pytest.param({"orphanDependents": False}, [HOLD], (202, [HOLD]), id="held-not-orphan-dependents"),
    # What an object carries counts where the request says nothing, and is replaced where it does.
    pytest.param({}, ["orphan"], (200, ["orphan"]), id="carries-orphan"),
    pytest.param({}, ["foregroundDeletion"], (200, ["foregroundDeletion"]), id="carries-foreground"),
    pytest.param(
        {"propagationPolicy": "Orphan"}, ["foregroundDeletion"], (200, ["orphan"]), id="foreground-becomes-orphan"
    ),
    pytest.param(
        {"propagationPolicy": "Foreground"}, ["orphan"], (200, ["foregroundDeletion"]), id="orphan-becomes-foreground"
    ),
    pytest.param({"propagationPolicy": "Background"}, ["orphan"], (200, None), id="background-takes-orphan"),
    pytest.param({"orphanDependents": False}, ["foregroundDeletion"], (200, None), id="takes-foreground"),
    pytest.param({"orphanDependents": True}, ["orphan", HOLD], (200, ["orphan", HOLD]), id="keeps-the-order"),
    # The kind knows no grace: the option has no meaning.
    pytest.param({"gracePeriodSeconds": 30}, [], (200, None), id="grace"),
    pytest.param({"gracePeriodSeconds": 30}, [HOLD], (200, [HOLD]), id="grace-held"),
]


@pytest.mark.parametrize("by_query", [pytest.param(False, id="body"), pytest.param(True, id="query")])
@pytest.mark.parametrize(("options", "finalizers", "expected"), OPTIONS)
async def test_deletion_leaves_what_its_options_say(call, request, options, finalizers, expected, by_query):
    """An object goes at once or is marked, with the finalizers of the propagation that applies."""
    name = request.node.callspec.id.replace("_", "-")
    await made(call, CONFIG_MAPS, name, *finalizers)
    query = "&".join(f"{key}={json.dumps(value).strip(chr(34))}" for key, value in options.items())
    target = f"{CONFIG_MAPS}/{name}?{query}" if by_query else f"{CONFIG_MAPS}/{name}"
    answer = await call("DELETE", target, None if by_query else options)
    assert (answer.status, held_by(answer)) == expected
    if expected[1] is None:
        assert tree(answer)["kind"] == "Status"
    else:
        assert tree(answer)["metadata"]["deletionGracePeriodSeconds"] == 0
    assert (await call("GET", f"{CONFIG_MAPS}/{name}")).status == (404 if expected[1] is None else 200)


@pytest.mark.parametrize(
    ("path", "options", "held", "warned"),
    [
        pytest.param(JOBS, {}, ["orphan"], True, id="job"),
        pytest.param(JOBS, {"propagationPolicy": "Background"}, None, False, id="job-background"),
        pytest.param(JOBS, {"propagationPolicy": "Orphan"}, ["orphan"], False, id="job-orphan"),
        pytest.param(JOBS, {"orphanDependents": False}, None, False, id="job-not-orphan-dependents"),
        pytest.param(CONTROLLERS, {}, ["orphan"], False, id="replication-controller"),
        pytest.param(EVENTS, {"propagationPolicy": "Orphan"}, None, False, id="event"),
    ],
)
@pytest.mark.parametrize("collection", [pytest.param(False, id="one"), pytest.param(True, id="collection")])
async def test_deletion_by_kind(call, path, options, held, warned, collection):
    """Jobs and replication controllers leave their pods unless told otherwise, and events have nobody to care for."""
    name = "by-kind"
    await made(call, path, name)
    target = f"{path}?fieldSelector=metadata.name%3D{name}" if collection else f"{path}/{name}"
    answer = await call("DELETE", target, options)
    assert answer.status == 200, answer.body
    assert answer.headers.get("Warning") == (ORPHANS if warned else "")
    left = await call("GET", f"{path}/{name}")
    assert (tree(left)["metadata"]["finalizers"] if left.status == 200 else None) == held
    if held:
        await call("PATCH", f"{path}/{name}", {"metadata": {"finalizers": None}})
    assert (await call("GET", f"{path}/{name}")).status == 404


async def test_second_deletion_may_change_the_propagation_of_what_waits(call):
    """While finalizers hold an object, another DELETE may choose anew, and may let it go."""
    await made(call, CONFIG_MAPS, "again")
    path = f"{CONFIG_MAPS}/again"
    first = tree(await call("DELETE", path, {"propagationPolicy": "Orphan"}))
    second = tree(await call("DELETE", path, {"propagationPolicy": "Foreground"}))
    assert second["metadata"]["finalizers"] == ["foregroundDeletion"]
    assert second["metadata"]["deletionTimestamp"] == first["metadata"]["deletionTimestamp"]
    repeated = tree(await call("DELETE", path, {}))
    assert repeated["metadata"]["resourceVersion"] == second["metadata"]["resourceVersion"]
    assert tree(await call("DELETE", path, {"propagationPolicy": "Background"}))["kind"] == "Status"
    assert (await call("GET", path)).status == 404


async def bound_pod(call, name: str, *finalizers: str) -> str:
    """Create a pod that a kubelet would have to end, and return its path."""
    pod = {"metadata": {"name": name, "finalizers": list(finalizers)}, "spec": {"nodeName": "n1"}}
    pod["spec"]["containers"] = [{"name": "c", "image": "i"}]
    answer = await call("POST", PODS, pod)
    assert answer.status == 201, answer.body
    return f"{PODS}/{name}"


async def test_pod_that_ends_settles_its_propagation_with_the_first_deletion(call):
    """While the grace period runs, a further DELETE that does not shorten it changes nothing."""
    path = await bound_pod(call, "graceful")
    first = tree(await call("DELETE", path, {"propagationPolicy": "Orphan"}))["metadata"]
    assert (first["finalizers"], first["deletionGracePeriodSeconds"]) == (["orphan"], 30)
    for options in ({"propagationPolicy": "Background"}, {"gracePeriodSeconds": 40, "propagationPolicy": "Background"}):
        again = tree(await call("DELETE", path, options))["metadata"]
        assert again["resourceVersion"] == first["resourceVersion"]
    shorter = tree(await call("DELETE", path, {"gracePeriodSeconds": -5}))["metadata"]
    assert (shorter["finalizers"], shorter["deletionGracePeriodSeconds"]) == (["orphan"], 1)
    ended = tree(await call("DELETE", path, {"gracePeriodSeconds": 0, "propagationPolicy": "Foreground"}))["metadata"]
    assert (ended["finalizers"], ended["deletionGracePeriodSeconds"]) == (["foregroundDeletion"], 0)


async def test_pod_whose_grace_is_over_is_deleted_like_any_other(call):
    """Held by a finalizer alone, a pod takes a new propagation, and goes when that leaves nothing."""
    path = await bound_pod(call, "held", "foregroundDeletion")
    assert tree(await call("DELETE", path, {"gracePeriodSeconds": 0}))["metadata"]["deletionGracePeriodSeconds"] == 0
    changed = tree(await call("DELETE", path, {"propagationPolicy": "Orphan"}))["metadata"]
    assert changed["finalizers"] == ["orphan"]
    gone = tree(await call("DELETE", path, {"propagationPolicy": "Background"}))
    assert gone["kind"] == "Pod"
    assert (await call("GET", path)).status == 404


@pytest.mark.parametrize(
    ("options", "field", "message"),
    [
        pytest.param(
            {"orphanDependents": True, "propagationPolicy": "Orphan"},
            "propagationPolicy",
            'Invalid value: "Orphan": orphanDependents and deletionPropagation cannot be both set',
            id="both",
        ),
        pytest.param(
            {"propagationPolicy": "Sideways"},
            "propagationPolicy",
            'Unsupported value: "Sideways": supported values: "Foreground", "Background", "Orphan", "nil"',
            id="unknown-policy",
        ),
        pytest.param(
            {"dryRun": ["Some"]}, "dryRun", 'Unsupported value: ["Some"]: supported values: "All"', id="dry-run"
        ),
    ],
)
@pytest.mark.parametrize("target", [pytest.param("/kept", id="one"), pytest.param("", id="collection")])
async def test_deletion_refuses_options_that_make_no_sense(call, options, field, message, target):
    """Nothing is deleted, and the cause names the option."""
    if (await call("GET", f"{CONFIG_MAPS}/kept")).status == 404:
        await made(call, CONFIG_MAPS, "kept")
    answer = await call("DELETE", CONFIG_MAPS + target, options)
    status = tree(answer)
    assert (answer.status, status["details"]["kind"], status["details"]["group"]) == (
        422,
        "DeleteOptions",
        "meta.k8s.io",
    )
    assert [(one["field"], one["message"]) for one in status["details"]["causes"]] == [(field, message)]
    assert (await call("GET", f"{CONFIG_MAPS}/kept")).status == 200


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        pytest.param({"uid": "x"}, "the UID in the precondition (x) does not match the UID in record", id="uid"),
        pytest.param(
            {"resourceVersion": "1"},
            "the ResourceVersion in the precondition (1) does not match the ResourceVersion in record",
            id="version",
        ),
    ],
)
@pytest.mark.parametrize("collection", [pytest.param(False, id="one"), pytest.param(True, id="collection")])
async def test_deletion_holds_to_its_preconditions(call, wanted, told, collection):
    """An object that is another than was meant stays, and one that is meant goes, also in a collection."""
    name = "conditional"
    if (await call("GET", f"{CONFIG_MAPS}/{name}")).status == 404:
        await made(call, CONFIG_MAPS, name)
    target = f"{CONFIG_MAPS}?fieldSelector=metadata.name%3D{name}" if collection else f"{CONFIG_MAPS}/{name}"
    refused = await call("DELETE", target, {"preconditions": wanted})
    assert (refused.status, tree(refused)["reason"]) == (409, "Conflict")
    assert told in tree(refused)["message"]
    meta = tree(await call("GET", f"{CONFIG_MAPS}/{name}"))["metadata"]
    exact = {key: meta[key] for key in ("uid", "resourceVersion")}
    assert (await call("DELETE", target, {"preconditions": exact})).status == 200
    assert (await call("GET", f"{CONFIG_MAPS}/{name}")).status == 404
