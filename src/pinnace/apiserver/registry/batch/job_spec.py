"""The spec of a Job, on its own or as a CronJob's template: what it may say, and what of it may change.

Upstream: pkg/apis/batch/validation `validateJobSpec`, `ValidateJobSpecUpdate`, pkg/api/job `warnings.go`.
"""

from collections.abc import Iterator

from msgspec.structs import replace

from pinnace.api import batch_v1 as v1
from pinnace.api.core_v1 import Affinity, Container, PodSpec, PodTemplateSpec
from pinnace.apiserver.registry.batch.job_policies import failure_errors, success_errors
from pinnace.apiserver.registry.core.pod_warnings import template_warnings
from pinnace.apiserver.registry.core.validation.pod_spec import template_errors
from pinnace.apiserver.registry.domain_names import prefixed_path_errors
from pinnace.apiserver.registry.immutable import unchanged
from pinnace.apiserver.registry.numbers import not_negative
from pinnace.machinery.field import FieldError, Path, go_quoted, invalid, not_supported, required, too_long

Errors = Iterator[FieldError]

INDEXED, NON_INDEXED = "Indexed", "NonIndexed"
ON_FAILURE, NEVER = "OnFailure", "Never"
FAILED, TERMINATING_OR_FAILED = "Failed", "TerminatingOrFailed"
# Bounds on Indexed Jobs, so that their lists of indexes stay short enough for a status.
PARALLELISM_LIMIT = FAILED_INDEXES_LIMIT = 100_000
# Above so many completions, Jobs with a limit of failures per index are held to the smaller bounds.
MANY_COMPLETIONS, MANY_COMPLETIONS_LIMIT = 100_000, 10_000
MANAGED_BY_LIMIT_BYTES = 63


def spec_errors(spec: v1.JobSpec, path: Path) -> Errors:
    """Check all of a spec but the selector, which CronJobs leave to the Jobs they make."""
    for value, wire in (
        (spec.parallelism, "parallelism"),
        (spec.completions, "completions"),
        (spec.active_deadline_seconds, "activeDeadlineSeconds"),
        (spec.backoff_limit, "backoffLimit"),
        (spec.ttl_seconds_after_finished, "ttlSecondsAfterFinished"),
        (spec.backoff_limit_per_index, "backoffLimitPerIndex"),
        (spec.max_failed_indexes, "maxFailedIndexes"),
    ):
        yield from not_negative(value, path.child(wire))
    if spec.max_failed_indexes is not None and spec.backoff_limit_per_index is None:
        yield required(path.child("backoffLimitPerIndex"), "when maxFailedIndexes is specified")
    if spec.managed_by is not None:
        at = path.child("managedBy")
        yield from prefixed_path_errors(spec.managed_by, at)
        if len(spec.managed_by.encode()) > MANAGED_BY_LIMIT_BYTES:
            yield too_long(at, spec.managed_by, MANAGED_BY_LIMIT_BYTES)
    yield from _mode_errors(spec, path)
    if spec.pod_failure_policy is not None:
        yield from failure_errors(spec, spec.pod_failure_policy, path.child("podFailurePolicy"))
    if spec.success_policy is not None:
        yield from success_errors(spec, spec.success_policy, path.child("successPolicy"))
    yield from _replacement_errors(spec, path.child("podReplacementPolicy"))
    yield from template_errors(spec.template, path.child("template"))
    yield from _restart_errors(spec, path.child("template", "spec", "restartPolicy"))


def _mode_errors(spec: v1.JobSpec, path: Path) -> Errors:
    mode = spec.completion_mode
    if mode is not None and mode not in {NON_INDEXED, INDEXED}:
        yield not_supported(path.child("completionMode"), mode, (NON_INDEXED, INDEXED))
    if mode == INDEXED:
        yield from _indexed_errors(spec, path)
    elif mode in {None, NON_INDEXED}:
        for value, wire in (
            (spec.backoff_limit_per_index, "backoffLimitPerIndex"),
            (spec.max_failed_indexes, "maxFailedIndexes"),
        ):
            if value is not None:
                yield invalid(path.child(wire), value, "requires indexed completion mode")


def _indexed_errors(spec: v1.JobSpec, path: Path) -> Errors:
    completions, failed, parallelism = spec.completions, spec.max_failed_indexes, spec.parallelism
    at_failed, at_parallelism = path.child("maxFailedIndexes"), path.child("parallelism")
    if completions is None:
        yield required(path.child("completions"), f"when completion mode is {INDEXED}")
    if parallelism is not None and parallelism > PARALLELISM_LIMIT:
        text = f"must be less than or equal to {PARALLELISM_LIMIT} when completion mode is {INDEXED}"
        yield invalid(at_parallelism, parallelism, text)
    if completions is not None and failed is not None and failed > completions:
        yield invalid(at_failed, failed, "must be less than or equal to completions")
    if failed is not None and failed > FAILED_INDEXES_LIMIT:
        yield invalid(at_failed, failed, f"must be less than or equal to {FAILED_INDEXES_LIMIT}")
    if completions is None or completions <= MANY_COMPLETIONS or spec.backoff_limit_per_index is None:
        return
    if failed is None:
        yield required(at_failed, f"must be specified when completions is above {MANY_COMPLETIONS}")
    text = (
        f"must be less than or equal to {MANY_COMPLETIONS_LIMIT} when completions are above {MANY_COMPLETIONS} and used "
        "with backoff limit per index"
    )
    for value, at in ((parallelism, at_parallelism), (failed, at_failed)):
        if value is not None and value > MANY_COMPLETIONS_LIMIT:
            yield invalid(at, value, text)


def _replacement_errors(spec: v1.JobSpec, path: Path) -> Errors:
    policy = spec.pod_replacement_policy
    choices = (FAILED,) if spec.pod_failure_policy is not None else (FAILED, TERMINATING_OR_FAILED)
    if policy is not None and policy not in choices:
        yield not_supported(path, policy, choices)


def _restart_errors(spec: v1.JobSpec, path: Path) -> Errors:
    policy = spec.template.spec.restart_policy
    if policy in {"", "Always"}:
        # "Always" is the default of pods, so this is what whoever left it out is told.
        yield required(path, f"valid values: {go_quoted(ON_FAILURE)}, {go_quoted(NEVER)}")
    elif policy not in {ON_FAILURE, NEVER}:
        yield not_supported(path, policy, (ON_FAILURE, NEVER))
    elif spec.pod_failure_policy is not None and policy != NEVER:
        text = f"only {go_quoted(NEVER)} is supported when podFailurePolicy is specified"
        yield invalid(path, policy, text)


def change_errors(new: v1.JobSpec, old: v1.JobSpec, path: Path, *, is_safely_suspended: bool) -> Errors:
    """Check what differs from the stored spec; a suspended Job without pods may still be placed and sized otherwise."""
    yield from _completion_errors(new, old, path.child("completions"))
    yield from unchanged(new.selector, old.selector, path.child("selector"))
    if is_safely_suspended:
        allowed = _adjusted(old.template, new.template).spec
        yield from unchanged(new.template.spec, allowed, path.child("template.spec"))
    else:
        yield from unchanged(new.template, old.template, path.child("template"))
    for after, before, wire in (
        (new.completion_mode, old.completion_mode, "completionMode"),
        (new.pod_failure_policy, old.pod_failure_policy, "podFailurePolicy"),
        (new.backoff_limit_per_index, old.backoff_limit_per_index, "backoffLimitPerIndex"),
        (new.managed_by, old.managed_by, "managedBy"),
        (new.success_policy, old.success_policy, "successPolicy"),
    ):
        yield from unchanged(after, before, path.child(wire))


def _completion_errors(new: v1.JobSpec, old: v1.JobSpec, path: Path) -> Errors:
    """Completions never change, but for those of an Indexed Job that scales in step with its parallelism."""
    if new.completion_mode != INDEXED:
        yield from unchanged(new.completions, old.completions, path)
    elif new.completions not in {None, old.completions, new.parallelism}:
        yield invalid(path, new.completions, "can only be modified in tandem with spec.parallelism")


def _adjusted(template: PodTemplateSpec, wanted: PodTemplateSpec) -> PodTemplateSpec:
    """Return the stored template with all that a suspended Job may change taken from the new one."""
    spec = replace(
        template.spec,
        affinity=_adjusted_affinity(template.spec.affinity, wanted.spec.affinity),
        node_selector=wanted.spec.node_selector,
        tolerations=wanted.spec.tolerations,
        scheduling_gates=wanted.spec.scheduling_gates,
    )
    return replace(template, spec=_resized(spec, wanted.spec))


def _adjusted_affinity(affinity: Affinity | None, wanted: Affinity | None) -> Affinity | None:
    if affinity is None and wanted is None:
        return None
    node = wanted.node_affinity if wanted is not None else None
    kept = replace(affinity or Affinity(), node_affinity=node)
    # One that had nothing but node affinity may be taken away whole.
    return None if wanted is None and kept == Affinity() else kept


def _resized(spec: PodSpec, wanted: PodSpec) -> PodSpec:
    def merged(before: tuple[Container, ...], after: tuple[Container, ...]) -> tuple[Container, ...]:
        if len(before) != len(after):
            return before
        return tuple(
            replace(old, resources=new.resources) if old.name == new.name else old
            for old, new in zip(before, after, strict=True)
        )

    return replace(
        spec,
        containers=merged(spec.containers, wanted.containers),
        init_containers=merged(spec.init_containers, wanted.init_containers),
    )


def spec_warnings(new: v1.JobSpec, old: v1.JobSpec | None, path: Path) -> Iterator[str]:
    """Warn of more indexes than can be followed, and of what is deprecated in the template."""
    if (
        new.completion_mode == INDEXED
        and (new.completions or 0) > MANY_COMPLETIONS
        and (new.parallelism or 0) > MANY_COMPLETIONS_LIMIT
    ):
        yield (
            f"{path}: In Indexed Jobs with a number of completions higher than 10^5 and a parallelism higher than 10^4, "
            "Kubernetes might not be able to track completedIndexes when a big number of indexes fail"
        )
    yield from template_warnings(new.template, path.child("template"), old.template if old is not None else None)
