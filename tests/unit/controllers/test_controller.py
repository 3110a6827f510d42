"""The loop of controllers: failures are isolated, counted and tried again; a loop that fails finds its keys again."""

import asyncio
from typing import Any, ClassVar, cast

import pytest

from pinnace.api.apps_v1 import ReplicaSet
from pinnace.api.core_v1 import Pod
from pinnace.client import InformerFactory
from pinnace.component.clock import VirtualClock
from pinnace.component.lifecycle import running
from pinnace.component.metrics import Metrics
from pinnace.controllers.controller import Controller
from pinnace.controllers.expectations import Expectations
from pinnace.controllers.pod_control import PodControl
from pinnace.controllers.slow_start import slow_start
from pinnace.machinery.errors import Cause, Forbidden, forbidden

TERMINATING = forbidden(
    "",
    "pods",
    "p",
    "unable to create new content in namespace ns because it is being terminated",
    causes=(Cause("NamespaceTerminating", "namespace ns is being terminated", "metadata.namespace"),),
)


class Trying(Controller):
    """Fails as often as it is told, each key on its own."""

    name = component = "trying"
    retry_limit: ClassVar[int | None] = 5

    def __init__(self, clock: VirtualClock, metrics: Metrics | None = None) -> None:
        nothing: Any = None
        super().__init__(nothing, InformerFactory(nothing, clock, metrics=metrics), clock)
        self.looks: list[str] = []
        self.failures: dict[str, int] = {}
        self.error: Exception | None = None

    async def reconcile(self, key: str) -> float | None:
        self.looks.append(key)
        if self.failures.get(key, 0) > 0:
            self.failures[key] -= 1
            raise self.error or KeyError(key)
        return None


async def test_failing_key_does_not_stop_others() -> None:
    """A bug about one object is tried again and again; the others are looked at once."""
    clock, metrics = VirtualClock(), Metrics()
    controller = Trying(clock, metrics)
    controller.failures["bad"] = 3
    async with running("controller", controller.run):
        for key in ("bad", "good"):
            controller.enqueue_key(key)
        await clock.advance(seconds=10)
    assert sorted(controller.looks) == ["bad"] * 4 + ["good"]
    body = metrics.response().body
    assert isinstance(body, bytes)
    assert b'pinnace_controller_reconcile_failures_total{controller="Trying"} 3.0' in body


async def test_key_in_a_namespace_that_goes_is_left_alone() -> None:
    """What a terminating namespace refuses is no failure: it is neither counted nor tried again."""
    clock, metrics = VirtualClock(), Metrics()
    controller = Trying(clock, metrics)
    controller.failures["ns/x"] = 3
    controller.error = TERMINATING
    async with running("controller", controller.run):
        controller.enqueue_key("ns/x")
        await clock.advance(hours=1)
    assert controller.looks == ["ns/x"]
    body = metrics.response().body
    assert isinstance(body, bytes)
    assert b'pinnace_controller_reconcile_failures_total{controller="Trying"} 0.0' in body


class Recorder:
    """Events that were told."""

    def __init__(self) -> None:
        self.reasons: list[str] = []

    def event(self, owner: object, kind: str, reason: str, message: str) -> None:
        self.reasons.append(reason)


class Refusing:
    """A client whose creates are refused."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    async def create(self, obj: object) -> object:
        raise self.error


async def test_pod_is_not_missed_in_a_namespace_that_goes() -> None:
    """Creating it there is no failure and no event; any other refusal is both."""
    recorder: Any = Recorder()
    owner, quiet = ReplicaSet(), PodControl(cast("Any", Refusing(TERMINATING)), recorder)
    await quiet.create(owner, Pod())
    assert recorder.reasons == []
    with pytest.raises(Forbidden, match="no room"):
        await PodControl(cast("Any", Refusing(forbidden("", "pods", "p", "no room"))), recorder).create(owner, Pod())
    assert recorder.reasons == ["FailedCreate"]


async def test_retries_end_where_upstream_ends_them() -> None:
    """A key that has been tried again as often as the limit says waits for its next change."""
    clock = VirtualClock()
    controller = Trying(clock)
    controller.failures["bad"] = 100
    async with running("controller", controller.run):
        controller.enqueue_key("bad")
        await clock.advance(hours=1)
    assert controller.looks == ["bad"] * 6


async def test_keys_outlive_a_loop_that_fails() -> None:
    """What was still to be looked at when the loop ended is looked at by the next one."""
    clock = VirtualClock()
    controller = Trying(clock)
    async with running("controller", controller.run):
        await clock.settle()
        controller.enqueue_after("later", 60.0)
    async with running("controller", controller.run):
        await clock.settle()
    assert controller.looks == ["later"]


async def test_slow_start_stops_at_the_first_failing_batch() -> None:
    """Of 100 calls that all fail one is made; of those that fail from the fourth on seven are."""
    made: list[int] = []

    async def call(number: int) -> None:
        made.append(number)
        if number >= limit:
            raise OSError("no")

    limit = 0
    outcome = await slow_start(range(100), call)
    assert (made, outcome.succeeded) == ([0], 0)
    made.clear()
    limit = 3
    outcome = await slow_start(range(100), call)
    assert (len(made), outcome.succeeded) == (7, 3)
    assert isinstance(outcome.error, OSError)


async def test_slow_start_lets_cancellation_through() -> None:
    """A controller that is stopped stops, whatever its calls do."""

    async def call(_: int) -> None:
        await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await slow_start(range(3), call)


async def test_expectations_hold_until_met_or_old() -> None:
    """Creations are counted and deletions remembered by key; after five minutes they are given up."""
    clock = VirtualClock()
    expectations = Expectations(clock)
    expectations.expect("a", creations=2)
    expectations.created("a")
    assert not expectations.are_met("a")
    expectations.created("a")
    assert expectations.are_met("a")
    expectations.expect("a", deletions=["x", "y"])
    expectations.deleted("a", "x")
    expectations.deleted("a", "x")
    assert not expectations.are_met("a")
    await clock.advance(seconds=301)
    assert expectations.are_met("a")
