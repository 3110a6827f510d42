"""The server is killed while pods run and writes go on: pods never notice, and nothing that was answered is missing."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from node.conftest import missing_for_real_pods
from support.clusters import RunningCluster, running_cluster
from support.waiting import eventually
from support.writers import Api, Book, writing

pytestmark = [pytest.mark.root, pytest.mark.skipif(bool(missing_for_real_pods()), reason=missing_for_real_pods())]
NAMESPACE = "default"
PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[RunningCluster]:
    """A cluster whose server may be killed."""
    with running_cluster(folder=tmp_path) as made:
        yield made


def pod(name: str) -> dict[str, object]:
    container = {"name": "main", "image": "ikubernetes/demoapp:v1.0"}
    spec = {"containers": [container], "terminationGracePeriodSeconds": 1}
    return {"metadata": {"name": name}, "spec": spec}


def running_pods(api: Api) -> dict[str, tuple[str, str, int]]:
    """Return of each pod its uid, its container and how often that was restarted; every pod has to run."""
    found = {}
    for item in api.call("GET", PODS)["items"]:
        name = item["metadata"]["name"]
        assert item["status"]["phase"] == "Running", f"{name}: {item['status']}"
        (status,) = item["status"]["containerStatuses"]
        found[name] = (item["metadata"]["uid"], status["containerID"], status["restartCount"])
    return found


def processes(cluster: RunningCluster) -> dict[str, int]:
    """Return container → process of everything that runs, as containerd tells."""
    socket = cluster.data_dir / "containerd/containerd.sock"
    command = ["ctr", "--address", str(socket), "--namespace", "k8s.io", "tasks", "list"]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[1:]
    rows = [line.split() for line in lines]
    return {container: int(pid) for container, pid, status in rows if status == "RUNNING"}


def server(cluster: RunningCluster) -> tuple[int, str]:
    state = json.loads(cluster.pinnace("status", "-o", "json"))
    return state["pid"], state["server"]


def kill_and_resume(cluster: RunningCluster, port: str) -> None:
    os.kill(server(cluster)[0], signal.SIGKILL)
    cluster.pinnace("up", "--port", port)


def check(books: list[Book], api: Api) -> int:
    """Hold every answer against what is there; return how many there were."""
    listed = api.call("GET", f"/api/v1/namespaces/{NAMESPACE}/configmaps")
    there = {
        item["metadata"]["name"]: (item["metadata"]["uid"], item["metadata"]["resourceVersion"])
        for item in listed["items"]
    }
    for book in books:
        answered = {**book.created, **book.updated}
        assert {name: there.get(name) for name in answered} == answered
        assert not book.deleted & there.keys()
        assert book.revisions == sorted(book.revisions)
    revisions = [revision for book in books for revision in book.revisions]
    assert len(set(revisions)) == len(revisions)
    assert max(revisions) <= int(listed["metadata"]["resourceVersion"])
    return len(revisions)


def rounds(cluster: RunningCluster, count: int) -> int:
    """Kill the server `count` times while four clients write and pods are made; return how many writes were answered."""
    _, url = server(cluster)
    port = url.rpartition(":")[2]
    pki = cluster.data_dir / "pki"
    api, chance = Api(url, pki), random.Random(4)
    for number in range(3):
        api.call("POST", PODS, pod(f"steady-{number}"))
    before = eventually(lambda: running_pods(api), lambda found: len(found) == 3)
    pids = processes(cluster)
    assert len(pids) == 6  # each with the sandbox's
    with writing(url, pki, NAMESPACE, 4) as books:
        for number in range(count):
            answered = sum(len(book.revisions) for book in books)
            eventually(lambda: sum(len(book.revisions) for book in books), lambda now, old=answered: now > old)
            # A pod on its way up at the moment of the kill: there has to be one of it afterwards, and running.
            api.call("POST", PODS, pod(f"late-{number}"))
            threading.Event().wait(chance.uniform(0.0, 0.8))
            kill_and_resume(cluster, port)
            api.close()
    after = eventually(lambda: running_pods(api), lambda found: len(found) == 3 + count, timeout=60)
    assert {name: after[name] for name in before} == before
    now = processes(cluster)
    assert {container: now.get(container) for container in pids} == pids
    assert len(now) == 2 * len(after)
    total = check(books, api)
    assert any(book.lost for book in books), "no kill met a write"
    api.close()
    return total


@pytest.mark.timeout(120)
def test_kill_keeps_containers_and_every_answered_write(cluster: RunningCluster) -> None:
    """Through four kills containers keep their processes, restart counts stay, and each answered write is there as answered."""
    assert rounds(cluster, 4) > 100


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_fifty_kills_keep_containers_and_every_answered_write(cluster: RunningCluster) -> None:
    """The same fifty times."""
    assert rounds(cluster, 50) > 1000
