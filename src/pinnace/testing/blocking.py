"""The same cluster for tests that are plain functions: it lives in a thread of its own, and each call waits for its answer.

Nothing else differs: time stands still until the test moves it. Whatever has no method here, `SyncCluster.call` runs in the
cluster's event loop.
"""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from msgspec import Struct

from pinnace.client import Client, Listing, PatchType
from pinnace.component.http import UserInfo
from pinnace.testing.cluster import Cluster, running_cluster

R = TypeVar("R")
T = TypeVar("T", bound=Struct)
_Call = Callable[[Coroutine[Any, Any, Any]], Any]


class SyncClient:
    """A `Client` whose calls wait; see there for what they do and raise."""

    def __init__(self, client: Client, call: _Call) -> None:
        self._client, self._call = client, call

    def get(self, cls: type[T], name: str, namespace: str | None = None) -> T:
        """Return an object."""
        found: T = self._call(self._client.get(cls, name, namespace))
        return found

    def list(
        self, cls: type[T], namespace: str | None = None, *, label_selector: str = "", field_selector: str = ""
    ) -> Listing[T]:
        """Return what the selectors pick, in one namespace or (None) in all."""
        listed: Listing[T] = self._call(
            self._client.list(cls, namespace, label_selector=label_selector, field_selector=field_selector)
        )
        return listed

    def create(self, obj: T, namespace: str | None = None) -> T:
        """Create an object and return it as stored."""
        made: T = self._call(self._client.create(obj, namespace))
        return made

    def update(self, obj: T, *, subresource: str = "") -> T:
        """Replace an object, or a part of it."""
        updated: T = self._call(self._client.update(obj, subresource=subresource))
        return updated

    def patch(
        self,
        cls: type[T],
        name: str,
        patch: Mapping[str, Any] | Sequence[Mapping[str, Any]] | bytes,
        *,
        type: PatchType = PatchType.MERGE,
        namespace: str | None = None,
        subresource: str = "",
    ) -> T:
        """Change an object, or a part of it."""
        patched: T = self._call(
            self._client.patch(cls, name, patch, type=type, namespace=namespace, subresource=subresource)
        )
        return patched

    def delete(self, cls: type[T], name: str, namespace: str | None = None) -> None:
        """Delete an object."""
        self._call(self._client.delete(cls, name, namespace))


class SyncCluster(Struct, frozen=True):
    """A running cluster behind waiting calls.

    Attributes:
        client: calls as the administrator.
        cluster: the cluster itself, whose coroutines `call` runs.
    """

    client: SyncClient
    cluster: Cluster
    _loop: asyncio.AbstractEventLoop

    def call(self, coroutine: Coroutine[Any, Any, R]) -> R:
        """Run a coroutine in the cluster's event loop and return its result."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    def client_as(self, user: UserInfo) -> SyncClient:
        """Return a client that calls as somebody else."""
        return SyncClient(self.cluster.client_as(user), self.call)

    def time(self) -> float:
        """Return the cluster's time, in seconds since the epoch."""
        return self.cluster.clock.time()

    def advance(self, seconds: float = 0.0, *, minutes: float = 0.0, hours: float = 0.0, days: float = 0.0) -> None:
        """Move the cluster's time, and wait until all that it sets off has happened."""
        self.call(self.cluster.clock.advance(seconds, minutes=minutes, hours=hours, days=days))

    def settle(self) -> None:
        """Wait until nothing is going on."""
        self.call(self.cluster.settle())

    def add_node(self, name: str, *, labels: Mapping[str, str] | None = None, **capacity: str) -> None:
        """Add a simulated node and let time pass until it is Ready; `capacity` is what it has: `cpu="2", memory="4Gi"`."""
        self.call(self.cluster.add_node(name, labels=labels, **capacity))

    def stop_node(self, name: str) -> None:
        """Switch a simulated node off, as a machine that loses its power: nobody is told, its containers are there when it returns."""
        self.call(self.cluster.stop_node(name))

    def start_node(self, name: str) -> None:
        """Switch a simulated node on again."""
        self.call(self.cluster.start_node(name))

    def remove_node(self, name: str) -> None:
        """Remove a simulated node and all it runs."""
        self.call(self.cluster.remove_node(name))

    def wait_ready(self, names: Iterable[str]) -> None:
        """Let time pass until these nodes take pods.

        Raises:
            TimeoutError: they do not within a minute of the cluster's time.
        """
        self.call(self.cluster.wait_ready(names))

    @contextmanager
    def listening(self, *, time_passes: bool = True) -> Iterator[Path]:
        """Let programs outside the test reach the cluster, as `Cluster.listening` does."""
        ready: Future[Path] = Future()

        async def listen(ending: asyncio.Event) -> None:
            async with self.cluster.listening(time_passes=time_passes) as kubeconfig:
                ready.set_result(kubeconfig)
                await ending.wait()

        ending = asyncio.Event()
        listener = asyncio.run_coroutine_threadsafe(listen(ending), self._loop)
        listener.add_done_callback(lambda done: None if ready.done() else ready.set_exception(_failure(done)))
        try:
            yield ready.result()
        finally:
            self._loop.call_soon_threadsafe(ending.set)
            listener.result()


@contextmanager
def running_sync_cluster(*, seed: int = 0, nodes: int | Sequence[str] = 1) -> Iterator[SyncCluster]:
    """Run a cluster in a thread while the body runs; the arguments are those of `running_cluster`."""
    ready: Future[tuple[Cluster, asyncio.AbstractEventLoop]] = Future()
    ended: Future[None] = Future()
    ending = asyncio.Event()

    async def live() -> None:
        async with running_cluster(seed=seed, nodes=nodes) as cluster:
            ready.set_result((cluster, asyncio.get_running_loop()))
            await ending.wait()

    def run() -> None:
        try:
            asyncio.run(live())
        except BaseException as error:  # noqa: BLE001 - it is raised where the cluster was asked for
            (ended if ready.done() else ready).set_exception(error)
        else:
            ended.set_result(None)

    threading.Thread(target=run, name="pinnace cluster", daemon=True).start()
    cluster, loop = ready.result()

    def call(coroutine: Coroutine[Any, Any, R]) -> R:
        return asyncio.run_coroutine_threadsafe(coroutine, loop).result()

    try:
        yield SyncCluster(SyncClient(cluster.client, call), cluster, loop)
    finally:
        if not ended.done():
            loop.call_soon_threadsafe(ending.set)
        ended.result()


def _failure(done: Future[None]) -> BaseException:
    return done.exception() or RuntimeError("the listener ended before it listened")
