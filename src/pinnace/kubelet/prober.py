"""Asks containers whether they have started, are ready, still live; knows the answers.

One loop looks each second at which probes are due; each runs beside it, one at a time per container and kind. Until its first answer a
container is not ready, not started, but alive. Upstream: kubelet `prober/`, `pkg/probe/`.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Never

from pinnace.api import core_v1
from pinnace.component.clock import Clock
from pinnace.kubelet.handlers import port_number
from pinnace.kubelet.pod_network import HttpCall, PodNetwork
from pinnace.kubelet.runtime import RuntimeFailure, Streams

_LOOK_SECONDS = 0.25
_OUTPUT_BYTES = 10 * 1024


@dataclass(slots=True)
class _Watched:
    """One container's probes and what they said."""

    uid: str
    container: core_v1.Container
    container_id: str
    host: str
    since: float
    changed: Callable[[], None]
    failed: Callable[[str, str, int, core_v1.Probe | None], None]
    started: bool = False
    ready: bool = False


@dataclass(slots=True)
class _Count:
    due: float
    successes: int = 0
    failures: int = 0
    busy: bool = False


class Prober:
    """The probes of all pods of one node."""

    def __init__(self, streams: Streams, network: PodNetwork, clock: Clock) -> None:
        self._streams, self._network, self._clock = streams, network, clock
        self._watched: dict[tuple[str, str], _Watched] = {}
        self._counts: dict[tuple[str, str], _Count] = {}

    def follow(
        self,
        uid: str,
        container: core_v1.Container,
        container_id: str,
        host: str,
        changed: Callable[[], None],
        failed: Callable[[str, str, int, core_v1.Probe | None], None],
    ) -> None:
        """Probe a running container; safe to repeat. `failed` takes kind, output, failures in a row, and the probe once it gives up."""
        known = self._watched.get((uid, container.name))
        if known is not None and known.container_id == container_id:
            return
        started, ready = container.startup_probe is None, container.readiness_probe is None
        now = self._clock.monotonic()
        self._watched[uid, container.name] = _Watched(
            uid, container, container_id, host, now, changed, failed, started, ready
        )

    def forget(self, uid: str) -> None:
        """Stop probing a pod."""
        for key in [key for key in self._watched if key[0] == uid]:
            self._drop(self._watched.pop(key))

    def unready(self, pod: core_v1.Pod) -> frozenset[str]:
        """Return the containers of a pod that are not ready, as far as probes tell."""
        return frozenset(each.name for each in _containers(pod) if not self._answer(pod, each, "ready"))

    def unstarted(self, pod: core_v1.Pod) -> frozenset[str]:
        """Return the containers of a pod that have not started, as far as probes tell."""
        return frozenset(each.name for each in _containers(pod) if not self._answer(pod, each, "started"))

    async def run(self) -> Never:
        """Probe for ever."""
        async with asyncio.TaskGroup() as group:
            async for _ in self._clock.ticker(_LOOK_SECONDS):
                for watched in tuple(self._watched.values()):
                    self._start_due(group, watched)
        raise AssertionError("a ticker does not end")

    def _start_due(self, group: asyncio.TaskGroup, watched: _Watched) -> None:
        container, now = watched.container, self._clock.monotonic()
        kinds: tuple[tuple[str, core_v1.Probe | None], ...] = (("Startup", container.startup_probe),)
        if watched.started:
            kinds = (("Liveness", container.liveness_probe), ("Readiness", container.readiness_probe))
        for kind, probe in kinds:
            if probe is None:
                continue
            key = (watched.container_id, kind)
            count = self._counts.setdefault(key, _Count(watched.since + probe.initial_delay_seconds))
            if count.busy or now < count.due:
                continue
            count.busy, count.due = True, now + (probe.period_seconds or 10)
            group.create_task(self._once(watched, kind, probe, count), name=f"{kind} probe of {container.name}")

    async def _once(self, watched: _Watched, kind: str, probe: core_v1.Probe, count: _Count) -> None:
        limit = probe.timeout_seconds or 1
        try:
            async with self._clock.timeout(limit):
                problem = await self._ask(watched, probe, limit)
        except TimeoutError:
            problem = f"no answer within {limit}s"
        finally:
            count.busy = False
        if self._watched.get((watched.uid, watched.container.name)) is not watched:
            return
        if problem:
            count.successes, count.failures = 0, count.failures + 1
            over = count.failures >= (probe.failure_threshold or 3)
            watched.failed(kind, problem, count.failures, probe if over and kind != "Readiness" else None)
            if over and kind == "Readiness" and watched.ready:
                watched.ready = False
                watched.changed()
            return
        count.successes, count.failures = count.successes + 1, 0
        if count.successes >= (probe.success_threshold or 1):
            self._succeeded(watched, kind)

    @staticmethod
    def _succeeded(watched: _Watched, kind: str) -> None:
        before = (watched.started, watched.ready)
        if kind == "Startup":
            watched.started = True
        elif kind == "Readiness":
            watched.ready = True
        if before != (watched.started, watched.ready):
            watched.changed()

    async def _ask(self, watched: _Watched, probe: core_v1.Probe, limit: int) -> str:
        """Ask once; return what is wrong, empty when nothing."""
        if probe.exec is not None:
            try:
                done = await self._streams.execute(watched.container_id, probe.exec.command, limit)
            except RuntimeFailure as error:
                return str(error)
            return "" if done.exit_code == 0 else done.output[:_OUTPUT_BYTES].decode(errors="replace") or "failed"
        if probe.http_get is not None:
            try:
                answer = await self._network.get(_http_call(watched, probe.http_get))
            except OSError as error:
                return str(error) or "no answer"
            return "" if 200 <= answer.status < 400 else f"HTTP probe failed with statuscode: {answer.status}"
        if probe.tcp_socket is not None:
            host = probe.tcp_socket.host or watched.host
            try:
                await self._network.connect(host, port_number(probe.tcp_socket.port, watched.container))
            except OSError as error:
                return str(error)
            return ""
        return "gRPC probes are not supported by this node"

    def _answer(self, pod: core_v1.Pod, container: core_v1.Container, what: str) -> bool:
        if container.readiness_probe is None and container.startup_probe is None:
            return True
        watched = self._watched.get((pod.metadata.uid, container.name))
        if watched is None:
            return False
        return watched.started if what == "started" else watched.started and watched.ready

    def _drop(self, watched: _Watched) -> None:
        self._counts = {key: value for key, value in self._counts.items() if key[0] != watched.container_id}


def _http_call(watched: _Watched, action: core_v1.HTTPGetAction) -> HttpCall:
    given = [(item.name, item.value) for item in action.http_headers]
    return HttpCall(
        host=action.host or watched.host,
        port=port_number(action.port, watched.container),
        path=action.path or "/",
        secure=action.scheme == "HTTPS",
        headers=(("User-Agent", "kube-probe/1.36"), ("Accept", "*/*"), *given),
    )


def _containers(pod: core_v1.Pod) -> tuple[core_v1.Container, ...]:
    return (*(pod.spec.init_containers or ()), *(pod.spec.containers or ()))
