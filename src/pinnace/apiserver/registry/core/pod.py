"""Pods (upstream pkg/registry/core/pod `strategy.go`)."""

from collections.abc import Callable, Iterator

from msgspec.structs import replace

from pinnace.api.core_v1 import AppArmorProfile, Container, Pod, PodCondition, PodSpec, PodStatus, SecurityContext
from pinnace.apiserver.registry.core import pod_defaults, pod_resources, pod_table
from pinnace.apiserver.registry.core.pod_label_keys import with_label_keys
from pinnace.apiserver.registry.core.pod_warnings import pod_warnings, status_warnings
from pinnace.apiserver.registry.core.validation import annotations, pod_spec, pod_update, volumes
from pinnace.apiserver.registry.core.validation.annotations import APPARMOR
from pinnace.apiserver.registry.metadata import kept_for_status
from pinnace.apiserver.registry.strategy import (
    Context,
    Part,
    Selectable,
    Strategy,
    spec_changed,
    unknown_field_own_table,
)
from pinnace.machinery import timestamps
from pinnace.machinery.field import FieldError, Path, forbidden
from pinnace.machinery.memo import Memo

# Pods of one template share their spec, and what is found out about it.
_SPEC_ERRORS: Memo[PodSpec, tuple[FieldError, ...]] = Memo(lambda spec: tuple(pod_spec.pod_errors(spec)))
_QOS_CLASS: Memo[PodSpec, str] = Memo(pod_resources.qos_class)
_ANNOTATIONS = Path("metadata", "annotations")
_VOLUMES = Path("spec", "volumes")
_FINISHED = frozenset({"Succeeded", "Failed"})
_GATED = "Scheduling is blocked due to non-empty scheduling gates"


def _prepare_create(ctx: Context, pod: Pod) -> Pod:
    conditions: tuple[PodCondition, ...] = ()
    if pod.spec.scheduling_gates:
        conditions = (
            PodCondition(
                type="PodScheduled",
                status="False",
                reason="SchedulingGated",
                message=_GATED,
                last_transition_time=timestamps.format(ctx.now),
            ),
        )
    status = PodStatus(phase="Pending", qos_class=_QOS_CLASS(pod.spec), conditions=conditions)
    return replace(with_label_keys(_with_apparmor(pod)), status=status)


def _with_apparmor(pod: Pod) -> Pod:
    """Move AppArmor profiles from the old annotations into the fields."""
    profiles = {
        key.removeprefix(APPARMOR): value for key, value in pod.metadata.annotations.items() if key.startswith(APPARMOR)
    }
    if not profiles:
        return pod

    def fielded(container: Container) -> Container:
        profile = _apparmor_profile(profiles.get(container.name, ""))
        context = container.security_context or SecurityContext()
        if profile is None or context.app_armor_profile is not None:
            return container
        return replace(container, security_context=replace(context, app_armor_profile=profile))

    spec = replace(
        pod.spec,
        containers=tuple(map(fielded, pod.spec.containers)),
        init_containers=tuple(map(fielded, pod.spec.init_containers)),
    )
    return replace(pod, spec=spec)


def _apparmor_profile(annotation: str) -> AppArmorProfile | None:
    if annotation == "runtime/default":
        return AppArmorProfile(type="RuntimeDefault")
    if annotation == "unconfined":
        return AppArmorProfile(type="Unconfined")
    if annotation.startswith("localhost/"):
        return AppArmorProfile(type="Localhost", localhost_profile=annotation.removeprefix("localhost/"))
    return None


def _validate(pod: Pod) -> list[FieldError]:
    found = [*_annotation_errors(pod), *_SPEC_ERRORS(pod.spec)]
    found += volumes.made_claim_errors(pod.spec.volumes, pod.metadata.name, _VOLUMES)
    if pod.metadata.uid and not pod.metadata.resource_version:
        found += _create_errors(pod.spec)
        found += annotations.apparmor_match_errors(pod.metadata.annotations, pod.spec, Path("spec"))
    return found


def _annotation_errors(pod: Pod) -> Iterator[FieldError]:
    return annotations.annotation_errors(pod.metadata.annotations, pod.spec, _ANNOTATIONS)


def _annotation_update_errors(new: Pod, old: Pod) -> Iterator[FieldError]:
    """Check the annotations once more, as upstream does, and what became of the old ones."""
    if new.metadata.annotations is not old.metadata.annotations:
        yield from annotations.update_errors(new.metadata.annotations, old.metadata.annotations, _ANNOTATIONS)
    yield from _annotation_errors(new)


def _create_errors(spec: PodSpec) -> list[FieldError]:
    """Return what is wrong with a pod only as long as it is new."""
    found = []
    if spec.ephemeral_containers:
        found.append(forbidden(Path("spec", "ephemeralContainers"), "cannot be set on create"))
    if spec.node_name and spec.scheduling_gates:
        text = "cannot be set until all schedulingGates have been cleared"
        found.append(forbidden(Path("spec", "nodeName"), text))
    return found


def _validate_update(new: Pod, old: Pod) -> list[FieldError]:
    return [*_annotation_update_errors(new, old), *pod_update.update_errors(new, old)]


def _prepare_status(ctx: Context, new: Pod, old: Pod) -> Pod:  # noqa: ARG001
    meta = replace(new.metadata, owner_references=old.metadata.owner_references)
    status = new.status
    # The first of many addresses has a field of its own; older clients know only that.
    if status.pod_ip and not status.pod_ips:
        status = replace(status, pod_ip="")
    elif status.pod_ips and not status.pod_ip:
        status = replace(status, pod_ip=status.pod_ips[0].ip)
    return replace(new, metadata=meta, spec=old.spec, status=replace(status, qos_class=old.status.qos_class))


def _only(part: Callable[[PodSpec, PodSpec], PodSpec]) -> Callable[[Context, Pod, Pod], Pod]:
    """Return the preparation of a path that writes one part of the spec, and neither labels nor annotations."""

    def prepare(ctx: Context, new: Pod, old: Pod) -> Pod:  # noqa: ARG001
        return replace(kept_for_status(new, old), spec=part(new.spec, old.spec), status=old.status)

    return prepare


def _ephemeral(new: PodSpec, old: PodSpec) -> PodSpec:
    return replace(old, ephemeral_containers=new.ephemeral_containers)


def _resized(new: PodSpec, old: PodSpec) -> PodSpec:
    def merged(after: tuple[Container, ...], before: tuple[Container, ...]) -> tuple[Container, ...]:
        known = {container.name: container for container in after}
        return tuple(
            replace(
                container,
                resources=known[container.name].resources,
                resize_policy=known[container.name].resize_policy,
            )
            if container.name in known
            else container
            for container in before
        )

    return replace(
        old,
        containers=merged(new.containers, old.containers),
        init_containers=merged(new.init_containers, old.init_containers),
        resources=new.resources,
    )


def _validate_ephemeral(new: Pod, old: Pod) -> list[FieldError]:
    found = list(_SPEC_ERRORS(new.spec))
    return found + list(pod_update.ephemeral_update_errors(new, old))


def _validate_resize(new: Pod, old: Pod) -> list[FieldError]:
    return [*_SPEC_ERRORS(new.spec), *pod_update.resize_errors(new, old)]


def _validate_status(new: Pod, old: Pod) -> list[FieldError]:
    return [*_annotation_update_errors(new, old), *pod_update.status_errors(new, old)]


def _grace_seconds(pod: Pod, option: int | None) -> int:
    """A pod that no kubelet runs goes at once; others get the time that the request or their spec gives."""
    if not pod.spec.node_name or pod.status.phase in _FINISHED:
        return 0
    seconds = option if option is not None else pod.spec.termination_grace_period_seconds
    if seconds is None:
        return pod_defaults.GRACE_SECONDS
    return 1 if seconds < 0 else seconds


def _true(value: bool) -> str:  # noqa: FBT001
    return "true" if value else "false"


_SELECTABLE: Selectable[Pod] = Selectable(
    fields={
        "spec.nodeName": lambda pod: pod.spec.node_name,
        "spec.restartPolicy": lambda pod: pod.spec.restart_policy,
        "spec.schedulerName": lambda pod: pod.spec.scheduler_name,
        "spec.serviceAccountName": lambda pod: pod.spec.service_account_name,
        "spec.hostNetwork": lambda pod: _true(pod.spec.host_network),
        "status.phase": lambda pod: pod.status.phase,
        "status.podIP": lambda pod: pod.status.pod_ips[0].ip if pod.status.pod_ips else "",
        "status.podIPs": lambda pod: pod.status.pod_ips[0].ip if pod.status.pod_ips else "",
        "status.nominatedNodeName": lambda pod: pod.status.nominated_node_name,
    },
    aliases={"spec.host": "spec.nodeName"},
    indexed=frozenset({"spec.nodeName"}),
    unknown=unknown_field_own_table,
)

STRATEGY: Strategy[Pod] = Strategy(
    default=pod_defaults.pod,
    prepare_create=_prepare_create,
    validate=_validate,
    validate_update=_validate_update,
    warnings=pod_warnings,
    generation=spec_changed,
    grace_seconds=_grace_seconds,
    delete_returns_object=True,
    selectable=_SELECTABLE,
    columns=pod_table.COLUMNS,
    cells=pod_table.cells,
    row_conditions=pod_table.row_conditions,
    parts={
        "status": Part(prepare_update=_prepare_status, validate_update=_validate_status, warnings=status_warnings),
        "ephemeralcontainers": Part(
            prepare_update=_only(_ephemeral), validate_update=_validate_ephemeral, generation=spec_changed
        ),
        "resize": Part(prepare_update=_only(_resized), validate_update=_validate_resize, generation=spec_changed),
    },
)
