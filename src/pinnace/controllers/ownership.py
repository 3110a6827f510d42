"""Whose an object is: finding, adopting and releasing what a controller owns.

Own objects are found by their controller's uid, orphans by their namespace, both through indexes of the informers. An orphan that the
selector picks is adopted after the owner itself was looked up, so that an owner that went and came again under its name is not taken
for the old one; an own object that the selector no longer picks is released. Upstream: pkg/controller/controller_ref_manager.go.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

from msgspec import Struct

from pinnace.api.meta_v1 import OwnerReference
from pinnace.api.resources import by_type
from pinnace.client import Cache, Client, PatchType
from pinnace.machinery.errors import ApiError, Invalid, NotFound
from pinnace.machinery.meta import controller_of
from pinnace.machinery.selectors import LabelSelector

T = TypeVar("T", bound=Struct)

BY_CONTROLLER, ORPHANS = "controller uid", "orphans of a namespace"


def add_indexes(cache: Cache[Any]) -> None:
    """Let objects be found by their controller, and orphans by their namespace."""
    cache.add_index(BY_CONTROLLER, _controller_uids)
    cache.add_index(ORPHANS, _orphaned_in)


def _controller_uids(obj: Any) -> tuple[str, ...]:
    owner = controller_of(obj.metadata.owner_references)
    return (owner.uid,) if owner is not None else ()


def _orphaned_in(obj: Any) -> tuple[str, ...]:
    return (obj.metadata.namespace,) if controller_of(obj.metadata.owner_references) is None else ()


def owned(cache: Cache[T], owner: Any) -> Sequence[T]:
    """Return what has this owner as its controller."""
    return cache.by_index(BY_CONTROLLER, owner.metadata.uid)


def owner_key(obj: Any, kind: str) -> str | None:
    """Return the key of an object's controller if that is of this kind."""
    owner = controller_of(obj.metadata.owner_references)
    return f"{obj.metadata.namespace}/{owner.name}" if owner is not None and owner.kind == kind else None


def owner_reference(owner: Struct, *, controller: bool = True) -> OwnerReference:
    """Return the reference that makes an object its controller."""
    resource = by_type(type(owner))
    metadata: Any = owner.metadata  # type: ignore[attr-defined]
    return OwnerReference(
        api_version=resource.api_version,
        kind=resource.kind,
        name=metadata.name,
        uid=metadata.uid,
        controller=controller,
        block_owner_deletion=True,
    )


def _anything(_: Any) -> bool:
    return True


async def claim(
    client: Client,
    owner: Any,
    cache: Cache[T],
    selector: LabelSelector,
    *,
    fits: Callable[[T], bool] = _anything,
) -> list[T]:
    """Return what is, or by now has become, the owner's; writes what that takes. `fits` is asked beside the selector.

    Raises:
        ApiError: an adoption or a release failed for another reason than that the object has gone.
    """
    mine: list[T] = []
    failure: ApiError | None = None
    deleting = owner.metadata.deletion_timestamp is not None
    for obj in owned(cache, owner):
        if selector.matches(_labels(obj)) and fits(obj):
            mine.append(obj)
        elif not deleting:
            failure = await _attempt(_release(client, owner, obj)) or failure
    orphans = [] if deleting else [obj for obj in _adoptable(cache, owner, selector) if fits(obj)]
    if orphans and await _is_live(client, owner):
        for obj in orphans:
            refused = await _attempt(_adopt(client, owner, obj))
            if refused is None:
                mine.append(obj)
            elif not isinstance(refused, NotFound):
                failure = refused
    if failure is not None:
        raise failure
    return mine


def _adoptable(cache: Cache[T], owner: Any, selector: LabelSelector) -> Iterable[T]:
    for obj in cache.by_index(ORPHANS, owner.metadata.namespace):
        metadata: Any = obj.metadata  # type: ignore[attr-defined]
        if metadata.deletion_timestamp is None and selector.matches(metadata.labels):
            yield obj


async def _is_live(client: Client, owner: Any) -> bool:
    try:
        found: Any = await client.get(type(owner), owner.metadata.name, owner.metadata.namespace)
    except NotFound:
        return False
    return bool(found.metadata.uid == owner.metadata.uid and found.metadata.deletion_timestamp is None)


async def _attempt(call: Any) -> ApiError | None:
    try:
        await call
    except ApiError as error:
        return error
    return None


async def _adopt(client: Client, owner: Any, obj: Any) -> None:
    reference = owner_reference(owner)
    added = {
        "apiVersion": reference.api_version,
        "kind": reference.kind,
        "name": reference.name,
        "uid": reference.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }
    await _patch_owners(client, obj, added)


async def _release(client: Client, owner: Any, obj: Any) -> None:
    try:
        await _patch_owners(client, obj, {"$patch": "delete", "uid": owner.metadata.uid})
    except (NotFound, Invalid):
        # It has gone, or another object has its name: nothing is left to release.
        return


async def _patch_owners(client: Client, obj: Any, reference: dict[str, Any]) -> None:
    patch = {"metadata": {"uid": obj.metadata.uid, "ownerReferences": [reference]}}
    await client.patch(
        type(obj), obj.metadata.name, patch, type=PatchType.STRATEGIC, namespace=obj.metadata.namespace or None
    )


def _labels(obj: Any) -> Any:
    return obj.metadata.labels
