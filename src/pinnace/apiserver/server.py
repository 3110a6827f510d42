"""The API server: one coroutine that answers requests, and the few loops beside it.

`handle` knows nothing of sockets. A request passes, in upstream's order: what it is about, who makes it, on whose behalf,
whether there is room, whether it is allowed, and then the handler of its path. Whatever fails on the way is answered as a Status.
`running` starts what works beside the requests (watch caches, post-start hooks, expiry of events) and ends it. Upstream:
apiserver `server/config.go` (the handler chain), `server/genericapiserver.go`.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Never

from msgspec import Struct

from pinnace.api import resources
from pinnace.api.resources import Resource
from pinnace.apiserver.admission import Admission
from pinnace.apiserver.authentication import RequestAuthenticator
from pinnace.apiserver.authorization import Authorizer, check
from pinnace.apiserver.config import ApiServerConfig
from pinnace.apiserver.endpoints import request_info
from pinnace.apiserver.endpoints.admit import BoundAdmission
from pinnace.apiserver.endpoints.durations import parse_duration
from pinnace.apiserver.endpoints.impersonation import impersonate, is_impersonating
from pinnace.apiserver.endpoints.negotiation import negotiate
from pinnace.apiserver.endpoints.request_info import RequestInfo
from pinnace.apiserver.endpoints.responses import compressed, page_not_found, plain, respond_error
from pinnace.apiserver.endpoints.router import Specials, find_handler, find_resource, is_served_group
from pinnace.apiserver.endpoints.scope import Scope, Services
from pinnace.apiserver.extension import ExtensionGroup
from pinnace.apiserver.flowcontrol import Flow, FlowControl, Rejected, Turns, is_long_running
from pinnace.apiserver.flowcontrol.controller import width_of_list
from pinnace.apiserver.health import Health
from pinnace.apiserver.hooks import Hooks
from pinnace.apiserver.in_flight import READ_ONLY, InFlight, kind_of
from pinnace.apiserver.nonresource import NonResourcePaths
from pinnace.apiserver.registries import Registries
from pinnace.apiserver.registry.store import Admit, Registry
from pinnace.apiserver.request_metrics import RequestMetrics
from pinnace.component.clock import Clock
from pinnace.component.http import Request, Response, Upgrade, UserInfo
from pinnace.component.identity import Identity
from pinnace.component.lifecycle import running
from pinnace.component.logging import get_logger
from pinnace.component.metrics import Metrics
from pinnace.component.worker import Worker
from pinnace.machinery import errors
from pinnace.machinery.codec import bounds
from pinnace.machinery.errors import ApiError, BadRequest, ServiceUnavailable
from pinnace.machinery.numbers import parse_int
from pinnace.store.interface import StoreError, Unavailable

# Seconds that a write may take at most, and after which a refused client should try again: upstream's values.
MUTATING_SECONDS = 34.0
RETRY_AFTER_SECONDS = 1
_log = get_logger("apiserver")
_NO_CACHE = ("Cache-Control", "no-cache, private")


class ApiServer(Services):
    """Answers every request of a cluster; compose one with `compose.api_server`."""

    def __init__(
        self,
        config: ApiServerConfig,
        *,
        clock: Clock,
        identity: Identity,
        registries: Registries,
        authenticator: RequestAuthenticator,
        authorizer: Authorizer,
        admission: Admission,
        specials: Specials,
        paths: NonResourcePaths,
        extensions: Mapping[str, ExtensionGroup],
        health: Health,
        hooks: Hooks,
        loops: Mapping[str, Callable[[], Coroutine[Any, Any, Never]]],
        flow_control: FlowControl,
        metrics: Metrics,
    ) -> None:
        self.config = config
        self.clock = clock
        self.identity = identity
        self.objects = registries.objects
        self.metrics = metrics
        self.authorizer = authorizer
        self._registries = registries
        self._authenticator = authenticator
        self._admission = admission
        self._specials = specials
        self._paths = paths
        self._extensions = extensions
        self._health = health
        self._hooks = hooks
        self._loops = loops
        self.turns = Turns(clock)
        self.worker = Worker("apiserver-worker")
        self._flow_control = flow_control
        self._in_flight = InFlight(clock)
        self._counted = RequestMetrics(metrics, self._in_flight)
        self._ready = asyncio.Event()

    # ── life ──

    @asynccontextmanager
    async def running(self) -> AsyncIterator["ApiServer"]:
        """Serve while the block lasts: caches filled, what the server makes by itself made."""
        async with self._registries.running():
            for name, step in self._hooks.steps():
                await step()
                _log.debug("post-start hook done", hook=name)
            async with AsyncExitStack() as stack:
                for name, run in self._loops.items():
                    await stack.enter_async_context(running(name, run))
                self._health.set_ready()
                try:
                    yield self
                finally:
                    self._health.set_stopping()
                    self.worker.close()

    @asynccontextmanager
    async def accepting(self) -> AsyncIterator[None]:
        """Take requests while the block lasts, and end in order: enter it inside the block of whatever listens.

        In the end /readyz turns red while requests are still served, so that load balancers look elsewhere
        (`shutdown_delay_seconds`); then watches end, what comes is refused, and what is at work gets its answer.
        """
        try:
            yield
        finally:
            self._health.set_stopping()
            await self.clock.sleep(self.config.shutdown_delay_seconds)
            self._registries.end_watches()
            if not await self._in_flight.close(self.config.request_timeout_seconds):
                _log.warning("requests were still at work when the server stopped", counts=dict(self._in_flight.counts))

    # ── services of handlers ──

    def registry(self, resource: Resource) -> Registry[Any]:
        return self._registries.of(resource)

    def admit(self, scope: Scope, operation: str, *, dry_run: bool, options: Any = None) -> Admit:
        return BoundAdmission(self._admission, scope, operation, dry_run=dry_run, options=options)

    def watch_seconds(self) -> float:
        return self.config.min_request_timeout_seconds * (1.0 + self.identity.random.random())

    async def require(self, scope: Scope, verb: str) -> None:
        await check(self.authorizer, scope.user, scope.info, scope.request, verb=verb)

    # ── requests ──

    async def handle(self, request: Request) -> Response | Upgrade:
        """Answer a request; never raises but for cancellation."""
        with self.clock.hold("a request to the API server"):
            info = request_info.parse(request)
            way = _Way(request, info)
            begun = self.clock.monotonic()
            answer = await self._answer(way)
            size = len(answer.body) if isinstance(answer, Response) and isinstance(answer.body, bytes) else 0
            seconds = self.clock.monotonic() - begun
            self._counted.count(request, info, answer.status, seconds, waited=way.waited_seconds, size=size)
        audit_id = request.headers.get("Audit-ID") or self.identity.uid()
        fields = (("Audit-Id", audit_id), *(way.flow.headers if way.flow is not None else ()))
        headers = answer.headers.extended(*fields, *(() if "Cache-Control" in answer.headers else (_NO_CACHE,)))
        if isinstance(answer, Upgrade):
            return Upgrade(headers, answer.run, answer.status)
        return Response(answer.status, headers, answer.body)

    async def _answer(self, way: "_Way") -> Response | Upgrade:
        request, info = way.request, way.info
        kind = kind_of(info)
        if self._in_flight.is_closed:
            return respond_error(request, _shutting_down())
        if is_long_running(info):
            return await self._served(way, None)
        self._in_flight.enter(kind)
        try:
            # A plain get never waits; a timer for it would cost more than the answer.
            if info.verb == "get" and not request.query and not info.subresource:
                return await self._served(way, None)
            limit = self.config.request_timeout_seconds if kind == READ_ONLY else MUTATING_SECONDS
            return await self._served(way, limit)
        finally:
            self._in_flight.leave(kind)

    async def _served(self, way: "_Way", limit_seconds: float | None) -> Response | Upgrade:
        """Return the answer, or the Status of whatever went wrong."""
        request, info = way.request, way.info
        try:
            if limit_seconds is None:
                return await self._filtered(way)
            async with self.clock.timeout(_timeout_seconds(request, limit_seconds)):
                return await self._filtered(way)
        except ApiError as error:
            return respond_error(request, error)
        except Rejected:
            text = "Too many requests, please try again later."
            return plain(429, text, ("Retry-After", str(RETRY_AFTER_SECONDS)))
        except TimeoutError:
            late = errors.timeout("request did not complete within the allotted timeout")
            late.details = errors.NO_DETAILS
            return respond_error(request, late)
        except StoreError as failure:
            return respond_error(request, _of_store(failure))
        except RecursionError:
            # Nothing here recurses but along what a client sent.
            return respond_error(request, BadRequest(bounds.TOO_DEEP))
        except Exception as failure:  # noqa: BLE001 - a bug must cost one request, not the server
            _log.exception("request failed", verb=info.verb, path=info.path)
            return respond_error(request, errors.internal(f"{type(failure).__name__}: {failure}"))

    async def _filtered(self, way: "_Way") -> Response | Upgrade:
        request, info = way.request, way.info
        user = await self._authenticator.authenticate(request)
        if is_impersonating(request):
            user = await impersonate(request, info, user, self.authorizer)
        is_long = is_long_running(info)
        if is_long and info.verb != "watch":
            return await self._allowed(request, info, user)
        flow = way.flow = self._flow_control.classify(info, user)
        if flow is None or is_long:
            return await self._allowed(request, info, user)
        width = self._width(request, info)
        begun = self.clock.monotonic()
        await self._flow_control.seat(flow, width)
        way.waited_seconds = self.clock.monotonic() - begun
        try:
            return await self._allowed(request, info, user)
        finally:
            self._flow_control.give_back(flow, width)

    def _width(self, request: Request, info: RequestInfo) -> int:
        """Return how many seats a request takes: a list more, the more objects it has to look at."""
        if info.verb != "list":
            return 1
        resource = resources.by_path(info.group, info.version, info.resource)
        count = len(self._registries.of(resource).storage) if resource is not None else 0
        limit = request.param("limit") if request.query else ""
        try:
            wanted = parse_int(limit) if limit else 0
        except ValueError:  # refused when it is handled
            wanted = 0
        return width_of_list(min(count, wanted) if wanted > 0 else count)

    async def _allowed(self, request: Request, info: RequestInfo, user: UserInfo) -> Response | Upgrade:
        await check(self.authorizer, user, info, request)
        if not info.is_resource:
            return await self._paths.handle(request, user)
        return await self._on_resource(request, info, user)

    async def _on_resource(self, request: Request, info: RequestInfo, user: UserInfo) -> Response | Upgrade:
        if (extension := self._extensions.get(info.group)) is not None:
            return await extension.handle(request, info, self.objects)
        if not is_served_group(info.group):
            return page_not_found()
        resource = find_resource(info)
        handler = find_handler(resource, info, request.method, self._specials)
        registry = self._registries.of(resource)
        scope = Scope(
            services=self,
            request=request,
            info=info,
            user=user,
            resource=resource,
            registry=registry,
            output=negotiate(request, watch=info.verb == "watch"),
        )
        if registry.strategy.deprecation:
            scope.warnings.append(registry.strategy.deprecation)
        try:
            answer = await handler(scope)
        except ApiError as error:
            if scope.warnings:
                return respond_error(request, error, scope.warnings)
            raise
        return answer if isinstance(answer, Upgrade) else await compressed(request, answer)


class _Way(Struct):
    """A request on its way through the filters, and what has been learnt of it."""

    request: Request
    info: RequestInfo
    flow: Flow | None = None
    waited_seconds: float = 0.0


def _shutting_down() -> ApiError:
    error = ServiceUnavailable("apiserver is shutting down")
    error.details = errors.Details(retry_after_seconds=1)
    return error


def _timeout_seconds(request: Request, limit: float) -> float:
    """Return how long a request may take: what the client allows, at most the server's limit.

    Raises:
        BadRequest: the client's timeout is no duration.
    """
    text = request.param("timeout") if request.query else ""
    if not text:
        return limit
    seconds = parse_duration(text)
    return min(seconds, limit) if seconds > 0 else limit


def _of_store(failure: StoreError) -> ApiError:
    if isinstance(failure, Unavailable):
        _log.warning("the store refuses", reason=str(failure))
        return ServiceUnavailable(f"the store cannot be written: {failure}")
    return errors.internal(str(failure))
