"""What the server has answered and what it keeps, in upstream's metric names and labels.

Invariant: the number of series is bounded. Labels come from the table of resources, never from a path that a client has made up;
what is no resource is counted under its verb alone. Upstream: apiserver `endpoints/metrics/metrics.go`, `storage/etcd3/metrics`.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from itertools import accumulate
from typing import Any, NamedTuple, Protocol

from msgspec import structs
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from pinnace.api import resources
from pinnace.api.resources import Resource
from pinnace.apiserver.build_version import VERSION
from pinnace.apiserver.endpoints.request_info import RequestInfo
from pinnace.apiserver.in_flight import MUTATING, READ_ONLY, InFlight
from pinnace.component.http import Request
from pinnace.component.metrics import REQUEST_SECONDS, Metrics
from pinnace.store.interface import Store

_COMPONENT = "apiserver"
# Upstream's word for the first place that objects are stored in.
_STORE = "etcd-0"
_PLACE = ("group", "version", "resource", "subresource", "scope", "component")
_LABELS = ("verb", "dry_run", *_PLACE)
_VERBS = {
    "get": "GET",
    "list": "LIST",
    "watch": "WATCH",
    "create": "POST",
    "update": "PUT",
    "patch": "PATCH",
    "delete": "DELETE",
    "deletecollection": "DELETECOLLECTION",
}
# Subresources that lead elsewhere, whatever the method.
_CONNECT = frozenset({"attach", "exec", "portforward", "proxy"})
_METHODS = {"post": "POST", "put": "PUT", "patch": "PATCH", "delete": "DELETE", "get": "GET", "head": "HEAD"}
_BUILD = (
    "major", "minor", "git_version", "git_commit", "git_tree_state", "build_date", "go_version", "compiler", "platform",
)  # fmt: skip
# Upper bounds in bytes of answers.
_SIZES = tuple(1000.0 * 10**power for power in range(7))


class _Distribution:
    """How often values fell between bounds; a tenth of the cost of the library's histogram, which every request would pay twice."""

    __slots__ = ("_bounds", "_counts", "_sum")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def observe(self, value: float) -> None:
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def add_to(self, family: HistogramMetricFamily, labels: tuple[str, ...]) -> None:
        names = (*map(floatToGoString, self._bounds), "+Inf")
        family.add_metric(labels, list(zip(names, accumulate(self._counts), strict=True)), self._sum)


class _Series(NamedTuple):
    """Where one kind of request is counted."""

    total: tuple[str, ...]
    seconds: _Distribution
    own_seconds: _Distribution | None
    sizes: _Distribution | None


class RequestMetrics(Collector):
    """Counts answers; label values are looked up once for each kind of request, and text is made of them at a scrape."""

    def __init__(self, metrics: Metrics, in_flight: InFlight) -> None:
        self._in_flight = in_flight
        self._total: dict[tuple[str, ...], int] = {}
        self._seconds: dict[tuple[str, ...], _Distribution] = {}
        self._own_seconds: dict[tuple[str, ...], _Distribution] = {}
        self._sizes: dict[tuple[str, ...], _Distribution] = {}
        self._series: dict[tuple[Any, ...], _Series] = {}
        metrics.registry.register(self)

    def count(
        self, request: Request, info: RequestInfo, code: int, seconds: float, *, waited: float = 0.0, size: int = 0
    ) -> None:
        """Count one answer, of whose time some may have gone by in a queue; a size of 0 is not known."""
        dry = bool(request.query) and "dryRun" in request.query
        key = (info.verb, info.group, info.version, info.resource, info.subresource, _scope(info), dry, code)
        series = self._series.get(key)
        if series is None:
            series = self._new_series(info, code, dry_run=dry)
            # Clients choose the words; only those that are served are finite.
            resource = resources.by_path(info.group, info.version, info.resource)
            if resource is not None and (not info.subresource or resource.subresource(info.subresource) is not None):
                self._series[key] = series
        self._total[series.total] += 1
        series.seconds.observe(seconds)
        if series.own_seconds is not None:
            series.own_seconds.observe(seconds - waited)
        if series.sizes is not None and size:
            series.sizes.observe(size)

    def _new_series(self, info: RequestInfo, code: int, *, dry_run: bool) -> "_Series":
        verb, place = _verb(info), _place(info)
        labels = (verb, "All" if dry_run else "", *place)
        total = (*labels, str(code))
        self._total.setdefault(total, 0)
        duration = self._seconds.setdefault(labels, _Distribution(REQUEST_SECONDS))
        # What lasts as long as its client likes says nothing of the server.
        is_short = verb not in {"CONNECT", "WATCH"}
        own = self._own_seconds.setdefault((verb, *place), _Distribution(REQUEST_SECONDS)) if is_short else None
        sizes = self._sizes.setdefault((verb, *place), _Distribution(_SIZES)) if info.verb in {"get", "list"} else None
        return _Series(total, duration, own, sizes)

    def collect(self) -> Iterator[Metric]:
        current = GaugeMetricFamily(
            "apiserver_current_inflight_requests", "Requests at work, by kind.", labels=("request_kind",)
        )
        for kind in (READ_ONLY, MUTATING):
            current.add_metric((kind,), self._in_flight.counts[kind])
        total = CounterMetricFamily("apiserver_request", "Requests answered.", labels=(*_LABELS, "code"))
        for labels, count in self._total.items():
            total.add_metric(labels, count)
        seconds = HistogramMetricFamily("apiserver_request_duration_seconds", "Time to the answer.", labels=_LABELS)
        for labels, distribution in self._seconds.items():
            distribution.add_to(seconds, labels)
        own = HistogramMetricFamily(
            "apiserver_request_sli_duration_seconds",
            "Time to the answer, less what was spent in queues.",
            labels=("verb", *_PLACE),
        )
        for labels, distribution in self._own_seconds.items():
            distribution.add_to(own, labels)
        sizes = HistogramMetricFamily(
            "apiserver_response_sizes", "Bytes of the answers to readers.", labels=("verb", *_PLACE)
        )
        for labels, distribution in self._sizes.items():
            distribution.add_to(sizes, labels)
        yield from (current, total, seconds, own, sizes)


def _scope(info: RequestInfo) -> str:
    """Return how much a request is about: one object, a namespace, or the cluster."""
    if not info.is_resource:
        return ""
    if info.name or info.verb == "create":
        return "resource"
    return "namespace" if info.namespace else "cluster"


def _verb(info: RequestInfo) -> str:
    if info.subresource in _CONNECT:
        return "CONNECT"
    return _VERBS.get(info.verb) or _METHODS.get(info.verb, "other")


def _place(info: RequestInfo) -> tuple[str, ...]:
    """Return the labels of what a request is about, empty where nothing of that name is served."""
    resource = resources.by_path(info.group, info.version, info.resource) if info.is_resource else None
    if resource is None:
        return ("", "", "", "", "", _COMPONENT)
    part = info.subresource if resource.subresource(info.subresource) is not None else ""
    return (info.group, info.version, info.resource, part, _scope(info), _COMPONENT)


class BuildInfo(Collector):
    """Says which version this is."""

    def collect(self) -> Iterator[Metric]:
        facts = {name: str(value) for name, value in structs.asdict(VERSION).items()}
        family = GaugeMetricFamily("kubernetes_build_info", "The version, always 1.", labels=_BUILD)
        family.add_metric([facts[name] for name in _BUILD], 1)
        yield family


class Kept(Protocol):
    """What is known of the objects of one resource."""

    def __len__(self) -> int:
        """Return how many there are."""

    @property
    def watching(self) -> int:
        """Return how many watch them."""


class StorageCollector(Collector):
    """Reads at each scrape how many objects there are, how many watches, and how large the store is."""

    def __init__(self, kept: Callable[[], Iterable[tuple[Resource, Kept]]], store: Store) -> None:
        self._kept = kept
        self._store = store

    def collect(self) -> Iterator[Metric]:
        objects = GaugeMetricFamily("apiserver_storage_objects", "Objects stored.", labels=("resource",))
        by_group = GaugeMetricFamily("apiserver_resource_objects", "Objects stored.", labels=("group", "resource"))
        long_running = GaugeMetricFamily(
            "apiserver_longrunning_requests", "Watches that are followed.", labels=("verb", *_PLACE)
        )
        for resource, kept in self._kept():
            objects.add_metric((resource.qualified,), len(kept))
            by_group.add_metric((resource.group, resource.plural), len(kept))
            if kept.watching:
                place = (resource.group, resource.version, resource.plural, "", "cluster", _COMPONENT)
                long_running.add_metric(("WATCH", *place), kept.watching)
        size = GaugeMetricFamily(
            "apiserver_storage_size_bytes", "Bytes that the store takes.", labels=("storage_cluster_id",)
        )
        size.add_metric((_STORE,), self._store.status().size_bytes)
        yield from (objects, by_group, long_running, size)
