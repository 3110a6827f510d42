"""The revisions of a DaemonSet's template: the current one, made or found again, and those before (pkg/controller/daemon `update.go`)."""

from collections.abc import Sequence

from msgspec.structs import replace

from pinnace.api.apps_v1 import ControllerRevision, DaemonSet
from pinnace.api.core_v1 import Pod
from pinnace.client import Client
from pinnace.controllers import controller_history as history
from pinnace.controllers.daemonset_nodes import HASH

DEFAULT_LIMIT = 10


async def current(
    client: Client, daemon_set: DaemonSet, revisions: Sequence[ControllerRevision], claimed: Sequence[Pod]
) -> tuple[ControllerRevision, list[ControllerRevision]]:
    """Return the revision of the template, which has the highest number from now on, and all others.

    Raises:
        Collision: the template's hash is that of another one; this is counted in the status, and the next look has another hash.
        ApiError: the server refused, or somebody else wrote first.
    """
    data = history.data_of(daemon_set.spec.template)
    wanted = history.data_bytes(data)
    known = [await _labelled(client, item) for item in revisions]
    same = sorted((item for item in known if history.is_equal(item, wanted)), key=history.order)
    old = [item for item in known if item not in same]
    number = history.next_number(old)
    if same:
        kept = await _merged(client, same, claimed)
        return await history.renumber(client, kept, number), old
    made = history.new_revision(daemon_set, data, number, daemon_set.status.collision_count, label=HASH)
    try:
        return await history.create(client, daemon_set, made), old
    except history.Collision:
        await _count_collision(client, daemon_set)
        raise


async def _labelled(client: Client, revision: ControllerRevision) -> ControllerRevision:
    """Return a revision whose pods can be found; one that was adopted may lack the label, and then its name is its hash."""
    metadata = revision.metadata
    if HASH in metadata.labels:
        return revision
    labels = {**metadata.labels, HASH: metadata.name}
    return await client.update(replace(revision, metadata=replace(metadata, labels=labels)))


async def _merged(client: Client, same: Sequence[ControllerRevision], claimed: Sequence[Pod]) -> ControllerRevision:
    """Keep the latest of equal revisions, and give it the pods of the others."""
    *others, kept = same
    if others:
        label = kept.metadata.labels[HASH]
        for pod in claimed:
            if pod.metadata.labels.get(HASH) != label:
                patch = {"metadata": {"labels": {HASH: label}}}
                await client.patch(Pod, pod.metadata.name, patch, namespace=pod.metadata.namespace)
        for other in others:
            await history.remove(client, other)
    return kept


async def _count_collision(client: Client, daemon_set: DaemonSet) -> None:
    status = daemon_set.status
    counted = replace(status, collision_count=(status.collision_count or 0) + 1)
    await client.update(replace(daemon_set, status=counted), subresource="status")


async def trim(
    client: Client, daemon_set: DaemonSet, old: Sequence[ControllerRevision], claimed: Sequence[Pod]
) -> None:
    """Delete the oldest former revisions beyond the set's limit that no pod is of."""
    limit = daemon_set.spec.revision_history_limit
    hashes = {pod.metadata.labels.get(HASH) for pod in claimed}
    live = frozenset(item.metadata.name for item in old if item.metadata.labels.get(HASH) in hashes)
    await history.trim(client, old, len(old) - (DEFAULT_LIMIT if limit is None else limit), live=live)
