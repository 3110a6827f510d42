"""An API server from its parts: the one place that knows which class plays which role.

Whoever embeds the server calls `api_server` with a store, a clock and a source of identity, and serves `handle` on a socket or in
the process.
"""

from collections.abc import Mapping, Sequence

from pinnace.api import resources
from pinnace.api.core_v1 import Pod
from pinnace.api.flowcontrol_v1 import FlowSchema, PriorityLevelConfiguration
from pinnace.apiserver.admission import AdmissionChain, Plugin, default_plugins
from pinnace.apiserver.authentication import (
    Authenticator,
    BearerAuthenticator,
    BootstrapTokens,
    CertificateAuthenticator,
    RequestAuthenticator,
    ServiceAccountAuthenticator,
    SignedClaims,
    StaticTokens,
    StoredTokens,
)
from pinnace.apiserver.authorization import Authorizer
from pinnace.apiserver.authorization.compose import authorizer_of, roles_of
from pinnace.apiserver.authorization.escalation import EscalationCheck
from pinnace.apiserver.build_version import VERSION
from pinnace.apiserver.component_statuses import STORE, component_statuses
from pinnace.apiserver.config import ApiServerConfig
from pinnace.apiserver.discovery import Discovery
from pinnace.apiserver.endpoints import scale, subresources
from pinnace.apiserver.endpoints.reviews import Reviews
from pinnace.apiserver.endpoints.router import Specials
from pinnace.apiserver.endpoints.tokens import token_handler
from pinnace.apiserver.extension import ExtensionGroup, versions_of
from pinnace.apiserver.flowcontrol import FlowControl
from pinnace.apiserver.flowcontrol.dangling import DanglingConditions
from pinnace.apiserver.flowcontrol.metrics import FlowControlCollector
from pinnace.apiserver.health import Health
from pinnace.apiserver.hooks import Hooks
from pinnace.apiserver.nonresource import NonResourcePaths
from pinnace.apiserver.openapi import OpenApi
from pinnace.apiserver.registries import Registries
from pinnace.apiserver.request_metrics import BuildInfo, StorageCollector
from pinnace.apiserver.server import ApiServer
from pinnace.apiserver.service_account_tokens import SigningKey, TokenIssuer
from pinnace.apiserver.zpages import Pages
from pinnace.component.clock import Clock
from pinnace.component.healthz import Check
from pinnace.component.http import UserInfo
from pinnace.component.identity import Identity
from pinnace.component.metrics import Metrics
from pinnace.store.interface import Store


def api_server(
    config: ApiServerConfig,
    store: Store,
    *,
    clock: Clock,
    identity: Identity,
    signing_key: SigningKey,
    tokens: Mapping[str, UserInfo] | None = None,
    client_ca_pem: str = "",
    authorizer: Authorizer | None = None,
    admission_plugins: Sequence[Plugin] = (),
    specials: Specials | None = None,
    extensions: Sequence[ExtensionGroup] = (),
    components: Sequence[Check] = (),
    metrics: Metrics | None = None,
) -> ApiServer:
    """Compose a server; enter `running()` before the first request.

    Args:
        config: how it behaves.
        store: where objects are kept; open, and nobody else's.
        clock: the cluster's.
        identity: where UIDs and suffixes come from.
        signing_key: signs service-account tokens; tokens signed by another are refused.
        tokens: bearer tokens of known users.
        client_ca_pem: the authority of client certificates, published for extension servers; the TLS layer checks them.
        authorizer: says who may do what; masters, Node and RBAC when None.
        admission_plugins: run where upstream has its webhooks; `admission.functions` makes them of functions.
        specials: answers subresources that lead to nodes (log, exec, proxy).
        extensions: groups whose objects are computed, such as the metrics of nodes and pods.
        components: the parts of the control plane that run beside the server, for `componentstatuses`.
        metrics: where request metrics go.
    """
    metrics = metrics if metrics is not None else Metrics()

    async def store_failure() -> str:
        status = store.status()
        return "" if status.healthy else status.reason or "the store is not healthy"

    registries = Registries(store, clock, identity)
    metrics.registry.register(StorageCollector(registries.kept, store))
    metrics.registry.register(BuildInfo())
    audiences = (config.service_account_issuer,)
    address = config.advertise_address
    jwks_uri = f"https://{address}:{config.secure_port}/openid/v1/jwks" if address else ""
    issuer = TokenIssuer(signing_key, config.service_account_issuer, audiences, clock, identity, jwks_uri=jwks_uri)
    claims = SignedClaims(lambda: (issuer.public_key,))
    kinds = (
        StaticTokens(tokens or {}),
        StoredTokens(claims, registries.objects, clock),
        ServiceAccountAuthenticator(claims, config.service_account_issuer, registries.objects, clock),
        BootstrapTokens(registries.objects, clock),
    )
    bearer = BearerAuthenticator(kinds, audiences)
    authenticators: tuple[Authenticator, ...] = (CertificateAuthenticator(clock), bearer)
    roles = roles_of(registries)
    authorizer = authorizer or authorizer_of(registries, roles)
    reviews = Reviews(bearer, authorizer, roles)
    facts = {"client-ca-file": client_ca_pem} if client_ca_pem else {}
    groups = {**resources.GROUPS, **versions_of(extensions)}
    hooks = Hooks(config, registries.objects, clock, facts, groups)
    health = Health(store_failure, [name for name, _ in hooks.steps()])
    computed = [one for group in extensions for one in group.resources]
    discovery, openapi = Discovery((*resources.RESOURCES, *computed), groups), OpenApi(clock)
    return ApiServer(
        config,
        clock=clock,
        identity=identity,
        registries=registries,
        authenticator=RequestAuthenticator(authenticators, anonymous=config.anonymous_auth),
        authorizer=authorizer,
        admission=AdmissionChain(
            default_plugins(
                registries.objects,
                identity,
                clock,
                authorizer,
                further=(*admission_plugins, EscalationCheck(roles, authorizer)),
                enable=config.enable_admission_plugins,
                disable=config.disable_admission_plugins,
            )
        ),
        specials={
            **_own_specials(issuer),
            **reviews.handlers(),
            ("componentstatuses", ""): component_statuses((Check(STORE, store_failure), *components)),
            **(specials or {}),
        },
        paths=NonResourcePaths(
            health=health,
            pages=Pages(config, clock, VERSION.git_version),
            metrics=metrics,
            issuer=issuer,
            discovery=discovery.handle,
            openapi=openapi.handle,
            groups=groups,
        ),
        extensions={group.resources[0].group: group for group in extensions},
        health=health,
        hooks=hooks,
        loops={"event-expiry": registries.expire_events, "flow-control-conditions": _conditions(registries, clock).run},
        flow_control=_flow_control(config, registries, clock, metrics),
        metrics=metrics,
    )


def _flow_control(config: ApiServerConfig, registries: Registries, clock: Clock, metrics: Metrics) -> FlowControl:
    schemas, levels = (
        registries.of(resources.by_type(kind)).storage for kind in (FlowSchema, PriorityLevelConfiguration)
    )
    seats = config.max_requests_inflight + config.max_mutating_requests_inflight
    flow_control = FlowControl(schemas, levels, seats, clock)
    metrics.registry.register(FlowControlCollector(flow_control))
    return flow_control


def _conditions(registries: Registries, clock: Clock) -> DanglingConditions:
    schemas, levels = (
        registries.of(resources.by_type(kind)).storage for kind in (FlowSchema, PriorityLevelConfiguration)
    )
    return DanglingConditions(schemas, levels, registries.objects, clock)


def _own_specials(issuer: TokenIssuer) -> Specials:
    pods = resources.by_type(Pod).plural
    return {
        (pods, "binding"): subresources.pod_binding,
        (pods, "eviction"): subresources.pod_eviction,
        ("bindings", ""): subresources.create_binding,
        ("serviceaccounts", "token"): token_handler(issuer),
        ("", "scale"): scale.scale,
    }
