"""The agent of a node on another machine, or in another network of this one: it joins a cluster once, and is one of its nodes from then on.

    lock ▷ containerd and images ∥ imports and membership ▷ the node

The folder is like a cluster's: locked while the agent lives, so that the same commands stop and remove it. Upstream: kubeadm join, kubelet.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import import_module

from pinnace.cluster.config import AgentConfig
from pinnace.cluster.containerd import Containerd
from pinnace.cluster.containerd_config import ContainerdPaths, detect
from pinnace.cluster.node_runtime import ready_runtime
from pinnace.cluster.paths import ClusterPaths
from pinnace.cluster.server_state import ServerState, announced, locked, sign
from pinnace.component.clock import Clock
from pinnace.component.identity import Identity


@asynccontextmanager
async def agent(config: AgentConfig, clock: Clock, identity: Identity, version: str) -> AsyncIterator[str]:
    """Be a node of a cluster while the body runs, Ready when it begins; gives what its user should know, if anything.

    Raises:
        JoinError: the cluster does not let this machine in.
        ClusterError: another agent runs in this folder.
        ContainerdError: this machine cannot run containers.
    """
    paths = ClusterPaths(config.data_dir)
    paths.make()
    with locked(paths, config.lock_descriptor) as lock:
        sign(lock)
        containerd = ContainerdPaths(paths.root / "containerd")
        archives = config.archives or paths.root / "images"
        try:
            async with asyncio.TaskGroup() as group:
                preparing = group.create_task(ready_runtime(containerd, archives, clock), name="containerd and images")
                # What talks to clusters takes as long to import as containerd to start.
                await asyncio.to_thread(import_module, "pinnace.cluster.membership")
                from pinnace.cluster.membership import join, member_node  # noqa: PLC0415

                joined = await join(config, paths, clock)
        except BaseException:
            # A machine that is not let in is left as it was.
            await Containerd(containerd, detect(), clock).stop()
            raise
        async with member_node(config, paths, joined, preparing.result(), clock, identity, version) as note:
            with announced(paths, ServerState(os.getpid(), joined.access.server, version, config.name, note)):
                yield note
