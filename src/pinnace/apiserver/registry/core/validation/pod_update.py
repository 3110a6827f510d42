"""What may change on a pod that is there.

Upstream: pkg/apis/core/validation `ValidatePodUpdate`, `ValidatePodStatusUpdate`, `ValidatePodResize`,
`ValidatePodEphemeralContainersUpdate`. A change that is allowed is undone on a copy of the new spec; whatever still differs from
the old one is refused.
"""

from collections.abc import Iterator
from typing import Any

from msgspec.structs import replace

from pinnace.api import core_v1 as v1
from pinnace.apiserver.registry.core import pod_resources
from pinnace.apiserver.registry.core.validation import annotations
from pinnace.apiserver.registry.go_struct import go_difference
from pinnace.apiserver.registry.numbers import MAX_INT32
from pinnace.machinery import names
from pinnace.machinery.addresses import ip_address
from pinnace.machinery.field import FieldError, Path, forbidden, go_quoted, invalid, required

Errors = Iterator[FieldError]

_SPEC = Path("spec")
# What upstream reports at no field.
_NOWHERE = Path("")
_WINDOWS = "windows"
_MUTABLE = (
    "`spec.containers[*].image`",
    "`spec.initContainers[*].image`",
    "`spec.activeDeadlineSeconds`",
    "`spec.tolerations` (only additions to existing tolerations)",
    "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)",
)
_REFUSED = "pod updates may not change fields other than " + ",".join(_MUTABLE)


def update_errors(new: v1.Pod, old: v1.Pod) -> Errors:
    """Check an update on the main path."""
    after, before = new.spec, old.spec
    if len(after.containers) != len(before.containers):
        yield forbidden(_SPEC.child("containers"), "pod updates may not add or remove containers")
        return
    if len(after.init_containers) != len(before.init_containers):
        yield forbidden(_SPEC.child("initContainers"), "pod updates may not add or remove containers")
        return
    for containers, wire in ((after.containers, "containers"), (after.init_containers, "initContainers")):
        for index, container in enumerate(containers):
            if not container.image.strip():
                yield required(_SPEC.child(wire).index(index).child("image"))
    found = [*_deadline_errors(after, before), *_toleration_errors(after, before), *_gate_errors(after, before)]
    yield from found
    if found:
        return
    gated = bool(before.scheduling_gates)
    if gated:
        found = list(_selector_errors(after, before))
        yield from found
    restored = _restored(after, before, gated=gated)
    if restored != before:
        yield forbidden(_SPEC, f"{_REFUSED}\n{go_difference(before, restored)}")


def _restored(after: v1.PodSpec, before: v1.PodSpec, *, gated: bool) -> v1.PodSpec:
    """Return the new spec with all that may change taken from the old."""
    spec = replace(
        after,
        containers=tuple(
            replace(new, image=old.image) for new, old in zip(after.containers, before.containers, strict=True)
        ),
        init_containers=tuple(
            replace(new, image=old.image)
            for new, old in zip(after.init_containers, before.init_containers, strict=True)
        ),
        active_deadline_seconds=before.active_deadline_seconds,
        tolerations=before.tolerations,
        scheduling_gates=before.scheduling_gates,
    )
    grace = before.termination_grace_period_seconds
    if grace is not None and grace < 0 and after.termination_grace_period_seconds == 1:
        spec = replace(spec, termination_grace_period_seconds=grace)
    if gated:
        spec = replace(spec, node_selector=before.node_selector)
        if _affinity_narrowed(after.affinity, before.affinity):
            spec = replace(spec, affinity=before.affinity)
    return spec


def _deadline_errors(after: v1.PodSpec, before: v1.PodSpec) -> Errors:
    new, old = after.active_deadline_seconds, before.active_deadline_seconds
    path = _SPEC.child("activeDeadlineSeconds")
    if new is not None:
        if not 0 <= new <= MAX_INT32:
            yield invalid(path, new, f"must be between 0 and {MAX_INT32}, inclusive")
        elif old is not None and old < new:
            yield invalid(path, new, "must be less than or equal to previous value")
    elif old is not None:
        yield invalid(path, new, "must not update from a positive integer to nil value")


def _toleration_errors(after: v1.PodSpec, before: v1.PodSpec) -> Errors:
    """Tolerations may be added; of a NoExecute one the seconds may change."""
    for old in before.tolerations:
        if any(
            old == new or (new.effect == "NoExecute" and replace(new, toleration_seconds=old.toleration_seconds) == old)
            for new in after.tolerations
        ):
            continue
        text = "existing toleration can not be modified except its tolerationSeconds"
        yield forbidden(_SPEC.child("tolerations"), text)


def _gate_errors(after: v1.PodSpec, before: v1.PodSpec) -> Errors:
    known = {gate.name for gate in before.scheduling_gates}
    for index, gate in enumerate(after.scheduling_gates):
        if gate.name not in known:
            path = _SPEC.child("schedulingGates").index(index).child("name")
            yield forbidden(path, f"only deletion is allowed, but found new scheduling gate '{gate.name}'")


def _selector_errors(after: v1.PodSpec, before: v1.PodSpec) -> Errors:
    kept = all(after.node_selector.get(key) == value for key, value in before.node_selector.items())
    if not kept:
        text = "only additions to spec.nodeSelector are allowed (no mutations or deletions)"
        yield invalid(_SPEC.child("nodeSelector"), dict(sorted(after.node_selector.items())), text)


def _affinity_narrowed(after: v1.Affinity | None, before: v1.Affinity | None) -> bool:
    """Tell whether node affinity changed only so that fewer nodes are left."""
    if after is None or (
        before is not None
        and (after.pod_affinity, after.pod_anti_affinity) != (before.pod_affinity, before.pod_anti_affinity)
    ):
        return False
    new = after.node_affinity.required_during_scheduling_ignored_during_execution if after.node_affinity else None
    old = before.node_affinity if before is not None else None
    terms = old.required_during_scheduling_ignored_during_execution if old is not None else None
    if terms is None:
        return True
    if new is None or len(new.node_selector_terms) != len(terms.node_selector_terms):
        return False
    return all(
        set(map(_key, one.match_expressions)) >= set(map(_key, other.match_expressions))
        and set(map(_key, one.match_fields)) >= set(map(_key, other.match_fields))
        for one, other in zip(new.node_selector_terms, terms.node_selector_terms, strict=True)
    )


def _key(requirement: v1.NodeSelectorRequirement) -> tuple[str, str, tuple[str, ...]]:
    return requirement.key, requirement.operator, requirement.values


def status_errors(new: v1.Pod, old: v1.Pod) -> Errors:
    """Check an update of the status."""
    status, path = new.status, Path("status")
    for index, condition in enumerate(status.conditions):
        at = path.child("conditions").index(index)
        if condition.observed_generation < 0:
            yield invalid(
                at.child("observedGeneration"), condition.observed_generation, "must be a non-negative integer"
            )
        yield from (invalid(at.child("Type"), condition.type, text) for text in names.qualified_name(condition.type))
    if status.nominated_node_name:
        at = path.child("nominatedNodeName")
        yield from (
            invalid(at, status.nominated_node_name, text) for text in names.dns_subdomain(status.nominated_node_name)
        )
    if status.observed_generation < 0:
        yield invalid(path.child("observedGeneration"), status.observed_generation, "must be a non-negative integer")
    yield from _ip_errors(status, path)
    yield from _restart_errors(new, old, path)


def _ip_errors(status: v1.PodStatus, path: Path) -> Errors:
    for index, pod_ip in enumerate(status.pod_ips):
        at = path.child("podIPs").index(index)
        yield from (invalid(at, pod_ip.ip, text) for text in ip_address(pod_ip.ip))
    for index, host_ip in enumerate(status.host_ips):
        at = path.child("hostIPs").index(index)
        yield from (invalid(at, host_ip.ip, text) for text in ip_address(host_ip.ip))


def _restart_errors(new: v1.Pod, old: v1.Pod, path: Path) -> Errors:
    """A container that has ended and is never to be restarted stays so."""
    if old.spec.restart_policy != "Never":
        return
    now = {status.name: status for status in new.status.container_statuses}
    for index, status in enumerate(old.status.container_statuses):
        if status.state.terminated is None or status.name not in now:
            continue
        if now[status.name].state.terminated is None:
            at = path.child("containerStatuses").index(index).child("state")
            yield forbidden(at, "may not be transitioned to non-terminated state")


def ephemeral_update_errors(new: v1.Pod, old: v1.Pod) -> Errors:
    """Check an update of the containers for debugging, which may only be added."""
    if annotations.MIRROR in old.metadata.annotations:
        yield forbidden(_NOWHERE, "static pods do not support ephemeral containers")
        return
    path = _SPEC.child("ephemeralContainers")
    now = {container.name: container for container in new.spec.ephemeral_containers}
    for container in old.spec.ephemeral_containers:
        what = f"existing ephemeral containers {go_quoted(container.name)} may not be"
        found = now.get(container.name)
        if found is None:
            yield forbidden(path, f"{what} removed\n")
        elif found != container:
            yield forbidden(path, f"{what} changed\n{go_difference(container, found)}")


def resize_errors(new: v1.Pod, old: v1.Pod) -> Errors:
    """Check an update of what containers ask for while the pod runs."""
    if annotations.MIRROR in old.metadata.annotations:
        yield forbidden(_NOWHERE, "static pods cannot be resized")
        return
    if old.spec.os is not None and old.spec.os.name == _WINDOWS:
        yield forbidden(_NOWHERE, "windows pods cannot be resized")
        return
    if pod_resources.qos_class(new.spec) != old.status.qos_class:
        yield invalid(_SPEC, old.status.qos_class, "Pod QOS Class may not change as a result of resizing")
    if not _is_on_resizing_node(old):
        yield forbidden(_SPEC, "Pod running on node without support for resize")
    inits = list(zip(new.spec.init_containers, old.spec.init_containers, strict=False))
    containers = list(zip(new.spec.containers, old.spec.containers, strict=False))
    for index, (after, before) in enumerate(inits):
        if _is_sidecar(before):
            yield from _removal_errors(after, before, _SPEC.child("initContainers").index(index))
    for index, (after, before) in enumerate(containers):
        yield from _removal_errors(after, before, _SPEC.child("containers").index(index))
    for after, before in containers:
        if _immutable_part(after.resources, before.resources) != _immutable_part(before.resources, before.resources):
            yield forbidden(_SPEC, "only cpu and memory resources are mutable")
    for after, before in inits:
        if not _is_sidecar(before):
            if after.resources != before.resources:
                yield forbidden(_SPEC, "resources for non-sidecar init containers are immutable")
        elif _immutable_part(after.resources, before.resources) != _immutable_part(before.resources, before.resources):
            yield forbidden(_SPEC, "only cpu and memory resources for sidecar containers are mutable")


def _is_on_resizing_node(pod: v1.Pod) -> bool:
    """Tell whether a kubelet that resizes runs the pod: it says what running containers have. Where none runs, nobody can know."""
    running = (status for status in pod.status.container_statuses if status.state.running is not None)
    first = next(running, None)
    return first is None or first.resources is not None


def _is_sidecar(container: v1.Container) -> bool:
    return container.restart_policy == "Always"


def _removal_errors(after: v1.Container, before: v1.Container, path: Path) -> Errors:
    for side in ("requests", "limits"):
        if set(getattr(before.resources, side)) - set(getattr(after.resources, side)):
            yield forbidden(path.child("resources").child(side), f"resource {side} cannot be removed")


def _immutable_part(
    resources: v1.ResourceRequirements, before: v1.ResourceRequirements
) -> tuple[dict[str, str], dict[str, str], Any]:
    """Return what of a container's resources stays, as far as there was any of the kind before."""
    kept = [
        {name: text for name, text in amounts.items() if name not in pod_resources.POD_LEVEL} if was else {}
        for amounts, was in ((resources.limits, before.limits), (resources.requests, before.requests))
    ]
    return kept[0], kept[1], resources.claims
