"""A Job's pods: how one is made, when it has failed, and which go first when there are too many.

Every pod has a finalizer until its end has been counted, so that no end is lost. Upstream: pkg/controller/job
`tracking_utils.go`, `indexed_job_utils.go`, `backoff_utils.go`.
"""

from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from pinnace.api.batch_v1 import Job
from pinnace.api.core_v1 import Container, ContainerStatus, EnvVar, EnvVarSource, ObjectFieldSelector, Pod
from pinnace.controllers import job_indexes
from pinnace.controllers import pods as pod_rules
from pinnace.controllers.job_failure_policy import Verdict, judge
from pinnace.machinery import timestamps

FINALIZER = "batch.kubernetes.io/job-tracking"
FAILURES, IGNORED = "batch.kubernetes.io/job-index-failure-count", "batch.kubernetes.io/job-index-ignored-failure-count"
INDEX_VARIABLE = "JOB_COMPLETION_INDEX"


def is_indexed(job: Job) -> bool:
    """Tell whether each completion has a number of its own."""
    return job.spec.completion_mode == "Indexed"


def replaces_only_failed(job: Job) -> bool:
    """Tell whether a pod on its way out is waited for before another takes its place."""
    return job.spec.pod_replacement_policy == "Failed" or job.spec.pod_failure_policy is not None


def has_finalizer(pod: Pod) -> bool:
    """Tell whether a pod's end is still to be counted."""
    return FINALIZER in pod.metadata.finalizers


def is_terminating(pod: Pod) -> bool:
    """Tell whether a pod is being deleted and has not ended."""
    return pod.metadata.deletion_timestamp is not None and pod.status.phase not in {"Failed", "Succeeded"}


def has_failed(job: Job, pod: Pod) -> bool:
    """Tell whether a pod counts as failed; one that was deleted may never get to say so."""
    return pod.status.phase == "Failed" or (is_terminating(pod) and not replaces_only_failed(job))


def verdict_on(job: Job, pod: Pod) -> Verdict:
    """Return what a failed pod means for its Job."""
    return judge(job.spec.pod_failure_policy, pod)


def index_of(job: Job, pod: Pod) -> int | None:
    """Return a pod's index, None when it has none that counts."""
    return job_indexes.index_of(pod, job.spec.completions or 0)


def finished_at(pod: Pod) -> float:
    """Return when a pod ended, as well as can be told: by its containers, else by its conditions or its deletion."""
    statuses = (*pod.status.container_statuses, *pod.status.init_container_statuses)
    ends = [_ended_at(status) for status in statuses]
    known = [end for end in ends if end]
    if known and len(known) == len(ends):
        return max(map(timestamps.parse, known))
    ready = pod_rules.condition(pod, "Ready")
    if ready is not None and ready.status == "False" and ready.last_transition_time:
        return timestamps.parse(ready.last_transition_time)
    since = pod.metadata.deletion_timestamp or pod.metadata.creation_timestamp
    return timestamps.parse(since) if since else 0.0


def _ended_at(status: ContainerStatus) -> str | None:
    terminated = status.state.terminated
    return terminated.finished_at if terminated is not None else None


def restarts(pods: Sequence[Pod]) -> int:
    """Return how often the containers of pods that go on have been restarted."""
    return sum(
        status.restart_count
        for pod in pods
        if pod.status.phase in {"Running", "Pending"}
        for status in (*pod.status.container_statuses, *pod.status.init_container_statuses)
    )


def failure_counts(pod: Pod) -> tuple[int, int]:
    """Return how many pods of the same index failed before this one, and how many whose failure is ignored."""
    found = (pod.metadata.annotations.get(key, "") for key in (FAILURES, IGNORED))
    counted, ignored = (int(text) if text.isdecimal() else 0 for text in found)
    return counted, ignored


def next_failure_counts(job: Job, last: Pod | None) -> tuple[int, int]:
    """Return the counts of the pod that takes the place of one that failed."""
    if last is None:
        return 0, 0
    counted, ignored = failure_counts(last)
    return (counted + 1, ignored) if verdict_on(job, last).is_counted else (counted, ignored + 1)


def make_pod(job: Job, index: int | None = None, last: Pod | None = None) -> Pod:
    """Return a pod that is to be created, for an index when the Job has them; `last` is the index's failed one."""
    pod = pod_rules.from_template(job, job.spec.template)
    meta = replace(pod.metadata, finalizers=(*pod.metadata.finalizers, FINALIZER))
    if index is None:
        return replace(pod, metadata=meta)
    counts: Mapping[str, str] = {}
    if job.spec.backoff_limit_per_index is not None:
        counted, ignored = next_failure_counts(job, last)
        counts = {FAILURES: str(counted)} | ({IGNORED: str(ignored)} if ignored else {})
    own = {job_indexes.INDEX: str(index)}
    meta = replace(
        meta,
        generate_name=f"{job.metadata.name}-{index}-",
        labels={**meta.labels, **own},
        annotations={**meta.annotations, **own, **counts},
    )
    spec = replace(
        pod.spec,
        hostname=f"{job.metadata.name}-{index}",
        containers=tuple(map(_with_index, pod.spec.containers)),
        init_containers=tuple(map(_with_index, pod.spec.init_containers)),
    )
    return replace(pod, metadata=meta, spec=spec)


def _with_index(container: Container) -> Container:
    if any(variable.name == INDEX_VARIABLE for variable in container.env):
        return container
    field = ObjectFieldSelector(field_path=f"metadata.labels['{job_indexes.INDEX}']")
    variable = EnvVar(name=INDEX_VARIABLE, value_from=EnvVarSource(field_ref=field))
    return replace(container, env=(*container.env, variable))


def removal_order(pods: Sequence[Pod]) -> list[Pod]:
    """Return pods in the order in which they go: those that have come least far first, of equals the youngest."""
    phases = {"Pending": 0, "Unknown": 1, "Running": 2}

    def progress(pod: Pod) -> tuple[bool, int, bool]:
        return bool(pod.spec.node_name), phases.get(pod.status.phase, 0), pod_rules.is_ready(pod)

    youngest_first = sorted(pods, key=lambda pod: pod.metadata.creation_timestamp or "", reverse=True)
    return sorted(youngest_first, key=progress)
