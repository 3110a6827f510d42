"""One stored object through two versions: whatever one writes, the other reads, lists, watches and patches."""

import json

import pytest
from tests.support.callers import running_server, tree

CORE, NEWER = "/api/v1/namespaces/default/events", "/apis/events.k8s.io/v1/namespaces/default/events"
V1, V2 = (f"/apis/autoscaling/{one}/namespaces/default/horizontalpodautoscalers" for one in ("v1", "v2"))
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"
APPLY = "application/apply-patch+yaml"
MEMORY = {"type": "Resource", "resource": {"name": "memory", "target": {"type": "AverageValue", "averageValue": "1Gi"}}}
METRICS = "autoscaling.alpha.kubernetes.io/metrics"
EVENT = {
    "metadata": {"name": "e"},
    "involvedObject": {"kind": "Pod", "name": "p", "namespace": "default"},
    "reason": "R",
    "message": "m",
    "type": "Normal",
}
AUTOSCALER = {
    "metadata": {"name": "h"},
    "spec": {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "a"}, "maxReplicas": 5},
}


async def test_event_is_one_object_under_both_groups():
    """It is made in one shape, read, listed and selected in the other, and deleted once."""
    async with running_server() as call:
        made = tree(await call("POST", CORE, EVENT))
        shown = tree(await call("GET", f"{NEWER}/e"))
        assert (shown["apiVersion"], shown["note"], shown["regarding"]["name"]) == ("events.k8s.io/v1", "m", "p")
        assert shown["metadata"]["uid"] == made["metadata"]["uid"]
        (item,) = tree(await call("GET", NEWER))["items"]
        assert item == {key: value for key, value in shown.items() if key not in {"kind", "apiVersion"}}
        gone = await call("DELETE", f"{NEWER}/e")
        assert tree(gone)["details"] == {"name": "e", "kind": "events", "uid": made["metadata"]["uid"]}
        lost = await call("GET", f"{NEWER}/e")
        assert (lost.status, tree(lost)["message"]) == (404, 'events "e" not found')


@pytest.mark.parametrize(
    ("collection", "selector", "status", "found"),
    [
        pytest.param(NEWER, "regarding.name=p", 200, 1, id="newer name"),
        pytest.param(NEWER, "regarding.name=q", 200, 0, id="another object"),
        pytest.param(NEWER, "involvedObject.name=p", 400, 0, id="older name at the newer group"),
        pytest.param(CORE, "involvedObject.name=p", 200, 1, id="older name"),
        pytest.param(CORE, "regarding.name=p", 400, 0, id="newer name at the older group"),
    ],
)
async def test_event_is_selected_by_the_names_of_its_version(collection, selector, status, found):
    """Each group has its own labels for the same fields."""
    async with running_server() as call:
        await call("POST", CORE, EVENT)
        answer = await call("GET", f"{collection}?fieldSelector={selector.replace('=', '%3D')}")
        assert answer.status == status
        assert len(tree(answer).get("items", [])) == found


async def test_event_is_held_to_the_rules_of_the_version_that_is_spoken():
    """What the core group takes, the newer group refuses in the core group's name."""
    async with running_server() as call:
        sent = {"metadata": {"name": "e"}, "regarding": EVENT["involvedObject"], "type": "Normal"}
        answer = await call("POST", NEWER, sent)
        assert (answer.status, tree(answer)["message"]) == (422, 'Event "e" is invalid: eventTime: Required value')
        await call("POST", CORE, EVENT)
        assert (await call("PATCH", f"{CORE}/e", {"message": "n"})).status == 200
        refused = await call("PATCH", f"{NEWER}/e", {"note": "o"})
        assert tree(refused)["message"].startswith('Event "e" is invalid: message: Invalid value: "o"')


async def test_watch_of_the_newer_group_shows_what_the_core_group_wrote():
    """Events of a watch come in the version that is watched, and so does a table's object."""
    async with running_server() as call:
        await call("POST", CORE, EVENT)
        answer = await call("GET", f"{NEWER}?watch=true&timeoutSeconds=1")
        line = json.loads(await anext(aiter(answer.body)))
        assert (line["type"], line["object"]["apiVersion"], line["object"]["note"]) == (
            "ADDED",
            "events.k8s.io/v1",
            "m",
        )
        (row,) = tree(await call("GET", f"{NEWER}?includeObject=Object", Accept=TABLE))["rows"]
        assert (row["cells"][6], row["object"]["note"]) == ("m", "m")


async def test_version_1_of_an_autoscaler_keeps_what_version_2_says():
    """A client of version 1 writes back what it read, patches its own field, and loses no metric."""
    async with running_server() as call:
        body = {**AUTOSCALER, "spec": {**AUTOSCALER["spec"], "metrics": [MEMORY]}}
        await call("POST", V2, body)
        shown = tree(await call("GET", f"{V1}/h"))
        assert METRICS in shown["metadata"]["annotations"]
        same = tree(await call("PUT", f"{V1}/h", shown))
        assert same["metadata"]["resourceVersion"] == shown["metadata"]["resourceVersion"]
        assert (await call("PATCH", f"{V1}/h", {"spec": {"targetCPUUtilizationPercentage": 60}})).status == 200
        now = tree(await call("GET", f"{V2}/h"))
        assert [metric["resource"]["name"] for metric in now["spec"]["metrics"]] == ["memory", "cpu"]
        assert "annotations" not in now["metadata"]
        status = {**shown, "status": {"currentReplicas": 1, "desiredReplicas": 2}}
        status["metadata"] = {"name": "h"}
        assert (await call("PUT", f"{V1}/h/status", status)).status == 200
        after = tree(await call("GET", f"{V2}/h"))
        assert (after["spec"], after["status"]["desiredReplicas"]) == (now["spec"], 2)


async def test_fields_are_owned_under_the_names_of_the_version_that_wrote_them():
    """managedFields speak the writer's version; an apply in version 1 and one in version 2 meet in one object."""
    async with running_server() as call:
        spec = {**AUTOSCALER["spec"], "targetCPUUtilizationPercentage": 60}
        made = tree(await call("POST", f"{V1}?fieldManager=one", {**AUTOSCALER, "spec": spec}))
        (entry,) = made["metadata"]["managedFields"]
        assert (entry["manager"], entry["apiVersion"]) == ("one", "autoscaling/v1")
        assert "f:targetCPUUtilizationPercentage" in entry["fieldsV1"]["f:spec"]
        config = {
            "apiVersion": "autoscaling/v1",
            "kind": "HorizontalPodAutoscaler",
            "metadata": {"name": "h"},
            "spec": {"minReplicas": 2},
        }
        applied = await call("PATCH", f"{V1}/h?fieldManager=two&force=true", config, Content_Type=APPLY)
        assert (applied.status, tree(applied)["spec"]["minReplicas"]) == (200, 2)
        now = tree(await call("GET", f"{V2}/h"))
        assert (now["spec"]["minReplicas"], len(now["spec"]["metrics"])) == (2, 1)
        assert {one["manager"] for one in now["metadata"]["managedFields"]} == {"one", "two"}


def owned_by(autoscaler: dict, manager: str) -> dict:
    """Return the fields of the spec that a manager owns; empty when it owns none."""
    entries = {one["manager"]: one["fieldsV1"] for one in autoscaler["metadata"]["managedFields"]}
    return entries.get(manager, {}).get("f:spec", {})


async def test_owners_in_one_version_lose_what_another_version_changes():
    """A write in version 2 takes from a manager of version 1 what it changes, under the name that version 1 has for it."""
    async with running_server() as call:
        spec = {**AUTOSCALER["spec"], "targetCPUUtilizationPercentage": 60}
        await call("POST", f"{V1}?fieldManager=one", {**AUTOSCALER, "spec": spec})
        now = tree(await call("GET", f"{V2}/h"))
        now["spec"]["metrics"][0]["resource"]["target"]["averageUtilization"] = 70
        changed = tree(await call("PUT", f"{V2}/h?fieldManager=two", now))
        assert owned_by(changed, "one").keys() == {"f:maxReplicas", "f:minReplicas", "f:scaleTargetRef"}
        assert owned_by(changed, "two").keys() == {"f:metrics"}
        lower = tree(
            await call("PATCH", f"{V1}/h?fieldManager=three", {"spec": {"targetCPUUtilizationPercentage": 50}})
        )
        assert owned_by(lower, "two") == {}
        assert owned_by(lower, "three").keys() == {"f:targetCPUUtilizationPercentage"}


async def test_apply_in_one_version_conflicts_with_owners_in_another():
    """The conflict names the other version's field and version; forced, the field changes hands."""
    async with running_server() as call:
        spec = {**AUTOSCALER["spec"], "targetCPUUtilizationPercentage": 60}
        await call("POST", f"{V1}?fieldManager=one", {**AUTOSCALER, "spec": spec})
        target = {"type": "Utilization", "averageUtilization": 80}
        config = {
            "apiVersion": "autoscaling/v2",
            "kind": "HorizontalPodAutoscaler",
            "metadata": {"name": "h"},
            "spec": {"metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": target}}]},
        }
        refused = tree(await call("PATCH", f"{V2}/h?fieldManager=two", config, Content_Type=APPLY))
        assert refused["message"] == (
            'Apply failed with 1 conflict: conflict with "one" using autoscaling/v1: .spec.targetCPUUtilizationPercentage'
        )
        forced = tree(await call("PATCH", f"{V2}/h?fieldManager=two&force=true", config, Content_Type=APPLY))
        assert "f:targetCPUUtilizationPercentage" not in owned_by(forced, "one")
        assert owned_by(forced, "two").keys() == {"f:metrics"}


async def test_apply_in_one_version_removes_what_it_let_go_of_in_another():
    """A manager that moves to version 1 and names less takes what version 2 called otherwise back to its default."""
    async with running_server() as call:
        target = {"type": "Utilization", "averageUtilization": 50}
        metrics = [{"type": "Resource", "resource": {"name": "memory", "target": target}}]
        config = {**AUTOSCALER, "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler"}
        more = {**config, "spec": {**AUTOSCALER["spec"], "minReplicas": 3, "metrics": metrics}}
        assert (await call("PATCH", f"{V2}/h?fieldManager=m", more, Content_Type=APPLY)).status == 201
        less = {**config, "apiVersion": "autoscaling/v1"}
        assert (await call("PATCH", f"{V1}/h?fieldManager=m", less, Content_Type=APPLY)).status == 200
        now = tree(await call("GET", f"{V2}/h"))
        assert (now["spec"]["minReplicas"], now["spec"]["metrics"][0]["resource"]["name"]) == (1, "cpu")
        assert METRICS not in now["metadata"].get("annotations", {})
        assert [one["apiVersion"] for one in now["metadata"]["managedFields"]] == ["autoscaling/v1"]
