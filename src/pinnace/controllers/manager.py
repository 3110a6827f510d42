"""The controller manager: the one list of controllers, run beside one another, each under its own identity.

They share one set of informers, read as the manager; each writes as its own service account, so that what it may do is what its
role grants. Upstream: cmd/kube-controller-manager/app/controllermanager.go.
"""

import asyncio
from collections.abc import Iterator
from typing import Never

from pinnace.client import Client, InformerFactory, InProcessTransport
from pinnace.component.clock import Clock
from pinnace.component.http import Handler, UserInfo
from pinnace.controllers.clusterrole_aggregation import ClusterRoleAggregationController
from pinnace.controllers.controller import Controller
from pinnace.controllers.deployment import DeploymentController
from pinnace.controllers.garbage_collector import GarbageCollector
from pinnace.controllers.namespace import NamespaceController
from pinnace.controllers.node_ipam import NodeIpamController
from pinnace.controllers.node_lifecycle import NodeLifecycleController
from pinnace.controllers.replicaset import ReplicaSetController
from pinnace.controllers.root_ca_cert_publisher import RootCACertPublisher
from pinnace.controllers.serviceaccount import ServiceAccountController

_ACCOUNTS = "system:serviceaccounts"


class ControllerManager:
    """Runs every controller against one API server."""

    def __init__(self, handler: Handler, clock: Clock, *, ca_pem: str, cluster_cidr: str) -> None:
        self._handler = handler
        self._clock = clock
        self._ca_pem = ca_pem
        self._cluster_cidr = cluster_cidr

    async def run(self) -> Never:
        """Run for ever."""
        manager = UserInfo("system:kube-controller-manager", groups=("system:authenticated",))
        client = Client(InProcessTransport(self._handler, manager), user_agent="kube-controller-manager")
        informers = InformerFactory(client, self._clock)
        controllers = list(self._controllers(informers))
        async with asyncio.TaskGroup() as group:
            group.create_task(informers.run(), name="controller informers")
            for controller in controllers:
                group.create_task(controller.run(), name=controller.name)
        raise AssertionError("controllers run until they are cancelled")

    def _controllers(self, informers: InformerFactory) -> Iterator[Controller]:
        for made in (
            ServiceAccountController,
            NamespaceController,
            NodeLifecycleController,
            ReplicaSetController,
            DeploymentController,
            GarbageCollector,
            ClusterRoleAggregationController,
        ):
            yield made(self._client(made.name), informers, self._clock)
        ipam = self._client(NodeIpamController.name)
        yield NodeIpamController(ipam, informers, self._clock, cluster_cidr=self._cluster_cidr)
        name = RootCACertPublisher.name
        yield RootCACertPublisher(self._client(name), informers, self._clock, ca_pem=self._ca_pem)

    def _client(self, name: str) -> Client:
        groups = (_ACCOUNTS, f"{_ACCOUNTS}:kube-system", "system:authenticated")
        user = UserInfo(f"system:serviceaccount:kube-system:{name}", groups=groups)
        return Client(InProcessTransport(self._handler, user), user_agent=name)
