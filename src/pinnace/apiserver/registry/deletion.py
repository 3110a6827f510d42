"""Deletion: preconditions, grace, finalizers and propagation; what is left behind, and for how long.

```
                 finalizers pending, or grace > 0                 last finalizer removed, or grace ends (a DELETE with 0)
  stored ────────────────────────────────────────▶ marked ─────────────────────────────────────────────────────▶ gone
     └─────────────────────────── neither ───────────────────────────────────────────────────────────────────────▲
```
A marked object has a deletionTimestamp, which never goes away again and may only come nearer. Upstream: apiserver
`registry/rest/delete.go`, `registry/generic/registry/store.go`.
"""

from typing import TypeVar

from msgspec import Struct
from msgspec.structs import replace

from pinnace.api.meta_v1 import DeleteOptions, ObjectMeta, Preconditions
from pinnace.apiserver.registry.store import Call, Registry, Unstored, Written
from pinnace.apiserver.storage import Entry
from pinnace.machinery import errors, timestamps
from pinnace.machinery.errors import ApiError
from pinnace.store.interface import Conflict, KeyNotFound

T = TypeVar("T", bound=Struct)

ORPHAN = "orphan"
FOREGROUND = "foregroundDeletion"


async def delete(registry: Registry[T], call: Call, name: str, namespace: str, options: DeleteOptions) -> Written[T]:
    """Delete an object, or mark it when something keeps it.

    Returns:
        The object as it is now, or as it was last when it is gone (`deleted`), with the deletion's resourceVersion.

    Raises:
        ApiError: not found, a precondition that does not hold, or refused by admission.
    """
    while True:
        entry = registry.storage.get(name, namespace)
        if entry is None:
            raise registry.not_found(name)
        obj = entry.object
        refusal = registry.strategy.refuse_delete(obj)
        if refusal:
            raise errors.forbidden(registry.resource.group, registry.resource.plural, name, refusal)
        check_preconditions(registry, entry, options.preconditions)
        await call.admit.mutate(None, obj)
        await call.admit.validate(None, obj)
        try:
            return await _delete_once(registry, call, entry, obj, options)
        except (Conflict, KeyNotFound):
            await registry.storage.catch_up()


def check_preconditions(registry: Registry[T], entry: Entry[T], wanted: Preconditions | None) -> None:
    """Compare an object with what a client says of it.

    Raises:
        Conflict: it is another object, or another version of it.
    """
    if wanted is None:
        return
    meta: ObjectMeta = entry.object.metadata  # type: ignore[attr-defined]
    if wanted.uid is not None and wanted.uid != meta.uid:
        raise _precondition_failed(
            registry,
            meta.name,
            f"the UID in the precondition ({wanted.uid}) does not match the UID in record ({meta.uid}). "
            "The object might have been deleted and then recreated",
        )
    if wanted.resource_version is not None and wanted.resource_version != str(entry.revision):
        raise _precondition_failed(
            registry,
            meta.name,
            f"the ResourceVersion in the precondition ({wanted.resource_version}) does not match the ResourceVersion "
            f"in record ({entry.revision}). The object might have been modified",
        )


def _precondition_failed(registry: Registry[T], name: str, message: str) -> ApiError:
    # Upstream names the kind here, not the resource.
    return errors.conflict(registry.resource.group, registry.resource.kind, name, message)


async def _delete_once(
    registry: Registry[T], call: Call, entry: Entry[T], obj: T, options: DeleteOptions
) -> Written[T]:
    strategy = registry.strategy
    meta: ObjectMeta = obj.metadata  # type: ignore[attr-defined]
    finalizers = _finalizers(registry, meta, options)
    held = strategy.is_held(obj)
    grace: int | None = None
    marked = meta
    if strategy.grace_seconds is not None and meta.deletion_timestamp is None:
        grace = max(strategy.grace_seconds(obj, options.grace_period_seconds), 0)
        marked = _mark(meta, call.context.now, grace)
    elif strategy.grace_seconds is not None and meta.deletion_grace_period_seconds:
        grace = _shortened(meta.deletion_grace_period_seconds, options.grace_period_seconds)
        if grace is None:
            # Already on its way, and no sooner; what is to become of its dependents is settled, too.
            return Written(entry)
        marked = _move(meta, call.context.now, grace)
    elif (finalizers or held) and meta.deletion_timestamp is None:
        marked = _mark(meta, call.context.now, 0 if not held else None)
    marked = replace(marked, finalizers=finalizers) if finalizers != meta.finalizers else marked
    changed = obj if marked is meta else replace(obj, metadata=marked)
    if changed is not obj and meta.deletion_timestamp is None:
        changed = strategy.mark_deleted(call.context, changed)
    if finalizers or held or grace:
        if changed is obj:
            return Written(entry)
        return await _keep(registry, call, entry, changed)
    return await _remove(registry, call, entry, changed)


async def _keep(registry: Registry[T], call: Call, entry: Entry[T], changed: T) -> Written[T]:
    if call.context.dry_run:
        return Written(Unstored(changed))
    written = await registry.storage.update(changed, expected=entry.revision)
    return Written(written)


async def _remove(registry: Registry[T], call: Call, entry: Entry[T], last: T) -> Written[T]:
    if call.context.dry_run:
        return Written(Unstored(last), deleted=True)
    meta: ObjectMeta = last.metadata  # type: ignore[attr-defined]
    gone = await registry.storage.delete(meta.name, meta.namespace, expected=entry.revision)
    last = replace(last, metadata=replace(meta, resource_version=str(gone.revision)))
    if registry.strategy.after_delete is not None:
        await registry.strategy.after_delete(call.context, last)
    return Written(Unstored(last), deleted=True)


def _mark(meta: ObjectMeta, now: float, grace: int | None) -> ObjectMeta:
    return replace(
        meta,
        deletion_timestamp=timestamps.format(now + (grace or 0)),
        deletion_grace_period_seconds=grace,
        generation=meta.generation + 1 if meta.generation > 0 else meta.generation,
    )


def _shortened(current: int, option: int | None) -> int | None:
    """Return the shorter grace period that a further DELETE asks for, None when it asks for none."""
    if option is None:
        return None
    wanted = 1 if option < 0 else option
    return wanted if wanted < current else None


def _move(meta: ObjectMeta, now: float, grace: int) -> ObjectMeta:
    """Bring the deletion nearer, but never into the past."""
    assert meta.deletion_timestamp is not None
    begun = timestamps.parse(meta.deletion_timestamp) - (meta.deletion_grace_period_seconds or 0)
    moved = max(begun + grace, now)
    return replace(meta, deletion_timestamp=timestamps.format(moved), deletion_grace_period_seconds=grace)


def _finalizers(registry: Registry[T], meta: ObjectMeta, options: DeleteOptions) -> tuple[str, ...]:
    """Return the finalizers an object has under the propagation that applies: what the client said, what an earlier
    deletion left in the object, or the kind's default, in this order.
    """
    finalizers = tuple(meta.finalizers)
    policy = options.propagation_policy
    if not registry.strategy.honours_propagation:
        policy = "Background"
    elif options.orphan_dependents is not None:
        policy = "Orphan" if options.orphan_dependents else "Background"
    elif policy is None:
        if ORPHAN in finalizers:
            policy = "Orphan"
        elif FOREGROUND in finalizers:
            policy = "Foreground"
        else:
            policy = registry.strategy.default_propagation
    others = tuple(name for name in finalizers if name not in {ORPHAN, FOREGROUND})
    wanted = {"Orphan": (ORPHAN,), "Foreground": (FOREGROUND,)}.get(policy, ())
    return finalizers if set(finalizers) == {*others, *wanted} else others + wanted
