"""The controller manager: the one list of controllers, run beside one another, each under its own identity.

They share one set of informers, read as the manager; each writes as its own service account, so that what it may do is what its
role grants. A controller that fails as a whole is logged, counted, and run again after a back-off; the others do not notice.
Upstream: cmd/kube-controller-manager/app/controllermanager.go.
"""

import asyncio
from collections.abc import Iterator, Sequence
from typing import Never

from pinnace.client import Client, CountedTransport, InformerFactory, InProcessTransport
from pinnace.component.backoff import Backoff
from pinnace.component.clock import Clock
from pinnace.component.http import Handler, UserInfo
from pinnace.component.metrics import Metrics
from pinnace.component.tls import CertificateAuthority
from pinnace.controllers.bootstrap_tokens import BootstrapSigner, TokenCleaner
from pinnace.controllers.certificate_approver import CertificateApprover
from pinnace.controllers.certificate_signer import CertificateCleaner, CertificateSigner
from pinnace.controllers.clusterrole_aggregation import ClusterRoleAggregationController
from pinnace.controllers.controller import Controller
from pinnace.controllers.cronjob import CronJobController
from pinnace.controllers.daemonset import DaemonSetController
from pinnace.controllers.deployment import DeploymentController
from pinnace.controllers.disruption import DisruptionController, StalePodDisruptionController
from pinnace.controllers.dns_endpoints import DnsEndpointsController
from pinnace.controllers.endpoints import EndpointsController
from pinnace.controllers.endpointslice import EndpointSliceController
from pinnace.controllers.garbage_collector import GarbageCollector
from pinnace.controllers.job import JobController
from pinnace.controllers.namespace import NamespaceController
from pinnace.controllers.node_ipam import NodeIpamController, NodeRanges
from pinnace.controllers.node_lifecycle import NodeLifecycleController
from pinnace.controllers.pod_gc import PodGC
from pinnace.controllers.replicaset import ReplicaSetController
from pinnace.controllers.replication import ReplicationManager
from pinnace.controllers.resourcequota import ResourceQuotaController
from pinnace.controllers.root_ca_cert_publisher import RootCACertPublisher
from pinnace.controllers.serviceaccount import ServiceAccountController
from pinnace.controllers.statefulset import StatefulSetController
from pinnace.controllers.storage_protection import (
    PVCProtectionController,
    PVProtectionController,
    VACProtectionController,
)
from pinnace.controllers.taint_eviction import TaintEvictionController
from pinnace.controllers.ttl import TTLController
from pinnace.controllers.ttl_after_finished import TTLAfterFinishedController

_ACCOUNTS = "system:serviceaccounts"
_RESTART = Backoff(1.0, 300.0)
# Seconds after which a controller that fails again is taken to have worked in between.
_LASTING_SECONDS = 600.0

CONTROLLERS: tuple[type[Controller], ...] = (
    ServiceAccountController,
    NamespaceController,
    NodeLifecycleController,
    TaintEvictionController,
    PodGC,
    ReplicaSetController,
    ReplicationManager,
    DeploymentController,
    DaemonSetController,
    StatefulSetController,
    JobController,
    CronJobController,
    TTLController,
    TTLAfterFinishedController,
    DisruptionController,
    StalePodDisruptionController,
    EndpointSliceController,
    EndpointsController,
    DnsEndpointsController,
    GarbageCollector,
    ResourceQuotaController,
    ClusterRoleAggregationController,
    PVCProtectionController,
    PVProtectionController,
    VACProtectionController,
    CertificateApprover,
    CertificateCleaner,
    BootstrapSigner,
    TokenCleaner,
)


class ControllerManager:
    """Runs every controller against one API server."""

    def __init__(
        self,
        handler: Handler,
        clock: Clock,
        *,
        authority: CertificateAuthority | None,
        node_ranges: Sequence[NodeRanges],
        service_cidrs: Sequence[str] = (),
        metrics: Metrics | None = None,
    ) -> None:
        """Make it; without an `authority` nobody signs certificates."""
        self._handler = handler
        self._clock = clock
        self._authority = authority
        self._node_ranges, self._service_cidrs = node_ranges, service_cidrs
        self._metrics = metrics if metrics is not None else Metrics()
        self._restarts = self._metrics.counter(
            "pinnace_controller_restarts", "Controllers that failed as a whole and were run again.", ("controller",)
        )

    async def run(self) -> Never:
        """Run for ever."""
        manager = UserInfo("system:kube-controller-manager", groups=("system:authenticated",))
        client = self._client_of(manager, "kube-controller-manager")
        informers = InformerFactory(client, self._clock, metrics=self._metrics)
        controllers = list(self._controllers(informers))
        async with asyncio.TaskGroup() as group:
            group.create_task(informers.run(), name="controller informers")
            for controller in controllers:
                group.create_task(self._keep_running(controller), name=controller.label)
        raise AssertionError("controllers run until they are cancelled")

    async def _keep_running(self, controller: Controller) -> Never:
        failures = 0
        while True:
            begun = self._clock.monotonic()
            try:
                await controller.run()
            except Exception:  # one controller's bug must not end the others
                controller.log.exception("controller failed", controller=controller.label)
                self._restarts.labels(controller.label).inc()
            failures = 1 if self._clock.monotonic() - begun > _LASTING_SECONDS else failures + 1
            await self._clock.sleep(self._clock.jittered(_RESTART.delay(failures), 0.1))

    def _controllers(self, informers: InformerFactory) -> Iterator[Controller]:
        for made in CONTROLLERS:
            yield made(self._client(made.name), informers, self._clock)
        ipam = self._client(NodeIpamController.name)
        yield NodeIpamController(
            ipam, informers, self._clock, ranges=self._node_ranges, service_cidrs=self._service_cidrs
        )
        ca_pem = self._authority.certificate_pem.decode() if self._authority is not None else ""
        yield RootCACertPublisher(self._client(RootCACertPublisher.name), informers, self._clock, ca_pem=ca_pem)
        if self._authority is not None:
            client = self._client(CertificateSigner.name)
            yield CertificateSigner(client, informers, self._clock, authority=self._authority)

    def _client(self, name: str) -> Client:
        groups = (_ACCOUNTS, f"{_ACCOUNTS}:kube-system", "system:authenticated")
        user = UserInfo(f"system:serviceaccount:kube-system:{name}", groups=groups)
        return self._client_of(user, name)

    def _client_of(self, user: UserInfo, name: str) -> Client:
        transport = CountedTransport(InProcessTransport(self._handler, user), self._metrics, self._clock)
        return Client(transport, user_agent=name)
