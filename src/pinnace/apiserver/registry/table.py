"""The one table of strategies: what is particular to each kind, by group and plural.

A kind that is not here behaves as `DEFAULT`: stored and served whole, with the rules that hold for all.
"""

from collections.abc import Mapping
from typing import Any

from pinnace.apiserver.registry.apps import daemon_set, deployment, replica_set
from pinnace.apiserver.registry.coordination import lease
from pinnace.apiserver.registry.core import (
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
from pinnace.apiserver.registry.strategy import Strategy

STRATEGIES: Mapping[tuple[str, str], Strategy[Any]] = {
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
    ("apps", "daemonsets"): daemon_set.STRATEGY,
    ("apps", "deployments"): deployment.STRATEGY,
    ("apps", "replicasets"): replica_set.STRATEGY,
    ("coordination.k8s.io", "leases"): lease.STRATEGY,
}
