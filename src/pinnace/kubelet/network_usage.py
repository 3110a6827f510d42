"""What has gone through network interfaces, as the kernel counts it for each network of its own. Upstream: google/cadvisor `container/libcontainer/handler.go`."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from msgspec import Struct

# The interface that pods have, and nodes usually: it stands for the whole.
_USUAL = "eth0"


class Interface(Struct, frozen=True, kw_only=True):
    """What one interface has carried."""

    name: str
    received_bytes: int
    receive_errors: int
    sent_bytes: int
    send_errors: int


def interfaces(process: int | str = "self") -> tuple[Interface, ...]:
    """Return the interfaces of the network that a process is in, but for the loopback; none when the process is gone."""
    try:
        lines = Path(f"/proc/{process}/net/dev").read_text().splitlines()[2:]
    except OSError:
        return ()
    return tuple(found for line in lines if (found := parse(line)).name != "lo")


def parse(line: str) -> Interface:
    """Return what a line of the kernel's table says: eight counters of what came, eight of what went."""
    name, _, rest = line.partition(":")
    counts = [int(word) for word in rest.split()]
    return Interface(
        name=name.strip(),
        received_bytes=counts[0],
        receive_errors=counts[2],
        sent_bytes=counts[8],
        send_errors=counts[10],
    )


def summary(found: Sequence[Interface], now: str) -> Mapping[str, Any]:
    """Return the network part of a summary."""
    parts = [_part(each) for each in sorted(found, key=lambda each: (each.name != _USUAL, each.name))]
    return {"time": now, **parts[0], "interfaces": parts}


def _part(each: Interface) -> dict[str, Any]:
    return {
        "name": each.name,
        "rxBytes": each.received_bytes,
        "rxErrors": each.receive_errors,
        "txBytes": each.sent_bytes,
        "txErrors": each.send_errors,
    }
