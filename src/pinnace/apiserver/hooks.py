"""What the API server makes by itself when it starts: upstream's post-start hooks.

System namespaces, priority classes, the Service and endpoints of the API server itself, and the facts about its authentication
that extension servers read. Every step is safe to repeat: what is there and right is left alone. Upstream:
pkg/controlplane/controller, pkg/registry/scheduling/rest.
"""

import ipaddress
from collections.abc import Awaitable, Callable, Mapping

from msgspec import Struct
from msgspec.structs import replace

from pinnace.api.core_v1 import (
    ConfigMap,
    EndpointAddress,
    EndpointPort,
    Endpoints,
    EndpointSubset,
    Namespace,
    Service,
    ServicePort,
    ServiceSpec,
)
from pinnace.api.discovery_v1 import Endpoint, EndpointConditions, EndpointSlice
from pinnace.api.discovery_v1 import EndpointPort as SlicePort
from pinnace.api.meta_v1 import Condition, ObjectMeta
from pinnace.api.networking_v1 import ServiceCIDR, ServiceCIDRSpec, ServiceCIDRStatus
from pinnace.api.scheduling_v1 import PriorityClass
from pinnace.apiserver.authorization.policy.reconciliation import reconcile
from pinnace.apiserver.config import ApiServerConfig
from pinnace.apiserver.registry.apiregistration import bootstrap as api_services
from pinnace.apiserver.registry.flowcontrol import bootstrap as flow_control
from pinnace.apiserver.registry.scheduling.priority_class import SYSTEM_CLASSES
from pinnace.apiserver.registry.strategy import Objects
from pinnace.component.clock import Clock
from pinnace.component.logging import get_logger
from pinnace.machinery import timestamps
from pinnace.machinery.errors import AlreadyExists

SYSTEM_NAMESPACES = ("kube-system", "kube-public", "kube-node-lease", "default")
_NAME = "kubernetes"
_SYSTEM = "kube-system"
TRACKING = "kube-apiserver-legacy-service-account-token-tracking"
_log = get_logger("post-start-hook")


class Hooks(Struct, frozen=True):
    """The steps, in order; each has the name that upstream's /readyz shows for it."""

    config: ApiServerConfig
    objects: Objects
    clock: Clock
    # What the extension-apiserver-authentication ConfigMap holds.
    authentication_facts: Mapping[str, str]
    # The groups that are served, with their versions.
    groups: Mapping[str, tuple[str, ...]]

    def steps(self) -> tuple[tuple[str, Callable[[], Awaitable[None]]], ...]:
        """Return name and coroutine of each step."""
        return (
            ("start-system-namespaces-controller", self.namespaces),
            ("rbac/bootstrap-roles", self.roles),
            ("scheduling/bootstrap-system-priority-classes", self.priority_classes),
            ("priority-and-fairness-config-producer", self.flow_control),
            ("apiservice-registration-controller", self.api_services),
            ("start-cluster-authentication-info-controller", self.authentication),
            ("start-legacy-token-tracking-controller", self.token_tracking),
            ("start-service-ip-repair-controllers", self.service_cidr),
            ("bootstrap-controller", self.kubernetes_service),
        )

    async def namespaces(self) -> None:
        """Make the namespaces that everything else needs."""
        for name in SYSTEM_NAMESPACES:
            if await self.objects.get(Namespace, name) is None:
                await self._create(Namespace(metadata=ObjectMeta(name=name)))

    async def roles(self) -> None:
        """Make the roles and bindings of components and users, and give back what they have lost."""
        await reconcile(self.objects)

    async def priority_classes(self) -> None:
        """Make the two classes of critical pods."""
        for name, (value, text) in SYSTEM_CLASSES.items():
            if await self.objects.get(PriorityClass, name) is None:
                await self._create(PriorityClass(metadata=ObjectMeta(name=name), value=value, description=text))

    async def flow_control(self) -> None:
        """Make the flow schemas and priority levels that every server has."""
        await flow_control.ensure(self.objects)

    async def api_services(self) -> None:
        """Say which groups this server serves."""
        await api_services.ensure(self.objects, self.groups)

    async def authentication(self) -> None:
        """Say how this server tells who its clients are."""
        name, namespace = "extension-apiserver-authentication", _SYSTEM
        there = await self.objects.get(ConfigMap, name, namespace)
        data = dict(self.authentication_facts)
        if there is None:
            await self._create(ConfigMap(metadata=ObjectMeta(name=name, namespace=namespace), data=data))
        elif dict(there.data) != data:
            await self.objects.update(replace(there, data=data))

    async def token_tracking(self) -> None:
        """Say since when the use of tokens that are kept in Secrets is noted, for the controller that clears out unused ones."""
        if await self.objects.get(ConfigMap, TRACKING, _SYSTEM) is None:
            since = timestamps.format(self.clock.time())[:10]
            await self._create(ConfigMap(metadata=ObjectMeta(name=TRACKING, namespace=_SYSTEM), data={"since": since}))

    async def service_cidr(self) -> None:
        """Make the range of Service addresses, ready for use."""
        if await self.objects.get(ServiceCIDR, _NAME) is not None:
            return
        meta = ObjectMeta(name=_NAME, finalizers=("networking.k8s.io/service-cidr-finalizer",))
        spec = ServiceCIDRSpec(cidrs=(self.config.service_cluster_ip_range,))
        await self._create(ServiceCIDR(metadata=meta, spec=spec))
        there = await self.objects.get(ServiceCIDR, _NAME)
        if there is None:
            return
        ready = Condition(
            type="Ready",
            status="True",
            last_transition_time=timestamps.format(self.clock.time()),
            message="Kubernetes Service CIDR is ready",
        )
        await self.objects.update(replace(there, status=ServiceCIDRStatus(conditions=(ready,))), "status")

    async def kubernetes_service(self) -> None:
        """Make the Service by which pods reach this server, and keep its endpoints right."""
        network = ipaddress.ip_network(self.config.service_cluster_ip_range)
        address = str(network.network_address + 1)
        if await self.objects.get(Service, _NAME, "default") is None:
            labels = {"component": "apiserver", "provider": "kubernetes"}
            port = ServicePort(name="https", port=443, protocol="TCP", target_port=self.config.secure_port)
            spec = ServiceSpec(
                cluster_ip=address,
                cluster_ips=(address,),
                ports=(port,),
                type="ClusterIP",
                session_affinity="None",
                ip_families=("IPv4" if network.version == 4 else "IPv6",),
                ip_family_policy="SingleStack",
            )
            await self._create(Service(metadata=ObjectMeta(name=_NAME, namespace="default", labels=labels), spec=spec))
        if self.config.advertise_address:
            await self._endpoints(self.config.advertise_address)

    async def _endpoints(self, address: str) -> None:
        port = self.config.secure_port
        meta = ObjectMeta(name=_NAME, namespace="default", labels={"endpointslice.kubernetes.io/skip-mirror": "true"})
        subset = EndpointSubset(
            addresses=(EndpointAddress(ip=address),), ports=(EndpointPort(name="https", port=port, protocol="TCP"),)
        )
        there = await self.objects.get(Endpoints, _NAME, "default")
        if there is None:
            await self._create(Endpoints(metadata=meta, subsets=(subset,)))
        elif there.subsets != (subset,):
            await self.objects.update(replace(there, subsets=(subset,)))
        piece = EndpointSlice(
            metadata=ObjectMeta(name=_NAME, namespace="default", labels={"kubernetes.io/service-name": _NAME}),
            address_type="IPv6" if ":" in address else "IPv4",
            endpoints=(Endpoint(addresses=(address,), conditions=EndpointConditions(ready=True)),),
            ports=(SlicePort(name="https", port=port, protocol="TCP"),),
        )
        known = await self.objects.get(EndpointSlice, _NAME, "default")
        if known is None:
            await self._create(piece)
        elif known.endpoints != piece.endpoints or known.ports != piece.ports:
            await self.objects.update(replace(known, endpoints=piece.endpoints, ports=piece.ports))

    async def _create(self, obj: object) -> None:
        try:
            await self.objects.create(obj)  # type: ignore[type-var]
        except AlreadyExists:
            _log.debug("made by somebody else meanwhile", kind=type(obj).__name__)
