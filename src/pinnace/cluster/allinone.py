"""All components of a cluster in one process and one event loop, each in a block inside the one it needs.

    lock ▷ store ▷ API server ▷ listening socket ▷ informers ▷ controllers, scheduler ▷ this machine's node

Shutdown is the reverse, by the nesting alone. The components reach the API server in process, each under an identity of its own.
"""

import asyncio
import errno
import os
import random
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Never

from pinnace import VERSION
from pinnace.apiserver.compose import api_server
from pinnace.apiserver.config import ApiServerConfig
from pinnace.apiserver.streaming import InProcessKubelets, streaming_handlers
from pinnace.client import Client, InformerFactory, InProcessTransport
from pinnace.client.kubeconfig import Access, tree, write
from pinnace.cluster.cni import free_range, pod_network
from pinnace.cluster.config import CLUSTER_RANGE, SERVICE_ADDRESS, SERVICE_RANGE, ClusterConfig, RuntimeKind, StoreKind
from pinnace.cluster.containerd_config import ContainerdError, detect
from pinnace.cluster.paths import ClusterPaths
from pinnace.cluster.pki import ClusterPki, load_or_create, local_addresses, server_names
from pinnace.cluster.ports import free_port
from pinnace.cluster.server_state import ClusterError, ServerState, announced, locked, sign
from pinnace.component.clock import Clock
from pinnace.component.http import Handler, UserInfo
from pinnace.component.http.server import serve
from pinnace.component.identity import Identity
from pinnace.component.lifecycle import running
from pinnace.component.logging import get_logger
from pinnace.component.tls import certificate_facts, server_context, use_key_pair
from pinnace.controllers.manager import ControllerManager
from pinnace.scheduler import Scheduler, default_profile
from pinnace.store.compaction import compact_regularly
from pinnace.store.interface import Store
from pinnace.store.memory import open_memory
from pinnace.store.sqlite import open_sqlite

# Seconds between looks at whether certificates are about to expire.
RENEWAL_PERIOD_SECONDS = 3600.0 * 6
_log = get_logger("cluster")


@asynccontextmanager
async def cluster(config: ClusterConfig, clock: Clock, identity: Identity, version: str) -> AsyncIterator[str]:
    """Run a cluster while the body runs; gives the API server's URL once it is ready.

    Raises:
        ClusterError: it cannot start.
    """
    if not config.port:
        # The Service `kubernetes` names the port before anybody listens on it.
        config = replace(config, port=free_port())
    paths = ClusterPaths(config.data_dir)
    paths.make()
    with locked(paths, config.lock_descriptor) as lock:
        sign(lock)
        names = (*server_names(SERVICE_ADDRESS),)
        pki = load_or_create(paths.pki, clock.time(), names=names)
        context = server_context(pki.server, pki.authority.certificate_pem)
        async with _store(config, paths, clock) as store:
            advertised = next(iter(local_addresses()), "127.0.0.1")
            kubelets: dict[str, Handler] = {}
            server = api_server(
                ApiServerConfig(
                    advertise_address=advertised, secure_port=config.port, service_cluster_ip_range=SERVICE_RANGE
                ),
                store,
                clock=clock,
                identity=identity,
                signing_key=pki.signing_key,
                client_ca_pem=pki.authority.certificate_pem.decode(),
                specials=streaming_handlers(InProcessKubelets(kubelets.get)),
            )
            async with server.running(), _listening(config, server.handle, context, clock) as port:
                url = f"https://127.0.0.1:{port}"
                write(paths.admin_kubeconfig, tree(config.name, admin_access(pki, url)))

                async def renew() -> Never:
                    async for _ in clock.ticker(RENEWAL_PERIOD_SECONDS):
                        if certificate_facts(pki.server.certificate_pem).needs_renewal(clock.time()):
                            renewed = load_or_create(paths.pki, clock.time(), names=names)
                            use_key_pair(context, renewed.server)
                            write(paths.admin_kubeconfig, tree(config.name, admin_access(renewed, url)))
                            _log.info("certificates renewed")
                    raise AssertionError("a ticker does not end")

                async with (
                    running("certificate renewal", renew),
                    _components(config, server.handle, clock, pki, store),
                    _node(config, server.handle, clock, identity, pki, kubelets) as (node, note),
                ):
                    with announced(paths, ServerState(os.getpid(), url, version, node, note)):
                        yield url


def admin_access(pki: ClusterPki, url: str) -> Access:
    """Return how the administrator reaches the cluster."""
    return Access(url, pki.authority.certificate_pem, pki.admin.certificate_pem, pki.admin.key_pem)


def _store(config: ClusterConfig, paths: ClusterPaths, clock: Clock) -> AbstractAsyncContextManager[Store]:
    return open_memory(clock) if config.store is StoreKind.MEMORY else open_sqlite(paths.store, clock)


@asynccontextmanager
async def _listening(config: ClusterConfig, handler: Handler, context: object, clock: Clock) -> AsyncIterator[int]:
    try:
        listening = serve(handler, config.address, config.port, ssl_context=context, clock=clock)  # type: ignore[arg-type]
        server = await listening.__aenter__()
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise ClusterError(
                f"port {config.port} is in use: stop what listens there, or choose another with --port"
            ) from error
        raise ClusterError(f"cannot listen on {config.address}:{config.port}: {error.strerror or error}") from error
    try:
        yield server.port
    finally:
        await listening.__aexit__(None, None, None)


@asynccontextmanager
async def _components(
    config: ClusterConfig, handler: Handler, clock: Clock, pki: ClusterPki, store: Store
) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as group:
        tasks = []
        if not config.keep_history:
            tasks.append(group.create_task(compact_regularly(store, clock), name="compaction"))
        if config.with_controllers:
            manager = ControllerManager(
                handler, clock, ca_pem=pki.authority.certificate_pem.decode(), cluster_cidr=_pod_range(config)
            )
            tasks.append(group.create_task(manager.run(), name="controller manager"))
        if config.with_scheduler:
            client = Client(InProcessTransport(handler, UserInfo("system:kube-scheduler")), user_agent="kube-scheduler")
            informers = InformerFactory(client, clock)
            source = random.Random()  # noqa: S311 - which of equally good nodes is no secret
            scheduler = Scheduler(client, informers, clock, default_profile(client), source=source)
            tasks += [
                group.create_task(informers.run(), name="scheduler informers"),
                group.create_task(scheduler.run(), name="scheduler"),
            ]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()


@asynccontextmanager
async def _node(
    config: ClusterConfig,
    handler: Handler,
    clock: Clock,
    identity: Identity,
    pki: ClusterPki,
    kubelets: dict[str, Handler],
) -> AsyncIterator[tuple[str, str]]:
    """Run this machine as a node, if it can and shall; gives its name, and what the user should know."""
    missing = list(detect().missing) if os.geteuid() == 0 else ["root"]
    if config.runtime is RuntimeKind.CONTAINERD and missing:
        raise ClusterError(f"real pods need {', '.join(missing)}: see `pinnace doctor`, or use --runtime none")
    if config.runtime is RuntimeKind.NONE or missing:
        yield "", f"no node: real pods need {', '.join(missing)}" if missing else ""
        return
    from pinnace.cluster import node as nodes  # noqa: PLC0415 - gRPC costs a cluster without nodes 20 MB

    try:
        files = nodes.NodeFiles(config.data_dir)
        url = f"https://127.0.0.1:{config.port}"
        async with nodes.node(files, pki, handler, clock, identity, VERSION, url) as (name, handle):
            kubelets[name] = handle
            admin = UserInfo("kubernetes-admin", groups=("system:masters", "system:authenticated"))
            ready = await nodes.wait_ready(Client(InProcessTransport(handler, admin)), name, clock)
            yield name, "" if ready else f"node {name} is not Ready yet: see `kubectl describe node {name}`"
    except ContainerdError as error:
        raise ClusterError(str(error)) from error


def _pod_range(config: ClusterConfig) -> str:
    routes = Path("/proc/net/route")
    if not routes.exists():
        return CLUSTER_RANGE
    return free_range(routes.read_text(encoding="ascii"), pod_network(config.data_dir).bridge)
