"""Requests a second through the API server's front door, beside a bare server in the same moment; and memory for each stored pod.

Both servers, with the same certificate and the same body, are driven by wrk over 16 keep-alive connections, turn about in rounds of a
second; the figure is the median of the rounds' ratios, since whatever else the machine does weighs on both alike.
"""

import json
import shutil
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

from load import Answered, Load, Wrk
from report import Figure
from servers import NAMESPACE, Served, api_server, bare_server

PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"
STORED = 12_000
# Pods that updates and patches go round by: enough that no two requests in flight are about the same one.
CHANGED = 200
POD: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "p-COUNT", "labels": {"app": "bench", "tier": "web"}},
    "spec": {
        "containers": [
            {
                "name": "c",
                "image": "registry.example/app:1",
                "env": [{"name": f"VAR_{i}", "value": "value" * 4} for i in range(8)],
                "ports": [{"containerPort": 80}],
                "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}},
            }
        ]
    },
}
CREATE = Load("POST", PODS, json.dumps(POD, separators=(",", ":")))


def measure(seconds: int) -> list[Figure]:
    """Drive both servers, `seconds` rounds a case."""
    if shutil.which("wrk") is None:
        raise SystemExit("wrk is needed: apt-get install wrk")
    with tempfile.TemporaryDirectory() as name, api_server(Path(name)) as server:
        folder = Path(name)
        stored = [server.call(PODS, "POST", _pod(f"one-{number}")) for number in range(CHANGED)]
        (folder / "body").write_bytes(stored[0])
        with bare_server(folder / "data/pki", folder / "body") as bare:
            return _Race(Wrk(folder), server, bare, seconds).figures([_changed(pod) for pod in stored])


def _pod(name: str) -> dict[str, Any]:
    return {**POD, "metadata": {**POD["metadata"], "name": name}}


def _changed(stored: bytes) -> str:
    """Return a pod as a client sends it back, with a label that is another each time."""
    pod = json.loads(stored)
    for name in ("resourceVersion", "managedFields"):
        pod["metadata"].pop(name, None)
    pod["metadata"]["labels"]["count"] = "n-COUNT"
    return json.dumps(pod, separators=(",", ":"))


class _Race:
    def __init__(self, wrk: Wrk, server: Served, bare: Served, rounds: int) -> None:
        self._wrk, self._server, self._bare, self._rounds = wrk, server, bare, rounds

    def figures(self, stored: list[str]) -> list[Figure]:
        one = f"{PODS}/NAME"
        merge = '{"metadata":{"labels":{"count":"n-COUNT"}}}'
        config = json.dumps(
            {**POD, "metadata": {"name": "NAME", "labels": {"count": "n-COUNT"}}}, separators=(",", ":")
        )
        return [
            self._ratio("create pod", CREATE, 0.15),
            self._ratio("get pod", Load("GET", one, objects=stored), 0.5),
            self._ratio("update pod", Load("PUT", one, "OBJECT", objects=stored), 0.1),
            self._ratio("merge patch of a pod", Load("PATCH", one, merge, "application/merge-patch+json", stored), 0.1),
            self._ratio(
                "server-side apply of a pod",
                Load("PATCH", f"{one}?fieldManager=bench&force=true", config, "application/apply-patch+yaml", stored),
                0.07,
            ),
            self._memory(),
            self._ratio("list of none by selector", Load("GET", f"{PODS}?labelSelector=app%3Dnone"), 0.3),
            Figure("list of 500 pods", self._median(Load("GET", f"{PODS}?limit=500")).per_second, "/s"),
            self._everything(),
        ]

    def _ratio(self, name: str, load: Load, goal: float) -> Figure:
        """Compare with the bare server, which is sent the same."""
        rounds = [(self._wrk.drive(self._server, load), self._wrk.drive(self._bare, load)) for _ in range(self._rounds)]
        ours, bares = (_middle(side) for side in zip(*rounds, strict=True))
        note = f"{ours.per_second:.0f} of {bares.per_second:.0f} a second; by processor time {bares.cpu_micros / ours.cpu_micros:.3f}, {ours.cpu_micros:.0f} µs"
        ratio = median(our.per_second / bare.per_second for our, bare in rounds)
        return Figure(f"{name} / bare server", ratio, "×", goal, more_is_better=True, note=note)

    def _median(self, load: Load) -> Answered:
        return _middle([self._wrk.drive(self._server, load) for _ in range(self._rounds)])

    def _memory(self) -> Figure:
        """Fill the store, and look at what that many more pods cost."""
        before, resident = self._count(), self._server.resident_bytes()
        while (count := self._count()) < before + STORED:
            self._wrk.drive(self._server, CREATE)
        each = (self._server.resident_bytes() - resident) / (count - before) / 1000
        size = len(self._server.call(f"{PODS}?limit=500")) / 500
        return Figure("memory of a stored pod", each, "kB", 12.0, note=f"{count - before} of {size / 1000:.1f} kB each")

    def _everything(self) -> Figure:
        answered = self._wrk.drive(self._server, Load("GET", PODS, connections=1), 2 + self._rounds)
        rate, note = answered.bytes_per_second / 1e6, f"{self._count()} pods, {answered.per_second:.1f} a second"
        return Figure("list of all pods", rate, "MB/s", 150.0, more_is_better=True, note=note)

    def _count(self) -> int:
        meta = json.loads(self._server.call(f"{PODS}?limit=1"))["metadata"]
        return 1 + int(meta.get("remainingItemCount", 0))


def _middle(rounds: Any) -> Answered:
    return Answered(*(median(getattr(item, name) for item in rounds) for name in Answered.__dataclass_fields__))
