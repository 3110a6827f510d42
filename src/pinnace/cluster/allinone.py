"""All components of a cluster in one process and one event loop, each in a block inside the one it needs.

    lock ▷ store ▷ API server ▷ listening socket ▷ controllers ▷ this machine's node ▷ scheduler

Shutdown is the reverse, by the nesting alone. The components reach the API server in process, each under an identity of its own.
"""

import asyncio
import errno
import ipaddress
import os
import random
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Never

from msgspec.structs import replace

from pinnace.apiserver.component_statuses import CONTROLLER_MANAGER, SCHEDULER
from pinnace.apiserver.compose import api_server
from pinnace.apiserver.config import ApiServerConfig
from pinnace.apiserver.resource_metrics import ResourceMetrics
from pinnace.apiserver.streaming import HttpsKubelets, InProcessKubelets, streaming_handlers
from pinnace.client import Client, InformerFactory, InProcessTransport
from pinnace.cluster.certificates import Certificates
from pinnace.cluster.cni import free_range, pod_network
from pinnace.cluster.config import CLUSTER_RANGE, SERVICE_ADDRESS, SERVICE_RANGE, ClusterConfig, StoreKind
from pinnace.cluster.containerd_config import missing_for_containers
from pinnace.cluster.join_access import grant_joining
from pinnace.cluster.kubelet_access import grant_kubelet_access
from pinnace.cluster.local_addresses import local_addresses
from pinnace.cluster.metrics_access import grant_metrics_reading
from pinnace.cluster.paths import ClusterPaths
from pinnace.cluster.pki import ADMIN, MASTERS, ClusterPki, server_names
from pinnace.cluster.ports import free_port
from pinnace.cluster.server_state import ClusterError, ServerState, announced, locked, sign
from pinnace.cluster.simulated_node import node_ranges
from pinnace.cluster.simulator import Simulator
from pinnace.cluster.this_node import ThisNode, choose, this_node
from pinnace.component.clock import Clock
from pinnace.component.healthz import Check
from pinnace.component.http import Handler, UserInfo
from pinnace.component.http.server import serve
from pinnace.component.identity import Identity
from pinnace.component.kubeconfig import Access, tree, write
from pinnace.component.lifecycle import Health, restarting, running
from pinnace.component.metrics import Metrics
from pinnace.controllers.manager import ControllerManager
from pinnace.store.compaction import compact_regularly
from pinnace.store.interface import Store
from pinnace.store.memory import open_memory
from pinnace.store.sqlite import open_sqlite

_ADMINISTRATOR = UserInfo(ADMIN, groups=(MASTERS, "system:authenticated"))
# What to call a server that listens on every address.
_LOOPBACK = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - as found in a configuration


@asynccontextmanager
async def cluster(
    config: ClusterConfig,
    clock: Clock,
    identity: Identity,
    version: str,
    *,
    on_step: Callable[[str], None] = lambda _: None,
) -> AsyncIterator[str]:
    """Run a cluster while the body runs; gives the API server's URL once it is ready.

    `on_step` is told each step of the start, in a user's words, when it is done.

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
        certificates = Certificates(paths.pki, clock, server_names(SERVICE_ADDRESS))
        pki = certificates.pki
        on_step("cluster CA and certificates")
        to_kubelets = HttpsKubelets(certificates.calling(lambda pki: pki.kubelet_client))
        metrics = Metrics(process=True)
        async with _store(config, paths, clock) as store, AsyncExitStack() as stack:
            on_step("store in memory" if config.store is StoreKind.MEMORY else f"store in {paths.store}")
            stack.push_async_callback(to_kubelets.close)
            kubelets: dict[str, Handler] = {}
            every_kubelet = InProcessKubelets(kubelets.get, to_kubelets)
            health = {CONTROLLER_MANAGER: Health(), SCHEDULER: Health()}
            server = api_server(
                ApiServerConfig(
                    advertise_address=_advertised(config),
                    secure_port=config.port,
                    service_cluster_ip_range=SERVICE_RANGE,
                ),
                store,
                clock=clock,
                identity=identity,
                signing_key=pki.signing_key,
                client_ca_pem=pki.authority.certificate_pem.decode(),
                specials=streaming_handlers(every_kubelet),
                extensions=(ResourceMetrics(every_kubelet, clock),),
                components=_components(config, health),
                metrics=metrics,
            )
            context = certificates.serving(lambda pki: pki.server)
            async with server.running(), _listening(config, server.handle, context, clock), server.accepting():
                url = server_url(config)
                on_step(f"API server at {url}")

                def write_kubeconfig(pki: ClusterPki) -> None:
                    write(paths.admin_kubeconfig, tree(config.name, admin_access(pki, url)))

                write_kubeconfig(pki)
                certificates.on_renewed = write_kubeconfig
                admin = Client(InProcessTransport(server.handle, _ADMINISTRATOR))
                await grant_kubelet_access(admin)
                await grant_metrics_reading(admin)
                if config.with_controllers:
                    await grant_joining(admin, join_url(config), pki.authority.certificate_pem)
                # Chosen once: a runtime that vanishes later must not make a simulated node of a real one.
                choice = choose(config.runtime, missing_for_containers())
                node = ThisNode()

                @asynccontextmanager
                async def be_a_node() -> AsyncIterator[None]:
                    nonlocal node
                    data_dir, handler = config.data_dir, server.handle
                    async with this_node(choice, data_dir, handler, clock, identity, certificates, url) as node:
                        kubelets.update(node.kubelets)
                        yield

                controllers = partial(_controllers, config, server.handle, clock, pki, store, metrics)
                async with (
                    running("certificate renewal", certificates.run),
                    restarting("controllers", controllers, clock, health[CONTROLLER_MANAGER]),
                    restarting(
                        "simulated nodes",
                        partial(_simulator, server.handle, clock, identity, version, kubelets),
                        clock,
                    ),
                    restarting("node", be_a_node, clock),
                ):
                    if node.name:
                        on_step(f"node {node.name}")
                    state = ServerState(
                        os.getpid(), url, version, node.name, node.note, _pod_range(config), join_url(config)
                    )
                    async with restarting(
                        "scheduler", partial(_scheduler, config, server.handle, clock), clock, health[SCHEDULER]
                    ):
                        if config.with_controllers and config.with_scheduler:
                            on_step("controllers and scheduler")
                        with announced(paths, state):
                            yield url


def _components(config: ClusterConfig, health: Mapping[str, Health]) -> tuple[Check, ...]:
    """Return how to ask the parts that were asked for: those that are left out hold nothing, though their blocks are there."""
    wanted = {CONTROLLER_MANAGER: config.with_controllers, SCHEDULER: config.with_scheduler}
    return tuple(Check(name, part.failure) for name, part in health.items() if wanted[name])


def server_url(config: ClusterConfig) -> str:
    """Return where the administrator of this machine finds the server."""
    return f"https://{_host(_LOOPBACK.get(config.address, config.address))}:{config.port}"


def join_url(config: ClusterConfig) -> str:
    """Return where other machines find the server, as far as they can."""
    advertised = _advertised(config)
    return f"https://{_host(advertised)}:{config.port}" if advertised else server_url(config)


def admin_access(pki: ClusterPki, url: str) -> Access:
    """Return how the administrator reaches the cluster."""
    return Access(url, pki.authority.certificate_pem, pki.admin.certificate_pem, pki.admin.key_pem)


def _store(config: ClusterConfig, paths: ClusterPaths, clock: Clock) -> AbstractAsyncContextManager[Store]:
    return open_memory(clock) if config.store is StoreKind.MEMORY else open_sqlite(paths.store, clock)


@asynccontextmanager
async def _listening(
    config: ClusterConfig, handler: Handler, context: ssl.SSLContext, clock: Clock
) -> AsyncIterator[None]:
    try:
        listening = serve(handler, config.address, config.port, ssl_context=context, clock=clock)
        await listening.__aenter__()
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise ClusterError(
                f"port {config.port} is in use: stop what listens there, or choose another with --port"
            ) from error
        raise ClusterError(f"cannot listen on {config.address}:{config.port}: {error.strerror or error}") from error
    try:
        yield
    finally:
        await listening.__aexit__(None, None, None)


@asynccontextmanager
async def _controllers(
    config: ClusterConfig, handler: Handler, clock: Clock, pki: ClusterPki, store: Store, metrics: Metrics
) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as group:
        tasks = []
        if not config.keep_history:
            tasks.append(group.create_task(compact_regularly(store, clock), name="compaction"))
        if config.with_controllers:
            manager = ControllerManager(
                handler,
                clock,
                authority=pki.authority,
                node_ranges=node_ranges(_pod_range(config)),
                service_cidrs=(SERVICE_RANGE,),
                metrics=metrics,
            )
            tasks.append(group.create_task(manager.run(), name="controller manager"))
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()


@asynccontextmanager
async def _scheduler(config: ClusterConfig, handler: Handler, clock: Clock) -> AsyncIterator[None]:
    if not config.with_scheduler:
        yield
        return

    async def run() -> Never:
        # A cluster is ready before it has pods to place, and numpy takes a tenth of a second to import.
        scheduling = await asyncio.to_thread(import_module, "pinnace.scheduler")
        client = Client(InProcessTransport(handler, UserInfo("system:kube-scheduler")), user_agent="kube-scheduler")
        informers = InformerFactory(client, clock)
        source = random.Random()  # noqa: S311 - which of equally good nodes is no secret
        profile = scheduling.default_profile(client)
        scheduler = scheduling.Scheduler(client, informers, clock, profile, source=source)
        async with running("scheduler informers", informers.run):
            await scheduler.run()
        raise AssertionError("a scheduler ends by cancellation")

    async with running("scheduler", run):
        yield


@asynccontextmanager
async def _simulator(
    handler: Handler, clock: Clock, identity: Identity, version: str, kubelets: dict[str, Handler]
) -> AsyncIterator[None]:
    simulator = Simulator(handler, clock, identity.random, version=version, kubelets=kubelets)
    async with running("simulator", simulator.run):
        yield


def _advertised(config: ClusterConfig) -> str:
    """Return the address that pods and other machines reach the server by; empty when they cannot."""
    if config.address in _LOOPBACK:
        return next(iter(local_addresses()), "")
    try:
        # Endpoints may not be loopback addresses, nor names.
        return "" if ipaddress.ip_address(config.address).is_loopback else config.address
    except ValueError:
        return ""


def _host(address: str) -> str:
    return f"[{address}]" if ":" in address else address


def _pod_range(config: ClusterConfig) -> str:
    routes = Path("/proc/net/route")
    if not routes.exists():
        return CLUSTER_RANGE
    return free_range(routes.read_text(encoding="ascii"), pod_network(config.data_dir))
