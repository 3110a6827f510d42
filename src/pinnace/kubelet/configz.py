"""The agent's settings as `/configz` shows them, in the words of a KubeletConfiguration.

Only what has its effect here is shown, with the value that it has; a setting that this agent does not know is left out. Upstream:
kubelet `apis/config/v1beta1/defaults.go`, component-base `configz`.
"""

from typing import Any

from pinnace.kubelet.config import KubeletConfig
from pinnace.kubelet.node_status import LEASE_SECONDS, MAX_IMAGES, REPORT_SECONDS, UPDATE_SECONDS
from pinnace.kubelet.server_auth import ALLOWED_SECONDS, DENIED_SECONDS, TOKEN_SECONDS
from pinnace.machinery import durations, quantity


def settings(config: KubeletConfig) -> dict[str, Any]:
    """Return the settings of one node."""
    authorization = {
        "cacheAuthorizedTTL": durations.show(ALLOWED_SECONDS),
        "cacheUnauthorizedTTL": durations.show(DENIED_SECONDS),
    }
    shown = {
        "enableServer": True,
        "syncFrequency": durations.show(config.sync_seconds),
        "port": config.port,
        "authentication": {
            "webhook": {"enabled": True, "cacheTTL": durations.show(TOKEN_SECONDS)},
            "anonymous": {"enabled": False},
        },
        "authorization": {"mode": "Webhook", "webhook": authorization},
        "clusterDomain": config.cluster_domain,
        "clusterDNS": list(config.cluster_dns),
        "nodeStatusUpdateFrequency": durations.show(UPDATE_SECONDS),
        "nodeStatusReportFrequency": durations.show(REPORT_SECONDS),
        "nodeLeaseDurationSeconds": LEASE_SECONDS,
        "imageMinimumGCAge": durations.show(config.image_min_age_seconds),
        "imageMaximumGCAge": durations.show(config.image_max_age_seconds),
        "imageGCHighThresholdPercent": config.image_gc_high_percent,
        "imageGCLowThresholdPercent": config.image_gc_low_percent,
        "cgroupsPerQOS": True,
        "cgroupDriver": "cgroupfs",
        "maxPods": config.max_pods,
        "podPidsLimit": config.pod_pids_limit,
        **({"podsPerCore": config.pods_per_core} if config.pods_per_core else {}),
        **({"staticPodPath": str(config.static_pod_path)} if config.static_pod_path else {}),
        "resolvConf": str(config.resolv_conf),
        "nodeStatusMaxImages": MAX_IMAGES,
        "evictionHard": dict(config.eviction_hard),
        **_soft(config),
        **_reserved(config),
        **_shutdown(config),
        "evictionPressureTransitionPeriod": durations.show(config.eviction_transition_seconds),
        "enableDebuggingHandlers": True,
        "containerLogMaxSize": str(quantity.of_value(config.container_log_max_bytes, "binary")),
        "containerLogMaxFiles": config.container_log_max_files,
        "enforceNodeAllocatable": ["pods"],
        "podLogsDir": str(config.log_dir),
        "kind": "KubeletConfiguration",
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
    }
    return {"kubeletconfig": shown}


def _soft(config: KubeletConfig) -> dict[str, Any]:
    if not config.eviction_soft:
        return {}
    return {
        "evictionSoft": dict(config.eviction_soft),
        "evictionSoftGracePeriod": {
            name: durations.show(seconds) for name, seconds in config.eviction_soft_seconds.items()
        },
        "evictionMaxPodGracePeriod": config.eviction_max_grace_seconds,
    }


def _reserved(config: KubeletConfig) -> dict[str, Any]:
    parts = {"kubeReserved": config.kube_reserved, "systemReserved": config.system_reserved}
    return {name: dict(reserved) for name, reserved in parts.items() if reserved}


def _shutdown(config: KubeletConfig) -> dict[str, Any]:
    groups = [
        {"priority": group.priority, "shutdownGracePeriodSeconds": group.seconds} for group in config.shutdown_groups
    ]
    return {"shutdownGracePeriodByPodPriority": groups} if groups else {}
