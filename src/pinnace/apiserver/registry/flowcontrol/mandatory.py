"""The flow schemas and priority levels that every server has.

Mandatory ones hold requests that must always get through, or that nothing else matches: their specs are fixed. Suggested ones are
there from the beginning and may be changed. Upstream: apiserver `pkg/apis/flowcontrol/bootstrap/default.go`.
"""

from collections.abc import Mapping, Sequence

from pinnace.api.flowcontrol_v1 import (
    ExemptPriorityLevelConfiguration,
    FlowDistinguisherMethod,
    FlowSchemaSpec,
    GroupSubject,
    LimitedPriorityLevelConfiguration,
    LimitResponse,
    NonResourcePolicyRule,
    PolicyRulesWithSubjects,
    PriorityLevelConfigurationReference,
    PriorityLevelConfigurationSpec,
    QueuingConfiguration,
    ResourcePolicyRule,
    ServiceAccountSubject,
    Subject,
    UserSubject,
)

_ALL = ("*",)
_CONTROLLER_MANAGER, _SCHEDULER = "system:kube-controller-manager", "system:kube-scheduler"
_EVERYTHING = ResourcePolicyRule(verbs=_ALL, api_groups=_ALL, resources=_ALL, cluster_scope=True, namespaces=_ALL)
_EVERY_URL = NonResourcePolicyRule(verbs=_ALL, non_resource_urls=_ALL)


def _groups(*names: str) -> tuple[Subject, ...]:
    return tuple(Subject(kind="Group", group=GroupSubject(name=name)) for name in names)


def _users(*names: str) -> tuple[Subject, ...]:
    return tuple(Subject(kind="User", user=UserSubject(name=name)) for name in names)


_SYSTEM_ACCOUNTS = (
    Subject(kind="ServiceAccount", service_account=ServiceAccountSubject(namespace="kube-system", name="*")),
)
_ANYBODY = _groups("system:unauthenticated", "system:authenticated")


def _schema(
    level: str,
    precedence: int,
    method: str,
    subjects: tuple[Subject, ...],
    resources: Sequence[ResourcePolicyRule] = (_EVERYTHING,),
    urls: Sequence[NonResourcePolicyRule] = (_EVERY_URL,),
) -> FlowSchemaSpec:
    rule = PolicyRulesWithSubjects(subjects=subjects, resource_rules=tuple(resources), non_resource_rules=tuple(urls))
    return FlowSchemaSpec(
        priority_level_configuration=PriorityLevelConfigurationReference(name=level),
        matching_precedence=precedence,
        distinguisher_method=FlowDistinguisherMethod(type=method) if method else None,
        rules=(rule,),
    )


def _level(shares: int, queues: int = 0, hand: int = 0, lendable: int = 0) -> PriorityLevelConfigurationSpec:
    """Return a limited level; without queues it rejects what is too much."""
    response = LimitResponse(type="Reject")
    if queues:
        queuing = QueuingConfiguration(queues=queues, hand_size=hand, queue_length_limit=50)
        response = LimitResponse(type="Queue", queuing=queuing)
    limited = LimitedPriorityLevelConfiguration(
        nominal_concurrency_shares=shares, limit_response=response, lendable_percent=lendable
    )
    return PriorityLevelConfigurationSpec(type="Limited", limited=limited)


def _leases(verbs: tuple[str, ...]) -> ResourcePolicyRule:
    return ResourcePolicyRule(verbs=verbs, api_groups=("coordination.k8s.io",), resources=("leases",), namespaces=_ALL)


_NODES = ResourcePolicyRule(
    verbs=_ALL, api_groups=("",), resources=("nodes", "nodes/status"), cluster_scope=True, namespaces=_ALL
)
_PROBES = NonResourcePolicyRule(verbs=("get",), non_resource_urls=("/healthz", "/readyz", "/livez"))

# Mandatory ones, by name.
FLOW_SCHEMAS: Mapping[str, FlowSchemaSpec] = {
    "exempt": _schema("exempt", 1, "", _groups("system:masters")),
    "catch-all": _schema("catch-all", 10000, "ByUser", _ANYBODY),
}
PRIORITY_LEVELS: Mapping[str, PriorityLevelConfigurationSpec] = {
    "exempt": PriorityLevelConfigurationSpec(
        type="Exempt", exempt=ExemptPriorityLevelConfiguration(nominal_concurrency_shares=0, lendable_percent=0)
    ),
    "catch-all": _level(5),
}

SUGGESTED_FLOW_SCHEMAS: Mapping[str, FlowSchemaSpec] = {
    "probes": _schema("exempt", 2, "", _ANYBODY, resources=(), urls=(_PROBES,)),
    "system-leader-election": _schema(
        "leader-election",
        100,
        "ByUser",
        (*_users(_CONTROLLER_MANAGER, _SCHEDULER), *_SYSTEM_ACCOUNTS),
        resources=(_leases(("get", "create", "update")),),
        urls=(),
    ),
    "system-node-high": _schema(
        "node-high", 400, "ByUser", _groups("system:nodes"), resources=(_NODES, _leases(_ALL)), urls=()
    ),
    "system-nodes": _schema("system", 500, "ByUser", _groups("system:nodes")),
    "kube-controller-manager": _schema("workload-high", 800, "ByNamespace", _users(_CONTROLLER_MANAGER)),
    "kube-scheduler": _schema("workload-high", 800, "ByNamespace", _users(_SCHEDULER)),
    "kube-system-service-accounts": _schema("workload-high", 900, "ByNamespace", _SYSTEM_ACCOUNTS),
    "service-accounts": _schema("workload-low", 9000, "ByUser", _groups("system:serviceaccounts")),
    "global-default": _schema("global-default", 9900, "ByUser", _ANYBODY),
}
SUGGESTED_PRIORITY_LEVELS: Mapping[str, PriorityLevelConfigurationSpec] = {
    "system": _level(30, 64, 6, 33),
    "node-high": _level(40, 64, 6, 25),
    "leader-election": _level(10, 16, 4),
    "workload-high": _level(40, 128, 6, 50),
    "workload-low": _level(100, 128, 6, 90),
    "global-default": _level(20, 128, 6, 50),
}
