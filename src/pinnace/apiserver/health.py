"""The API server's health: what /livez, /readyz and /healthz look at, and the level indicators of /metrics/slis.

Upstream: apiserver `server/healthz.go`, `server/healthz`, component-base `metrics/prometheus/slis`.
"""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from functools import partial

from pinnace.component.healthz import PING, Check, HealthChecks
from pinnace.component.http import Request, Response
from pinnace.component.metrics import Metrics


class Health:
    """Ready once what the server makes by itself is made, until it is to stop."""

    def __init__(self, store_failure: Callable[[], Awaitable[str]], hooks: Sequence[str]) -> None:
        """`store_failure` says why the store is not healthy, if so; `hooks` are the names of the post-start hooks."""
        self._ready = self._stopping = False
        self.indicators = Metrics()
        self._gauge = self.indicators.gauge(
            "kubernetes_healthcheck", "The newest result of a check: 1 is good.", ("name", "type")
        )
        self._counter = self.indicators.counter(
            "kubernetes_healthchecks", "Results of checks.", ("name", "status", "type")
        )
        log, etcd = Check("log", _fine), Check("etcd", store_failure)
        started = [Check(f"poststarthook/{name}", self._start_failure) for name in hooks]
        ready = (Check("etcd-readiness", store_failure), Check("informer-sync", self._start_failure))
        self._families = {
            "healthz": self._family("healthz", (PING, log, etcd, *started)),
            "livez": self._family("livez", (PING, log, etcd, *started)),
            "readyz": self._family(
                "readyz", (PING, log, etcd, *ready, *started, Check("shutdown", self._shutdown_failure))
            ),
        }

    def set_ready(self) -> None:
        """Report ready from now on."""
        self._ready = True

    def set_stopping(self) -> None:
        """Report not ready from now on, for good."""
        self._stopping = True

    def of(self, family: str) -> HealthChecks | None:
        """Return the checks below a path's first segment, None when there are none."""
        return self._families.get(family)

    async def indicate(self, request: Request) -> Response:
        """Answer a scrape of the level indicators, for which every check is made."""
        del request
        for family in self._families.values():
            await family.failures()
        return self.indicators.response()

    def paths(self) -> Iterator[str]:
        """Yield the paths of all checks."""
        for family, checks in self._families.items():
            yield f"/{family}"
            yield from (f"/{family}/{name}" for name in checks.names)

    def _family(self, name: str, checks: Sequence[Check]) -> HealthChecks:
        return HealthChecks(f"/{name}", checks, on_result=partial(self._record, name))

    def _record(self, family: str, name: str, passed: bool) -> None:  # noqa: FBT001 - called by position
        self._gauge.labels(name, family).set(passed)
        self._counter.labels(name, "success" if passed else "error", family).inc()

    async def _start_failure(self) -> str:
        return "" if self._ready else "not finished"

    async def _shutdown_failure(self) -> str:
        return "process is shutting down" if self._stopping else ""


async def _fine() -> str:
    return ""
