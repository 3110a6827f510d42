"""The JavaScript client that people use, unchanged: @kubernetes/client-node on objects."""

from __future__ import annotations

import uuid

from support.clusters import RunningCluster
from support.javascript import run_script


def test_client_node_works_on_objects(simulated: RunningCluster) -> None:
    """create, list, patch of every type, replace, apply, watch, inform, page and delete, as the script writes them."""
    name = "js-" + uuid.uuid4().hex[:6]
    seen = run_script("objects.mjs", str(simulated.kubeconfig), "default", name)
    assert (seen["listed"], seen["read"]) == ([name], {"a": "1"})
    assert seen["merged"] == {"a": "1", "b": "2"}
    assert seen["strategic"] == {"a": "1", "b": "2", "c": "3"}
    assert seen["json"] == {"a": "1", "c": "3"}
    assert seen["replaced"] == {"d": "4"}
    assert seen["conflict"] == 409
    assert seen["applied"] == {"d": "4", "e": "5"}
    assert ["script", "Apply"] in seen["managers"]
    assert seen["watched"] == ["ADDED", "MODIFIED", "DELETED"]
    assert seen["gone"] == 404
    assert (seen["created"], seen["scaled"]) == (["Deployment", 0], 2)
    assert seen["informed"] == [["add", name], ["delete", name]]
    assert (seen["pages"], seen["left"]) == ([2, 1], 0)
    assert seen["version"] == "36"
