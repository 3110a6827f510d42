"""How much of each zone is out of order, and how fast its nodes may therefore be given up.

One silent node is a lost node; most of a zone's nodes silent at once is a lost network, and nothing good comes of moving all their
pods. Counts follow single nodes, so that nothing here looks at all of them. Upstream: pkg/controller/nodelifecycle,
`handleDisruption` and `ComputeZoneState`.
"""

from enum import StrEnum

from msgspec import Struct, field

from pinnace.api import core_v1
from pinnace.client.workqueue import TokenBucket

# Nodes a second that may be given up: as a rule, and in the smaller part of a large zone that is left.
RATE, SECONDARY_RATE = 0.1, 0.01
# Nodes from which on a zone is large, and the share of silent ones from which on it is in disruption.
LARGE_SIZE, UNHEALTHY_SHARE, UNHEALTHY_LEAST = 50, 0.55, 3
_EXCLUDED = "node.kubernetes.io/exclude-disruption"
_LABELS = (
    ("failure-domain.beta.kubernetes.io/region", "topology.kubernetes.io/region"),
    ("failure-domain.beta.kubernetes.io/zone", "topology.kubernetes.io/zone"),
)


class ZoneState(StrEnum):
    """What a zone's silent nodes are taken for."""

    NORMAL = "Normal"
    PARTIAL = "PartialDisruption"
    FULL = "FullDisruption"


class _Zone(Struct):
    ready: int = 0
    silent: int = 0
    state: ZoneState = ZoneState.NORMAL
    bucket: TokenBucket | None = field(default_factory=lambda: TokenBucket(RATE, 1))


class Zones:
    """The zones by the nodes that were counted."""

    def __init__(self) -> None:
        self._zones: dict[str, _Zone] = {}
        self._counted: dict[str, tuple[str, bool]] = {}
        self.all_disrupted = False

    def count(self, name: str, node: core_v1.Node | None, *, is_ready: bool = False) -> bool:
        """Count a node anew, None when it has gone; tell whether the whole cluster came into or out of disruption."""
        before = self._counted.pop(name, None)
        if before is not None:
            self._add(before, -1)
        if node is not None and _EXCLUDED not in node.metadata.labels:
            now = self._counted[name] = (zone_of(node), is_ready)
            self._add(now, 1)
        was = self.all_disrupted
        self.all_disrupted = bool(self._zones) and all(zone.state is ZoneState.FULL for zone in self._zones.values())
        return was != self.all_disrupted

    def wait_seconds(self, node: core_v1.Node, now: float) -> float | None:
        """Take the right to give up a node, and return 0.0; otherwise when to ask again, None when not by time alone."""
        zone = self._zones.get(zone_of(node))
        bucket = zone.bucket if zone is not None else None
        if self.all_disrupted or bucket is None:
            return None
        return 0.0 if bucket.accepts(now) else 1.0

    def _add(self, counted: tuple[str, bool], change: int) -> None:
        name, is_ready = counted
        zone = self._zones.setdefault(name, _Zone())
        if is_ready:
            zone.ready += change
        else:
            zone.silent += change
        if not zone.ready and not zone.silent:
            del self._zones[name]
            return
        state = _state(zone)
        if state is not zone.state:
            zone.state = state
            rate = RATE
            if state is ZoneState.PARTIAL:
                rate = SECONDARY_RATE if zone.ready + zone.silent > LARGE_SIZE else 0.0
            zone.bucket = TokenBucket(rate, 1) if rate else None


def zone_of(node: core_v1.Node) -> str:
    """Return a node's region and zone as one text, "" when it has neither."""
    labels = node.metadata.labels
    region, zone = (labels.get(elder) or labels.get(name, "") for elder, name in _LABELS)
    return f"{region}:\x00:{zone}" if region or zone else ""


def _state(zone: _Zone) -> ZoneState:
    if zone.silent and not zone.ready:
        return ZoneState.FULL
    if zone.silent >= UNHEALTHY_LEAST and zone.silent / (zone.ready + zone.silent) >= UNHEALTHY_SHARE:
        return ZoneState.PARTIAL
    return ZoneState.NORMAL
