"""What flow control has done, in upstream's metric names; counted in plain numbers and put into form when somebody asks.

Upstream: apiserver `util/flowcontrol/metrics`.
"""

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from pinnace.apiserver.flowcontrol.controller import FlowControl

_PREFIX = "apiserver_flowcontrol_"
_BOTH = ("priority_level", "flow_schema")


class FlowControlCollector(Collector):
    """Reads the numbers at each scrape."""

    def __init__(self, flow_control: FlowControl) -> None:
        self._flow_control = flow_control

    def collect(self) -> Iterator[Metric]:
        yield from self._by_schema()
        yield from self._by_level()

    def _by_schema(self) -> Iterator[Metric]:
        dispatched = CounterMetricFamily(f"{_PREFIX}dispatched_requests_total", "Requests served.", labels=_BOTH)
        executing = GaugeMetricFamily(f"{_PREFIX}current_executing_requests", "Requests at work.", labels=_BOTH)
        waiting = GaugeMetricFamily(f"{_PREFIX}current_inqueue_requests", "Requests in queues.", labels=_BOTH)
        rejected = CounterMetricFamily(
            f"{_PREFIX}rejected_requests_total", "Requests refused.", labels=(*_BOTH, "reason")
        )
        for counts in self._flow_control.counts:
            labels = (counts.level, counts.name)
            dispatched.add_metric(labels, counts.dispatched)
            executing.add_metric(labels, counts.executing)
            waiting.add_metric(labels, counts.waiting)
            for reason, count in counts.rejected.items():
                rejected.add_metric((*labels, reason), count)
        yield from (dispatched, executing, waiting, rejected)

    def _by_level(self) -> Iterator[Metric]:
        label = ("priority_level",)
        nominal = GaugeMetricFamily(f"{_PREFIX}nominal_limit_seats", "Seats by the shares.", labels=label)
        least = GaugeMetricFamily(f"{_PREFIX}lower_limit_seats", "Seats that are never lent.", labels=label)
        most = GaugeMetricFamily(f"{_PREFIX}upper_limit_seats", "Seats with all that may be borrowed.", labels=label)
        in_use = GaugeMetricFamily(f"{_PREFIX}current_executing_seats", "Seats in use.", labels=label)
        for level in self._flow_control.levels:
            limits = level.holder.limits
            for family, value in (
                (nominal, limits.nominal),
                (least, limits.least),
                (most, limits.most),
                (in_use, level.holder.in_use),
            ):
                family.add_metric((level.name,), value)
        yield from (nominal, least, most, in_use)
