"""A pod's spec as a whole, as pods and templates share it.

Upstream: pkg/apis/core/validation `ValidatePodSpec`; the order of the errors is its order.
"""

from collections.abc import Iterator, Sequence

from pinnace.api import core_v1 as v1
from pinnace.api.meta_v1 import ObjectMeta
from pinnace.apiserver.registry.core.validation import annotations, dns, scheduling, security, windows
from pinnace.apiserver.registry.core.validation.containers import (
    Surroundings,
    container_errors,
    whitespace_errors,
)
from pinnace.apiserver.registry.core.validation.resources import pod_level_errors, requirement_errors
from pinnace.apiserver.registry.core.validation.volumes import volume_errors
from pinnace.apiserver.registry.metadata import annotation_errors, label_errors
from pinnace.apiserver.registry.numbers import MAX_INT32
from pinnace.machinery import names
from pinnace.machinery.field import (
    FieldError,
    Path,
    duplicate,
    forbidden,
    invalid,
    not_supported,
    required,
)

Errors = Iterator[FieldError]

_SPEC = Path("spec")
RESTART_POLICIES = ("Always", "OnFailure", "Never")


def pod_errors(spec: v1.PodSpec) -> Errors:
    """Check the spec of a pod that is made or changed."""
    yield from pod_spec_errors(spec, _SPEC)
    yield from whitespace_errors(spec, _SPEC)


def template_errors(template: v1.PodTemplateSpec, path: Path) -> Errors:
    """Check a pod template; upstream leaves `metadata` out of the paths of its labels and annotations."""
    meta: ObjectMeta = template.metadata
    yield from label_errors(meta.labels, path.child("labels"))
    yield from annotation_errors(meta.annotations, path.child("annotations"))
    yield from annotations.annotation_errors(meta.annotations, template.spec, path.child("annotations"))
    yield from pod_spec_errors(template.spec, path.child("spec"))
    yield from annotations.apparmor_match_errors(meta.annotations, template.spec, path.child("spec"))
    if template.spec.ephemeral_containers:
        yield forbidden(path.child("spec", "ephemeralContainers"), "ephemeral containers not allowed in pod template")


def pod_spec_errors(spec: v1.PodSpec, path: Path) -> Errors:
    """Check a pod spec."""
    found, volumes = volume_errors(spec.volumes, path.child("volumes"))
    yield from found
    claims = tuple(claim.name for claim in spec.resource_claims)
    yield from _claim_errors(spec.resource_claims, path.child("resourceClaims"))
    around = Surroundings(
        volumes, claims, spec.termination_grace_period_seconds, spec.restart_policy, spec.host_users is not False
    )
    yield from container_errors(spec, around, path)
    yield from pod_level_errors(spec, path.child("resources"))
    if spec.restart_policy not in RESTART_POLICIES:
        yield not_supported(path.child("restartPolicy"), spec.restart_policy, RESTART_POLICIES)
    yield from dns.policy_errors(spec.dns_policy, path.child("dnsPolicy"))
    yield from label_errors(spec.node_selector, path.child("nodeSelector"))
    yield from security.pod_errors(spec, path, path.child("securityContext"))
    yield from scheduling.affinity_errors(spec.affinity, path.child("affinity"))
    yield from dns.dns_errors(spec.dns_config, spec.dns_policy, path.child("dnsConfig"))
    yield from scheduling.readiness_gate_errors(spec.readiness_gates, path.child("readinessGates"))
    yield from scheduling.scheduling_gate_errors(spec.scheduling_gates, path.child("schedulingGates"))
    yield from scheduling.spread_errors(spec.topology_spread_constraints, path.child("topologySpreadConstraints"))
    yield from windows.host_process_errors(spec, path)
    yield from security.host_users_errors(spec, path)
    yield from _name_errors(spec, path)
    yield from scheduling.toleration_errors(spec.tolerations, path.child("tolerations"))
    yield from dns.host_alias_errors(spec.host_aliases, path.child("hostAliases"))
    yield from _class_errors(spec, path)
    if spec.os is not None:
        if not spec.os.name:
            yield required(path.child("os"), "cannot be empty")
        elif spec.os.name not in {"linux", "windows"}:
            yield not_supported(path.child("os"), spec.os.name, ("linux", "windows"))
        elif spec.os.name == "windows":
            yield from windows.windows_errors(spec, path)
        else:
            yield from windows.linux_errors(spec, path)


def _name_errors(spec: v1.PodSpec, path: Path) -> Errors:
    if spec.service_account_name:
        at = path.child("serviceAccountName")
        yield from (
            invalid(at, spec.service_account_name, text) for text in names.dns_subdomain(spec.service_account_name)
        )
    if spec.node_name:
        yield from (
            invalid(path.child("nodeName"), spec.node_name, text) for text in names.dns_subdomain(spec.node_name)
        )
    seconds = spec.active_deadline_seconds
    if seconds is not None and not 1 <= seconds <= MAX_INT32:
        text = f"must be between 1 and {MAX_INT32}, inclusive"
        yield invalid(path.child("activeDeadlineSeconds"), seconds, text)
    if spec.hostname:
        yield from (invalid(path.child("hostname"), spec.hostname, text) for text in names.dns_label(spec.hostname))
    if spec.subdomain:
        yield from (invalid(path.child("subdomain"), spec.subdomain, text) for text in names.dns_label(spec.subdomain))


def _class_errors(spec: v1.PodSpec, path: Path) -> Errors:
    if spec.priority_class_name:
        at = path.child("priorityClassName")
        yield from (
            invalid(at, spec.priority_class_name, text) for text in names.dns_subdomain(spec.priority_class_name)
        )
    if spec.runtime_class_name is not None:
        at = path.child("runtimeClassName")
        yield from (invalid(at, spec.runtime_class_name, text) for text in names.dns_subdomain(spec.runtime_class_name))
    policies = ("Never", "PreemptLowerPriority")
    if spec.preemption_policy is not None and spec.preemption_policy not in policies:
        yield not_supported(path.child("preemptionPolicy"), spec.preemption_policy, policies)
    if spec.overhead:
        yield from requirement_errors(v1.ResourceRequirements(limits=spec.overhead), path.child("overhead"))


def _claim_errors(claims: Sequence[v1.PodResourceClaim], path: Path) -> Errors:
    taken: set[str] = set()
    for index, claim in enumerate(claims):
        at = path.index(index)
        if not claim.name:
            yield required(at.child("name"))
        elif claim.name in taken:
            yield duplicate(at.child("name"), claim.name)
        else:
            yield from (invalid(at.child("name"), claim.name, text) for text in names.dns_label(claim.name))
            taken.add(claim.name)
        if claim.resource_claim_name is not None and claim.resource_claim_template_name is not None:
            yield invalid(at, "", "at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified")
        if claim.resource_claim_name is None and claim.resource_claim_template_name is None:
            yield invalid(at, "", "must specify one of: `resourceClaimName`, `resourceClaimTemplateName`")
        for value, wire in (
            (claim.resource_claim_name, "resourceClaimName"),
            (claim.resource_claim_template_name, "resourceClaimTemplateName"),
        ):
            if value is not None:
                yield from (invalid(at.child(wire), value, text) for text in names.dns_subdomain(value))
