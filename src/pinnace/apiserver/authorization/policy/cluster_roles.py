"""The cluster roles of users and components, and who has them from the start.

`admin`, `edit` and `view` are gathered by the cluster role aggregation controller from the roles that carry their label. What upstream
grants only for features that are off by default is left out. Upstream: `rbac/bootstrappolicy/policy.go`.
"""

from pinnace.api.meta_v1 import LabelSelector
from pinnace.api.rbac_v1 import AggregationRule, ClusterRole, ClusterRoleBinding, PolicyRule
from pinnace.apiserver.authorization.policy.notation import (
    EVENTS,
    READ,
    READ_UPDATE,
    READ_WRITE,
    WRITE,
    account,
    binding,
    group,
    metadata,
    on,
    on_paths,
    role,
    user,
)

_AGGREGATE = "rbac.authorization.k8s.io/aggregate-to-"
_TO_ADMIN, _TO_EDIT, _TO_VIEW = ({f"{_AGGREGATE}{name}": "true"} for name in ("admin", "edit", "view"))
_AUTHENTICATED, _UNAUTHENTICATED = group("system:authenticated"), group("system:unauthenticated")

_TOKEN_REVIEWS = on("authentication.k8s.io", "tokenreviews", "create")
_ACCESS_REVIEWS = on("authorization.k8s.io", "subjectaccessreviews", "create")
_CSR = "certificatesigningrequests"

_PUBLIC = "/healthz /livez /readyz /version /version/"

# What the node authorizer lets a node do on anything that is not tied to its pods; the role has the same rules, and no subjects.
NODE_RULES: tuple[PolicyRule, ...] = (
    _TOKEN_REVIEWS,
    on("authorization.k8s.io", "localsubjectaccessreviews subjectaccessreviews", "create"),
    on("core", "services", READ),
    on("core", "nodes", "create get list watch"),
    on("core", "nodes/status", "patch update"),
    on("core", "nodes", "patch update"),
    on("core", "events", "create patch update"),
    on("core", "pods", READ),
    on("core", "pods", "create delete"),
    on("core", "pods/status", "patch update"),
    on("core", "pods/eviction", "create"),
    on("core", "configmaps secrets", READ),
    on("core", "persistentvolumeclaims persistentvolumes", "get"),
    on("core", "endpoints", "get"),
    on("certificates.k8s.io", _CSR, "create get list watch"),
    on("coordination.k8s.io", "leases", "create delete get patch update"),
    on("storage.k8s.io", "volumeattachments", "get"),
    on("core", "serviceaccounts/token", "create"),
    on("core", "persistentvolumeclaims/status", "get patch update"),
    on("storage.k8s.io", "csidrivers", READ),
    on("storage.k8s.io", "csinodes", "create delete get patch update"),
    on("node.k8s.io", "runtimeclasses", READ),
    on("resource.k8s.io", "resourceclaims", "get"),
    on("resource.k8s.io", "resourceslices", "deletecollection"),
    on("core", "serviceaccounts", "get"),
)

_EDIT = (
    on("core", "pods/attach pods/exec pods/portforward pods/proxy secrets services/proxy", READ),
    on("core", "serviceaccounts", "impersonate"),
    on("core", "pods pods/attach pods/exec pods/portforward pods/proxy", WRITE),
    on("core", "pods/eviction", "create"),
    on(
        "core",
        "configmaps events persistentvolumeclaims replicationcontrollers replicationcontrollers/scale secrets "
        "serviceaccounts services services/proxy",
        WRITE,
    ),
    on("core", "serviceaccounts/token", "create"),
    on(
        "apps",
        "daemonsets deployments deployments/rollback deployments/scale replicasets replicasets/scale statefulsets "
        "statefulsets/scale",
        WRITE,
    ),
    on("autoscaling", "horizontalpodautoscalers", WRITE),
    on("batch", "cronjobs jobs", WRITE),
    on(
        "extensions",
        "daemonsets deployments deployments/rollback deployments/scale ingresses networkpolicies replicasets "
        "replicasets/scale replicationcontrollers/scale",
        WRITE,
    ),
    on("policy", "poddisruptionbudgets", WRITE),
    on("networking.k8s.io", "ingresses networkpolicies", WRITE),
    on("coordination.k8s.io", "leases", READ_WRITE),
    on("resource.k8s.io", "resourceclaims resourceclaimtemplates", WRITE),
)

_VIEW = (
    on(
        "core",
        "configmaps endpoints persistentvolumeclaims persistentvolumeclaims/status pods replicationcontrollers "
        "replicationcontrollers/scale serviceaccounts services services/status",
        READ,
    ),
    on(
        "core",
        "bindings events limitranges namespaces/status pods/log pods/status replicationcontrollers/status "
        "resourcequotas resourcequotas/status",
        READ,
    ),
    on("core", "namespaces", READ),
    on("discovery.k8s.io", "endpointslices", READ),
    on(
        "apps",
        "controllerrevisions daemonsets daemonsets/status deployments deployments/scale deployments/status replicasets "
        "replicasets/scale replicasets/status statefulsets statefulsets/scale statefulsets/status",
        READ,
    ),
    on("autoscaling", "horizontalpodautoscalers horizontalpodautoscalers/status", READ),
    on("batch", "cronjobs cronjobs/status jobs jobs/status", READ),
    on(
        "extensions",
        "daemonsets daemonsets/status deployments deployments/scale deployments/status ingresses ingresses/status "
        "networkpolicies replicasets replicasets/scale replicasets/status replicationcontrollers/scale",
        READ,
    ),
    on("policy", "poddisruptionbudgets poddisruptionbudgets/status", READ),
    on("networking.k8s.io", "ingresses ingresses/status networkpolicies", READ),
    on("resource.k8s.io", "resourceclaims resourceclaims/status resourceclaimtemplates", READ),
)

_CONTROLLER_MANAGER = (
    EVENTS,
    on("coordination.k8s.io", "leases", "create"),
    on("coordination.k8s.io", "leases", "get update", names="kube-controller-manager"),
    on("core", "secrets serviceaccounts", "create"),
    on("core", "secrets", "delete"),
    on("core", "configmaps namespaces secrets serviceaccounts", "get"),
    on("core", "secrets serviceaccounts", "update"),
    _TOKEN_REVIEWS,
    _ACCESS_REVIEWS,
    # Controllers share informers, which read as the manager.
    on("*", "*", "list watch"),
    on("core", "serviceaccounts/token", "create"),
)

_SCHEDULER = (
    EVENTS,
    on("coordination.k8s.io", "leases", "create"),
    on("coordination.k8s.io", "leases", "get list update watch", names="kube-scheduler"),
    on("coordination.k8s.io", "leasecandidates", READ_WRITE),
    on("core", "nodes", READ),
    on("core", "pods", "delete get list watch"),
    on("core", "bindings pods/binding", "create"),
    on("core", "pods/status", "patch update"),
    on("core", "replicationcontrollers services", READ),
    on("apps extensions", "replicasets", READ),
    on("apps", "statefulsets", READ),
    on("policy", "poddisruptionbudgets", READ),
    on("core", "persistentvolumeclaims persistentvolumes", READ),
    _TOKEN_REVIEWS,
    _ACCESS_REVIEWS,
    on("storage.k8s.io", "csinodes", READ),
    on("storage.k8s.io", "volumeattachments", READ),
    on("core", "namespaces", READ),
    on("storage.k8s.io", "csidrivers", READ),
    on("storage.k8s.io", "csistoragecapacities", READ),
    on("resource.k8s.io", "deviceclasses", READ),
    on("resource.k8s.io", "resourceclaims", READ_UPDATE),
    on("resource.k8s.io", "resourceclaims/status", READ_UPDATE),
    on("core", "pods/finalizers", READ_UPDATE),
    on("resource.k8s.io", "resourceslices", READ),
)


def _aggregated(name: str, source: dict[str, str], labels: dict[str, str] | None = None) -> ClusterRole:
    rule = AggregationRule(cluster_role_selectors=(LabelSelector(match_labels=source),))
    return ClusterRole(metadata=metadata(name, labels=labels), rules=None, aggregation_rule=rule)


def _approver(name: str, signer: str) -> ClusterRole:
    return role(
        f"system:certificates.k8s.io:{name}-approver", on("certificates.k8s.io", "signers", "approve", names=signer)
    )


def cluster_roles() -> tuple[ClusterRole, ...]:
    """Return the cluster roles, those of controllers excepted."""
    requests = f"system:certificates.k8s.io:{_CSR}"
    return (
        role("cluster-admin", on("*", "*", "*"), on_paths("*", "*")),
        role("system:discovery", on_paths("get", f"{_PUBLIC} /api /api/* /apis /apis/* /openapi /openapi/*")),
        role("system:public-info-viewer", on_paths("get", _PUBLIC)),
        role(
            "system:basic-user",
            on("authorization.k8s.io", "selfsubjectaccessreviews selfsubjectrulesreviews", "create"),
            on("authentication.k8s.io", "selfsubjectreviews", "create"),
        ),
        role(
            "system:monitoring",
            on_paths("get", "/healthz /healthz/* /livez /livez/* /metrics /metrics/slis /readyz /readyz/*"),
            on_paths("get", "/flagz"),
            on_paths("get", "/statusz"),
        ),
        _aggregated("admin", _TO_ADMIN),
        _aggregated("edit", _TO_EDIT, _TO_ADMIN),
        _aggregated("view", _TO_VIEW, _TO_EDIT),
        role(
            "system:aggregate-to-admin",
            on("authorization.k8s.io", "localsubjectaccessreviews", "create"),
            on("rbac.authorization.k8s.io", "rolebindings roles", READ_WRITE),
            labels=_TO_ADMIN,
        ),
        role("system:aggregate-to-edit", *_EDIT, labels=_TO_EDIT),
        role("system:aggregate-to-view", *_VIEW, labels=_TO_VIEW),
        role(
            "system:heapster",
            on("core", "events namespaces nodes pods", READ),
            on("extensions", "deployments", READ),
        ),
        role("system:node", *NODE_RULES),
        role(
            "system:node-problem-detector",
            on("core", "nodes", "get"),
            on("core", "nodes/status", "patch"),
            EVENTS,
        ),
        role(
            "system:kubelet-api-admin",
            on("core", "nodes", READ),
            on("core", "nodes", "proxy"),
            on("core", "nodes/log nodes/metrics nodes/proxy nodes/stats", "*"),
            on("core", "nodes/configz nodes/healthz nodes/pods", "*"),
        ),
        role("system:node-bootstrapper", on("certificates.k8s.io", _CSR, "create get list watch")),
        role("system:auth-delegator", _TOKEN_REVIEWS, _ACCESS_REVIEWS),
        role("system:kube-aggregator", on("core", "endpoints services", READ)),
        role("system:kube-controller-manager", *_CONTROLLER_MANAGER),
        role("system:kube-dns", on("core", "endpoints services", "list watch")),
        role("system:kube-scheduler", *_SCHEDULER),
        role(
            "system:persistent-volume-provisioner",
            on("core", "persistentvolumes", "create delete get list watch"),
            on("core", "persistentvolumeclaims", "get list update watch"),
            on("storage.k8s.io", "storageclasses", READ),
            on("core", "events", "watch"),
            EVENTS,
        ),
        role(
            "system:node-proxier",
            on("core", "endpoints services", "list watch"),
            on("core", "nodes", READ),
            EVENTS,
            on("networking.k8s.io", "servicecidrs", "list watch"),
            on("discovery.k8s.io", "endpointslices", "list watch"),
        ),
        role(
            "system:volume-scheduler",
            on("core", "persistentvolumes", READ_UPDATE),
            on("storage.k8s.io", "storageclasses", READ),
            on("core", "persistentvolumeclaims", READ_UPDATE),
        ),
        role(
            "system:service-account-issuer-discovery",
            on_paths(
                "get",
                "/.well-known/openid-configuration /.well-known/openid-configuration/ /openid/v1/jwks /openid/v1/jwks/",
            ),
        ),
        role(f"{requests}:nodeclient", on("certificates.k8s.io", f"{_CSR}/nodeclient", "create")),
        role(f"{requests}:selfnodeclient", on("certificates.k8s.io", f"{_CSR}/selfnodeclient", "create")),
        _approver("legacy-unknown", "kubernetes.io/legacy-unknown"),
        _approver("kubelet-serving", "kubernetes.io/kubelet-serving"),
        _approver("kube-apiserver-client", "kubernetes.io/kube-apiserver-client"),
        _approver("kube-apiserver-client-kubelet", "kubernetes.io/kube-apiserver-client-kubelet"),
    )


def cluster_role_bindings() -> tuple[ClusterRoleBinding, ...]:
    """Return who has the cluster roles, those of controllers excepted."""
    return (
        binding("cluster-admin", group("system:masters")),
        binding("system:monitoring", group("system:monitoring")),
        binding("system:discovery", _AUTHENTICATED),
        binding("system:basic-user", _AUTHENTICATED),
        binding("system:public-info-viewer", _AUTHENTICATED, _UNAUTHENTICATED),
        binding("system:node-proxier", user("system:kube-proxy")),
        binding("system:kube-controller-manager", user("system:kube-controller-manager")),
        binding("system:kube-dns", account("kube-dns")),
        binding("system:kube-scheduler", user("system:kube-scheduler")),
        binding("system:volume-scheduler", user("system:kube-scheduler")),
        # Nodes are the node authorizer's; the binding is kept, without subjects, as clusters have always had it.
        binding("system:node"),
        binding("system:service-account-issuer-discovery", group("system:serviceaccounts")),
    )
