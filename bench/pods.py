"""How long a pod takes from its creation to Running, in real containers, one at a time; and what an idle cluster costs."""

import contextlib
import http.client
import json
import os
import ssl
import tempfile
import time
from pathlib import Path
from urllib.parse import urlsplit

from report import Figure, median, percentile
from servers import Cluster, cluster

PODS = "/api/v1/namespaces/default/pods"
# Seconds for a cluster to become quiet after its start.
_CALM_SECONDS = 8.0


def measure(pods: int, idle_seconds: float) -> list[Figure]:
    """Run one cluster with containers."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder, cluster(Path(folder)) as made:
        made.pinnace("up", "--port", "0", "--runtime", "containerd")
        idle = _idle(made, idle_seconds)
        times = _to_running(made, pods)
    return [
        Figure("pod create to Running, p50", median(times), "s", 0.4, note=f"{pods} pods, one at a time"),
        Figure("pod create to Running, p99", percentile(times, 0.99), "s"),
        *idle,
    ]


def _to_running(made: Cluster, pods: int) -> list[float]:
    pki, server = made.folder / "data/pki", urlsplit(made.status()["server"]).netloc
    context = ssl.create_default_context(cafile=str(pki / "ca.crt"))
    context.load_cert_chain(pki / "admin.crt", pki / "admin.key")
    times = []
    with (
        contextlib.closing(http.client.HTTPSConnection(server, context=context, timeout=30)) as writing,
        contextlib.closing(http.client.HTTPSConnection(server, context=context, timeout=30)) as watching,
    ):
        watching.request("GET", f"{PODS}?watch=1&resourceVersion=0")
        events = watching.getresponse()
        for number in range(pods):
            name = f"p{number}"
            begun = time.perf_counter()
            _write(writing, "POST", PODS, _pod(name))
            while not _is(json.loads(events.readline()), name, "MODIFIED", "Running"):
                pass
            times.append(time.perf_counter() - begun)
            _write(writing, "DELETE", f"{PODS}/{name}", {"gracePeriodSeconds": 0})
            while not _is(json.loads(events.readline()), name, "DELETED", None):
                pass
    return times


def _pod(name: str) -> dict[str, object]:
    return {"metadata": {"name": name}, "spec": {"containers": [{"name": "c", "image": "ikubernetes/demoapp:v1.0"}]}}


def _is(event: dict[str, dict[str, dict[str, str]]], name: str, kind: str, phase: str | None) -> bool:
    pod = event["object"]
    told = phase is None or pod["status"].get("phase") == phase
    return event["type"] == kind and pod["metadata"]["name"] == name and told


def _write(connection: http.client.HTTPSConnection, method: str, path: str, body: object) -> None:
    connection.request(method, path, json.dumps(body), {"Content-Type": "application/json"})
    answer = connection.getresponse()
    text = answer.read()
    if answer.status >= http.client.BAD_REQUEST:
        raise SystemExit(f"{method} {path}: {text.decode()}")


def _idle(made: Cluster, seconds: float) -> list[Figure]:
    pid = made.status()["pid"]
    time.sleep(_CALM_SECONDS)
    before = _cpu_seconds(pid)
    time.sleep(seconds)
    share = (_cpu_seconds(pid) - before) / seconds
    status = Path(f"/proc/{pid}/status").read_text().splitlines()
    resident = next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmRSS:"))
    return [
        Figure("idle server with a node, resident", resident, "MB", 150),
        Figure("idle server with a node, CPU", share * 100, "%", 2.0, note=f"of one core, over {seconds:.0f} s"),
    ]


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
