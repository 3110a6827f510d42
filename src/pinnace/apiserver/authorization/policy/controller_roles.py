"""What each controller may do, and its service account in kube-system, to which that is granted.

A controller's role is `system:controller:<account>`. Upstream: `rbac/bootstrappolicy/controller_policy.go`.
"""

from collections.abc import Mapping

from pinnace.api.rbac_v1 import ClusterRole, ClusterRoleBinding, PolicyRule
from pinnace.apiserver.authorization.policy.notation import EVENTS, READ, account, binding, on, role

PREFIX = "system:controller:"

_CSR = "certificatesigningrequests"
_SIGNERS = (
    "kubernetes.io/kube-apiserver-client kubernetes.io/kube-apiserver-client-kubelet kubernetes.io/kubelet-serving "
    "kubernetes.io/legacy-unknown"
)
_POD_OWNER = on("core", "pods", "create delete list patch watch")
_REVISIONS = on("apps", "controllerrevisions", "create delete get list patch update watch")
_SLICES = on("discovery.k8s.io", "endpointslices", "create delete get list update watch")
_SERVICE_FINALIZERS = on("core", "services/finalizers", "update")
_POD_STATUS = on("core", "pods/status", "patch update")
_READ_PODS, _READ_CLAIMS, _READ_VOLUMES = (
    on("core", resource, READ) for resource in ("pods", "persistentvolumeclaims", "persistentvolumes")
)

RULES: Mapping[str, tuple[PolicyRule, ...]] = {
    "attachdetach-controller": (
        on("core", "persistentvolumeclaims persistentvolumes", "list watch"),
        on("core", "nodes", READ),
        on("core", "nodes/status", "patch update"),
        on("core", "pods", "list watch"),
        EVENTS,
        on("storage.k8s.io", "volumeattachments", "create delete get list watch"),
        on("storage.k8s.io", "csidrivers", READ),
        on("storage.k8s.io", "csinodes", READ),
    ),
    "clusterrole-aggregation-controller": (
        # It writes whatever rules others hold, so it needs to be free of the escalation check.
        on("rbac.authorization.k8s.io", "clusterroles", "escalate get list patch update watch"),
    ),
    "cronjob-controller": (
        on("batch", "cronjobs", "get list update watch"),
        on("batch", "jobs", "create delete get list patch update watch"),
        on("batch", "cronjobs/status", "update"),
        on("batch", "cronjobs/finalizers", "update"),
        on("core", "pods", "delete list watch"),
        EVENTS,
    ),
    "daemon-set-controller": (
        on("apps extensions", "daemonsets", READ),
        on("apps extensions", "daemonsets/status", "update"),
        on("apps extensions", "daemonsets/finalizers", "update"),
        on("core", "nodes", "list watch"),
        _POD_OWNER,
        on("core", "pods/binding", "create"),
        _REVISIONS,
        EVENTS,
    ),
    "deployment-controller": (
        on("apps extensions", "deployments", "get list update watch"),
        on("apps extensions", "deployments/status", "update"),
        on("apps extensions", "deployments/finalizers", "update"),
        on("apps extensions", "replicasets", "create delete get list patch update watch"),
        on("core", "pods", "get list update watch"),
        EVENTS,
    ),
    "disruption-controller": (
        on("apps extensions", "deployments", READ),
        on("apps extensions", "replicasets", READ),
        on("core", "replicationcontrollers", READ),
        on("policy", "poddisruptionbudgets", READ),
        on("apps", "statefulsets", READ),
        on("policy", "poddisruptionbudgets/status", "update"),
        _POD_STATUS,
        on("*", "*/scale", "get"),
        EVENTS,
    ),
    "endpoint-controller": (
        on("core", "pods services", READ),
        on("core", "endpoints", "create delete get list update watch"),
        on("core", "endpoints/restricted", "create"),
        EVENTS,
    ),
    "endpointslice-controller": (
        on("core", "nodes pods services", READ),
        _SERVICE_FINALIZERS,
        _SLICES,
        EVENTS,
    ),
    "endpointslicemirroring-controller": (
        on("core", "endpoints services", READ),
        _SERVICE_FINALIZERS,
        on("core", "endpoints/finalizers", "update"),
        _SLICES,
        EVENTS,
    ),
    "expand-controller": (
        on("core", "persistentvolumes", "get list patch update watch"),
        on("core", "persistentvolumeclaims/status", "patch update"),
        _READ_CLAIMS,
        EVENTS,
    ),
    "ephemeral-volume-controller": (
        _READ_PODS,
        on("core", "pods/finalizers", "update"),
        on("core", "persistentvolumeclaims", "create get list watch"),
        EVENTS,
    ),
    "resource-claim-controller": (
        _READ_PODS,
        on("core", "pods/finalizers", "update"),
        on("resource.k8s.io", "resourceclaims", "create delete get list watch"),
        on("resource.k8s.io", "resourceclaims resourceclaims/status", "patch update"),
        _POD_STATUS,
        EVENTS,
        on("resource.k8s.io", "resourceclaims/binding", "patch update"),
    ),
    "device-taint-eviction-controller": (
        on("core", "pods", "delete get list watch"),
        _POD_STATUS,
        on("resource.k8s.io", "resourceclaims", READ),
        on("resource.k8s.io", "resourceslices", READ),
        on("resource.k8s.io", "deviceclasses", READ),
        EVENTS,
    ),
    "generic-garbage-collector": (
        on("*", "*", "delete get list patch update watch"),
        EVENTS,
    ),
    "horizontal-pod-autoscaler": (
        on("autoscaling", "horizontalpodautoscalers", READ),
        on("autoscaling", "horizontalpodautoscalers/status", "update"),
        on("*", "*/scale", "get update"),
        on("core", "pods", "list watch"),
        on("metrics.k8s.io", "pods", "list watch"),
        on("custom.metrics.k8s.io", "*", READ),
        on("external.metrics.k8s.io", "*", READ),
        EVENTS,
    ),
    "job-controller": (
        on("batch", "jobs", "get list patch update watch"),
        on("batch", "jobs/status", "update"),
        on("batch", "jobs/finalizers", "update"),
        _POD_OWNER,
        EVENTS,
    ),
    "namespace-controller": (
        on("core", "namespaces", "delete get list watch"),
        on("core", "namespaces/finalize namespaces/status", "update"),
        on("*", "*", "delete deletecollection get list watch"),
    ),
    "node-controller": (
        on("core", "nodes", "delete get list patch update watch"),
        on("core", "nodes/status", "patch update"),
        _POD_STATUS,
        on("core", "pods", "delete get list watch"),
        on("coordination.k8s.io", "leases", READ),
        EVENTS,
    ),
    "persistent-volume-binder": (
        on("core", "persistentvolumes", "create delete get list update watch"),
        on("core", "persistentvolumes/status", "update"),
        on("core", "persistentvolumeclaims", "get list update watch"),
        on("core", "persistentvolumeclaims/status", "update"),
        on("core", "pods", "create delete get list watch"),
        on("storage.k8s.io", "storageclasses", READ),
        on("core", "nodes", "list watch"),
        EVENTS,
        on("core", "events", "watch"),
    ),
    "pod-garbage-collector": (
        on("core", "pods", "delete list watch"),
        on("core", "nodes", READ),
        on("core", "pods/status", "patch"),
    ),
    "replicaset-controller": (
        on("apps extensions", "replicasets", "get list update watch"),
        on("apps extensions", "replicasets/status", "update"),
        on("apps extensions", "replicasets/finalizers", "update"),
        _POD_OWNER,
        EVENTS,
    ),
    "replication-controller": (
        on("core", "replicationcontrollers", "get list update watch"),
        on("core", "replicationcontrollers/status", "update"),
        on("core", "replicationcontrollers/finalizers", "update"),
        _POD_OWNER,
        EVENTS,
    ),
    "resourcequota-controller": (
        on("*", "*", "list watch"),
        on("core", "resourcequotas/status", "update"),
        EVENTS,
    ),
    "route-controller": (
        on("core", "nodes", "list watch"),
        on("core", "nodes/status", "patch"),
        EVENTS,
    ),
    "service-account-controller": (
        on("core", "serviceaccounts", "create"),
        EVENTS,
    ),
    "service-controller": (
        on("core", "services", READ),
        on("core", "services/status", "patch update"),
        on("core", "nodes", "list watch"),
        EVENTS,
    ),
    "service-cidrs-controller": (
        on("networking.k8s.io", "servicecidrs", "get list patch update watch"),
        on("networking.k8s.io", "servicecidrs/finalizers", "patch update"),
        on("networking.k8s.io", "servicecidrs/status", "patch update"),
        on("networking.k8s.io", "ipaddresses", READ),
        EVENTS,
    ),
    "statefulset-controller": (
        on("core", "pods", "list watch"),
        on("apps", "statefulsets", READ),
        on("apps", "statefulsets/status", "update"),
        on("apps", "statefulsets/finalizers", "update"),
        on("core", "pods", "create delete get patch update"),
        _REVISIONS,
        on("core", "persistentvolumeclaims", "create get list watch"),
        on("core", "persistentvolumeclaims", "delete update"),
        on("core", "pods/finalizers", "update"),
        EVENTS,
    ),
    "ttl-controller": (
        on("core", "nodes", "list patch update watch"),
        EVENTS,
    ),
    "certificate-controller": (
        on("certificates.k8s.io", _CSR, "delete get list watch"),
        on("certificates.k8s.io", f"{_CSR}/approval {_CSR}/status", "update"),
        on("certificates.k8s.io", "signers", "approve", names="kubernetes.io/kube-apiserver-client-kubelet"),
        on("certificates.k8s.io", "signers", "sign", names=_SIGNERS),
        on("authorization.k8s.io", "subjectaccessreviews", "create"),
        EVENTS,
    ),
    "pvc-protection-controller": (
        on("core", "persistentvolumeclaims", "get list update watch"),
        on("core", "persistentvolumeclaims/status", "update"),
        _READ_PODS,
        EVENTS,
    ),
    "pv-protection-controller": (
        on("core", "persistentvolumes", "get list update watch"),
        EVENTS,
    ),
    "volumeattributesclass-protection-controller": (
        _READ_CLAIMS,
        _READ_VOLUMES,
        on("storage.k8s.io", "volumeattributesclasses", "get list update watch"),
        EVENTS,
    ),
    "selinux-warning-controller": (
        EVENTS,
        _READ_VOLUMES,
        _READ_CLAIMS,
        _READ_PODS,
        on("storage.k8s.io", "csidrivers", READ),
    ),
    "ttl-after-finished-controller": (
        on("batch", "jobs", "delete get list watch"),
        EVENTS,
    ),
    "root-ca-cert-publisher": (
        on("core", "configmaps", "create update"),
        EVENTS,
    ),
    "validatingadmissionpolicy-status-controller": (
        on("admissionregistration.k8s.io", "validatingadmissionpolicies", READ),
        on("admissionregistration.k8s.io", "validatingadmissionpolicies/status", "get patch update"),
        EVENTS,
    ),
    "legacy-service-account-token-cleaner": (
        on("core", "configmaps", "get", names="kube-apiserver-legacy-service-account-token-tracking"),
        on("core", "secrets", "delete patch"),
    ),
}


def controller_roles() -> tuple[ClusterRole, ...]:
    """Return the cluster roles of controllers."""
    return tuple(role(f"{PREFIX}{name}", *rules) for name, rules in RULES.items())


def controller_role_bindings() -> tuple[ClusterRoleBinding, ...]:
    """Return what grants each controller its role."""
    return tuple(binding(f"{PREFIX}{name}", account(name)) for name in RULES)
