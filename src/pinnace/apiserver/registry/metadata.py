"""The rules that hold for the metadata of every object, whatever its kind.

Upstream: apimachinery `api/validation/objectmeta.go`, apiserver `registry/rest/{create,update,meta}.go`. The functions are pure
and return the errors in upstream's order.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeVar

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from pinnace.api.meta_v1 import ObjectMeta, OwnerReference
from pinnace.machinery.field import FieldError, Path, forbidden, invalid, required, too_long
from pinnace.machinery.names import label_key, label_value, qualified_name

# Bytes of all keys and values together.
ANNOTATIONS_LIMIT_BYTES = 256 * 1024
_STANDARD_FINALIZERS = frozenset({"kubernetes", "orphan", "foregroundDeletion"})
_META = Path("metadata")
_NOTHING = ObjectMeta()
_BANNED_OWNERS = frozenset({("v1", "Event")})

T = TypeVar("T", bound=Struct)
NameRule = Callable[[str, bool], Sequence[str]]


def validate(meta: ObjectMeta, *, namespaced: bool, name_errors: NameRule) -> list[FieldError]:
    """Check the metadata of an object that is to be created; names have been generated."""
    found: list[FieldError] = []
    if meta.generate_name:
        found += (
            invalid(_META.child("generateName"), meta.generate_name, m) for m in name_errors(meta.generate_name, True)
        )
    if not meta.name:
        found.append(required(_META.child("name"), "name or generateName is required"))
    else:
        found += (invalid(_META.child("name"), meta.name, message) for message in name_errors(meta.name, False))
    if namespaced and not meta.namespace:
        found.append(required(_META.child("namespace")))
    if not namespaced and meta.namespace:
        found.append(forbidden(_META.child("namespace"), "not allowed on this type"))
    if meta.generation < 0:
        found.append(invalid(_META.child("generation"), meta.generation, "must be greater than or equal to 0"))
    found += _shared(meta, _NOTHING)
    return found


def _shared(meta: ObjectMeta, old: ObjectMeta) -> Iterator[FieldError]:
    """Check what differs from the stored metadata, which has passed."""
    if meta.labels != old.labels:
        yield from label_errors(meta.labels, _META.child("labels"))
    if meta.annotations != old.annotations:
        yield from annotation_errors(meta.annotations, _META.child("annotations"))
    if meta.owner_references != old.owner_references:
        yield from owner_errors(meta.owner_references)
    if meta.finalizers != old.finalizers:
        yield from _finalizer_errors(meta.finalizers)


def label_errors(labels: Mapping[str, str], path: Path) -> Iterator[FieldError]:
    """Check label keys and values; the field named is the map itself."""
    for key in sorted(labels):
        yield from (invalid(path, key, message) for message in label_key(key))
        yield from (invalid(path, labels[key], message) for message in label_value(labels[key]))


def annotation_errors(annotations: Mapping[str, str], path: Path) -> Iterator[FieldError]:
    """Check annotation keys (in lower case) and the size of all together."""
    for key in sorted(annotations):
        yield from (invalid(path, key, message) for message in qualified_name(key.lower()))
    size = sum(len(key.encode()) + len(value.encode()) for key, value in annotations.items())
    if size > ANNOTATIONS_LIMIT_BYTES:
        yield too_long(path, "", ANNOTATIONS_LIMIT_BYTES)


def owner_errors(owners: Sequence[OwnerReference]) -> Iterator[FieldError]:
    """Check owner references one by one, and that only one of them is the controller."""
    path = _META.child("ownerReferences")
    controller: OwnerReference | None = None
    for owner in owners:
        group, slash, version = owner.api_version.partition("/")
        if not owner.api_version or (slash and (not version or "/" in version)):
            yield invalid(path.child("apiVersion"), owner.api_version, "version must not be empty")
        for name, value in (("kind", owner.kind), ("name", owner.name), ("uid", owner.uid)):
            if not value:
                yield invalid(path.child(name), value, "must not be empty")
        if (owner.api_version, owner.kind) in _BANNED_OWNERS:
            text = (
                f"{'' if not slash else group}/{version or group}, Kind={owner.kind} is disallowed from being an owner"
            )
            yield invalid(path, msgspec.to_builtins(owner), text)
    for owner in owners:
        if not owner.controller:
            continue
        if controller is None:
            controller = owner
            continue
        text = (
            'Only one reference can have Controller set to true. Found "true" in references for '
            f"{controller.kind}/{controller.name} and {owner.kind}/{owner.name}"
        )
        yield invalid(path, msgspec.to_builtins(owners), text)


def _finalizer_errors(finalizers: Sequence[str]) -> Iterator[FieldError]:
    path = _META.child("finalizers")
    standing = {"orphan", "foregroundDeletion"} <= set(finalizers)
    for index, name in enumerate(finalizers):
        yield from (invalid(path.index(index), name, message) for message in qualified_name(name))
        if "/" not in name and name not in _STANDARD_FINALIZERS:
            yield invalid(
                path.index(index), name, "name is neither a standard finalizer name nor is it fully qualified"
            )
    if standing:
        yield invalid(path, list(finalizers), 'finalizer set can not contain both "orphan" and "foregroundDeletion"')


def validate_update(new: ObjectMeta, old: ObjectMeta) -> list[FieldError]:
    """Check the metadata of an object that replaces another, after what clients may not change was restored."""
    found = list(_finalizer_addition_errors(new, old))
    immutable = "field is immutable"
    for name, after, before in (
        ("name", new.name, old.name),
        ("namespace", new.namespace, old.namespace),
        ("uid", new.uid, old.uid),
        ("creationTimestamp", new.creation_timestamp, old.creation_timestamp),
        ("deletionTimestamp", new.deletion_timestamp, old.deletion_timestamp),
        ("deletionGracePeriodSeconds", new.deletion_grace_period_seconds, old.deletion_grace_period_seconds),
    ):
        if after != before:
            found.append(invalid(_META.child(name), after, immutable))
    if new.generation < old.generation:
        found.append(invalid(_META.child("generation"), new.generation, "must not be decremented"))
    found += _shared(new, old)
    return found


def _finalizer_addition_errors(new: ObjectMeta, old: ObjectMeta) -> Iterator[FieldError]:
    if old.deletion_timestamp is None:
        return
    added = sorted(set(new.finalizers) - set(old.finalizers))
    if added:
        listed = ", ".join(f'"{name}"' for name in added)
        yield forbidden(
            _META.child("finalizers"),
            f"no new finalizers can be added if the object is being deleted, found new finalizers []string{{{listed}}}",
        )


def kept_for_status(new: T, old: T) -> T:
    """Return the object with the stored metadata, for status paths that do not even write labels; only the owners of fields move."""
    before: ObjectMeta = old.metadata  # type: ignore[attr-defined]
    meta = replace(
        new.metadata,  # type: ignore[attr-defined]
        labels=before.labels,
        annotations=before.annotations,
        finalizers=before.finalizers,
        owner_references=before.owner_references,
        deletion_timestamp=before.deletion_timestamp,
        generation=before.generation,
    )
    return replace(new, metadata=meta)


def duplicate_owner_warnings(owners: Sequence[OwnerReference]) -> tuple[tuple[OwnerReference, ...], list[str]]:
    """Drop owner references whose uid was already named; return what is left and a warning for each dropped one."""
    order: list[OwnerReference] = []
    doubled: list[str] = []
    for owner in owners:
        if owner in order:
            if owner.uid not in doubled:
                doubled.append(owner.uid)
            continue
        order.append(owner)
    if not doubled:
        return tuple(owners), []
    listed = ", ".join(doubled)
    text = (
        ".metadata.ownerReferences contains duplicate entries; API server dedups owner references in 1.20+, and may "
        f"reject such requests as early as 1.24; please fix your requests; duplicate UID(s) observed: {listed}"
    )
    return tuple(order), [text]
