"""Where the nodes' DNS processes answer, as EndpointSlices of the Service `kube-dns`: one for each node, gone with it.

A node says the ports of its process in an annotation of its own Node object, the only one that it may write; that leads nowhere but to
the node itself. The Service keeps its traffic on the node (`internalTrafficPolicy: Local`).
"""

from msgspec.structs import replace

from pinnace.api.core_v1 import Node
from pinnace.api.discovery_v1 import Endpoint, EndpointConditions, EndpointPort, EndpointSlice
from pinnace.api.meta_v1 import ObjectMeta, OwnerReference
from pinnace.client import Client, InformerFactory
from pinnace.component.clock import Clock
from pinnace.controllers.controller import Controller
from pinnace.machinery.errors import AlreadyExists, NotFound

NAMESPACE, SERVICE = "kube-system", "kube-dns"
# On a Node: `<port of questions>,<port of metrics>`.
PORTS_ANNOTATION = "dns.pinnace.dev/ports"
_MANAGER = "pinnace-dns"
_LABELS = {
    "kubernetes.io/service-name": SERVICE,
    "k8s-app": "kube-dns",
    "kubernetes.io/cluster-service": "true",
    "kubernetes.io/name": "CoreDNS",
    "endpointslice.kubernetes.io/managed-by": _MANAGER,
}


class DnsEndpointsController(Controller):
    """Reconciles Nodes: the slice of each that runs DNS."""

    name = "endpointslice-controller"
    component = "dns-endpoints-controller"

    def __init__(self, client: Client, informers: InformerFactory, clock: Clock) -> None:
        super().__init__(client, informers, clock)
        self._nodes = informers.informer(Node)
        self._slices = informers.informer(EndpointSlice)
        self._nodes.add_handler(self.enqueue, lambda _, new: self.enqueue(new), self.enqueue)
        self._slices.add_handler(self._slice_seen, lambda _, new: self._slice_seen(new), self._slice_seen)

    def _slice_seen(self, one: EndpointSlice) -> None:
        if one.metadata.labels.get("endpointslice.kubernetes.io/managed-by") == _MANAGER:
            self.enqueue_key(one.metadata.name.removeprefix(f"{SERVICE}-"))

    async def reconcile(self, key: str) -> float | None:
        node = self._nodes.cache.get(key)
        found = self._slices.cache.get(f"{NAMESPACE}/{SERVICE}-{key}")
        wanted = slice_of(node) if node is not None else None
        if wanted is None:
            if found is not None:
                await self._delete(found)
        elif found is None:
            try:
                await self.client.create(wanted)
            except AlreadyExists:
                return None
        elif found.address_type != wanted.address_type:
            await self._delete(found)  # and made anew once that is seen
        elif (found.endpoints, found.ports) != (wanted.endpoints, wanted.ports):
            await self.client.update(replace(found, endpoints=wanted.endpoints, ports=wanted.ports))
        return None

    async def _delete(self, found: EndpointSlice) -> None:
        try:
            await self.client.delete(EndpointSlice, found.metadata.name, NAMESPACE, uid=found.metadata.uid)
        except NotFound:
            return


def slice_of(node: Node) -> EndpointSlice | None:
    """Return the slice that leads to a node's DNS, None when it runs none."""
    address = next((one.address for one in node.status.addresses if one.type == "InternalIP"), "")
    try:
        port, metrics_port = map(int, node.metadata.annotations.get(PORTS_ANNOTATION, "").split(","))
    except ValueError:
        return None
    if not address or not all(0 < number < 65536 for number in (port, metrics_port)):
        return None
    name = node.metadata.name
    owner = OwnerReference(api_version="v1", kind="Node", name=name, uid=node.metadata.uid)
    return EndpointSlice(
        metadata=ObjectMeta(name=f"{SERVICE}-{name}", namespace=NAMESPACE, labels=_LABELS, owner_references=(owner,)),
        address_type="IPv6" if ":" in address else "IPv4",
        endpoints=(
            Endpoint(
                addresses=(address,),
                conditions=EndpointConditions(ready=True, serving=True, terminating=False),
                node_name=name,
            ),
        ),
        ports=(
            EndpointPort(name="dns", protocol="UDP", port=port),
            EndpointPort(name="dns-tcp", protocol="TCP", port=port),
            EndpointPort(name="metrics", protocol="TCP", port=metrics_port),
        ),
    )
