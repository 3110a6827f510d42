"""The revisions of a StatefulSet: the one it had, and the one it moves to (pkg/controller/statefulset `getStatefulSetRevisions`)."""

from collections.abc import Iterable, Sequence

from msgspec import Struct

from pinnace.api.apps_v1 import ControllerRevision, StatefulSet
from pinnace.api.core_v1 import Pod
from pinnace.client import Client
from pinnace.controllers import controller_history as history
from pinnace.controllers.statefulset_pods import revision_of

HASH = "controller.kubernetes.io/hash"
DEFAULT_LIMIT = 10


class Revisions(Struct, frozen=True):
    """Where a set comes from and where it goes; the same while nothing changes."""

    current: ControllerRevision
    update: ControllerRevision
    collision_count: int


async def find(client: Client, owner: StatefulSet, known: Sequence[ControllerRevision]) -> Revisions:
    """Return both revisions; that of the template is made, or gets the highest number if it was there before.

    Raises:
        ApiError: the server refused, or somebody else wrote first.
    """
    ordered = sorted(known, key=history.order)
    data = history.data_of(owner.spec.template)
    wanted = history.data_bytes(data)
    number, count = history.next_number(ordered), owner.status.collision_count or 0
    same = [item for item in ordered if history.is_equal(item, wanted)]
    if same and same[-1] is ordered[-1]:
        update = same[-1]
    elif same:
        update = await history.renumber(client, same[-1], number)
    else:
        update, count = await _create(client, owner, data, number, count)
    name = owner.status.current_revision
    current = next((item for item in ordered if item.metadata.name == name), update)
    return Revisions(current, update, count)


async def _create(
    client: Client, owner: StatefulSet, data: dict[str, object], number: int, count: int
) -> tuple[ControllerRevision, int]:
    while True:
        made = history.new_revision(owner, data, number, count, label=HASH)
        try:
            return await history.create(client, owner, made), count
        except history.Collision:
            count += 1


async def trim(
    client: Client,
    owner: StatefulSet,
    known: Sequence[ControllerRevision],
    revisions: Revisions,
    pods: Iterable[Pod],
) -> None:
    """Delete the oldest revisions beyond the set's limit; those in use are kept, and do not count."""
    in_use = {revisions.current.metadata.name, revisions.update.metadata.name, *map(revision_of, pods)}
    idle = [item for item in known if item.metadata.name not in in_use]
    limit = owner.spec.revision_history_limit
    limit = DEFAULT_LIMIT if limit is None else limit
    # A negative limit keeps everything.
    excess = len(idle) - limit if limit >= 0 else 0
    await history.trim(client, idle, excess, live=frozenset())
