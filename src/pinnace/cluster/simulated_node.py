"""Nodes that run nothing and behave like nodes, as blocks inside the server's: no root, no files, no sockets.

One node watches by itself, as a real one does; several in one process share their watches. Under a virtual clock they live in its time.
"""

import random
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from pinnace.client import Client, InProcessTransport
from pinnace.component.clock import Clock
from pinnace.component.http import Handler, UserInfo
from pinnace.component.identity import Identity
from pinnace.component.lifecycle import running
from pinnace.kubelet import Kubelet, KubeletConfig
from pinnace.kubelet.simulated import SimulatedRuntime
from pinnace.kubelet.sources import SharedSources, Sources

# Addresses of nodes that nobody can reach: TEST-NET-1 of RFC 5737, then the range for measurements of RFC 2544.
_ADDRESSES = tuple(f"192.0.2.{number}" for number in range(1, 255))
_WATCHER = UserInfo("system:kube-controller-manager", groups=("system:authenticated",))


@asynccontextmanager
async def simulated_nodes(
    names: Sequence[str], handler: Handler, clock: Clock, source: random.Random, *, version: str
) -> AsyncIterator[Mapping[str, Handler]]:
    """Run simulated nodes of these names while the body runs; gives each one's kubelet."""
    async with AsyncExitStack() as stack:
        shared = None
        if len(names) > 1:
            shared = SharedSources(Client(InProcessTransport(handler, _WATCHER), user_agent="kubelet"), clock)
            await stack.enter_async_context(running("shared sources of kubelets", shared.run))
        kubelets: dict[str, Handler] = {}
        for number, name in enumerate(names):
            user = UserInfo(f"system:node:{name}", groups=("system:nodes", "system:authenticated"))
            client = Client(InProcessTransport(handler, user), user_agent="kubelet")
            runtime = await stack.enter_async_context(SimulatedRuntime(clock, source))
            sources: Sources | None = shared.of(name) if shared is not None else None
            # Its events tell everything; looking as well would only cost.
            config = KubeletConfig(
                node_name=name, node_ip=_address(number), version=version, relist_seconds=0, sync_seconds=0
            )
            kubelet = Kubelet(
                config, client, clock, Identity(source), runtime, host=runtime.host(client), sources=sources
            )
            await stack.enter_async_context(running(f"kubelet of {name}", kubelet.run))
            kubelets[name] = kubelet.handle
        yield kubelets


def _address(number: int) -> str:
    if number < len(_ADDRESSES):
        return _ADDRESSES[number]
    return f"198.18.{number // 256}.{number % 256}"
