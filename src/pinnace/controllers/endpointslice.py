"""EndpointSlice: lists the pods behind each Service (pkg/controller/endpointslice, staging/src/k8s.io/endpointslice).

One set of slices per address family and list of ports; the packing itself is in `endpointslice_packing.py`. Slices that others manage
are left alone.
"""

from collections.abc import Iterable
from typing import Any, ClassVar

from msgspec.structs import replace

from pinnace.api import core_v1
from pinnace.api.discovery_v1 import Endpoint, EndpointConditions, EndpointPort, EndpointSlice
from pinnace.api.meta_v1 import ObjectMeta
from pinnace.client import Client, InformerFactory
from pinnace.component.backoff import Backoff
from pinnace.component.clock import Clock
from pinnace.controllers import label_index
from pinnace.controllers import pods as pod_rules
from pinnace.controllers import service_backends as backends
from pinnace.controllers.controller import Controller
from pinnace.controllers.endpointslice_packing import Plan, pack, with_hints
from pinnace.controllers.own_writes import SOON_SECONDS, OwnWrites
from pinnace.controllers.ownership import owner_reference
from pinnace.controllers.pod_control import is_terminating
from pinnace.machinery import names
from pinnace.machinery.errors import ApiError, NotFound
from pinnace.machinery.meta import is_controlled_by
from pinnace.machinery.meta import key as key_of

SERVICE_NAME, MANAGED_BY = "kubernetes.io/service-name", "endpointslice.kubernetes.io/managed-by"
MANAGER = "endpointslice-controller.k8s.io"
ZONE = "topology.kubernetes.io/zone"
_BY_SERVICE = "service"
_RESERVED = frozenset({SERVICE_NAME, MANAGED_BY, backends.HEADLESS})

Ports = tuple[EndpointPort, ...]


class MissingNodes(Exception):
    """Pods stand on nodes that are not known yet, and were left out."""


class EndpointSliceController(Controller):
    """Reconciles Services into EndpointSlices."""

    name = "endpointslice-controller"
    component = "endpoint-slice-controller"
    backoff: ClassVar[Backoff] = Backoff(1.0, 1000.0)
    retry_limit: ClassVar[int | None] = 15

    def __init__(self, client: Client, informers: InformerFactory, clock: Clock) -> None:
        super().__init__(client, informers, clock)
        self._services = informers.informer(core_v1.Service)
        self._pods = informers.informer(core_v1.Pod)
        self._nodes = informers.informer(core_v1.Node)
        self._slices = informers.informer(EndpointSlice)
        label_index.add_label_index(self._pods.cache)
        label_index.add_selector_index(self._services.cache, backends.selector_of)
        self._slices.cache.add_index(_BY_SERVICE, _service_keys)
        self._written = OwnWrites(self._slices)
        self._times = backends.TriggerTimes()
        self._services.add_handler(self.enqueue, lambda _, new: self.enqueue(new), self._service_deleted)
        self._pods.add_handler(self._pod_changed, self._pod_updated, self._pod_changed)
        self._slices.add_handler(on_update=lambda _, new: self._slice_changed(new), on_delete=self._slice_changed)

    async def reconcile(self, key: str) -> float | None:
        service = self._services.cache.get(key)
        if service is None or service.metadata.deletion_timestamp is not None or not backends.selects_pods(service):
            return None
        if not self._written.are_seen(key):
            return SOON_SECONDS
        slices = [
            item for item in self._slices.cache.by_index(_BY_SERVICE, key) if not item.metadata.deletion_timestamp
        ]
        pods = list(label_index.selected(self._pods.cache, service.metadata.namespace, service.spec.selector))
        trigger, missing = self._times.since(service, pods), False
        try:
            for family in backends.families(service):
                of_family = [item for item in slices if item.address_type == family]
                missing = await self._reconcile_family(service, family, of_family, pods, trigger) or missing
            for item in slices:
                if item.address_type not in backends.families(service):
                    await self._delete(item)
        except ApiError as error:
            if is_terminating(error):
                return None
            name = f"{service.metadata.namespace}/{service.metadata.name}"
            text = f"Error updating Endpoint Slices for Service {name}: {error}"
            self.recorder.event(service, "Warning", "FailedToUpdateEndpointSlices", text)
            raise
        if missing:
            raise MissingNodes(f"some pods of {key} are on nodes that are not known")
        return None

    async def _reconcile_family(
        self, service: core_v1.Service, family: str, slices: list[EndpointSlice], pods: list[core_v1.Pod], trigger: str
    ) -> bool:
        """Bring the slices of one family into order, and tell whether a pod's node was missing."""
        desired, missing = self._desired(service, family, pods)
        mine: dict[Ports, list[EndpointSlice]] = {}
        foreign = []
        for item in slices:
            if is_controlled_by(item, service.metadata.uid):
                mine.setdefault(item.ports or (), []).append(item)
            else:
                foreign.append(item)
        plans = [(ports, pack(mine.get(ports, ()), found)) for ports, found in desired.items()]
        plans += [(ports, Plan(deleted=list(gone))) for ports, gone in mine.items() if ports not in desired]
        if not any(plan.created or plan.updated or plan.kept for _, plan in plans):
            # A Service without endpoints is told from one that nobody has looked at by an empty slice.
            placeholder = next(
                (one for _, plan in plans for one in plan.deleted if not one.endpoints and not one.ports), None
            )
            kept = Plan(kept=[placeholder]) if placeholder is not None else Plan(created=[[]])
            for _, plan in plans:
                plan.deleted = [one for one in plan.deleted if one is not placeholder]
            plans.append(((), kept))
        for ports, plan in plans:
            await self._carry_out(service, family, ports, plan, trigger)
        for item in (*foreign, *(one for _, plan in plans for one in plan.deleted)):
            await self._delete(item)
        return missing

    async def _carry_out(self, service: core_v1.Service, family: str, ports: Ports, plan: Plan, trigger: str) -> None:
        distribution, labels = service.spec.traffic_distribution, _labels(service)
        for endpoints in plan.created:
            metadata = ObjectMeta(
                generate_name=_prefix(service.metadata.name),
                namespace=service.metadata.namespace,
                labels=labels,
                annotations={backends.TRIGGER_TIME: trigger} if trigger else {},
                owner_references=(owner_reference(service),),
            )
            made = EndpointSlice(
                metadata=metadata,
                address_type=family,
                endpoints=with_hints(endpoints, distribution),
                ports=ports or None,
            )
            self._written.wrote(key_of(service), await self.client.create(made))
        changed = [(item, with_hints(endpoints, distribution)) for item, endpoints in plan.updated]
        for item in plan.kept:
            hinted = with_hints(item.endpoints or (), distribution)
            if hinted != (item.endpoints or ()) or item.metadata.labels != labels:
                changed.append((item, hinted))
        for item, now in changed:
            annotations = {
                name: text for name, text in item.metadata.annotations.items() if name != backends.TRIGGER_TIME
            }
            if trigger:
                annotations[backends.TRIGGER_TIME] = trigger
            metadata = replace(item.metadata, labels=labels, annotations=annotations)
            self._written.wrote(
                key_of(service), await self.client.update(replace(item, metadata=metadata, endpoints=now))
            )

    async def _delete(self, item: EndpointSlice) -> None:
        metadata = item.metadata
        try:
            await self.client.delete(EndpointSlice, metadata.name, metadata.namespace, uid=metadata.uid)
        except NotFound:
            return

    def _desired(
        self, service: core_v1.Service, family: str, pods: Iterable[core_v1.Pod]
    ) -> tuple[dict[Ports, list[Endpoint]], bool]:
        """Return the endpoints by their list of ports, and whether a pod's node was missing."""
        found: dict[Ports, list[Endpoint]] = {}
        missing = False
        for pod in pods:
            addresses = backends.addresses(pod, family)
            if not addresses or not backends.may_serve(pod, terminating=True):
                continue
            node = self._nodes.cache.get(pod.spec.node_name)
            if node is None and pod.spec.node_name and not service.spec.publish_not_ready_addresses:
                missing = True
                continue
            found.setdefault(_ports(service, pod), []).append(_endpoint(service, pod, node, addresses))
        return found, missing

    # ── what the informers tell ──

    def _service_deleted(self, service: core_v1.Service) -> None:
        self._times.forget(key_of(service))

    def _pod_changed(self, pod: core_v1.Pod) -> None:
        for service in label_index.selecting(self._services.cache, pod, backends.selector_of):
            self.enqueue(service)

    def _pod_updated(self, old: core_v1.Pod, new: core_v1.Pod) -> None:
        if old.metadata.labels != new.metadata.labels:
            self._pod_changed(old)
        elif backends.face(old) == backends.face(new):
            return
        self._pod_changed(new)

    def _slice_changed(self, item: EndpointSlice) -> None:
        for key in _service_keys(item):
            self.enqueue_key(key)


def _service_keys(item: EndpointSlice) -> tuple[str, ...]:
    labels = item.metadata.labels
    if labels.get(MANAGED_BY) != MANAGER or SERVICE_NAME not in labels:
        return ()
    return (f"{item.metadata.namespace}/{labels[SERVICE_NAME]}",)


def _labels(service: core_v1.Service) -> dict[str, str]:
    labels = {name: value for name, value in service.metadata.labels.items() if name not in _RESERVED}
    if backends.is_headless(service):
        labels[backends.HEADLESS] = ""
    return labels | {SERVICE_NAME: service.metadata.name, MANAGED_BY: MANAGER}


def _prefix(name: str) -> str:
    return name if names.dns_subdomain(f"{name}-", prefix=True) else f"{name}-"


def _ports(service: core_v1.Service, pod: core_v1.Pod) -> Ports:
    return tuple(
        EndpointPort(name=item.name, port=item.port, protocol=item.protocol, app_protocol=item.app_protocol)
        for item in backends.ports_of(service, pod)
    )


def _endpoint(
    service: core_v1.Service, pod: core_v1.Pod, node: core_v1.Node | None, addresses: tuple[str, ...]
) -> Endpoint:
    serving, terminating = pod_rules.is_ready(pod), pod.metadata.deletion_timestamp is not None
    optional: dict[str, Any] = {
        "hostname": backends.hostname_in(service, pod) or None,
        "node_name": pod.spec.node_name or None,
        "zone": (node.metadata.labels.get(ZONE) or None) if node is not None else None,
    }
    return Endpoint(
        addresses=addresses,
        conditions=EndpointConditions(
            ready=service.spec.publish_not_ready_addresses or (serving and not terminating),
            serving=serving,
            terminating=terminating,
        ),
        target_ref=backends.reference(pod),
        **optional,
    )
