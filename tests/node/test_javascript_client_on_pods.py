"""The JavaScript client that people use, on a real pod."""

from __future__ import annotations

import uuid

from support.clusters import RunningCluster
from support.javascript import run_script


def test_client_node_runs_the_life_of_a_pod(real: RunningCluster) -> None:
    """exec with its streams and exit code, a copied folder, logs, attach and port-forward of a pod that the script made."""
    name = "js-" + uuid.uuid4().hex[:6]
    seen = run_script("pods.mjs", str(real.kubeconfig), "default", name, "ikubernetes/demoapp:v1.0")
    assert seen["exec"] == {"status": "Success", "code": 0, "out": "out\n", "err": "err\n"}
    assert (seen["failed"]["status"], seen["failed"]["code"]) == ("Failure", 7)
    assert seen["stdin"]["out"] == "typed\n"
    assert seen["ended"]["out"] == "a\nb\n"
    assert (seen["missing"]["status"], seen["missing"]["out"]) == ("Failure", "")
    assert seen["copied"] == "through\n"
    assert seen["log"] == "hello"
    assert seen["followed"]
    assert seen["attached"]
    assert seen["forwarded"] == 200
    assert seen["gone"] == 404
