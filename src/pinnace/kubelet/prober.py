"""Keeps asking containers whether they have started, are ready, still live; knows the answers.

One task per probe, asleep on the clock between two questions. Until the first answer a container is not started (when it has a startup
probe), not ready (when it has a readiness probe), but alive. A liveness or startup probe that has given up is silent until there is
a new container. Upstream: kubelet `prober/worker.go`, `prober/prober_manager.go`.
"""

import asyncio
from collections import Counter
from collections.abc import Iterable
from enum import StrEnum
from typing import Protocol

from msgspec import Struct, field

from pinnace.api import core_v1
from pinnace.component.clock import Clock
from pinnace.kubelet import probes
from pinnace.kubelet.probes import Answer, ProbeError, Probes, Target

# A question that could not be put is put again at once, so many times in all.
_ATTEMPTS = 3


class Kind(StrEnum):
    """What a probe decides."""

    STARTUP = "Startup"
    LIVENESS = "Liveness"
    READINESS = "Readiness"


class Verdict(Struct, frozen=True):
    """A probe has given a container up; `grace_seconds` is the probe's own, None when the pod's holds."""

    kind: Kind
    grace_seconds: int | None


class Listener(Protocol):
    """Who wants to know of one container's answers."""

    def changed(self) -> None:
        """Learn that the container became ready or started, or ceased to be."""

    def warned(self, reason: str, message: str) -> None:
        """Tell people of a bad answer."""

    def gave_up(self, kind: Kind) -> None:
        """Learn that the container is to be restarted."""


class _Watched(Struct):
    """One container's probes and what they said."""

    uid: str
    target: Target
    started_at: float
    listener: Listener
    started: bool
    ready: bool
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    tasks: list[asyncio.Task[None]] = field(default_factory=list)


class Prober:
    """The probes of all pods of one node."""

    def __init__(self, asking: Probes, clock: Clock) -> None:
        self._probes, self._clock = asking, clock
        self._watched: dict[tuple[str, str], _Watched] = {}
        # How often each probe got each result; by UID, container, kind and result.
        self._results: Counter[tuple[str, str, Kind, str]] = Counter()
        self._group: asyncio.TaskGroup | None = None

    def carry_in(self, group: asyncio.TaskGroup) -> None:
        """Let the tasks live in the agent's own group."""
        self._group = group

    def follow(
        self, uid: str, target: Target, started_at: float, listener: Listener, *, known_ready: bool = False
    ) -> None:
        """Probe a running container; safe to repeat. `known_ready` is what an earlier agent had found out."""
        container = target.container
        known = self._watched.get((uid, container.name))
        if known is not None and known.target.container_id == target.container_id:
            return
        if known is not None:
            _cancel(known)
        started = container.startup_probe is None or known_ready
        watched = _Watched(
            uid, target, started_at, listener, started, started and (container.readiness_probe is None or known_ready)
        )
        if started:
            watched.begun.set()
        self._watched[uid, container.name] = watched
        for kind, probe in (
            (Kind.STARTUP, container.startup_probe if not started else None),
            (Kind.LIVENESS, container.liveness_probe),
            (Kind.READINESS, container.readiness_probe),
        ):
            if probe is not None and self._group is not None:
                name = f"{kind} probe of {container.name}"
                watched.tasks.append(self._group.create_task(self._keep_asking(watched, kind, probe), name=name))

    def spare(self, uid: str) -> None:
        """Ask no more whether a pod's containers live: it is being ended, and only readiness still matters."""
        for watched in [each for key, each in self._watched.items() if key[0] == uid]:
            for task in watched.tasks:
                if not task.get_name().startswith(Kind.READINESS):
                    task.cancel()

    def forget(self, uid: str) -> None:
        """Stop probing a pod."""
        for key in [key for key in self._watched if key[0] == uid]:
            _cancel(self._watched.pop(key))
        for result in [result for result in self._results if result[0] == uid]:
            del self._results[result]

    def metrics(self, pods: Iterable[core_v1.Pod]) -> str:
        """Return the results of the probes of pods in Prometheus' text format."""
        known = {pod.metadata.uid: pod.metadata for pod in pods}
        lines = [
            f'prober_probe_total{{container="{container}",namespace="{known[uid].namespace}",pod="{known[uid].name}",'
            f'pod_uid="{uid}",probe_type="{kind}",result="{result}"}} {count}\n'
            for (uid, container, kind, result), count in sorted(self._results.items())
            if uid in known
        ]
        text = "Cumulative number of a liveness, readiness or startup probe for a container by result."
        head = f"# HELP prober_probe_total [BETA] {text}\n# TYPE prober_probe_total counter\n"
        return head + "".join(lines) if lines else ""

    def unready(self, pod: core_v1.Pod) -> frozenset[str]:
        """Return the containers of a pod that are not ready, as far as probes tell."""
        return frozenset(
            each.name
            for each in _containers(pod)
            if (each.readiness_probe or each.startup_probe)
            and not ((found := self._found(pod, each)) is not None and found.ready)
        )

    def unstarted(self, pod: core_v1.Pod) -> frozenset[str]:
        """Return the containers of a pod that have not started, as far as probes tell."""
        return frozenset(
            each.name
            for each in _containers(pod)
            if each.startup_probe and not ((found := self._found(pod, each)) is not None and found.started)
        )

    async def _keep_asking(self, watched: _Watched, kind: Kind, probe: core_v1.Probe) -> None:
        age = max(self._clock.time() - watched.started_at, 0.0)
        await self._clock.sleep(probe.initial_delay_seconds - age)
        if kind is not Kind.STARTUP:
            await watched.begun.wait()
        successes = failures = 0
        period = float(probe.period_seconds or 10)
        while True:
            asked_at = self._clock.monotonic()
            answer = await self._ask(watched, kind, probe)
            self._results[watched.uid, watched.target.container.name, kind, _result(answer)] += 1
            if answer is not None:
                good = answer.verdict is not probes.Verdict.FAILURE
                successes, failures = (successes + 1, 0) if good else (0, failures + 1)
                if good and successes >= (probe.success_threshold or 1):
                    self._succeeded(watched, kind)
                    if kind is Kind.STARTUP:
                        return
                elif failures >= (probe.failure_threshold or 3) and self._failed(watched, kind):
                    return
            await self._clock.sleep(max(asked_at + period - self._clock.monotonic(), 0.0))

    async def _ask(self, watched: _Watched, kind: Kind, probe: core_v1.Probe) -> Answer | None:
        """Ask, and tell of what is wrong; None when it could not be asked."""
        for attempt in range(_ATTEMPTS):
            try:
                answer = await self._probes.ask(watched.target, probe)
            except ProbeError as error:
                if attempt == _ATTEMPTS - 1:
                    text = f"{kind} probe errored and resulted in unknown state: {error}"
                    watched.listener.warned("Unhealthy", text)
                continue
            if answer.verdict is probes.Verdict.FAILURE:
                watched.listener.warned("Unhealthy", f"{kind} probe failed: {answer.output}")
            elif answer.verdict is probes.Verdict.WARNING:
                watched.listener.warned("ProbeWarning", f"{kind} probe warning: {answer.output}")
            return answer
        return None

    @staticmethod
    def _succeeded(watched: _Watched, kind: Kind) -> None:
        before = (watched.started, watched.ready)
        if kind is Kind.STARTUP:
            watched.started = True
            watched.ready = watched.target.container.readiness_probe is None
            watched.begun.set()
        elif kind is Kind.READINESS:
            watched.ready = True
        if before != (watched.started, watched.ready):
            watched.listener.changed()

    @staticmethod
    def _failed(watched: _Watched, kind: Kind) -> bool:
        """Act on too many failures in a row; tells whether the probe is done with this container."""
        if kind is not Kind.READINESS:
            watched.listener.gave_up(kind)
            return True
        if watched.ready:
            watched.ready = False
            watched.listener.changed()
        return False

    def _found(self, pod: core_v1.Pod, container: core_v1.Container) -> _Watched | None:
        return self._watched.get((pod.metadata.uid, container.name))


def _result(answer: Answer | None) -> str:
    if answer is None:
        return "unknown"
    return "failed" if answer.verdict is probes.Verdict.FAILURE else "successful"


def _cancel(watched: _Watched) -> None:
    for task in watched.tasks:
        task.cancel()


def _containers(pod: core_v1.Pod) -> tuple[core_v1.Container, ...]:
    return (*(pod.spec.init_containers or ()), *(pod.spec.containers or ()))
