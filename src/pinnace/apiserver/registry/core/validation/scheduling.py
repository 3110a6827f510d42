"""What tells the scheduler about a pod: affinity, tolerations, spread constraints, gates.

Upstream: pkg/apis/core/validation `validateAffinity`, `ValidateTolerations`, `validateTopologySpreadConstraints`,
`validateSchedulingGates`.
"""

from collections.abc import Iterator, Sequence

from pinnace.api import core_v1 as v1
from pinnace.apiserver.registry.label_selectors import selector_errors
from pinnace.machinery import names
from pinnace.machinery.field import FieldError, Path, duplicate, forbidden, invalid, not_supported, required

Errors = Iterator[FieldError]

_OPERATORS = ("DoesNotExist", "Exists", "Gt", "In", "Lt", "NotIn")
_EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
_HONOR = ("Honor", "Ignore")


def qualified_errors(name: str, path: Path) -> Errors:
    """Check a qualified name: a label key, a condition type, a gate."""
    yield from (invalid(path, name, text) for text in names.qualified_name(name))


def toleration_errors(tolerations: Sequence[v1.Toleration], path: Path) -> Errors:
    """Check a pod's tolerations."""
    for index, toleration in enumerate(tolerations):
        at = path.index(index)
        if toleration.key:
            yield from qualified_errors(toleration.key, at.child("key"))
        operator = at.child("operator")
        if not toleration.key and toleration.operator != "Exists":
            text = 'operator must be Exists when `key` is empty, which means "match all values and all keys"'
            yield invalid(operator, toleration.operator, text)
        if toleration.toleration_seconds is not None and toleration.effect != "NoExecute":
            text = "effect must be 'NoExecute' when `tolerationSeconds` is set"
            yield invalid(at.child("effect"), toleration.effect, text)
        if toleration.operator in {"Equal", ""}:
            value = ";".join(names.label_value(toleration.value))
            if value:
                yield invalid(operator, toleration.value, value)
        elif toleration.operator == "Exists":
            if toleration.value:
                yield invalid(operator, toleration.value, "value must be empty when `operator` is 'Exists'")
        else:
            yield not_supported(operator, toleration.operator, ("Equal", "Exists"))
        if toleration.effect and toleration.effect not in _EFFECTS:
            yield not_supported(at.child("effect"), toleration.effect, _EFFECTS)


def spread_errors(constraints: Sequence[v1.TopologySpreadConstraint], path: Path) -> Errors:
    """Check a pod's topology spread constraints."""
    for index, one in enumerate(constraints):
        at = path.index(index)
        if one.max_skew <= 0:
            yield invalid(at.child("maxSkew"), one.max_skew, "must be greater than zero")
        if not one.topology_key:
            yield required(at.child("topologyKey"), "can not be empty")
        actions = ("DoNotSchedule", "ScheduleAnyway")
        if one.when_unsatisfiable not in actions:
            yield not_supported(at.child("whenUnsatisfiable"), one.when_unsatisfiable, actions)
        if any(
            (later.topology_key, later.when_unsatisfiable) == (one.topology_key, one.when_unsatisfiable)
            for later in constraints[index + 1 :]
        ):
            text = f"{{{one.topology_key}, {one.when_unsatisfiable}}}"
            yield duplicate(at.child("{topologyKey, whenUnsatisfiable}"), text)
        yield from _domain_errors(one, at)
        for policy, wire in (
            (one.node_affinity_policy, "nodeAffinityPolicy"),
            (one.node_taints_policy, "nodeTaintsPolicy"),
        ):
            if policy is not None and policy not in _HONOR:
                yield not_supported(at.child(wire), policy, _HONOR)
        yield from _match_key_errors(one, at.child("matchLabelKeys"))
        yield from selector_errors(one.label_selector, at.child("labelSelector"))


def _domain_errors(one: v1.TopologySpreadConstraint, path: Path) -> Errors:
    if one.min_domains is None:
        return
    if one.min_domains <= 0:
        yield invalid(path.child("minDomains"), one.min_domains, "must be greater than zero")
    if one.when_unsatisfiable != "DoNotSchedule":
        text = f"can only use minDomains if whenUnsatisfiable=DoNotSchedule, not {one.when_unsatisfiable}"
        yield invalid(path.child("minDomains"), one.min_domains, text)


def _match_key_errors(one: v1.TopologySpreadConstraint, path: Path) -> Errors:
    if one.match_label_keys and one.label_selector is None:
        yield forbidden(path, "must not be specified when labelSelector is not set")
    for index, key in enumerate(one.match_label_keys):
        yield from qualified_errors(key, path.index(index))


def readiness_gate_errors(gates: Sequence[v1.PodReadinessGate], path: Path) -> Errors:
    """Check the conditions that a pod's readiness waits for."""
    for index, gate in enumerate(gates):
        yield from qualified_errors(gate.condition_type, path.index(index).child("conditionType"))


def scheduling_gate_errors(gates: Sequence[v1.PodSchedulingGate], path: Path) -> Errors:
    """Check the gates that keep a pod from being scheduled."""
    taken: set[str] = set()
    for index, gate in enumerate(gates):
        yield from qualified_errors(gate.name, path.index(index))
        if gate.name in taken:
            yield duplicate(path.index(index), gate.name)
        taken.add(gate.name)


def affinity_errors(affinity: v1.Affinity | None, path: Path) -> Errors:
    """Check all affinity of a pod."""
    if affinity is None:
        return
    if affinity.node_affinity is not None:
        yield from _node_affinity_errors(affinity.node_affinity, path.child("nodeAffinity"))
    for terms, wire in ((affinity.pod_affinity, "podAffinity"), (affinity.pod_anti_affinity, "podAntiAffinity")):
        if terms is None:
            continue
        at = path.child(wire)
        required_path = at.child("requiredDuringSchedulingIgnoredDuringExecution")
        for index, term in enumerate(terms.required_during_scheduling_ignored_during_execution):
            yield from _pod_term_errors(term, required_path.index(index))
        preferred_path = at.child("preferredDuringSchedulingIgnoredDuringExecution")
        for index, weighted in enumerate(terms.preferred_during_scheduling_ignored_during_execution):
            if not 1 <= weighted.weight <= 100:
                yield invalid(
                    preferred_path.index(index).child("weight"), weighted.weight, "must be in the range 1-100"
                )
            yield from _pod_term_errors(
                weighted.pod_affinity_term, preferred_path.index(index).child("podAffinityTerm")
            )


def _node_affinity_errors(affinity: v1.NodeAffinity, path: Path) -> Errors:
    selector = affinity.required_during_scheduling_ignored_during_execution
    if selector is not None:
        yield from node_selector_errors(selector, path.child("requiredDuringSchedulingIgnoredDuringExecution"))
    preferred = path.child("preferredDuringSchedulingIgnoredDuringExecution")
    for index, term in enumerate(affinity.preferred_during_scheduling_ignored_during_execution):
        at = preferred.index(index)
        if not 1 <= term.weight <= 100:
            yield invalid(at.child("weight"), term.weight, "must be in the range 1-100")
        yield from _term_errors(term.preference, at.child("preference"))


def node_selector_errors(selector: v1.NodeSelector, path: Path) -> Errors:
    """Check a node selector, which must have terms."""
    terms = path.child("nodeSelectorTerms")
    if not selector.node_selector_terms:
        yield required(terms, "must have at least one node selector term")
        return
    for index, term in enumerate(selector.node_selector_terms):
        yield from _term_errors(term, terms.index(index))


def _term_errors(term: v1.NodeSelectorTerm, path: Path) -> Errors:
    for index, requirement in enumerate(term.match_expressions):
        at = path.child("matchExpressions").index(index)
        yield from _requirement_errors(requirement, at)
        yield from (invalid(at.child("key"), requirement.key, text) for text in names.qualified_name(requirement.key))
        for number, value in enumerate(requirement.values):
            at_value = at.child("values").index(number)
            yield from (invalid(at_value, value, text) for text in names.label_value(value))
    for index, requirement in enumerate(term.match_fields):
        at = path.child("matchFields").index(index)
        if requirement.operator not in {"In", "NotIn"}:
            yield invalid(at.child("operator"), requirement.operator, "not a valid selector operator")
        elif len(requirement.values) != 1:
            yield required(
                at.child("values"), "must be only one value when `operator` is 'In' or 'NotIn' for node field selector"
            )
        if requirement.key != "metadata.name":
            yield invalid(at.child("key"), requirement.key, "not a valid field selector key")
        else:
            for number, value in enumerate(requirement.values):
                at_value = at.child("values").index(number)
                yield from (invalid(at_value, value, text) for text in names.dns_subdomain(value))


def _requirement_errors(requirement: v1.NodeSelectorRequirement, path: Path) -> Errors:
    values = path.child("values")
    match requirement.operator:
        case "In" | "NotIn":
            if not requirement.values:
                yield required(values, "must be specified when `operator` is 'In' or 'NotIn'")
        case "Exists" | "DoesNotExist":
            if requirement.values:
                yield forbidden(values, "may not be specified when `operator` is 'Exists' or 'DoesNotExist'")
        case "Gt" | "Lt":
            if len(requirement.values) != 1:
                yield required(values, "must be specified single value when `operator` is 'Lt' or 'Gt'")
        case _:
            yield invalid(path.child("operator"), requirement.operator, "not a valid selector operator")


def _pod_term_errors(term: v1.PodAffinityTerm, path: Path) -> Errors:
    yield from selector_errors(term.label_selector, path.child("labelSelector"))
    yield from selector_errors(term.namespace_selector, path.child("namespaceSelector"))
    for name in term.namespaces:
        yield from (invalid(path.child("namespace"), name, text) for text in names.dns_label(name))
    for keys, wire in ((term.match_label_keys, "matchLabelKeys"), (term.mismatch_label_keys, "mismatchLabelKeys")):
        if keys and term.label_selector is None:
            yield forbidden(path.child(wire), "must not be specified when labelSelector is not set")
        for index, key in enumerate(keys):
            yield from qualified_errors(key, path.child(wire).index(index))
    if not term.topology_key:
        yield required(path.child("topologyKey"), "can not be empty")
        return
    yield from qualified_errors(term.topology_key, path.child("topologyKey"))
