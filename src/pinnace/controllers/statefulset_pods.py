"""A StatefulSet's pods: what they are called, what they have of their own, and how far they have come.

Every pod has an ordinal, and with it a name, a host name and volumes that stay its own when it is made anew. Upstream:
pkg/controller/statefulset/stateful_set_utils.go.
"""

import re
from collections.abc import Mapping

from msgspec.structs import replace

from pinnace.api.apps_v1 import StatefulSet
from pinnace.api.core_v1 import PersistentVolumeClaimVolumeSource, Pod, PodTemplateSpec, Volume
from pinnace.controllers import pods as pod_rules

REVISION = "controller-revision-hash"
POD_NAME, POD_INDEX = "statefulset.kubernetes.io/pod-name", "apps.kubernetes.io/pod-index"
_NAME = re.compile(r"(.*)-([0-9]+)")


def start_of(owner: StatefulSet) -> int:
    """Return the first ordinal."""
    return owner.spec.ordinals.start if owner.spec.ordinals is not None else 0


def ordinals(owner: StatefulSet) -> range:
    """Return the ordinals that are to be there."""
    replicas = 1 if owner.spec.replicas is None else owner.spec.replicas
    return range(start_of(owner), start_of(owner) + replicas)


def ordinal_of(owner: StatefulSet, pod: Pod) -> int | None:
    """Return a pod's ordinal, None when its name is not one of this owner's."""
    match = _NAME.fullmatch(pod.metadata.name)
    return int(match[2]) if match is not None and match[1] == owner.metadata.name else None


def revision_of(pod: Pod) -> str:
    """Return the name of the revision that a pod is of."""
    return pod.metadata.labels.get(REVISION, "")


def make_pod(owner: StatefulSet, template: PodTemplateSpec, revision: str, ordinal: int) -> Pod:
    """Return the pod of an ordinal."""
    pod = pod_rules.from_template(owner, template)
    name = f"{owner.metadata.name}-{ordinal}"
    labels = {**pod.metadata.labels, **_identity(name, ordinal), REVISION: revision}
    spec = replace(pod.spec, hostname=name, subdomain=owner.spec.service_name, volumes=_volumes(owner, pod, ordinal))
    return replace(pod, metadata=replace(pod.metadata, name=name, generate_name="", labels=labels), spec=spec)


def _identity(name: str, ordinal: int) -> Mapping[str, str]:
    return {POD_NAME: name, POD_INDEX: str(ordinal)}


def with_identity(owner: StatefulSet, pod: Pod) -> Pod:
    """Return a pod with the labels that say which one it is."""
    ordinal = ordinal_of(owner, pod)
    assert ordinal is not None, "only the owner's pods come here"
    wanted = _identity(pod.metadata.name, ordinal)
    if all(pod.metadata.labels.get(key) == value for key, value in wanted.items()):
        return pod
    return replace(pod, metadata=replace(pod.metadata, labels={**pod.metadata.labels, **wanted}))


def claim_names(owner: StatefulSet, ordinal: int) -> dict[str, str]:
    """Return the names of an ordinal's claims by the volumes they are for."""
    names = (template.metadata.name for template in owner.spec.volume_claim_templates)
    return {name: f"{name}-{owner.metadata.name}-{ordinal}" for name in names}


def _volumes(owner: StatefulSet, pod: Pod, ordinal: int) -> tuple[Volume, ...]:
    claims = claim_names(owner, ordinal)
    own = (
        Volume(name=name, persistent_volume_claim=PersistentVolumeClaimVolumeSource(claim_name=claim))
        for name, claim in claims.items()
    )
    return (*own, *(volume for volume in pod.spec.volumes if volume.name not in claims))


def has_ended(pod: Pod) -> bool:
    """Tell whether a pod is to be made anew."""
    return pod.status.phase in {"Failed", "Succeeded"}


def is_terminating(pod: Pod) -> bool:
    """Tell whether a pod is being deleted."""
    return pod.metadata.deletion_timestamp is not None


def is_ready(pod: Pod) -> bool:
    """Tell whether a pod runs and serves."""
    return pod.status.phase == "Running" and pod_rules.is_ready(pod)


def is_available(owner: StatefulSet, pod: Pod, now: float) -> bool:
    """Tell whether a pod has served for long enough."""
    return is_ready(pod) and pod_rules.available_in(pod, owner.spec.min_ready_seconds, now) == 0.0


def is_healthy(owner: StatefulSet, pod: Pod, now: float) -> bool:
    """Tell whether a pod serves and goes on to."""
    return is_available(owner, pod, now) and not is_terminating(pod)
