"""What a Deployment's status says: counts over its sets, and whether a rollout goes on, is done, or hangs.

Pure rules. A rollout that makes no progress for `progressDeadlineSeconds` is said to hang, and nothing else happens. Upstream:
pkg/controller/deployment/{progress,sync}.go.
"""

from collections.abc import Sequence

from msgspec.structs import replace

from pinnace.api import apps_v1
from pinnace.controllers import conditions
from pinnace.controllers.deployment_sets import available, bounds, replicas_of, total
from pinnace.machinery import timestamps

PROGRESSING, AVAILABLE, FAILURE = "Progressing", "Available", "ReplicaFailure"
_TIMED_OUT, _DONE, _PAUSED = "ProgressDeadlineExceeded", "NewReplicaSetAvailable", "DeploymentPaused"
# A deadline of this many seconds means none.
_NO_DEADLINE = 2**31 - 1

Conditions = tuple[apps_v1.DeploymentCondition, ...]


def condition(kind: str, status: str, reason: str, message: str, now: float) -> apps_v1.DeploymentCondition:
    """Return a condition that has just come about."""
    stamp = timestamps.format(now)
    return apps_v1.DeploymentCondition(
        type=kind, status=status, reason=reason, message=message, last_update_time=stamp, last_transition_time=stamp
    )


def has_deadline(deployment: apps_v1.Deployment) -> bool:
    """Tell whether the progress of rollouts is watched."""
    deadline = deployment.spec.progress_deadline_seconds
    return deadline is not None and deadline != _NO_DEADLINE


def with_progressing(
    deployment: apps_v1.Deployment, status: str, reason: str, message: str, now: float
) -> apps_v1.Deployment:
    """Return the Deployment with this said of its progress, if its progress is watched."""
    if not has_deadline(deployment):
        return deployment
    made = condition(PROGRESSING, status, reason, message, now)
    known = conditions.with_condition(deployment.status.conditions, made)
    return replace(deployment, status=replace(deployment.status, conditions=known))


def with_pause(deployment: apps_v1.Deployment, now: float) -> apps_v1.Deployment:
    """Return the Deployment with its being paused, or resumed, said of its progress."""
    known = conditions.find(deployment.status.conditions, PROGRESSING)
    if known is not None and known.reason == _TIMED_OUT:
        return deployment
    was_paused = known is not None and known.reason == _PAUSED
    if deployment.spec.paused and not was_paused:
        return with_progressing(deployment, "Unknown", _PAUSED, "Deployment is paused", now)
    if not deployment.spec.paused and was_paused:
        return with_progressing(deployment, "Unknown", "DeploymentResumed", "Deployment is resumed", now)
    return deployment


def is_complete(deployment: apps_v1.Deployment, status: apps_v1.DeploymentStatus) -> bool:
    """Tell whether every pod is of the present template, and available."""
    replicas = replicas_of(deployment)
    return (
        status.updated_replicas == replicas
        and status.replicas == replicas
        and status.available_replicas == replicas
        and status.observed_generation >= deployment.metadata.generation
    )


def counted(
    deployment: apps_v1.Deployment, sets: Sequence[apps_v1.ReplicaSet], new: apps_v1.ReplicaSet | None, now: float
) -> apps_v1.DeploymentStatus:
    """Return the status by its numbers, and whether enough pods are available."""
    ready = available(sets)
    terminating = [item.status.terminating_replicas for item in sets]
    enough = ready >= replicas_of(deployment) - bounds(deployment)[1]
    made = condition(
        AVAILABLE,
        "True" if enough else "False",
        "MinimumReplicasAvailable" if enough else "MinimumReplicasUnavailable",
        "Deployment has minimum availability." if enough else "Deployment does not have minimum availability.",
        now,
    )
    return replace(
        deployment.status,
        replicas=sum(item.status.replicas for item in sets),
        updated_replicas=new.status.replicas if new is not None else 0,
        ready_replicas=sum(item.status.ready_replicas for item in sets),
        available_replicas=ready,
        unavailable_replicas=max(total(sets) - ready, 0),
        terminating_replicas=None if None in terminating else sum(count or 0 for count in terminating),
        observed_generation=deployment.metadata.generation,
        conditions=conditions.with_condition(deployment.status.conditions, made),
    )


def rolled(
    deployment: apps_v1.Deployment, sets: Sequence[apps_v1.ReplicaSet], new: apps_v1.ReplicaSet | None, now: float
) -> apps_v1.DeploymentStatus:
    """Return the status in the course of a rollout: numbers, progress, failures of sets."""
    status = counted(deployment, sets, new, now)
    known = status.conditions
    if not has_deadline(deployment):
        known = conditions.without(known, PROGRESSING)
    else:
        known = _progress(deployment, status, new, now)
    return replace(status, conditions=_with_failure(known, sets, new, now))


def _progress(
    deployment: apps_v1.Deployment, status: apps_v1.DeploymentStatus, new: apps_v1.ReplicaSet | None, now: float
) -> Conditions:
    current = conditions.find(status.conditions, PROGRESSING)
    if status.replicas == status.updated_replicas and current is not None and current.reason == _DONE:
        return status.conditions
    what = f'ReplicaSet "{new.metadata.name}"' if new is not None else f'Deployment "{deployment.metadata.name}"'
    if is_complete(deployment, status):
        made = condition(PROGRESSING, "True", _DONE, f"{what} has successfully progressed.", now)
        return conditions.with_condition(status.conditions, made)
    if _advanced(deployment.status, status):
        made = condition(PROGRESSING, "True", "ReplicaSetUpdated", f"{what} is progressing.", now)
        if current is not None and current.status == "True":
            made = replace(made, last_transition_time=current.last_transition_time)
        # Anew even when nothing but the time differs: the deadline counts from the last progress.
        return (*conditions.without(status.conditions, PROGRESSING), made)
    if _timed_out(deployment, current, now):
        made = condition(PROGRESSING, "False", _TIMED_OUT, f"{what} has timed out progressing.", now)
        return conditions.with_condition(status.conditions, made)
    return status.conditions


def _advanced(old: apps_v1.DeploymentStatus, new: apps_v1.DeploymentStatus) -> bool:
    return (
        new.updated_replicas > old.updated_replicas
        or new.replicas - new.updated_replicas < old.replicas - old.updated_replicas
        or new.ready_replicas > old.ready_replicas
        or new.available_replicas > old.available_replicas
    )


def _timed_out(deployment: apps_v1.Deployment, current: apps_v1.DeploymentCondition | None, now: float) -> bool:
    if current is None or current.reason == _DONE:
        return False
    if current.reason == _TIMED_OUT:
        return True
    since = timestamps.age_seconds(current.last_update_time, now)
    return since is not None and since > (deployment.spec.progress_deadline_seconds or 0)


def _with_failure(
    known: Conditions, sets: Sequence[apps_v1.ReplicaSet], new: apps_v1.ReplicaSet | None, now: float
) -> Conditions:
    """Say of the Deployment what a set says of itself, the new one before others."""
    for item in [*([new] if new is not None else []), *sets]:
        failure = conditions.find(item.status.conditions, FAILURE)
        if failure is not None:
            made = condition(FAILURE, failure.status, failure.reason, failure.message, now)
            return conditions.with_condition(known, replace(made, last_transition_time=failure.last_transition_time))
    return conditions.without(known, FAILURE)


def look_again_seconds(deployment: apps_v1.Deployment, status: apps_v1.DeploymentStatus, now: float) -> float | None:
    """Return when the rollout will hang if nothing happens, None when that is not the question."""
    current = conditions.find(status.conditions, PROGRESSING)
    if not has_deadline(deployment) or current is None or current.reason == _TIMED_OUT:
        return None
    if is_complete(deployment, status) or deployment.spec.paused:
        return None
    since = timestamps.age_seconds(current.last_update_time, now) or 0.0
    return max((deployment.spec.progress_deadline_seconds or 0) - since, 0.0) + 1.0
