"""What the server has answered and what it keeps, in upstream's metric names and labels.

Invariant: the number of series is bounded. Labels come from the table of resources, never from a path that a client has made up;
what is no resource is counted under its verb alone. Upstream: apiserver `endpoints/metrics/metrics.go`, `storage/etcd3/metrics`.
"""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, Protocol

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from pinnace.api import resources
from pinnace.api.resources import Resource
from pinnace.apiserver.endpoints.request_info import RequestInfo
from pinnace.apiserver.in_flight import MUTATING, READ_ONLY, InFlight
from pinnace.component.http import Request
from pinnace.component.metrics import Metrics

_COMPONENT = "apiserver"
_PLACE = ("group", "version", "resource", "subresource", "scope", "component")
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
# Upper bounds in bytes of answers.
_SIZES = tuple(1000.0 * 10**power for power in range(7))


class RequestMetrics:
    """Counts answers; label values are looked up once for each kind of request."""

    def __init__(self, metrics: Metrics, in_flight: InFlight) -> None:
        current = metrics.gauge("apiserver_current_inflight_requests", "Requests at work, by kind.", ("request_kind",))
        for kind in (READ_ONLY, MUTATING):
            current.labels(kind).set_function(partial(in_flight.counts.__getitem__, kind))
        labels = ("verb", "dry_run", *_PLACE)
        self._total = metrics.counter("apiserver_request_total", "Requests answered.", (*labels, "code"))
        self._seconds = metrics.histogram("apiserver_request_duration_seconds", "Time to the answer.", labels)
        self._sizes = metrics.histogram(
            "apiserver_response_sizes", "Bytes of the answers to readers.", ("verb", *_PLACE), buckets=_SIZES
        )
        self._counts: dict[tuple[Any, ...], Callable[[float, int], None]] = {}

    def count(self, request: Request, info: RequestInfo, code: int, seconds: float, size: int) -> None:
        """Count one answer; a size of 0 is not known."""
        dry = bool(request.query) and "dryRun" in request.query
        key = (info.verb, info.group, info.version, info.resource, info.subresource, _scope(info), dry, code)
        count = self._counts.get(key)
        if count is None:
            count = self._counting(info, code, dry_run=dry)
            # Clients choose the words; only those that are served are finite.
            resource = resources.by_path(info.group, info.version, info.resource)
            if resource is not None and (not info.subresource or resource.subresource(info.subresource) is not None):
                self._counts[key] = count
        count(seconds, size)

    def _counting(self, info: RequestInfo, code: int, *, dry_run: bool) -> Callable[[float, int], None]:
        verb, place = _verb(info), _place(info)
        labels = (verb, "All" if dry_run else "", *place)
        total, duration = self._total.labels(*labels, str(code)), self._seconds.labels(*labels)
        sizes = self._sizes.labels(verb, *place) if info.verb in {"get", "list"} else None

        def count(seconds: float, size: int) -> None:
            total.inc()
            duration.observe(seconds)
            if sizes is not None and size:
                sizes.observe(size)

        return count


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


class Kept(Protocol):
    """What is known of the objects of one resource."""

    def __len__(self) -> int:
        """Return how many there are."""

    @property
    def watching(self) -> int:
        """Return how many watch them."""


class StorageCollector(Collector):
    """Reads at each scrape how many objects there are, and how many watches."""

    def __init__(self, kept: Callable[[], Iterable[tuple[Resource, Kept]]]) -> None:
        self._kept = kept

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
        yield from (objects, by_group, long_running)
