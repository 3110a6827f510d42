"""Job (upstream pkg/registry/batch/job, pkg/apis/batch/validation, pkg/apis/batch/v1 `defaults.go`).

A Job selects its pods by its own uid: unless it asks for a selector by hand, the labels for that are put into its template when it
is made.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from pinnace.api.batch_v1 import Job, JobSpec, PodFailurePolicy, PodFailurePolicyOnPodConditionsPattern
from pinnace.api.meta_v1 import LabelSelector, ObjectMeta
from pinnace.apiserver.registry import columns
from pinnace.apiserver.registry.apps.workload import MISMATCH, SELECTOR, SPEC, TEMPLATE, name_warnings
from pinnace.apiserver.registry.batch import job_status
from pinnace.apiserver.registry.batch.job_spec import (
    FAILED,
    INDEXED,
    NON_INDEXED,
    TERMINATING_OR_FAILED,
    change_errors,
    spec_errors,
    spec_warnings,
)
from pinnace.apiserver.registry.batch.job_status import has_condition
from pinnace.apiserver.registry.core import pod_defaults
from pinnace.apiserver.registry.defaulting import changed, each, filled, maybe
from pinnace.apiserver.registry.label_selectors import is_usable, selector_errors, selects
from pinnace.apiserver.registry.numbers import MAX_INT32
from pinnace.apiserver.registry.strategy import (
    Column,
    Context,
    Part,
    Selectable,
    Strategy,
    spec_changed,
    take_only_status,
)
from pinnace.machinery import human, names, selectors, timestamps
from pinnace.machinery.field import FieldError, Path, invalid, required

BACKOFF_LIMIT = 6
CONTROLLER_UID, JOB_NAME = "batch.kubernetes.io/controller-uid", "batch.kubernetes.io/job-name"
# The names of both before labels had prefixes; still set, and still checked.
OLD_CONTROLLER_UID, OLD_JOB_NAME = "controller-uid", "job-name"
_LABELS = TEMPLATE.child("metadata").child("labels")


def default(obj: Job) -> Job:
    """Fill in how many pods, how often they may fail and how they are counted; labels come from the template."""
    spec = obj.spec
    if spec.parallelism is None:
        completions = 1 if spec.completions is None else spec.completions
        spec = replace(spec, parallelism=1, completions=completions)
    backoff = BACKOFF_LIMIT if spec.backoff_limit_per_index is None else MAX_INT32
    spec = replace(
        spec,
        template=pod_defaults.template(spec.template),
        backoff_limit=backoff if spec.backoff_limit is None else spec.backoff_limit,
        manual_selector=bool(spec.manual_selector),
        suspend=bool(spec.suspend),
        pod_failure_policy=maybe(spec.pod_failure_policy, failure_policy),
    )
    replacement = TERMINATING_OR_FAILED if spec.pod_failure_policy is None else FAILED
    spec = filled(spec, completion_mode=NON_INDEXED, pod_replacement_policy=replacement)
    return replace(obj, spec=spec, metadata=_labelled(obj.metadata, spec))


def _labelled(meta: ObjectMeta, spec: JobSpec) -> ObjectMeta:
    return meta if meta.labels else replace(meta, labels=spec.template.metadata.labels)


def failure_policy(policy: PodFailurePolicy) -> PodFailurePolicy:
    """Return a policy about failed pods with defaults: conditions are meant to be true."""

    def pattern(one: PodFailurePolicyOnPodConditionsPattern) -> PodFailurePolicyOnPodConditionsPattern:
        return filled(one, status="True")

    if policy.rules is None:
        return policy
    rules = each(policy.rules, lambda rule: changed(rule, on_pod_conditions=each(rule.on_pod_conditions, pattern)))
    return changed(policy, rules=rules)


def prepare_create(ctx: Context, obj: Job) -> Job:  # noqa: ARG001
    """Make the selector; labels that the Job took over from its template go on following it."""
    if obj.spec.manual_selector:
        return obj
    template, meta = obj.spec.template, obj.metadata
    own = {key: value for keys, value in _own_labels(meta) for key in keys}
    labels = {**own, **template.metadata.labels}
    selector = obj.spec.selector or LabelSelector()
    spec = replace(
        obj.spec,
        template=replace(template, metadata=replace(template.metadata, labels=labels)),
        selector=replace(selector, match_labels={CONTROLLER_UID: meta.uid, **selector.match_labels}),
    )
    # The very same mapping: it was taken over by the defaults, not given twice by the client.
    follows = meta.labels is template.metadata.labels
    return replace(obj, spec=spec, metadata=replace(meta, labels=labels) if follows else _labelled(meta, spec))


def _own_labels(meta: ObjectMeta) -> tuple[tuple[tuple[str, str], str], ...]:
    """Return the labels that a Job's pods have of it: the keys of each value."""
    return ((OLD_CONTROLLER_UID, CONTROLLER_UID), meta.uid), ((OLD_JOB_NAME, JOB_NAME), meta.name)


def validate(obj: Job) -> Sequence[FieldError]:
    """Check selector, spec and name."""
    return tuple(_errors(obj, needs_prefixed=True))


def validate_update(new: Job, old: Job) -> Sequence[FieldError]:
    """Hold what the controller relies on; upstream checks the spec twice, and lists its causes twice."""
    known = old.spec.template.metadata.labels
    return (
        *_errors(new, needs_prefixed=CONTROLLER_UID in known and JOB_NAME in known),
        *_spec_errors(new.spec),
        *change_errors(new.spec, old.spec, SPEC, is_safely_suspended=_is_safely_suspended(old)),
    )


def _is_safely_suspended(job: Job) -> bool:
    """Tell whether no pod of a Job runs, or can be made before it is resumed."""
    never_ran = job.status.start_time is None or has_condition(job, job_status.SUSPENDED)
    return bool(job.spec.suspend) and not job.status.active and never_ran


def _errors(obj: Job, *, needs_prefixed: bool) -> Iterator[FieldError]:
    if not obj.spec.manual_selector and obj.spec.selector is not None:
        yield from _generated_errors(obj, obj.spec.selector, needs_prefixed=needs_prefixed)
    yield from _spec_errors(obj.spec)
    if obj.spec.completion_mode == INDEXED and (obj.spec.completions or 0) > 0:
        host = f"{obj.metadata.name}-{(obj.spec.completions or 0) - 1}"
        if names.dns_label(host):
            text = f"will not able to create pod with invalid DNS label: {host}"
            yield invalid(Path("metadata", "name"), obj.metadata.name, text)


def _generated_errors(obj: Job, selector: LabelSelector, *, needs_prefixed: bool) -> Iterator[FieldError]:
    """Check that a client did not bring labels or a selector of its own that say otherwise."""
    expected: dict[str, str] = {}
    for position in (0, 1) if needs_prefixed else (0,):
        for keys, value in _own_labels(obj.metadata):
            expected[keys[position]] = value
            yield from _label_errors(obj.spec.template.metadata.labels, keys[position], value)
    if is_usable(selector) and not selects(selector, expected):
        yield invalid(SELECTOR, selector, "`selector` not auto-generated")


def _label_errors(labels: Mapping[str, str], key: str, value: str) -> Iterator[FieldError]:
    at, text = _LABELS.key(key), f"must be '{value}'"
    if key not in labels:
        yield required(at, text)
    elif labels[key] != value:
        yield invalid(at, dict(sorted(labels.items())), text)


def _spec_errors(spec: JobSpec) -> Iterator[FieldError]:
    yield from spec_errors(spec, SPEC)
    if spec.selector is None:
        yield required(SELECTOR)
    yield from selector_errors(spec.selector, SELECTOR)
    labels = spec.template.metadata.labels
    if is_usable(spec.selector) and not selects(spec.selector, labels):
        yield invalid(TEMPLATE.child("metadata", "labels"), dict(sorted(labels.items())) or None, MISMATCH)


def warnings(new: Job, old: Job | None) -> Sequence[str]:
    """Warn of an odd name, of too many indexes, and of what is deprecated in the template."""
    found = name_warnings(new.metadata) if old is None else ()
    if old is not None and new.spec == old.spec:
        return ()
    return (*found, *spec_warnings(new.spec, old.spec if old is not None else None, SPEC))


def unknown_field(label: str) -> str:
    """Say that a field cannot be selected, in this kind's own words."""
    return f'field label "{label}" not supported for Job'


def cells(obj: Job, now: float) -> Sequence[Any]:
    """Return the row."""
    return (
        obj.metadata.name,
        _shown_status(obj),
        _shown_completions(obj),
        _shown_duration(obj, now),
        columns.object_age(obj, now),
        *columns.containers_of(obj.spec.template.spec),
        selectors.format_label_selector(obj.spec.selector),
    )


def _shown_status(obj: Job) -> str:
    for kind in (job_status.COMPLETE, job_status.FAILED):
        if has_condition(obj, kind):
            return kind
    if obj.metadata.deletion_timestamp is not None:
        return "Terminating"
    later = (job_status.SUSPENDED, job_status.FAILURE_TARGET, job_status.SUCCESS)
    return next((kind for kind in later if has_condition(obj, kind)), "Running")


def _shown_completions(obj: Job) -> str:
    succeeded, wanted, parallelism = obj.status.succeeded, obj.spec.completions, obj.spec.parallelism or 0
    if wanted is not None:
        return f"{succeeded}/{wanted}"
    return f"{succeeded}/1 of {parallelism}" if parallelism > 1 else f"{succeeded}/1"


def _shown_duration(obj: Job, now: float) -> str:
    start, end = obj.status.start_time, obj.status.completion_time
    if start is None:
        return ""
    return human.duration((timestamps.parse(end) if end is not None else now) - timestamps.parse(start))


STRATEGY: Strategy[Job] = Strategy(
    default=default,
    prepare_create=prepare_create,
    validate=validate,
    validate_update=validate_update,
    validates_update_fully=True,
    warnings=warnings,
    generation=spec_changed,
    # Clients of old versions of the group took for granted that pods outlive their Job.
    default_propagation="Orphan",
    propagation_warning=(
        "child pods are preserved by default when jobs are deleted; set propagationPolicy=Background to remove them or "
        "set propagationPolicy=Orphan to suppress this warning"
    ),
    selectable=Selectable(
        fields={"status.successful": lambda obj: str(obj.status.succeeded)},
        unknown=unknown_field,
    ),
    columns=(
        columns.NAME,
        Column("Status", description="How far it has come."),
        Column("Completions", description="How many pods have succeeded, of how many wanted."),
        Column("Duration", description="How long it has run."),
        columns.AGE,
        *columns.CONTAINERS,
        columns.SELECTOR,
    ),
    cells=cells,
    parts={"status": Part(prepare_update=take_only_status, validate_update=job_status.status_errors)},
)
