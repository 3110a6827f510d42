"""Whether the node takes a pod that was bound to it; the scheduler may have been wrong, or not been asked. Pure.

A refusal ends the pod: phase Failed, with reason and message. Upstream: kubelet `lifecycle/predicate.go`.
"""

from collections.abc import Iterable, Mapping

from msgspec import Struct

from pinnace.api import core_v1
from pinnace.kubelet import pod_resources

# Sysctls that a pod may set for itself without harm to others; all of them belong to a namespace.
_SAFE_SYSCTLS = {
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.ping_group_range",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.tcp_wmem",
}
_TERMINAL = {"Succeeded", "Failed"}
# The reason of a pod that wants another node than this.
NODE_AFFINITY = "NodeAffinity"


class Refusal(Struct, frozen=True):
    """Why a pod is not taken."""

    reason: str
    message: str


def admit(
    pod: core_v1.Pod, others: Iterable[core_v1.Pod], node: core_v1.Node | None, allocatable: Mapping[str, str]
) -> Refusal | None:
    """Return why the node cannot take a pod beside the others; None when it can."""
    if (sysctl := _forbidden_sysctl(pod)) is not None:
        return sysctl
    if _needs_strict_groups(pod) and not _has_strict_groups(node):
        text = "SupplementalGroupsPolicy=Strict is not supported in this node"
        return Refusal("SupplementalGroupsPolicyNotSupported", text)
    beside = [other for other in others if other.status.phase not in _TERMINAL]
    if node is not None:
        labels = node.metadata.labels or {}
        if any(labels.get(key) != value for key, value in (pod.spec.node_selector or {}).items()):
            text = "Predicate NodeAffinity failed: node(s) didn't match Pod's node affinity/selector"
            return Refusal(NODE_AFFINITY, text)
        if any(
            taint.effect == "NoExecute" and not any(tolerates(each, taint) for each in pod.spec.tolerations or ())
            for taint in node.spec.taints or ()
        ):
            text = "Predicate TaintToleration failed: node(s) had taints that the pod didn't tolerate"
            return Refusal("TaintToleration", text)
    taken = {port for other in beside for port in _host_ports(other)}
    if any(_collides(port, taken) for port in _host_ports(pod)):
        text = "Predicate NodePorts failed: node(s) didn't have free ports for the requested pod ports"
        return Refusal("NodePorts", text)
    return _lacking(pod, beside, allocatable)


def _forbidden_sysctl(pod: core_v1.Pod) -> Refusal | None:
    context = pod.spec.security_context
    for sysctl in context.sysctls if context is not None else ():
        name = sysctl.name.replace("/", ".")
        if name not in _SAFE_SYSCTLS:
            return Refusal("SysctlForbidden", f'forbidden sysctl: "{name}" not allowlisted')
        if pod.spec.host_network and name.startswith("net."):
            return Refusal("SysctlForbidden", f'forbidden sysctl: "{name}" not allowed with host net enabled')
    return None


def _needs_strict_groups(pod: core_v1.Pod) -> bool:
    context = pod.spec.security_context
    return context is not None and context.supplemental_groups_policy == "Strict"


def _has_strict_groups(node: core_v1.Node | None) -> bool:
    return (
        node is not None and node.status.features is not None and bool(node.status.features.supplemental_groups_policy)
    )


def _lacking(pod: core_v1.Pod, beside: list[core_v1.Pod], allocatable: Mapping[str, str]) -> Refusal | None:
    if len(beside) + 1 > int(allocatable["pods"]):
        return _out_of("pods", 1, len(beside), int(allocatable["pods"]))
    asked = pod_resources.requests(pod)
    if not any(asked.values()):
        return None
    used = [pod_resources.requests(other) for other in beside]
    for resource, wanted in asked.items():
        has = pod_resources.amount(allocatable, resource)
        others = sum(amounts.get(resource, 0) for amounts in used)
        if wanted and wanted + others > has:
            return _out_of(resource, wanted, others, has)
    return None


def _out_of(resource: str, wanted: int, used: int, has: int) -> Refusal:
    text = f"Node didn't have enough resource: {resource}, requested: {wanted}, used: {used}, capacity: {has}"
    return Refusal(f"OutOf{resource}", text)


def tolerates(toleration: core_v1.Toleration, taint: core_v1.Taint) -> bool:
    """Tell whether a toleration bears a taint."""
    return (
        toleration.effect in {"", taint.effect}
        and toleration.key in {"", taint.key}
        and (toleration.operator == "Exists" or (bool(toleration.key) and toleration.value == taint.value))
    )


def _host_ports(pod: core_v1.Pod) -> list[tuple[str, str, int]]:
    containers = (*(pod.spec.init_containers or ()), *(pod.spec.containers or ()))
    return [
        (port.host_ip or "0.0.0.0", port.protocol or "TCP", port.host_port)  # noqa: S104 - what no address means
        for container in containers
        for port in container.ports
        if port.host_port
    ]


def _collides(port: tuple[str, str, int], taken: Iterable[tuple[str, str, int]]) -> bool:
    every = "0.0.0.0"  # noqa: S104
    return any(port[1:] == other[1:] and (port[0] == other[0] or every in {port[0], other[0]}) for other in taken)
