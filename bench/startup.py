"""How long it takes until there is a cluster: by the command, and in a test's own process."""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from report import Figure, median
from servers import ENVIRONMENT, Cluster, cluster, missing_for_containers

IN_PROCESS = """
import asyncio, time
begun = time.perf_counter()
from pinnace.testing import running_cluster
times = [time.perf_counter() - begun]
async def main():
    for _ in range(3):
        begun = time.perf_counter()
        async with running_cluster():
            times.append(time.perf_counter() - begun)
asyncio.run(main())
print(*times)
"""


def measure(rounds: int) -> list[Figure]:
    """Start clusters of every kind, each some times; medians."""
    figures = [_with_containers(rounds)] if not missing_for_containers() else []
    figures.append(_simulated(rounds))
    return [*figures, *_in_process(rounds)]


def _with_containers(rounds: int) -> Figure:
    with tempfile.TemporaryDirectory(dir="/tmp") as folder, cluster(Path(folder)) as made:
        first = _up(made, "--runtime", "containerd")
        times = []
        for _ in range(rounds):
            made.pinnace("down")
            times.append(_up(made, "--runtime", "containerd"))
    note = f"{first:.2f} the first time, with images to make"
    return Figure("pinnace up to Ready: SQLite, containerd", median(times), "s", 4.0, note=note)


def _simulated(rounds: int) -> Figure:
    times = []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory(dir="/tmp") as folder, cluster(Path(folder)) as made:
            times.append(_up(made, "--runtime", "simulated", "--store", "memory"))
    return Figure("pinnace up to Ready: memory, simulated", median(times), "s", 1.5)


def _up(made: Cluster, *arguments: str) -> float:
    begun = time.perf_counter()
    made.pinnace("up", "--port", "0", *arguments)
    seconds = time.perf_counter() - begun
    (node,) = made.call("/api/v1/nodes")["items"]
    ready = next(item for item in node["status"]["conditions"] if item["type"] == "Ready")
    if ready["status"] != "True":
        raise SystemExit(f"the node is not Ready: {ready}")
    return seconds


def _in_process(rounds: int) -> list[Figure]:
    runs = []
    for _ in range(rounds):
        command = [sys.executable, "-c", IN_PROCESS]
        done = subprocess.run(command, check=True, capture_output=True, text=True, env=ENVIRONMENT)
        runs.append([float(word) for word in done.stdout.split()])
    imports, first, *_, last = (median(column) for column in zip(*runs, strict=True))
    return [
        Figure("in-process cluster with a node, first", first, "s", 0.4, note=f"imports before it {imports:.2f}"),
        Figure("in-process cluster with a node, further", last, "s", 0.1),
    ]
