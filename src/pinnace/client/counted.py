"""Counts what clients ask and what they are answered, in the metric names of client-go (`tools/metrics`)."""

from collections.abc import Mapping

from prometheus_client import Counter, Histogram

from pinnace.client.transport import Transport
from pinnace.component.clock import Clock
from pinnace.component.http import Response
from pinnace.component.metrics import Metrics

# Upper bounds in seconds: upstream's.
_SECONDS = (0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0)
# What stands in the place of a status when no answer came.
_NO_ANSWER = "<error>"


class CountedTransport(Transport):
    """Another transport, with every request through it counted."""

    def __init__(self, inner: Transport, metrics: Metrics, clock: Clock, host: str = "localhost") -> None:
        """Count what goes through `inner` to `host`."""
        self._inner = inner
        self._clock = clock
        self._host = host
        self._requests = metrics.counter(
            "rest_client_requests", "Requests by status, host and method.", ("code", "host", "method")
        )
        self._seconds = metrics.histogram(
            "rest_client_request_duration_seconds", "Time to the answer.", ("host", "verb"), _SECONDS
        )
        # Looking series up by their labels costs more than counting.
        self._known: dict[tuple[str, str], tuple[Counter, Histogram]] = {}

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: str = "",
        headers: Mapping[str, str],
        body: bytes = b"",
        stream: bool = False,
    ) -> Response:
        begun = self._clock.monotonic()
        code = _NO_ANSWER
        try:
            answer = await self._inner.request(method, path, query=query, headers=headers, body=body, stream=stream)
            code = str(answer.status)
            return answer
        finally:
            count, seconds = self._series(code, method)
            count.inc()
            seconds.observe(self._clock.monotonic() - begun)

    def _series(self, code: str, method: str) -> tuple[Counter, Histogram]:
        known = self._known.get((code, method))
        if known is None:
            known = self._requests.labels(code, self._host, method), self._seconds.labels(self._host, method)
            self._known[code, method] = known
        return known

    async def close(self) -> None:
        await self._inner.close()
