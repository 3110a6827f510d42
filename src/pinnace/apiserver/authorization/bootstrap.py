"""Who may do what before anybody has written a role: the public paths, every user's own reviews, and the components.

Each entry grants what upstream's bootstrap role of the same subject grants. The controllers run under one identity here or under their
service accounts in kube-system, and get the union of the controllers' roles. Upstream: `rbac/bootstrappolicy/{policy,controller_policy}.go`.
"""

from collections.abc import Mapping

from pinnace.apiserver.authentication import ALL_AUTHENTICATED, ALL_UNAUTHENTICATED
from pinnace.apiserver.authorization.interface import ALLOWED, NO_OPINION, Attributes, Authorizer, Decision, Verdict
from pinnace.apiserver.authorization.rules import Rule, on, on_paths

MASTERS = "system:masters"
CONTROLLER_MANAGER = "system:kube-controller-manager"
SCHEDULER = "system:kube-scheduler"
PROXY = "system:kube-proxy"
DNS = "system:kube-dns"
NODES = "system:nodes"
MONITORING = "system:monitoring"

_READ = "get list watch"
_EVENTS = on("core events.k8s.io", "events", "create patch update")
_REVIEWS = (
    on("authentication.k8s.io", "tokenreviews", "create"),
    on("authorization.k8s.io", "subjectaccessreviews", "create"),
)

_PUBLIC = (on_paths("get", "/healthz", "/livez", "/readyz", "/version", "/version/"),)

_EVERY_USER = (
    on_paths(
        "get",
        "/api",
        "/api/*",
        "/apis",
        "/apis/*",
        "/healthz",
        "/livez",
        "/openapi",
        "/openapi/*",
        "/readyz",
        "/version",
        "/version/",
    ),
    on("authorization.k8s.io", "selfsubjectaccessreviews selfsubjectrulesreviews", "create"),
    on("authentication.k8s.io", "selfsubjectreviews", "create"),
)

_EVERY_SERVICE_ACCOUNT = (on_paths("get", "/.well-known/openid-configuration", "/openid/v1/jwks"),)

_MONITORING = (
    on_paths(
        "get",
        "/metrics",
        "/metrics/*",
        "/livez",
        "/livez/*",
        "/readyz",
        "/readyz/*",
        "/healthz",
        "/healthz/*",
        "/flagz",
        "/statusz",
    ),
)

_SCHEDULER = (
    _EVENTS,
    on("coordination.k8s.io", "leases", "create list watch"),
    on("coordination.k8s.io", "leases", "get update", names="kube-scheduler"),
    on("coordination.k8s.io", "leasecandidates", "create delete deletecollection get list patch update watch"),
    on("core", "nodes namespaces", _READ),
    on("core", "pods", "delete get list watch"),
    on("core", "bindings pods/binding", "create"),
    on("core", "pods/status", "patch update"),
    on("core", "replicationcontrollers services", _READ),
    on("apps", "replicasets statefulsets", _READ),
    on("policy", "poddisruptionbudgets", _READ),
    on("core", "persistentvolumeclaims persistentvolumes", "get list patch update watch"),
    on("storage.k8s.io", "csinodes csidrivers csistoragecapacities storageclasses volumeattachments", _READ),
    on("resource.k8s.io", "deviceclasses resourceslices", _READ),
    on("resource.k8s.io", "resourceclaims", "get list patch update watch"),
    on("resource.k8s.io", "resourceclaims/status", "get list patch update watch"),
    *_REVIEWS,
)

_CONTROLLERS = (
    _EVENTS,
    # The garbage collector and the namespace controller read, mark and delete whatever there is.
    on("*", "*", "get list watch patch update delete deletecollection"),
    on("core", "pods endpoints secrets serviceaccounts serviceaccounts/token configmaps", "create"),
    on("core", "persistentvolumeclaims persistentvolumes pods/eviction pods/binding podtemplates", "create"),
    on("apps", "replicasets controllerrevisions", "create"),
    on("batch", "jobs", "create"),
    on("discovery.k8s.io", "endpointslices endpointslices/restricted", "create"),
    on("coordination.k8s.io", "leases leasecandidates", "create"),
    on("networking.k8s.io", "servicecidrs ipaddresses", "create"),
    on("resource.k8s.io", "resourceclaims", "create"),
    on("storage.k8s.io", "volumeattachments", "create"),
    on("certificates.k8s.io", "signers", "approve sign attest"),
    *_REVIEWS,
)

_NODE = (
    _EVENTS,
    *_REVIEWS,
    on("authorization.k8s.io", "localsubjectaccessreviews", "create"),
    on("core", "services", _READ),
    on("core", "nodes", "create get list watch update patch"),
    on("core", "nodes/status", "update patch"),
    on("core", "pods", "get list watch create delete"),
    on("core", "pods/status", "update patch"),
    on("core", "pods/eviction", "create"),
    on("core", "configmaps secrets persistentvolumeclaims persistentvolumes", _READ),
    on("core", "persistentvolumeclaims/status", "get update patch"),
    on("core", "endpoints", "get"),
    on("core", "serviceaccounts", "get"),
    on("core", "serviceaccounts/token", "create"),
    on("certificates.k8s.io", "certificatesigningrequests", "create get list watch"),
    on("certificates.k8s.io", "clustertrustbundles podcertificaterequests", "create get list watch"),
    on("coordination.k8s.io", "leases", "get create update patch delete"),
    on("storage.k8s.io", "volumeattachments", "get"),
    on("storage.k8s.io", "csidrivers", _READ),
    on("storage.k8s.io", "csinodes", "create get update patch delete"),
    on("node.k8s.io", "runtimeclasses", _READ),
    on("resource.k8s.io", "resourceclaims", "get"),
    on("resource.k8s.io", "resourceslices", "create get list watch update patch delete deletecollection"),
)

_PROXY = (
    _EVENTS,
    on("core", "nodes services endpoints", _READ),
    on("discovery.k8s.io", "endpointslices", _READ),
    on("networking.k8s.io", "servicecidrs", _READ),
)

_DNS = (
    _EVENTS,
    on("core", "endpoints services pods namespaces", _READ),
    on("discovery.k8s.io", "endpointslices", _READ),
)

_USERS: Mapping[str, tuple[Rule, ...]] = {
    CONTROLLER_MANAGER: _CONTROLLERS,
    SCHEDULER: _SCHEDULER,
    PROXY: _PROXY,
    DNS: _DNS,
}
_GROUPS: Mapping[str, tuple[Rule, ...]] = {
    ALL_AUTHENTICATED: (*_PUBLIC, *_EVERY_USER),
    ALL_UNAUTHENTICATED: _PUBLIC,
    "system:serviceaccounts": _EVERY_SERVICE_ACCOUNT,
    MONITORING: _MONITORING,
    NODES: _NODE,
}
_CONTROLLER_ACCOUNT = "system:serviceaccount:kube-system:"
# Controllers whose account does not end in `-controller`.
_OTHER_CONTROLLERS = frozenset({
    "generic-garbage-collector",
    "horizontal-pod-autoscaler",
    "legacy-service-account-token-cleaner",
    "persistent-volume-binder",
    "pod-garbage-collector",
    "root-ca-cert-publisher",
})


class BootstrapAuthorizer(Authorizer):
    """Allows masters everything and the rest what the table says; has no opinion on anything else."""

    async def authorize(self, attributes: Attributes) -> Verdict:
        user = attributes.user
        if MASTERS in user.groups:
            return ALLOWED
        if any(rule.allows(attributes) for rule in _USERS.get(user.name, ())) or any(
            rule.allows(attributes) for group in user.groups for rule in _GROUPS.get(group, ())
        ):
            return ALLOWED
        if _is_controller(user.name) and any(rule.allows(attributes) for rule in _CONTROLLERS):
            return ALLOWED
        return NO_OPINION


class Authorizers(Authorizer):
    """Asks each in turn; the first opinion decides."""

    def __init__(self, *authorizers: Authorizer) -> None:
        self._authorizers = authorizers

    async def authorize(self, attributes: Attributes) -> Verdict:
        reasons: list[str] = []
        for authorizer in self._authorizers:
            verdict = await authorizer.authorize(attributes)
            if verdict.decision is not Decision.NO_OPINION:
                return verdict
            if verdict.reason:
                reasons.append(verdict.reason)
        return Verdict(Decision.NO_OPINION, ", ".join(reasons))


def _is_controller(name: str) -> bool:
    if not name.startswith(_CONTROLLER_ACCOUNT):
        return False
    account = name.removeprefix(_CONTROLLER_ACCOUNT)
    return account.endswith("-controller") or account in _OTHER_CONTROLLERS
