"""What a Deployment's ReplicaSets are: which one is new, how large each is to be, what their annotations say.

Pure rules. The set whose template equals the Deployment's is the new one; sets are named after a hash of the template, and the hash
is never compared. Upstream: pkg/controller/deployment/util/deployment_util.go.
"""

from collections.abc import Iterable, Mapping, Sequence

from msgspec.structs import replace

from pinnace.api import apps_v1, codec, core_v1
from pinnace.api.meta_v1 import LabelSelector, ObjectMeta
from pinnace.controllers.ownership import owner_reference
from pinnace.machinery import intstr
from pinnace.machinery.hashing import template_hash

HASH_LABEL = "pod-template-hash"
_PREFIX = "deployment.kubernetes.io/"
REVISION, HISTORY = f"{_PREFIX}revision", f"{_PREFIX}revision-history"
DESIRED, MAXIMUM = f"{_PREFIX}desired-replicas", f"{_PREFIX}max-replicas"
ROLLBACK_TO = "deprecated.deployment.rollback.to"
_NOT_COPIED = frozenset({
    REVISION,
    HISTORY,
    DESIRED,
    MAXIMUM,
    ROLLBACK_TO,
    "kubectl.kubernetes.io/last-applied-configuration",
})
# Characters of former revisions that a set remembers, and the length of a name.
_HISTORY_LIMIT, _NAME_LIMIT = 2000, 253


def is_recreate(deployment: apps_v1.Deployment) -> bool:
    """Tell whether old pods go before new ones come."""
    return deployment.spec.strategy.type == "Recreate"


def replicas_of(item: apps_v1.Deployment | apps_v1.ReplicaSet) -> int:
    """Return the number of pods asked for."""
    return 1 if item.spec.replicas is None else item.spec.replicas


def total(sets: Iterable[apps_v1.ReplicaSet]) -> int:
    """Return the number of pods that all sets together ask for."""
    return sum(map(replicas_of, sets))


def available(sets: Iterable[apps_v1.ReplicaSet]) -> int:
    """Return the number of available pods of all sets."""
    return sum(item.status.available_replicas for item in sets)


def active(sets: Iterable[apps_v1.ReplicaSet]) -> list[apps_v1.ReplicaSet]:
    """Return the sets that ask for pods."""
    return [item for item in sets if replicas_of(item) > 0]


def bounds(deployment: apps_v1.Deployment) -> tuple[int, int]:
    """Return (maxSurge, maxUnavailable) as numbers of pods; of a rolling update never both 0."""
    replicas = replicas_of(deployment)
    rolling = deployment.spec.strategy.rolling_update
    if is_recreate(deployment) or rolling is None:
        return 0, 0
    surge = intstr.scaled(rolling.max_surge if rolling.max_surge is not None else "25%", replicas, round_up=True)
    share = rolling.max_unavailable if rolling.max_unavailable is not None else "25%"
    unavailable = intstr.scaled(share, replicas, round_up=False)
    if not surge and not unavailable:
        unavailable = 1
    return surge, min(unavailable, replicas)


def revision_of(item: apps_v1.ReplicaSet) -> int:
    """Return a set's revision, 0 when it has none."""
    text = item.metadata.annotations.get(REVISION, "")
    return int(text) if text.isdecimal() else 0


def age_order(item: apps_v1.ReplicaSet) -> tuple[str, int, str]:
    """Return the order of sets by age, oldest first."""
    return item.metadata.creation_timestamp or "", revision_of(item), item.metadata.name


def bare(template: core_v1.PodTemplateSpec) -> core_v1.PodTemplateSpec:
    """Return a template without the label that tells sets apart."""
    labels = {name: value for name, value in template.metadata.labels.items() if name != HASH_LABEL}
    return replace(template, metadata=replace(template.metadata, labels=labels))


def same_template(item: apps_v1.ReplicaSet, deployment: apps_v1.Deployment) -> bool:
    """Tell whether a set makes the pods that the Deployment asks for."""
    return bare(item.spec.template) == bare(deployment.spec.template)


def new_set(deployment: apps_v1.Deployment, sets: Sequence[apps_v1.ReplicaSet]) -> apps_v1.ReplicaSet | None:
    """Return the oldest set of the Deployment's present template, None when there is none; `sets` are sorted by age."""
    return next((item for item in sets if same_template(item, deployment)), None)


def next_revision(old: Iterable[apps_v1.ReplicaSet]) -> int:
    """Return the revision that the new set has beside these."""
    return max(map(revision_of, old), default=0) + 1


def limits(deployment: apps_v1.Deployment) -> dict[str, str]:
    """Return the annotations that tell a later look what size the sets were made for."""
    replicas = replicas_of(deployment)
    return {DESIRED: str(replicas), MAXIMUM: str(replicas + bounds(deployment)[0])}


def copied_annotations(deployment: apps_v1.Deployment) -> dict[str, str]:
    """Return those of the Deployment's annotations that its sets have, too."""
    return {name: value for name, value in deployment.metadata.annotations.items() if name not in _NOT_COPIED}


def renewed_annotations(
    deployment: apps_v1.Deployment, new: apps_v1.ReplicaSet, old: Iterable[apps_v1.ReplicaSet]
) -> Mapping[str, str]:
    """Return what is to change in the annotations of a set that is, or has again become, the new one."""
    present = new.metadata.annotations
    wanted = copied_annotations(deployment)
    revision, before = next_revision(old), revision_of(new)
    if revision > before:
        wanted[REVISION] = str(revision)
        if before:
            former = [text for text in present.get(HISTORY, "").split(",") if text]
            former.append(str(before))
            while len(",".join(former)) > _HISTORY_LIMIT:
                del former[0]
            wanted[HISTORY] = ",".join(former)
    return {name: value for name, value in wanted.items() if present.get(name) != value}


def first_form(deployment: apps_v1.Deployment, old: Sequence[apps_v1.ReplicaSet]) -> apps_v1.ReplicaSet:
    """Return the set of the Deployment's present template, as large as it may be at once."""
    template = deployment.spec.template
    digest = template_hash(codec.encode(bare(template)), deployment.status.collision_count)
    labels = {**template.metadata.labels, HASH_LABEL: digest}
    selector = deployment.spec.selector or LabelSelector()
    annotations = copied_annotations(deployment) | {REVISION: str(next_revision(old)), **limits(deployment)}
    metadata = ObjectMeta(
        name=f"{deployment.metadata.name[: _NAME_LIMIT - len(digest) - 1]}-{digest}",
        namespace=deployment.metadata.namespace,
        labels=labels,
        annotations=annotations,
        owner_references=(owner_reference(deployment),),
    )
    spec = apps_v1.ReplicaSetSpec(
        replicas=grown(deployment, 0, old),
        min_ready_seconds=deployment.spec.min_ready_seconds,
        selector=replace(selector, match_labels={**selector.match_labels, HASH_LABEL: digest}),
        template=replace(template, metadata=replace(template.metadata, labels=labels)),
    )
    return apps_v1.ReplicaSet(metadata=metadata, spec=spec)


def grown(deployment: apps_v1.Deployment, size: int, old: Iterable[apps_v1.ReplicaSet]) -> int:
    """Return how large the new set, now of this size, may be beside the old ones."""
    replicas = replicas_of(deployment)
    if is_recreate(deployment):
        return replicas
    room = replicas + bounds(deployment)[0] - total(old) - size
    return size + max(min(room, replicas - size), 0)


def is_scaling_event(deployment: apps_v1.Deployment, sets: Iterable[apps_v1.ReplicaSet]) -> bool:
    """Tell whether the Deployment's size has changed since its sets were last sized."""
    desired = str(replicas_of(deployment))
    return any(item.metadata.annotations.get(DESIRED, desired) != desired for item in active(sets))


def proportional(deployment: apps_v1.Deployment, sets: Sequence[apps_v1.ReplicaSet]) -> dict[str, int]:
    """Return the size of each of several active sets when the Deployment is scaled in the middle of a rollout, by name."""
    replicas = replicas_of(deployment)
    allowed = replicas + bounds(deployment)[0] if replicas > 0 else 0
    to_add = allowed - total(sets)
    newest_first = sorted(sets, key=age_order, reverse=to_add > 0)
    ordered = sorted(newest_first, key=replicas_of, reverse=True)
    sizes, added = {}, 0
    for item in ordered:
        change = 0
        if to_add:
            left = to_add - added
            change = _share(deployment, item)
            change = min(change, left) if to_add > 0 else max(change, left)
        sizes[item.metadata.name] = replicas_of(item) + change
        added += change
    if ordered and added != to_add:
        first = ordered[0].metadata.name
        sizes[first] = max(sizes[first] + to_add - added, 0)
    return sizes


def _share(deployment: apps_v1.Deployment, item: apps_v1.ReplicaSet) -> int:
    """Return by how much a set is to grow so that its part of the whole stays."""
    size, replicas = replicas_of(item), replicas_of(deployment)
    if not replicas:
        return -size
    text = item.metadata.annotations.get(MAXIMUM, "")
    before = int(text) if text.isdecimal() else 0
    before = before or deployment.status.replicas
    if not before:
        return 0
    # To the nearest whole number, halves upwards.
    return (2 * size * (replicas + bounds(deployment)[0]) + before) // (2 * before) - size
