"""Endpoints: the elder form of EndpointSlices, one object per Service and its primary address family (pkg/controller/endpoint)."""

from collections.abc import Iterable
from ipaddress import ip_address
from typing import ClassVar

from msgspec import Struct, field
from msgspec.structs import replace

from pinnace.api import core_v1
from pinnace.api.core_v1 import EndpointAddress, EndpointPort, Endpoints, EndpointSubset
from pinnace.api.meta_v1 import ObjectMeta
from pinnace.client import Client, InformerFactory
from pinnace.component.clock import Clock
from pinnace.controllers import label_index
from pinnace.controllers import pods as pod_rules
from pinnace.controllers import service_backends as backends
from pinnace.controllers.controller import Controller
from pinnace.controllers.own_writes import SOON_SECONDS, OwnWrites
from pinnace.controllers.pod_control import is_terminating
from pinnace.machinery.errors import AlreadyExists, ApiError, NotFound
from pinnace.machinery.meta import key as key_of
from pinnace.machinery.meta import split_key

MANAGED_BY, MANAGER = "endpoints.kubernetes.io/managed-by", "endpoint-controller"
OVER_CAPACITY, LEADER = "endpoints.kubernetes.io/over-capacity", "control-plane.alpha.kubernetes.io/leader"
# Addresses in one object; the ready ones come first.
LIMIT = 1000


class _Backend(Struct):
    """One address with the ports under which it is ready, or is not yet."""

    address: EndpointAddress
    is_ready: bool
    ports: dict[EndpointPort, None] = field(default_factory=dict)


class EndpointsController(Controller):
    """Reconciles Services into Endpoints."""

    name = "endpoint-controller"
    component = "endpoint-controller"
    retry_limit: ClassVar[int | None] = 15

    def __init__(self, client: Client, informers: InformerFactory, clock: Clock) -> None:
        super().__init__(client, informers, clock)
        self._services = informers.informer(core_v1.Service)
        self._pods = informers.informer(core_v1.Pod)
        self._endpoints = informers.informer(Endpoints)
        label_index.add_label_index(self._pods.cache)
        label_index.add_selector_index(self._services.cache, backends.selector_of)
        self._written = OwnWrites(self._endpoints)
        self._times = backends.TriggerTimes()
        self._bereft: dict[str, bool] = {}
        self._services.add_handler(self.enqueue, lambda _, new: self.enqueue(new), self._service_deleted)
        self._pods.add_handler(self._pod_changed, self._pod_updated, self._pod_changed)
        # One whose Service went while nobody looked is found at the start.
        self._endpoints.add_handler(self.enqueue, on_delete=self.enqueue)

    async def reconcile(self, key: str) -> float | None:
        service, present = self._services.cache.get(key), self._endpoints.cache.get(key)
        if service is None:
            self._times.forget(key)
            # Whoever wrote them, they go with their Service; those that never had one stay.
            if self._bereft.pop(key, False) or (present is not None and _is_ours(present)):
                await self._delete(key)
            return None
        if not backends.selects_pods(service):
            return None
        if not self._written.are_seen(key):
            return SOON_SECONDS
        pods = list(label_index.selected(self._pods.cache, service.metadata.namespace, service.spec.selector))
        subsets, truncated = _subsets(service, pods)
        labels, trigger = _labels(service), self._times.since(service, pods)
        if (
            present is not None
            and (present.subsets, present.metadata.labels) == (subsets, labels)
            and (OVER_CAPACITY in present.metadata.annotations) == truncated
        ):
            return None
        annotations = dict(present.metadata.annotations) if present is not None else {}
        _set(annotations, backends.TRIGGER_TIME, trigger)
        _set(annotations, OVER_CAPACITY, "truncated" if truncated else "")
        await self._write(service, present, labels, annotations, subsets)
        return None

    async def _write(
        self,
        service: core_v1.Service,
        present: Endpoints | None,
        labels: dict[str, str],
        annotations: dict[str, str],
        subsets: tuple[EndpointSubset, ...],
    ) -> None:
        name, namespace = service.metadata.name, service.metadata.namespace
        metadata = present.metadata if present is not None else ObjectMeta(name=name, namespace=namespace)
        made = Endpoints(metadata=replace(metadata, labels=labels, annotations=annotations), subsets=subsets)
        try:
            stored = await (self.client.create(made) if present is None else self.client.update(made))
        except AlreadyExists:
            raise
        except ApiError as error:
            if is_terminating(error):
                return
            verb, what = ("create", "Create") if present is None else ("update", "Update")
            text = f"Failed to {verb} endpoint {namespace}/{name}: {error}"
            self.recorder.event(service, "Warning", f"FailedTo{what}Endpoint", text)
            raise
        self._written.wrote(key_of(service), stored)

    async def _delete(self, key: str) -> None:
        namespace, name = split_key(key)
        try:
            await self.client.delete(Endpoints, name, namespace)
        except NotFound:
            return

    # ── what the informers tell ──

    def _service_deleted(self, service: core_v1.Service) -> None:
        self._bereft[key_of(service)] = True
        self.enqueue(service)

    def _pod_changed(self, pod: core_v1.Pod) -> None:
        for service in label_index.selecting(self._services.cache, pod, backends.selector_of):
            self.enqueue(service)

    def _pod_updated(self, old: core_v1.Pod, new: core_v1.Pod) -> None:
        if old.metadata.labels != new.metadata.labels:
            self._pod_changed(old)
        elif backends.face(old) == backends.face(new):
            return
        self._pod_changed(new)


def _is_ours(endpoints: Endpoints) -> bool:
    """Tell whether endpoints without a Service are to go: not those that somebody keeps by hand or as a lock."""
    metadata = endpoints.metadata
    return metadata.labels.get(MANAGED_BY) == MANAGER and LEADER not in metadata.annotations


def _set(annotations: dict[str, str], name: str, text: str) -> None:
    if text:
        annotations[name] = text
    else:
        annotations.pop(name, None)


def _labels(service: core_v1.Service) -> dict[str, str]:
    labels = {name: value for name, value in service.metadata.labels.items() if name != backends.HEADLESS}
    if backends.is_headless(service):
        labels[backends.HEADLESS] = ""
    return labels | {MANAGED_BY: MANAGER}


def _subsets(service: core_v1.Service, pods: Iterable[core_v1.Pod]) -> tuple[tuple[EndpointSubset, ...], bool]:
    """Return the subsets, addresses with the same ports together, and whether some had to be left out."""
    tolerant, family = service.spec.publish_not_ready_addresses, backends.families(service)[0]
    found: list[_Backend] = []
    for pod in pods:
        if not backends.may_serve(pod, terminating=tolerant):
            continue
        addresses = backends.addresses(pod, family)
        ports = {
            EndpointPort(name=item.name, port=item.port, protocol=item.protocol, app_protocol=item.app_protocol): None
            for item in backends.ports_of(service, pod)
        }
        if addresses and (ports or not service.spec.ports):
            found.append(_Backend(_address(service, pod, addresses[0]), tolerant or pod_rules.is_ready(pod), ports))
    found.sort(key=lambda item: (not item.is_ready, int(ip_address(item.address.ip))))
    kept = found[:LIMIT]
    groups: dict[tuple[EndpointPort, ...], list[_Backend]] = {}
    for item in kept:
        groups.setdefault(tuple(sorted(item.ports, key=lambda port: (port.port, port.protocol, port.name))), []).append(
            item
        )
    ordered = sorted(groups.items(), key=lambda entry: [(port.port, port.protocol, port.name) for port in entry[0]])
    subsets = tuple(
        EndpointSubset(
            addresses=tuple(item.address for item in members if item.is_ready),
            not_ready_addresses=tuple(item.address for item in members if not item.is_ready),
            ports=ports,
        )
        for ports, members in ordered
    )
    return subsets, len(found) > len(kept)


def _address(service: core_v1.Service, pod: core_v1.Pod, ip: str) -> EndpointAddress:
    return EndpointAddress(
        ip=ip,
        hostname=backends.hostname_in(service, pod),
        node_name=pod.spec.node_name or None,
        target_ref=backends.reference(pod),
    )
