"""What a handler of one request is given: the request read so far, the kind it is for, and the server's services."""

from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from msgspec import Struct, field

from pinnace.api.resources import Resource
from pinnace.apiserver.endpoints.field_manager import FieldManager, Place, place_of
from pinnace.apiserver.endpoints.managed_entries import with_entries
from pinnace.apiserver.endpoints.negotiation import Output
from pinnace.apiserver.endpoints.options import FIELD_MANAGER_LIMIT_BYTES, WriteOptions
from pinnace.apiserver.endpoints.request_info import RequestInfo
from pinnace.apiserver.flowcontrol.turns import Turns
from pinnace.apiserver.registry.store import Admit, Call, Registry
from pinnace.apiserver.registry.strategy import Context, Objects
from pinnace.component.clock import Clock
from pinnace.component.http import Request, UserInfo
from pinnace.component.identity import Identity
from pinnace.component.worker import Worker
from pinnace.machinery.errors import BadRequest

R = TypeVar("R")


def default_manager(request: Request) -> str:
    """Return the field manager of a write that names none: the client program's name."""
    agent = request.headers.get("User-Agent").partition("/")[0]
    name = "".join(char for char in agent if char.isprintable())
    return name.encode()[:FIELD_MANAGER_LIMIT_BYTES].decode("utf-8", "ignore") or "unknown"


class Services(Protocol):
    """What handlers need of the server around them."""

    clock: Clock
    identity: Identity
    objects: Objects
    turns: Turns
    worker: Worker

    def registry(self, resource: Resource) -> Registry[Any]:
        """Return the registry of a kind."""

    def admit(self, scope: "Scope", operation: str, *, dry_run: bool, options: Any = None) -> Admit:
        """Bind admission to a request; `operation` is CREATE, UPDATE or DELETE."""

    def watch_seconds(self) -> float:
        """Return how long a watch lasts whose client does not say."""

    async def require(self, scope: "Scope", verb: str) -> None:
        """Check one more verb on the request's resource.

        Raises:
            Forbidden: the user may not.
        """


class Scope(Struct, kw_only=True):
    """One request on a resource."""

    services: Services
    request: Request
    info: RequestInfo
    user: UserInfo
    resource: Resource
    registry: Registry[Any]
    output: Output
    warnings: list[str] = field(default_factory=list)
    # What the request's body, and the object that it changes, may cost to work on.
    cost_bytes: int = 0

    async def compute(self, function: Callable[[], R]) -> R:
        """Return what a function of the request's body returns, worked out beside the event loop when that is much work."""
        weight = self.registry.strategy.weight
        return await self.services.worker.run(function, cost_bytes=self.cost_bytes * weight)

    @property
    def kind(self) -> str:
        return self.resource.kind

    def context(self, *, dry_run: bool = False) -> Context:
        """Return what the kind's strategy is told of the request."""
        services = self.services
        return Context(
            user=self.user,
            now=services.clock.time(),
            identity=services.identity,
            objects=services.objects,
            dry_run=dry_run,
            group=self.resource.group,
            plural=self.resource.plural,
        )

    def convert_label(self, label: str, value: str) -> tuple[str, str]:
        """Return the canonical form of a field label of this kind.

        Raises:
            BadRequest: the kind cannot be selected by it.
        """
        if label in {"metadata.name", "metadata.namespace"}:
            return label, value
        selectable = self.registry.strategy.selectable
        if label in selectable.aliases:
            return selectable.aliases[label], value
        if label not in selectable.fields:
            raise BadRequest(selectable.unknown(label))
        return label, value

    def field_manager(self, options: WriteOptions, now: float, place: Place | None = None) -> FieldManager:
        """Return what tracks a write by the manager that the request names; the place is the path's, unless given."""
        manager = options.field_manager or default_manager(self.request)
        return FieldManager(place or place_of(self.resource, self.info.subresource), manager, now)

    def manage(self, call: Call, options: WriteOptions) -> None:
        """Let a write keep managedFields, under the names that the request's version has for the fields."""
        manager, registry = self.field_manager(options, call.context.now), self.registry
        if registry.version is None:
            call.manage = manager
            return

        def manage(new: Any, old: Any) -> Any:
            managed = manager(registry.served(new), None if old is None else registry.served(old))
            return with_entries(new, managed.metadata.managed_fields)

        call.manage = manage

    def call(self, operation: str, *, dry_run: bool = False, options: Any = None) -> Call:
        """Return a write on behalf of this request."""
        return Call(
            context=self.context(dry_run=dry_run),
            admit=self.services.admit(self, operation, dry_run=dry_run, options=options),
            warnings=self.warnings,
            compute=self.compute,
        )
