"""StatefulSet (upstream pkg/registry/apps/statefulset, pkg/apis/apps/validation, pkg/apis/apps/v1 `defaults.go`)."""

from collections.abc import Iterator, Sequence
from typing import Any

from msgspec.structs import replace

from pinnace.api.apps_v1 import (
    RollingUpdateStatefulSetStrategy,
    StatefulSet,
    StatefulSetPersistentVolumeClaimRetentionPolicy,
    StatefulSetSpec,
    StatefulSetStatus,
    StatefulSetUpdateStrategy,
)
from pinnace.api.core_v1 import PersistentVolumeClaim, PersistentVolumeClaimVolumeSource, PodTemplateSpec, Volume
from pinnace.apiserver.registry import columns
from pinnace.apiserver.registry.apps import workload
from pinnace.apiserver.registry.apps.workload import SELECTOR, SPEC, STATUS, TEMPLATE
from pinnace.apiserver.registry.core import persistent_volume_claim, pod_defaults
from pinnace.apiserver.registry.core.persistent_volume_claim import size_warnings
from pinnace.apiserver.registry.core.validation.claims import claim_spec_errors
from pinnace.apiserver.registry.core.validation.pod_spec import template_errors
from pinnace.apiserver.registry.defaulting import each, filled
from pinnace.apiserver.registry.go_struct import go_struct
from pinnace.apiserver.registry.label_selectors import is_usable
from pinnace.apiserver.registry.numbers import not_negative
from pinnace.apiserver.registry.strategy import Column, Context, Part, Scale, Strategy, spec_changed, take_only_status
from pinnace.machinery import names
from pinnace.machinery.field import FieldError, forbidden, invalid, not_supported

HISTORY_LIMIT = 10
ORDERED, PARALLEL = "OrderedReady", "Parallel"
ROLLING, ON_DELETE = "RollingUpdate", "OnDelete"
RETAIN, DELETE = "Retain", "Delete"
_CLAIMS = SPEC.child("volumeClaimTemplates")
_FROZEN = (
    "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', "
    "'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden"
)


def default(obj: StatefulSet) -> StatefulSet:
    """Fill in replicas, policies and history, and the defaults of pods and claims."""
    spec = obj.spec
    retention = spec.persistent_volume_claim_retention_policy or StatefulSetPersistentVolumeClaimRetentionPolicy()
    spec = replace(
        spec,
        replicas=1 if spec.replicas is None else spec.replicas,
        template=pod_defaults.template(spec.template),
        volume_claim_templates=each(spec.volume_claim_templates, _claim),
        update_strategy=_strategy(spec.update_strategy),
        persistent_volume_claim_retention_policy=filled(retention, when_deleted=RETAIN, when_scaled=RETAIN),
        revision_history_limit=HISTORY_LIMIT if spec.revision_history_limit is None else spec.revision_history_limit,
    )
    return replace(obj, spec=filled(spec, pod_management_policy=ORDERED))


def _claim(claim: PersistentVolumeClaim) -> PersistentVolumeClaim:
    claim = persistent_volume_claim.default(filled(claim, kind="PersistentVolumeClaim", api_version="v1"))
    return replace(claim, status=filled(claim.status, phase="Pending"))


def _strategy(strategy: StatefulSetUpdateStrategy) -> StatefulSetUpdateStrategy:
    if not strategy.type:
        rolling = strategy.rolling_update or RollingUpdateStatefulSetStrategy()
        strategy = StatefulSetUpdateStrategy(type=ROLLING, rolling_update=rolling)
    if strategy.type == ROLLING and strategy.rolling_update is not None and strategy.rolling_update.partition is None:
        strategy = replace(strategy, rolling_update=replace(strategy.rolling_update, partition=0))
    return strategy


def prepare_create(ctx: Context, obj: StatefulSet) -> StatefulSet:  # noqa: ARG001
    """Drop what is behind a gate that is off: how many pods an update may take away at a time."""
    strategy = obj.spec.update_strategy
    rolling = strategy.rolling_update
    if rolling is None or rolling.max_unavailable is None:
        return obj
    strategy = replace(strategy, rolling_update=replace(rolling, max_unavailable=None))
    return replace(obj, spec=replace(obj.spec, update_strategy=strategy))


def prepare_update(ctx: Context, new: StatefulSet, old: StatefulSet) -> StatefulSet:  # noqa: ARG001
    """Drop the same as on create."""
    return prepare_create(ctx, new)


def validate(obj: StatefulSet) -> Sequence[FieldError]:
    """Check policies, claims, numbers, selector and template."""
    spec = obj.spec
    return (
        *_policy_errors(spec),
        *_claim_errors(spec.volume_claim_templates),
        *_number_errors(spec),
        *_service_errors(spec.service_name),
        *_template_errors(spec),
    )


def validate_update(new: StatefulSet, old: StatefulSet) -> Sequence[FieldError]:
    """Hold all but a few fields; what was stored with a wrong Service or template may stay as it is."""
    spec = new.spec
    was_valid = next(_pod_errors(old.spec), None) is None
    found = (
        *_policy_errors(spec),
        *_number_errors(spec),
        *_template_errors(spec, checks_pod=was_valid),
    )
    comparable = replace(
        spec,
        replicas=old.spec.replicas,
        template=old.spec.template,
        update_strategy=old.spec.update_strategy,
        min_ready_seconds=old.spec.min_ready_seconds,
        ordinals=old.spec.ordinals,
        revision_history_limit=old.spec.revision_history_limit,
        persistent_volume_claim_retention_policy=old.spec.persistent_volume_claim_retention_policy,
    )
    return found if comparable == old.spec else (*found, forbidden(SPEC, _FROZEN))


def _policy_errors(spec: StatefulSetSpec) -> Iterator[FieldError]:
    if spec.pod_management_policy not in {ORDERED, PARALLEL}:
        text = f"must be '{ORDERED}' or '{PARALLEL}'"
        yield invalid(SPEC.child("podManagementPolicy"), spec.pod_management_policy, text)
    strategy, at = spec.update_strategy, SPEC.child("updateStrategy")
    if strategy.type not in {ROLLING, ON_DELETE}:
        yield invalid(at, go_struct(strategy), f"must be '{ROLLING}' or '{ON_DELETE}'")
    elif strategy.rolling_update is not None and strategy.type == ON_DELETE:
        text = f"only allowed for updateStrategy '{ROLLING}'"
        yield invalid(at.child("rollingUpdate"), go_struct(strategy.rolling_update), text)
    elif strategy.rolling_update is not None:
        yield from not_negative(strategy.rolling_update.partition, at.child("rollingUpdate", "partition"))
    retention = spec.persistent_volume_claim_retention_policy
    if retention is not None:
        at = SPEC.child("persistentVolumeClaimRetentionPolicy")
        for policy, wire in ((retention.when_deleted, "whenDeleted"), (retention.when_scaled, "whenScaled")):
            if policy not in {RETAIN, DELETE}:
                yield not_supported(at.child(wire), policy, (RETAIN, DELETE))


def _claim_errors(claims: Sequence[PersistentVolumeClaim]) -> Iterator[FieldError]:
    for index, claim in enumerate(claims):
        yield from claim_spec_errors(claim.spec, _CLAIMS.index(index).child("spec"))


def _number_errors(spec: StatefulSetSpec) -> Iterator[FieldError]:
    yield from not_negative(spec.replicas, SPEC.child("replicas"))
    yield from not_negative(spec.min_ready_seconds, SPEC.child("minReadySeconds"))
    if spec.ordinals is not None:
        yield from not_negative(spec.ordinals.start, SPEC.child("ordinals.start"))


def _service_errors(name: str) -> Iterator[FieldError]:
    if name:
        yield from (invalid(SPEC.child("serviceName"), name, text) for text in names.dns_label(name))


def _template_errors(spec: StatefulSetSpec, *, checks_pod: bool = True) -> Iterator[FieldError]:
    yield from workload.needed_selector_errors(spec.selector, "statefulset")
    if not is_usable(spec.selector):
        yield invalid(SELECTOR, spec.selector, "")
    else:
        yield from workload.selection_errors(spec.selector, spec.template)
        if checks_pod:
            yield from _pod_errors(spec)
    yield from workload.endless_errors(spec.template, "StatefulSet")


def _pod_errors(spec: StatefulSetSpec) -> Iterator[FieldError]:
    """Check the pods as they will be made: with a volume for each claim."""
    return template_errors(_with_claims(spec.template, spec.volume_claim_templates), TEMPLATE)


def _with_claims(template: PodTemplateSpec, claims: Sequence[PersistentVolumeClaim]) -> PodTemplateSpec:
    taken = {claim.metadata.name for claim in claims}
    added = (
        Volume(name=name, persistent_volume_claim=PersistentVolumeClaimVolumeSource(claim_name=name))
        for name in (claim.metadata.name for claim in claims)
    )
    kept = (volume for volume in template.spec.volumes if volume.name not in taken)
    return replace(template, spec=replace(template.spec, volumes=(*kept, *added)))


def validate_status(new: StatefulSet, old: StatefulSet) -> Sequence[FieldError]:
    """Check the counts, each for itself and against one another."""
    return tuple(_status_errors(new.status, old.status))


def _status_errors(status: StatefulSetStatus, old: StatefulSetStatus) -> Iterator[FieldError]:
    counts = (
        ("readyReplicas", status.ready_replicas),
        ("currentReplicas", status.current_replicas),
        ("updatedReplicas", status.updated_replicas),
        ("availableReplicas", status.available_replicas),
    )
    yield from workload.negative_errors((
        ("replicas", status.replicas),
        *counts,
        ("observedGeneration", status.observed_generation),
        ("collisionCount", status.collision_count),
    ))
    yield from workload.count_errors(counts, status.replicas)
    if status.available_replicas > status.ready_replicas:
        text = "cannot be greater than status.readyReplicas"
        yield invalid(STATUS.child("availableReplicas"), status.available_replicas, text)
    yield from workload.collision_errors(status.collision_count, old.collision_count)


def warnings(new: StatefulSet, old: StatefulSet | None) -> Sequence[str]:
    """Warn of what is deprecated in the template, of parts of a byte, and of a history without end."""
    before = old.spec.template if old is not None else None
    found = list(workload.warnings(new.metadata, new.spec.template, before, checks_name=False))
    for index, claim in enumerate(new.spec.volume_claim_templates):
        at = _CLAIMS.index(index)
        # Upstream's paths differ so between create and update.
        found += size_warnings(claim.spec, at if old is None else at.child("Spec"))
    if (new.spec.revision_history_limit or 0) < 0:
        found.append(
            "spec.revisionHistoryLimit: a negative value retains all historical revisions; a value >= 0 is recommended"
        )
    return found


def cells(obj: StatefulSet, now: float) -> Sequence[Any]:
    """Return the row."""
    return (
        obj.metadata.name,
        f"{obj.status.ready_replicas}/{obj.spec.replicas or 0}",
        columns.object_age(obj, now),
        *columns.containers_of(obj.spec.template.spec),
    )


STRATEGY: Strategy[StatefulSet] = Strategy(
    default=default,
    prepare_create=prepare_create,
    prepare_update=prepare_update,
    validate=validate,
    validate_update=validate_update,
    validates_update_fully=True,
    warnings=warnings,
    name_errors=names.dns_label,
    generation=spec_changed,
    columns=(
        columns.NAME,
        Column("Ready", description="How many pods are ready."),
        columns.AGE,
        *columns.CONTAINERS,
    ),
    cells=cells,
    parts={"status": Part(prepare_update=take_only_status, validate_update=validate_status)},
    scale=Scale(
        replicas=lambda obj: obj.spec.replicas or 0,
        with_replicas=lambda obj, count: replace(obj, spec=replace(obj.spec, replicas=count)),
        status_replicas=lambda obj: obj.status.replicas,
        selector=lambda obj: workload.selector_text(obj.spec.selector),
    ),
)
