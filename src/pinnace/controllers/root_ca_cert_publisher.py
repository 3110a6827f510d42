"""RootCACertPublisher: every namespace has the cluster's CA as a ConfigMap (pkg/controller/certificates/rootcacertpublisher)."""

from msgspec.structs import replace

from pinnace.api import core_v1
from pinnace.api.meta_v1 import ObjectMeta
from pinnace.client import Client, InformerFactory
from pinnace.component.clock import Clock
from pinnace.controllers.controller import Controller
from pinnace.machinery.errors import AlreadyExists

CONFIG_MAP = "kube-root-ca.crt"
DESCRIPTION = (
    "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the internal "
    "service IP or kubernetes.default.svc. No other usage is guaranteed across distributions of Kubernetes clusters."
)


class RootCACertPublisher(Controller):
    """Reconciles namespaces: makes the ConfigMap, and puts back what was changed in it."""

    name = "root-ca-cert-publisher"
    component = "root-ca-cert-publisher"

    def __init__(self, client: Client, informers: InformerFactory, clock: Clock, *, ca_pem: str) -> None:
        super().__init__(client, informers, clock)
        self._data = {"ca.crt": ca_pem}
        self._namespaces = informers.informer(core_v1.Namespace)
        self._maps = informers.informer(core_v1.ConfigMap, field_selector=f"metadata.name={CONFIG_MAP}")
        self._namespaces.add_handler(self.enqueue, lambda _, new: self.enqueue(new))
        self._maps.add_handler(
            on_update=lambda _, new: self.enqueue_key(new.metadata.namespace),
            on_delete=lambda gone: self.enqueue_key(gone.metadata.namespace),
        )

    async def reconcile(self, key: str) -> float | None:
        namespace = self._namespaces.cache.get(key)
        if namespace is None or namespace.status.phase == "Terminating":
            return None
        found = self._maps.cache.get(f"{key}/{CONFIG_MAP}")
        if found is None:
            metadata = ObjectMeta(
                name=CONFIG_MAP, namespace=key, annotations={"kubernetes.io/description": DESCRIPTION}
            )
            try:
                await self.client.create(core_v1.ConfigMap(metadata=metadata, data=self._data))
            except AlreadyExists:
                return None
        elif found.data != self._data:
            await self.client.update(replace(found, data=self._data))
        return None
