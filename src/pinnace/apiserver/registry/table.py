"""The one table of strategies: what is particular to each kind, by group and plural; and of versions beside the stored ones.

A kind that is not here behaves as `DEFAULT`: stored and served whole, with the rules that hold for all.
"""

from collections.abc import Mapping
from typing import Any

from pinnace.apiserver.registry.admissionregistration import bindings as policy_bindings
from pinnace.apiserver.registry.admissionregistration import policies, webhooks
from pinnace.apiserver.registry.apiregistration import api_service
from pinnace.apiserver.registry.apps import controller_revision, daemon_set, deployment, replica_set, stateful_set
from pinnace.apiserver.registry.autoscaling import horizontal_pod_autoscaler, version_1
from pinnace.apiserver.registry.batch import cron_job, job
from pinnace.apiserver.registry.certificates import certificate_signing_request
from pinnace.apiserver.registry.coordination import lease
from pinnace.apiserver.registry.core import (
    component_status,
    config_map,
    endpoints,
    event,
    limit_range,
    namespace,
    node,
    persistent_volume,
    persistent_volume_claim,
    pod,
    pod_template,
    replication_controller,
    resource_quota,
    secret,
    service,
    service_account,
)
from pinnace.apiserver.registry.discovery import endpoint_slice
from pinnace.apiserver.registry.events import event as events_event
from pinnace.apiserver.registry.flowcontrol import flow_schema, priority_level
from pinnace.apiserver.registry.networking import (
    ingress,
    ingress_class,
    ip_address,
    network_policy,
    service_cidr,
)
from pinnace.apiserver.registry.node import runtime_class
from pinnace.apiserver.registry.policy import pod_disruption_budget
from pinnace.apiserver.registry.rbac import bindings, roles
from pinnace.apiserver.registry.resource import (
    device_class,
    resource_claim,
    resource_claim_template,
    resource_slice,
)
from pinnace.apiserver.registry.scheduling import priority_class
from pinnace.apiserver.registry.storage import (
    csi_driver,
    csi_node,
    csi_storage_capacity,
    storage_class,
    volume_attachment,
    volume_attributes_class,
)
from pinnace.apiserver.registry.strategy import Strategy
from pinnace.apiserver.registry.versions import Version

STRATEGIES: Mapping[tuple[str, str], Strategy[Any]] = {
    ("", "componentstatuses"): component_status.STRATEGY,
    ("", "configmaps"): config_map.STRATEGY,
    ("", "endpoints"): endpoints.STRATEGY,
    ("", "events"): event.STRATEGY,
    ("", "limitranges"): limit_range.STRATEGY,
    ("", "namespaces"): namespace.STRATEGY,
    ("", "nodes"): node.STRATEGY,
    ("", "persistentvolumeclaims"): persistent_volume_claim.STRATEGY,
    ("", "persistentvolumes"): persistent_volume.STRATEGY,
    ("", "pods"): pod.STRATEGY,
    ("", "services"): service.STRATEGY,
    ("", "podtemplates"): pod_template.STRATEGY,
    ("", "replicationcontrollers"): replication_controller.STRATEGY,
    ("", "resourcequotas"): resource_quota.STRATEGY,
    ("", "secrets"): secret.STRATEGY,
    ("", "serviceaccounts"): service_account.STRATEGY,
    ("apps", "controllerrevisions"): controller_revision.STRATEGY,
    ("apps", "daemonsets"): daemon_set.STRATEGY,
    ("apps", "deployments"): deployment.STRATEGY,
    ("apps", "replicasets"): replica_set.STRATEGY,
    ("apps", "statefulsets"): stateful_set.STRATEGY,
    ("autoscaling", "horizontalpodautoscalers"): horizontal_pod_autoscaler.STRATEGY,
    ("batch", "cronjobs"): cron_job.STRATEGY,
    ("batch", "jobs"): job.STRATEGY,
    ("coordination.k8s.io", "leases"): lease.STRATEGY,
    ("discovery.k8s.io", "endpointslices"): endpoint_slice.STRATEGY,
    ("networking.k8s.io", "ingressclasses"): ingress_class.STRATEGY,
    ("networking.k8s.io", "ingresses"): ingress.STRATEGY,
    ("networking.k8s.io", "ipaddresses"): ip_address.STRATEGY,
    ("networking.k8s.io", "networkpolicies"): network_policy.STRATEGY,
    ("networking.k8s.io", "servicecidrs"): service_cidr.STRATEGY,
    ("policy", "poddisruptionbudgets"): pod_disruption_budget.STRATEGY,
    ("rbac.authorization.k8s.io", "clusterrolebindings"): bindings.CLUSTER_ROLE_BINDING,
    ("rbac.authorization.k8s.io", "clusterroles"): roles.CLUSTER_ROLE,
    ("rbac.authorization.k8s.io", "rolebindings"): bindings.ROLE_BINDING,
    ("rbac.authorization.k8s.io", "roles"): roles.ROLE,
    ("certificates.k8s.io", "certificatesigningrequests"): certificate_signing_request.STRATEGY,
    ("node.k8s.io", "runtimeclasses"): runtime_class.STRATEGY,
    ("scheduling.k8s.io", "priorityclasses"): priority_class.STRATEGY,
    ("storage.k8s.io", "csidrivers"): csi_driver.STRATEGY,
    ("storage.k8s.io", "csinodes"): csi_node.STRATEGY,
    ("storage.k8s.io", "csistoragecapacities"): csi_storage_capacity.STRATEGY,
    ("storage.k8s.io", "storageclasses"): storage_class.STRATEGY,
    ("storage.k8s.io", "volumeattachments"): volume_attachment.STRATEGY,
    ("storage.k8s.io", "volumeattributesclasses"): volume_attributes_class.STRATEGY,
    ("apiregistration.k8s.io", "apiservices"): api_service.STRATEGY,
    ("flowcontrol.apiserver.k8s.io", "flowschemas"): flow_schema.STRATEGY,
    ("flowcontrol.apiserver.k8s.io", "prioritylevelconfigurations"): priority_level.STRATEGY,
    ("resource.k8s.io", "deviceclasses"): device_class.STRATEGY,
    ("resource.k8s.io", "resourceclaims"): resource_claim.STRATEGY,
    ("resource.k8s.io", "resourceclaimtemplates"): resource_claim_template.STRATEGY,
    ("resource.k8s.io", "resourceslices"): resource_slice.STRATEGY,
    ("admissionregistration.k8s.io", "mutatingadmissionpolicies"): policies.MUTATING,
    ("admissionregistration.k8s.io", "mutatingadmissionpolicybindings"): policy_bindings.MUTATING,
    ("admissionregistration.k8s.io", "mutatingwebhookconfigurations"): webhooks.MUTATING,
    ("admissionregistration.k8s.io", "validatingadmissionpolicies"): policies.VALIDATING,
    ("admissionregistration.k8s.io", "validatingadmissionpolicybindings"): policy_bindings.VALIDATING,
    ("admissionregistration.k8s.io", "validatingwebhookconfigurations"): webhooks.VALIDATING,
}

# By apiVersion and plural: the versions that are served and not stored.
VERSIONS: Mapping[tuple[str, str], Version[Any, Any]] = {
    ("autoscaling/v1", "horizontalpodautoscalers"): version_1.VERSION,
    ("events.k8s.io/v1", "events"): events_event.VERSION,
}
