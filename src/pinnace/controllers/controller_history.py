"""Former templates of DaemonSets and StatefulSets, kept as ControllerRevisions (pkg/controller/history).

A revision's data is a patch that puts its template back, in Go's JSON. Two revisions are equal when their data are, byte for byte; a
template that was there before takes its revision again, under a higher number.
"""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any

import msgspec
from msgspec.structs import replace

from pinnace.api import codec
from pinnace.api.apps_v1 import ControllerRevision
from pinnace.api.core_v1 import PodTemplateSpec
from pinnace.api.meta_v1 import ObjectMeta
from pinnace.client import Client
from pinnace.controllers.ownership import owner_reference
from pinnace.machinery.codec import raw
from pinnace.machinery.errors import AlreadyExists, NotFound
from pinnace.machinery.hashing import fnv32a, safe_encode
from pinnace.machinery.meta import is_controlled_by

# Characters of an owner's name in a revision's.
NAME_LIMIT = 223
_ESCAPED = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}


class Collision(Exception):
    """A revision's name is taken by one of other data; the owner is to count it and try again."""


def data_of(template: PodTemplateSpec) -> dict[str, Any]:
    """Return the patch that gives an owner this template."""
    return {"spec": {"template": {**codec.to_tree(template), "$patch": "replace"}}}


def data_bytes(data: dict[str, Any]) -> bytes:
    """Return a revision's data as Go writes it: compact, sorted, with the characters of HTML escaped."""
    text = raw.canonical(data).decode()
    for character, escaped in _ESCAPED.items():
        text = text.replace(character, escaped)
    return text.encode()


def template_of(revision: ControllerRevision) -> PodTemplateSpec:
    """Return the template that a revision keeps."""
    template = msgspec.json.decode(revision.data)["spec"]["template"]
    tree = {name: value for name, value in template.items() if name != "$patch"}
    return codec.convert(PodTemplateSpec, tree)


def order(revision: ControllerRevision) -> tuple[int, str, str]:
    """Return the order of revisions: by number, then age, then name."""
    return revision.revision, revision.metadata.creation_timestamp or "", revision.metadata.name


def next_number(revisions: Iterable[ControllerRevision]) -> int:
    """Return the number of a new revision beside these."""
    return max((item.revision for item in revisions), default=0) + 1


def is_equal(revision: ControllerRevision, data: bytes) -> bool:
    """Tell whether a revision keeps just this."""
    return bytes(revision.data) == data


def new_revision(
    owner: Any, data: dict[str, Any], number: int, collision_count: int | None, *, label: str
) -> ControllerRevision:
    """Return a new revision of an owner; `label` is what its hash stands under."""
    suffix = str(collision_count).encode() if collision_count is not None else b""
    written = data_bytes(data)
    digest = safe_encode(str(fnv32a(written + suffix)))
    metadata = ObjectMeta(
        name=f"{owner.metadata.name[:NAME_LIMIT]}-{digest}",
        namespace=owner.metadata.namespace,
        labels={**owner.spec.template.metadata.labels, label: digest},
        annotations=owner.metadata.annotations,
        owner_references=(owner_reference(owner),),
    )
    return ControllerRevision(metadata=metadata, data=msgspec.Raw(written), revision=number)


async def create(client: Client, owner: Any, revision: ControllerRevision) -> ControllerRevision:
    """Create a revision, or return the one that is there already.

    Raises:
        Collision: its name is taken by another one.
        ApiError: the server refused.
    """
    try:
        return await client.create(revision)
    except AlreadyExists as error:
        metadata = revision.metadata
        there = await client.get(ControllerRevision, metadata.name, metadata.namespace)
        if is_controlled_by(there, owner.metadata.uid) and is_equal(there, bytes(revision.data)):
            return there
        raise Collision(metadata.name) from error


async def renumber(client: Client, revision: ControllerRevision, number: int) -> ControllerRevision:
    """Make a former revision the latest one; one that is later already stays as it is."""
    if revision.revision >= number:
        return revision
    return await client.update(replace(revision, revision=number))


async def trim(client: Client, revisions: Sequence[ControllerRevision], excess: int, *, live: frozenset[str]) -> None:
    """Delete the oldest `excess` revisions, but none of those in `live`, by name, which are in use."""
    idle = [item for item in sorted(revisions, key=order) if item.metadata.name not in live]
    for item in idle[: max(excess, 0)]:
        await remove(client, item)


async def remove(client: Client, revision: ControllerRevision) -> None:
    """Delete a revision, if it is still there."""
    metadata = revision.metadata
    with suppress(NotFound):
        await client.delete(ControllerRevision, metadata.name, metadata.namespace, uid=metadata.uid)
