"""Metrics: one registry per cluster, in upstream's names, served as Prometheus text.

Several clusters can live in one process, so no metric is a module global: components make theirs on the registry they are given.
"""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.exposition import generate_latest
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

from pinnace.component.http.message import Headers, Response

# When a counter was made is a series of its own to the library, and nothing that readers of upstream's metrics know.
disable_created_metrics()  # type: ignore[no-untyped-call]
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8; escaping=underscores"

# Upper bounds in seconds of request durations, as upstream's apiserver has them.
REQUEST_SECONDS = (
    0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 1.25, 1.5, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 45, 60,
)  # fmt: skip


class Metrics:
    """Makes metrics; a name asked for again gives the same metric, so that parts can share one."""

    def __init__(self, *, process: bool = False) -> None:
        """Start empty; with `process`, also report this process (resident memory, CPU, open files, garbage collection)."""
        self.registry = CollectorRegistry()
        self._metrics: dict[str, Counter | Gauge | Histogram] = {}
        if process:
            ProcessCollector(registry=self.registry)
            PlatformCollector(registry=self.registry)
            GCCollector(registry=self.registry)

    def counter(self, name: str, text: str, labels: tuple[str, ...] = ()) -> Counter:
        """Return a counter; the exposition adds `_total` where the name lacks it."""
        made = self._metrics.get(name)
        if made is None:
            made = self._metrics[name] = Counter(name, text, labels, registry=self.registry)
        if not isinstance(made, Counter):
            raise TypeError(f"metric {name} exists and is no counter")
        return made

    def gauge(self, name: str, text: str, labels: tuple[str, ...] = ()) -> Gauge:
        """Return a gauge."""
        made = self._metrics.get(name)
        if made is None:
            made = self._metrics[name] = Gauge(name, text, labels, registry=self.registry)
        if not isinstance(made, Gauge):
            raise TypeError(f"metric {name} exists and is no gauge")
        return made

    def histogram(
        self, name: str, text: str, labels: tuple[str, ...] = (), buckets: tuple[float, ...] = REQUEST_SECONDS
    ) -> Histogram:
        """Return a histogram; `buckets` are upper bounds in the metric's unit."""
        made = self._metrics.get(name)
        if made is None:
            made = self._metrics[name] = Histogram(name, text, labels, registry=self.registry, buckets=buckets)
        if not isinstance(made, Histogram):
            raise TypeError(f"metric {name} exists and is no histogram")
        return made

    def response(self, *fields: tuple[str, str]) -> Response:
        """Return the answer to a scrape, with further header fields."""
        return Response(headers=Headers([("Content-Type", CONTENT_TYPE), *fields]), body=generate_latest(self.registry))
