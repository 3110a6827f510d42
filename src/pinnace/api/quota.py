"""What an object uses of a quota, and which quotas it falls under: the rules that admission and the quota controller share.

Pods, claims and services are measured by what they ask for; of every other kind, and of these too, the objects are counted
(`count/deployments.apps`). Upstream: `pkg/quota/v1` and its evaluators.
"""

from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any, Protocol

from pinnace.api.core_v1 import Container, PersistentVolumeClaim, Pod, PodAffinityTerm, ResourceQuota, Service
from pinnace.api.core_v1 import ScopedResourceSelectorRequirement as Scope
from pinnace.api.pod_totals import Totals, add, parsed, pod_limits, pod_requests
from pinnace.machinery import timestamps
from pinnace.machinery.quantity import Quantity, of_value

ONE = of_value(1)
_NONE = of_value(0)
# What a pod must say of itself where a quota counts it.
_EXPLICIT = frozenset({"cpu", "memory", "requests.cpu", "requests.memory", "limits.cpu", "limits.memory"})
_COMPUTE = frozenset({"cpu", "memory", "ephemeral-storage"})
_POD_RESOURCES = frozenset({"count/pods", "pods"}) | {
    f"{prefix}{name}" for prefix in ("", "requests.", "limits.") for name in _COMPUTE
}
_HUGE_PAGES = "hugepages-"
_STORAGE_CLASS = ".storageclass.storage.k8s.io/"
_CLAIM_RESOURCES = ("persistentvolumeclaims", "requests.storage")
_SERVICE_RESOURCES = frozenset({"count/services", "services", "services.nodeports", "services.loadbalancers"})
# Kinds that can be counted by their bare name too, as in the first releases.
_BARE_COUNTS = frozenset({"configmaps", "resourcequotas", "replicationcontrollers", "secrets"})


class Evaluator(Protocol):
    """Measures the objects of one kind."""

    @abstractmethod
    def counts(self, resource: str) -> bool:
        """Tell whether a quota's resource is one that objects of this kind use."""

    @abstractmethod
    def usage(self, obj: Any, now: float) -> Totals:
        """Return what an object uses; `now` is wall time."""

    def is_in(self, scope: Scope, obj: Any) -> bool:  # noqa: ARG002
        """Tell whether an object is within a scope; kinds that know no scopes are in none."""
        return False

    def missing(self, required: Iterable[str], obj: Any) -> str:  # noqa: ARG002
        """Return what an object would have to say of itself to be measured, empty when it says all."""
        return ""


class ObjectCount(Evaluator):
    """Counts objects."""

    def __init__(self, group: str, plural: str) -> None:
        name = f"{plural}.{group}" if group else plural
        self._names = frozenset({f"count/{name}", *({plural} & _BARE_COUNTS if not group else ())})

    def counts(self, resource: str) -> bool:
        return resource in self._names

    def usage(self, obj: Any, now: float) -> Totals:  # noqa: ARG002
        return dict.fromkeys(self._names, ONE)


class PodEvaluator(Evaluator):
    """Measures pods: what they ask for while they run, and how many there are."""

    def counts(self, resource: str) -> bool:
        if resource in _POD_RESOURCES or resource.startswith((_HUGE_PAGES, "requests." + _HUGE_PAGES)):
            return True
        return resource.startswith("requests.") and _is_extended(resource.removeprefix("requests."))

    def usage(self, obj: Pod, now: float) -> Totals:
        total: Totals = {"count/pods": ONE}
        if not is_finished(obj, now):
            add(total, _compute(pod_requests(obj), pod_limits(obj)))
        return total

    def is_in(self, scope: Scope, obj: Pod) -> bool:
        match scope.scope_name:
            case "Terminating":
                return _has_deadline(obj)
            case "NotTerminating":
                return not _has_deadline(obj)
            case "BestEffort":
                return _is_best_effort(obj)
            case "NotBestEffort":
                return not _is_best_effort(obj)
            case "PriorityClass":
                name = obj.spec.priority_class_name
                return _selects(scope, (name,) if name else ())
            case "CrossNamespacePodAffinity":
                return _reaches_other_namespaces(obj)
        return False

    def missing(self, required: Iterable[str], obj: Pod) -> str:
        lacking: dict[str, set[str]] = {}
        wanted = _EXPLICIT & set(required)
        containers: tuple[Container, ...] = (*obj.spec.containers, *obj.spec.init_containers)
        for container in containers if wanted else ():
            own = _compute(parsed(container.resources.requests), parsed(container.resources.limits))
            for name in wanted - own.keys():
                lacking.setdefault(name, set()).add(container.name)
        texts = [f"{name} for: {','.join(sorted(containers))}" for name, containers in sorted(lacking.items())]
        return f"must specify {'; '.join(texts)}" if texts else ""


class ClaimEvaluator(Evaluator):
    """Measures claims of storage, in all and by storage class."""

    def counts(self, resource: str) -> bool:
        if resource == "count/persistentvolumeclaims" or resource in _CLAIM_RESOURCES:
            return True
        return any(resource.endswith(_STORAGE_CLASS + name) for name in _CLAIM_RESOURCES)

    def usage(self, obj: PersistentVolumeClaim, now: float) -> Totals:  # noqa: ARG002
        total = {"count/persistentvolumeclaims": ONE, "persistentvolumeclaims": ONE}
        storage = parsed(obj.spec.resources.requests).get("storage")
        allocated = parsed(obj.status.allocated_resources).get("storage")
        if storage is not None:
            largest = allocated if allocated is not None and storage < allocated else storage
            total["requests.storage"] = of_value(largest.value(), largest.family)
        klass = obj.metadata.annotations.get("volume.beta.kubernetes.io/storage-class") or obj.spec.storage_class_name
        if klass:
            total |= {f"{klass}{_STORAGE_CLASS}{name}": total[name] for name in _CLAIM_RESOURCES if name in total}
        return total

    def is_in(self, scope: Scope, obj: PersistentVolumeClaim) -> bool:
        if scope.scope_name != "VolumeAttributesClass":
            return False
        modified = obj.status.modify_volume_status
        names = (
            obj.spec.volume_attributes_class_name,
            obj.status.current_volume_attributes_class_name,
            modified.target_volume_attributes_class_name if modified is not None else "",
        )
        return _selects(scope, tuple(name for name in names if name))


class ServiceEvaluator(Evaluator):
    """Counts services, and the node ports and load balancers they take."""

    def counts(self, resource: str) -> bool:
        return resource in _SERVICE_RESOURCES

    def usage(self, obj: Service, now: float) -> Totals:  # noqa: ARG002
        spec = obj.spec
        node_ports = balancers = 0
        if spec.type == "NodePort":
            node_ports = len(spec.ports)
        elif spec.type == "LoadBalancer":
            balancers = 1
            # Ports that are yet to be allocated count, unless the service does without.
            wants_none = spec.allocate_load_balancer_node_ports is False
            node_ports = sum(bool(port.node_port) for port in spec.ports) if wants_none else len(spec.ports)
        return {
            "count/services": ONE,
            "services": ONE,
            "services.nodeports": of_value(node_ports) if node_ports else _NONE,
            "services.loadbalancers": of_value(balancers) if balancers else _NONE,
        }


_MEASURED: Mapping[str, Evaluator] = {
    "pods": PodEvaluator(),
    "persistentvolumeclaims": ClaimEvaluator(),
    "services": ServiceEvaluator(),
}


@lru_cache(maxsize=1024)
def evaluator_of(group: str, plural: str) -> Evaluator:
    """Return what measures the objects of a resource."""
    return (None if group else _MEASURED.get(plural)) or ObjectCount(group, plural)


def scopes_of(quota: ResourceQuota) -> tuple[Scope, ...]:
    """Return a quota's scopes, of either spelling, as requirements."""
    selector = quota.spec.scope_selector
    named = tuple(Scope(scope_name=name, operator="Exists") for name in quota.spec.scopes)
    return (*named, *(selector.match_expressions if selector is not None else ()))


def is_within(quota: ResourceQuota, evaluator: Evaluator, obj: Any) -> bool:
    """Tell whether an object is within all of a quota's scopes."""
    return all(evaluator.is_in(scope, obj) for scope in scopes_of(quota))


def shown(amounts: Mapping[str, Quantity]) -> str:
    """Return amounts as messages name them."""
    return ",".join(f"{name}={amounts[name]}" for name in sorted(amounts))


def is_finished(pod: Pod, now: float) -> bool:
    """Tell whether a pod uses nothing more: it has ended, or should have gone long ago."""
    meta = pod.metadata
    if pod.status.phase in {"Failed", "Succeeded"}:
        return True
    if meta.deletion_timestamp is None or meta.deletion_grace_period_seconds is None:
        return False
    return timestamps.parse(meta.deletion_timestamp) + meta.deletion_grace_period_seconds < now


def _compute(requests: Totals, limits: Totals) -> Totals:
    total: Totals = {"pods": ONE}
    for name, amount in requests.items():
        if name in _COMPUTE or name.startswith(_HUGE_PAGES):
            total[name] = total[f"requests.{name}"] = amount
        elif _is_extended(name):
            total[f"requests.{name}"] = amount
    total |= {f"limits.{name}": limits[name] for name in _COMPUTE if name in limits}
    return total


def _is_extended(name: str) -> bool:
    """Tell whether a resource is a device of some vendor: it has a domain, and not Kubernetes' own."""
    return "/" in name and "kubernetes.io/" not in name and not name.startswith("requests.")


def _has_deadline(pod: Pod) -> bool:
    return pod.spec.active_deadline_seconds is not None and pod.spec.active_deadline_seconds >= 0


def _is_best_effort(pod: Pod) -> bool:
    spec = pod.spec
    own = [spec.resources] if spec.resources is not None else []
    every = (*own, *(container.resources for container in (*spec.containers, *spec.init_containers)))
    return not any(
        name in {"cpu", "memory"} and amount
        for one in every
        for amounts in (parsed(one.requests), parsed(one.limits))
        for name, amount in amounts.items()
    )


_OPERATORS: Mapping[str, Callable[[Scope, tuple[str, ...]], bool]] = {
    "Exists": lambda _, names: bool(names),
    "DoesNotExist": lambda _, names: not names,
    "In": lambda scope, names: any(name in scope.values for name in names),
    "NotIn": lambda scope, names: not names or any(name not in scope.values for name in names),
}


def _selects(scope: Scope, names: tuple[str, ...]) -> bool:
    return _OPERATORS[scope.operator](scope, names) if scope.operator in _OPERATORS else False


def _reaches_other_namespaces(pod: Pod) -> bool:
    affinity = pod.spec.affinity
    if affinity is None:
        return False
    terms: list[PodAffinityTerm] = []
    for side in (affinity.pod_affinity, affinity.pod_anti_affinity):
        if side is not None:
            terms += side.required_during_scheduling_ignored_during_execution
            terms += [one.pod_affinity_term for one in side.preferred_during_scheduling_ignored_during_execution]
    return any(term.namespaces or term.namespace_selector is not None for term in terms)
