"""Flow schemas and priority levels: what every server has, and whether a schema's level is there."""

import asyncio
import json

import pytest
import pytest_asyncio
from tests.support.callers import running_server, tree

pytestmark = pytest.mark.asyncio(loop_scope="module")

GROUP = "/apis/flowcontrol.apiserver.k8s.io/v1"
SCHEMAS, LEVELS = f"{GROUP}/flowschemas", f"{GROUP}/prioritylevelconfigurations"
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def call():
    async with running_server() as call:
        yield call


async def wait_condition(call, schema: str, status: str) -> dict:
    """Follow a schema until its condition has a status, and return the condition."""
    answer = await call("GET", f"{SCHEMAS}?watch=1&fieldSelector=metadata.name%3D{schema}")
    async with asyncio.timeout(10):
        async for chunk in answer.body:
            for line in chunk.splitlines():
                for condition in json.loads(line)["object"]["status"].get("conditions", ()):
                    if (condition["type"], condition["status"]) == ("Dangling", status):
                        await answer.body.aclose()
                        return condition
    raise AssertionError("the watch ended")


async def test_schema_says_whether_its_level_is_there(call):
    """The condition follows the level as it goes and comes, and other conditions are left alone."""
    body = {
        "metadata": {"name": "mine"},
        "spec": {"priorityLevelConfiguration": {"name": "later"}, "matchingPrecedence": 5000},
    }
    await call("POST", SCHEMAS, body)
    await call("PATCH", f"{SCHEMAS}/mine/status", {"status": {"conditions": [{"type": "Mine", "status": "True"}]}})
    missing = await wait_condition(call, "mine", "True")
    assert missing["reason"] == "NotFound"
    assert missing["message"] == (
        'This FlowSchema references the PriorityLevelConfiguration object named "later" but there is no such object'
    )
    limited = {"nominalConcurrencyShares": 1, "limitResponse": {"type": "Reject"}}
    level = {"metadata": {"name": "later"}, "spec": {"type": "Limited", "limited": limited}}
    assert (await call("POST", LEVELS, level)).status == 201
    found = await wait_condition(call, "mine", "False")
    assert found["reason"] == "Found"
    assert found["message"] == (
        'This FlowSchema references the PriorityLevelConfiguration object named "later" and it exists'
    )
    await call("DELETE", f"{LEVELS}/later")
    await wait_condition(call, "mine", "True")
    conditions = tree(await call("GET", f"{SCHEMAS}/mine"))["status"]["conditions"]
    assert {one["type"] for one in conditions} == {"Mine", "Dangling"}


async def test_bootstrap_schemas_have_their_levels(call):
    """kubectl's table shows of each schema that every server has that nothing is missing, and all ask to be kept up to date."""
    for path in (SCHEMAS, LEVELS):
        items = [one for one in tree(await call("GET", path))["items"] if one["metadata"]["name"] != "mine"]
        assert {one["metadata"]["annotations"]["apf.kubernetes.io/autoupdate-spec"] for one in items} == {"true"}
    names = [one["metadata"]["name"] for one in tree(await call("GET", SCHEMAS))["items"]]
    for name in names:
        if name != "mine":
            await wait_condition(call, name, "False")
    rows = tree(await call("GET", SCHEMAS, Accept=TABLE))["rows"]
    shown = {row["cells"][0]: (row["cells"][1], row["cells"][2], row["cells"][3], row["cells"][5]) for row in rows}
    shown.pop("mine", None)
    assert shown == {
        "exempt": ("exempt", 1, "<none>", "False"),
        "probes": ("exempt", 2, "<none>", "False"),
        "system-leader-election": ("leader-election", 100, "ByUser", "False"),
        "system-node-high": ("node-high", 400, "ByUser", "False"),
        "system-nodes": ("system", 500, "ByUser", "False"),
        "kube-controller-manager": ("workload-high", 800, "ByNamespace", "False"),
        "kube-scheduler": ("workload-high", 800, "ByNamespace", "False"),
        "kube-system-service-accounts": ("workload-high", 900, "ByNamespace", "False"),
        "service-accounts": ("workload-low", 9000, "ByUser", "False"),
        "global-default": ("global-default", 9900, "ByUser", "False"),
        "catch-all": ("catch-all", 10000, "ByUser", "False"),
    }
