"""The simulator: follows the Nodes that ask to be simulated, and runs an agent for each of them in this process.

    a Node appears ──▶ agent runs ◀──annotation──▶ stopped: machine off, its containers kept ──▶ the Node goes: agent ends, all forgotten

The agents are the real ones over a runtime that runs nothing; they share three watches, whatever their number, and begin a few at a time,
so that thousands that return at once do not drown the API server. Invariant: a name has at most one agent at a time.
"""

import asyncio
import itertools
import random
from collections.abc import AsyncIterator, MutableMapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Never

from msgspec import Struct, field
from msgspec.structs import replace

from pinnace.api import core_v1
from pinnace.client import Client, EventWriter, InformerFactory, InProcessTransport
from pinnace.cluster.simulated_node import (
    SIMULATED_LABEL,
    STAGES_ANNOTATION,
    NodeAddresses,
    is_simulated,
    is_stopped,
    max_pods,
    simulation,
)
from pinnace.component.clock import Clock
from pinnace.component.http import Handler, UserInfo
from pinnace.component.identity import Identity
from pinnace.component.lifecycle import running
from pinnace.component.logging import get_logger
from pinnace.kubelet import Kubelet, KubeletConfig
from pinnace.kubelet.simulated import SimulatedRuntime, Simulation, StageError
from pinnace.kubelet.sources import SharedSources

# Agents that may be on their way to be ready at a time, and seconds after which nothing is waited for that others bring about.
STARTS_AT_ONCE, _START_LIMIT_SECONDS = 32, 5.0
# Seconds between moments at which agents renew leases: often enough that few do it together, so that nobody waits for them, and rarely
# enough that those who do share a commit, which costs as much as a renewal.
_BEAT_SECONDS = 0.1
# Who writes the agents' events: so few, and for so small a share of their time, that the nodes' being there goes before what is told of it.
# Of each, the events that may wait: together all that ten thousand nodes have to say when they come at once.
_EVENT_WRITERS, _EVENTS_SHARE, _EVENTS_LIMIT = 2, 0.5, 25_000
# Seconds before an agent that failed is started anew.
_RESTART_SECONDS = 10.0
_WATCHER = UserInfo("system:kube-controller-manager", groups=("system:authenticated",))
_log = get_logger("simulator")


class _Power:
    """Whether a machine is on; both states can be waited for."""

    def __init__(self, *, is_on: bool) -> None:
        self._on, self._off = asyncio.Event(), asyncio.Event()
        self.switch(is_on=is_on)

    def switch(self, *, is_on: bool) -> None:
        """Switch it on or off; safe to repeat."""
        (self._on if is_on else self._off).set()
        (self._off if is_on else self._on).clear()

    async def wait_on(self) -> None:
        """Wait until it is on."""
        await self._on.wait()

    async def wait_off(self) -> None:
        """Wait until it is off."""
        await self._off.wait()


class _Machine(Struct):
    """One simulated machine: its Node as last seen, its address, whether it is on, and the task it lives in."""

    node: core_v1.Node
    address: str
    power: _Power
    has_range: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None


class Simulator:
    """All simulated nodes of one process; `run` it once."""

    def __init__(
        self,
        handler: Handler,
        clock: Clock,
        source: random.Random,
        *,
        version: str,
        kubelets: MutableMapping[str, Handler],
    ) -> None:
        """Serve the API server behind `handler`; the agents that run are found in `kubelets` by the names of their nodes."""
        self._handler, self._clock, self._random = handler, clock, source
        self._version, self._kubelets = version, kubelets
        client = Client(InProcessTransport(handler, _WATCHER), user_agent="kubelet")
        self._informers = InformerFactory(client, clock)
        self._nodes = self._informers.informer(core_v1.Node, label_selector=f"{SIMULATED_LABEL}=true")
        self._nodes.add_handler(self._seen, lambda _, node: self._seen(node), self._gone)
        self._sources: SharedSources | None = None
        self._machines: dict[str, _Machine] = {}
        self._addresses = NodeAddresses()
        self._writers = [
            EventWriter(clock, waiting_limit=_EVENTS_LIMIT, share=_EVENTS_SHARE) for _ in range(_EVENT_WRITERS)
        ]
        self._next_writer = itertools.cycle(self._writers)
        self._starts = asyncio.Semaphore(STARTS_AT_ONCE)
        self._group: asyncio.TaskGroup | None = None

    async def run(self) -> Never:
        """Simulate for ever."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            for number, writer in enumerate(self._writers):
                group.create_task(writer.run(), name=f"events of simulated nodes {number}")
            await self._informers.run()
        raise AssertionError("informers run until they are cancelled")

    def _seen(self, node: core_v1.Node) -> None:
        name = node.metadata.name
        if not is_simulated(node):
            _log.warning("a real node asks to be simulated: left alone", node=name)
            return
        machine = self._machines.get(name)
        if machine is not None and machine.node.metadata.uid != node.metadata.uid:
            self._gone(node)
        if machine is None or machine.node.metadata.uid != node.metadata.uid:
            machine = self._begin(node, machine.task if machine is not None else None)
        machine.node = node
        machine.power.switch(is_on=not is_stopped(node))
        if node.spec.pod_cidr:
            machine.has_range.set()

    def _gone(self, node: core_v1.Node) -> None:
        machine = self._machines.pop(node.metadata.name, None)
        if machine is not None:
            self._addresses.release(machine.address)
            if machine.task is not None:
                machine.task.cancel()

    def _begin(self, node: core_v1.Node, former: asyncio.Task[None] | None) -> _Machine:
        assert self._group is not None, "informers tell of nodes while they run"
        if self._sources is None:
            # Nobody pays for the watches of agents that are not there.
            self._sources = SharedSources(self._informers, self._nodes)
        name = node.metadata.name
        known = next((item.address for item in node.status.addresses if item.type == "InternalIP"), "")
        power = _Power(is_on=not is_stopped(node))
        machine = self._machines[name] = _Machine(node, self._addresses.take(name, known), power)
        life = self._live(machine, self._sources, former)
        machine.task = self._group.create_task(life, name=f"simulated node {name}")
        return machine

    async def _live(self, machine: _Machine, sources: SharedSources, former: asyncio.Task[None] | None) -> None:
        """Be one machine, whose containers outlive its agent, until cancelled."""
        if former is not None:
            await asyncio.wait([former])
        async with SimulatedRuntime(self._clock, self._random, _simulation(machine.node)) as runtime:
            while True:
                await machine.power.wait_on()
                try:
                    async with self._agent(machine, sources, runtime):
                        await machine.power.wait_off()
                except Exception:  # noqa: BLE001 - one agent's bug must not end the others
                    _log.exception(
                        "agent failed; starting it anew", node=machine.node.metadata.name, seconds=_RESTART_SECONDS
                    )
                    await self._clock.sleep(_RESTART_SECONDS)

    @asynccontextmanager
    async def _agent(self, machine: _Machine, sources: SharedSources, runtime: SimulatedRuntime) -> AsyncIterator[None]:
        """Run the agent of a machine while the body runs, which begins when the agent is ready."""
        node = machine.node
        name = node.metadata.name
        user = UserInfo(f"system:node:{name}", groups=("system:nodes", "system:authenticated"))
        client = Client(InProcessTransport(self._handler, user), user_agent="kubelet")
        # Its events tell everything; looking as well would only cost.
        config = KubeletConfig(
            node_name=name,
            node_ip=machine.address,
            node_labels={SIMULATED_LABEL: "true"},
            max_pods=max_pods(node),
            version=self._version,
            relist_seconds=0,
            sync_seconds=0,
            beat_seconds=_BEAT_SECONDS,
        )
        identity, host = Identity(self._random), runtime.host(client, name)
        kubelet = Kubelet(
            config,
            client,
            self._clock,
            identity,
            runtime,
            host=host,
            sources=sources.of(name),
            event_writer=next(self._next_writer),
        )
        async with AsyncExitStack() as stack:
            async with self._starts:
                # A node that is ready from its first word on costs half the writes of one that becomes so.
                if await self._in_time(machine.has_range):
                    await runtime.set_pod_cidr(machine.node.spec.pod_cidr)
                await stack.enter_async_context(running(f"kubelet of {name}", kubelet.run))
                self._kubelets[name] = kubelet.handle
                stack.callback(self._kubelets.pop, name, None)
                await self._in_time(kubelet.ready)
            yield

    async def _in_time(self, event: asyncio.Event) -> bool:
        """Wait for what controllers bring about; tell whether they did, for without them nobody is to wait for ever."""
        try:
            async with self._clock.timeout(_START_LIMIT_SECONDS):
                await event.wait()
        except TimeoutError:
            return False
        return True


def _simulation(node: core_v1.Node) -> Simulation:
    try:
        return simulation(node)
    except StageError as error:
        _log.warning("rules for pods left out", node=node.metadata.name, error=str(error))
        annotations = {key: text for key, text in node.metadata.annotations.items() if key != STAGES_ANNOTATION}
        return simulation(replace(node, metadata=replace(node.metadata, annotations=annotations)))
