"""What simulated nodes cost: how long they take to be Ready, and processor and memory of a server whose nodes only send their heartbeats.

Draws what was measured as `docs/simulated-nodes.svg`.
"""

import os
import platform
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from plot import Line, Panel, draw
from report import Figure
from servers import ROOT, cluster

# Seconds for a cluster to become quiet after its nodes are Ready: their events are written when there is time, and of their TTL twenty of them
# are told a second.
_CALM_SECONDS, _CALM_SECONDS_EACH = 15.0, 0.05
# Nodes → the most that they may take to register, in seconds; of one core, in percent; in MB; and to stop, in seconds.
_GOALS: dict[int, tuple[float | None, float | None, float | None, float | None]] = {
    1000: (None, 30.0, 350.0, None),
    5000: (60.0, None, None, 10.0),
}


@dataclass(frozen=True)
class Measured:
    """One cluster with so many nodes."""

    nodes: int
    register_seconds: float
    register_cpu_seconds: float
    cpu_percent: float
    resident_mb: float
    down_seconds: float


def measure(sizes: Sequence[int], idle_seconds: float) -> list[Figure]:
    """Run a cluster of each size, one after the other."""
    found = [_measure(nodes, idle_seconds) for nodes in sizes]
    if len(found) > 1:
        _draw(found)
    return [figure for each in found for figure in _figures(each, idle_seconds)]


def _measure(nodes: int, idle_seconds: float) -> Measured:
    with tempfile.TemporaryDirectory(dir="/tmp") as folder, cluster(Path(folder)) as made:
        made.pinnace("up", "--port", "0", "--runtime", "none")
        pid = made.status()["pid"]
        used, begun = _cpu_seconds(pid), time.perf_counter()
        made.pinnace("node add", "--simulated", str(nodes))
        seconds, used = time.perf_counter() - begun, _cpu_seconds(pid) - used
        time.sleep(_CALM_SECONDS + _CALM_SECONDS_EACH * nodes)
        before = _cpu_seconds(pid)
        time.sleep(idle_seconds)
        share = (_cpu_seconds(pid) - before) / idle_seconds
        resident = _resident_mb(pid)
        begun = time.perf_counter()
        made.pinnace("down")
        return Measured(nodes, seconds, used, 100 * share, resident, time.perf_counter() - begun)


def _figures(measured: Measured, idle_seconds: float) -> list[Figure]:
    nodes = measured.nodes
    register, cpu, memory, down = _GOALS.get(nodes, (None, None, None, None))
    note = f"of one core, over {idle_seconds:.0f} s"
    # Where others use the machine, too, this tells more than the time.
    used = f"{measured.register_cpu_seconds:.1f} s of a core"
    return [
        Figure(f"{nodes} simulated nodes, made to Ready", measured.register_seconds, "s", register, note=used),
        Figure(f"{nodes} simulated nodes idle, CPU", measured.cpu_percent, "%", cpu, note=note),
        Figure(f"{nodes} simulated nodes idle, resident", measured.resident_mb, "MB", memory),
        Figure(f"{nodes} simulated nodes, pinnace down", measured.down_seconds, "s", down),
    ]


def _draw(found: Sequence[Measured]) -> None:
    sizes = [each.nodes for each in found]
    panels = [
        Panel("resident memory, MB", Line(sizes, [each.resident_mb for each in found])),
        Panel("CPU, % of one core", Line(sizes, [each.cpu_percent for each in found])),
    ]
    (ROOT / "docs/simulated-nodes.svg").write_text(draw("simulated nodes", panels, _where_and_when()), encoding="utf-8")


def _where_and_when() -> str:
    model = next(
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if "model name" in line
    )
    memory_gib = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    today = datetime.now(UTC).date().isoformat()
    python = platform.python_version()
    return f"measured on {today}: {os.cpu_count()} cores of {model}, {memory_gib:.0f} GiB, CPython {python}"


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _resident_mb(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
