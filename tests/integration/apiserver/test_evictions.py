"""Evictions: who may go at once, who needs room in a budget, and what is said when there is none."""

import pytest
from tests.support.callers import running_server, tree

PODS = "/api/v1/namespaces/default/pods"
BUDGETS = "/apis/policy/v1/namespaces/default/poddisruptionbudgets"
BLOCKED = "Cannot evict pod as it would violate the pod's disruption budget."
READY = [{"type": "Ready", "status": "True"}]
FULL = {"observedGeneration": 1, "disruptionsAllowed": 1, "currentHealthy": 3, "desiredHealthy": 2, "expectedPods": 3}


async def make_pod(call, *, phase="Running", conditions=READY):
    """Make a pod that is on a node, in a phase."""
    body = {
        "metadata": {"name": "p", "labels": {"app": "a"}},
        "spec": {"nodeName": "n", "containers": [{"name": "c", "image": "i:1"}]},
    }
    assert (await call("POST", PODS, body)).status == 201
    await call("PATCH", f"{PODS}/p/status", {"status": {"phase": phase, "conditions": conditions}})


async def make_budget(call, status, *, name="b", selector=None, **spec):
    """Make a budget over all pods of the app, with a status."""
    covered = {"matchLabels": {"app": "a"}} if selector is None else selector
    body = {"metadata": {"name": name}, "spec": {"minAvailable": 2, "selector": covered, **spec}}
    assert (await call("POST", BUDGETS, body)).status == 201
    assert (await call("PATCH", f"{BUDGETS}/{name}/status", {"status": status})).status == 200


async def evict(call, query="", **more):
    """Ask for the eviction of the pod."""
    return await call("POST", f"{PODS}/p/eviction{query}", {"metadata": {"name": "p"}, **more})


async def test_eviction_takes_a_disruption_and_marks_the_pod():
    """The budget has one less, knows the pod, and says that it has none left; the pod says why it goes."""
    async with running_server() as call:
        await make_pod(call)
        await make_budget(call, FULL)
        answer = await evict(call)
        assert (answer.status, tree(answer)["status"], tree(answer)["code"]) == (201, "Success", 201)
        status = tree(await call("GET", f"{BUDGETS}/b"))["status"]
        assert (status["disruptionsAllowed"], list(status["disruptedPods"])) == (0, ["p"])
        (condition,) = status["conditions"]
        assert [condition[key] for key in ("type", "status", "reason", "observedGeneration")] == [
            "DisruptionAllowed",
            "False",
            "InsufficientPods",
            1,
        ]
        pod = tree(await call("GET", f"{PODS}/p"))
        assert pod["metadata"]["deletionTimestamp"]
        assert pod["status"]["conditions"][-1]["reason"] == "EvictionByEvictionAPI"


async def test_dry_run_of_an_eviction_changes_nothing():
    """It is answered as the real one would be, and neither pod nor budget knows of it."""
    async with running_server() as call:
        await make_pod(call)
        await make_budget(call, FULL)
        assert (await evict(call, "?dryRun=All")).status == 201
        assert (await evict(call, deleteOptions={"dryRun": ["All"]})).status == 201
        assert tree(await call("GET", f"{BUDGETS}/b"))["status"]["disruptionsAllowed"] == 1
        assert "deletionTimestamp" not in tree(await call("GET", f"{PODS}/p"))["metadata"]


@pytest.mark.parametrize(
    ("status", "cause", "seconds"),
    [
        pytest.param(
            {**FULL, "disruptionsAllowed": 0},
            "The disruption budget b needs 2 healthy pods and has 3 currently",
            None,
            id="no room",
        ),
        pytest.param(
            {**FULL, "observedGeneration": 0},
            "The disruption budget b is still being processed by the server.",
            "10",
            id="status behind the spec",
        ),
        pytest.param(
            {
                **FULL,
                "disruptionsAllowed": 0,
                "conditions": [
                    {
                        "type": "DisruptionAllowed",
                        "status": "False",
                        "reason": "SyncFailed",
                        "message": "no scale",
                        "lastTransitionTime": "2026-01-01T00:00:00Z",
                    }
                ],
            },
            "The disruption budget b does not allow evicting pods currently because it failed sync: no scale",
            None,
            id="budget that could not be worked out",
        ),
    ],
)
async def test_eviction_is_refused_for_want_of_room(status, cause, seconds):
    """The client is told to come back, and why; Retry-After only where waiting helps by itself."""
    async with running_server() as call:
        await make_pod(call)
        await make_budget(call, status)
        answer = await evict(call)
        assert (answer.status, tree(answer)["message"]) == (429, BLOCKED)
        assert tree(answer)["details"]["causes"] == [{"reason": "DisruptionBudget", "message": cause}]
        assert answer.headers.get("Retry-After") == (seconds or "")


async def test_eviction_is_forbidden_when_nobody_confirms_evictions():
    """A budget whose controller has not seen thousands of evictions grants no more."""
    async with running_server() as call:
        await make_pod(call)
        pods = {f"p{number}": "2026-01-01T00:00:00Z" for number in range(2001)}
        await make_budget(call, {**FULL, "disruptedPods": pods})
        answer = await evict(call)
        assert (answer.status, tree(answer)["message"]) == (
            403,
            (
                'poddisruptionbudget.policy "b" is forbidden: DisruptedPods map too big - too many evictions not confirmed by '
                "PDB controller"
            ),
        )


@pytest.mark.parametrize(
    ("pod", "spec", "status", "answer"),
    [
        pytest.param({"phase": "Pending"}, {}, {**FULL, "disruptionsAllowed": 0}, 201, id="not started"),
        pytest.param({"phase": "Failed"}, {}, {**FULL, "disruptionsAllowed": 0}, 201, id="done"),
        pytest.param({"conditions": []}, {}, {**FULL, "disruptionsAllowed": 0}, 201, id="not ready, and enough are"),
        pytest.param(
            {"conditions": []}, {}, {**FULL, "disruptionsAllowed": 0, "currentHealthy": 1}, 429, id="too few ready"
        ),
        pytest.param(
            {"conditions": []},
            {"unhealthyPodEvictionPolicy": "AlwaysAllow"},
            {**FULL, "disruptionsAllowed": 0, "currentHealthy": 1},
            201,
            id="not ready, and always let go",
        ),
        pytest.param(
            {}, {"selector": {"matchLabels": {"app": "b"}}}, {**FULL, "disruptionsAllowed": 0}, 201, id="uncovered"
        ),
        pytest.param({}, {"selector": {}}, {**FULL, "disruptionsAllowed": 0}, 429, id="covered as all are"),
    ],
)
async def test_eviction_needs_room_only_for_pods_that_count(pod, spec, status, answer):
    """Pods that are not there for anybody go at once, and no disruption is taken for them."""
    async with running_server() as call:
        await make_pod(call, **pod)
        await make_budget(call, status, **spec)
        assert (await evict(call)).status == answer
        assert "disruptedPods" not in tree(await call("GET", f"{BUDGETS}/b"))["status"]


async def test_eviction_under_two_budgets_is_refused():
    """Nobody knows which of them to ask."""
    async with running_server() as call:
        await make_pod(call)
        await make_budget(call, FULL)
        await make_budget(call, FULL, name="c")
        answer = await evict(call)
        assert (answer.status, tree(answer)["message"]) == (
            500,
            "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.",
        )


async def test_eviction_is_for_the_pod_that_its_client_means():
    """A name must be the path's; preconditions hold for the pod before it is touched."""
    async with running_server() as call:
        await make_pod(call)
        nameless = await call("POST", f"{PODS}/p/eviction", {})
        assert tree(nameless)["message"] == "name in URL does not match name in Eviction object"
        other = await evict(call, deleteOptions={"preconditions": {"uid": "other"}})
        assert (other.status, tree(other)["reason"]) == (409, "Conflict")
        pod = tree(await call("GET", f"{PODS}/p"))
        assert [one["type"] for one in pod["status"]["conditions"]] == ["Ready"]
        exact = {"preconditions": {"resourceVersion": pod["metadata"]["resourceVersion"]}}
        assert (await evict(call, deleteOptions=exact)).status == 201
        gone = await call("POST", f"{PODS}/q/eviction", {"metadata": {"name": "q"}})
        assert (gone.status, tree(gone)["message"]) == (404, 'pods "q" not found')
