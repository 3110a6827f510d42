"""ServiceAccount: every namespace has one called `default` (pkg/controller/serviceaccount/serviceaccounts_controller.go)."""

from pinnace.api import core_v1
from pinnace.api.meta_v1 import ObjectMeta
from pinnace.client import Client, InformerFactory
from pinnace.component.clock import Clock
from pinnace.controllers.controller import Controller
from pinnace.machinery.errors import AlreadyExists

DEFAULT = "default"


class ServiceAccountController(Controller):
    """Reconciles namespaces: makes the account that is missing."""

    name = "service-account-controller"
    component = "service-account-controller"

    def __init__(self, client: Client, informers: InformerFactory, clock: Clock) -> None:
        super().__init__(client, informers, clock)
        self._namespaces = informers.informer(core_v1.Namespace)
        self._accounts = informers.informer(core_v1.ServiceAccount)
        self._namespaces.add_handler(self.enqueue, lambda _, new: self.enqueue(new))
        self._accounts.add_handler(on_delete=lambda account: self.enqueue_key(account.metadata.namespace))

    async def reconcile(self, key: str) -> float | None:
        namespace = self._namespaces.cache.get(key)
        if namespace is None or namespace.status.phase == "Terminating":
            return None
        if self._accounts.cache.get(f"{key}/{DEFAULT}") is None:
            try:
                await self.client.create(core_v1.ServiceAccount(metadata=ObjectMeta(name=DEFAULT, namespace=key)))
            except AlreadyExists:
                return None
        return None
