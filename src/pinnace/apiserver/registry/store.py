"""The generic registry: create, update and delete of any kind, as every kind has them.

A registry holds one kind's strategy over its storage, as one of the kind's versions is served. Invariants: an object in storage has passed its kind's validation; a write
that changes nothing is not made and keeps its resourceVersion; a write lost to another is tried again on the newer object,
unless the client named the version it meant. Reads go to the storage directly. Deletion is in `deletion.py`. Upstream:
apiserver `registry/generic/registry/store.go`, `registry/rest/{create,update}.go`.
"""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from typing import Any, Generic, Protocol, TypeVar

from msgspec import Struct, field
from msgspec.structs import replace

from pinnace.api import codec
from pinnace.api.meta_v1 import ObjectMeta
from pinnace.api.resources import Resource
from pinnace.apiserver.registry import metadata
from pinnace.apiserver.registry.managed_times import without_new_times
from pinnace.apiserver.registry.strategy import Begun, Context, Part, Strategy, take_only_status
from pinnace.apiserver.registry.versions import Version
from pinnace.apiserver.storage import Entry, ResourceStorage
from pinnace.machinery import errors, timestamps
from pinnace.machinery.codec import raw
from pinnace.machinery.errors import ApiError
from pinnace.machinery.field import FieldError, Path, invalid
from pinnace.machinery.numbers import parse_uint
from pinnace.store.interface import Conflict, KeyExists

T = TypeVar("T", bound=Struct)
R = TypeVar("R")
T_co = TypeVar("T_co", bound=Struct, covariant=True)

# Characters of a generateName that are kept, so that the whole with its suffix fits a label.
GENERATE_NAME_BASE = 58
# Collisions of a generated name before the client is told.
GENERATE_NAME_ATTEMPTS = 8
MODIFIED = "the object has been modified; please apply your changes to the latest version and try again"


class Admit(Protocol):
    """Admission, bound to one request."""

    async def mutate(self, obj: Any, old: Any) -> Any: ...
    async def validate(self, obj: Any, old: Any) -> None: ...


class AdmitAll:
    """Admission of what the server itself writes."""

    async def mutate(self, obj: Any, old: Any) -> Any:  # noqa: ARG002
        return obj

    async def validate(self, obj: Any, old: Any) -> None:
        """Let everything pass."""


ADMIT_ALL = AdmitAll()


class Compute(Protocol):
    """Runs what is worked out from an object alone; where, depends on how large it is."""

    async def __call__(self, function: Callable[[], R], /) -> R: ...


async def at_once(function: Callable[[], R]) -> R:
    """Run it here, as for everything that is small."""
    return function()


class Call(Struct, kw_only=True):
    """One write: who makes it, under which admission; warnings for its answer are collected here."""

    context: Context
    admit: Admit = ADMIT_ALL
    warnings: list[str] = field(default_factory=list)
    # Rewrites managedFields on each write: (new, old or None) → new.
    manage: Callable[[Any, Any], Any] | None = None
    compute: Compute = at_once
    # The UID in a PUT's body is a precondition; in a patch's result it is a field that cannot change.
    uid_is_precondition: bool = False

    def warn(self, texts: Iterable[str]) -> None:
        """Add warnings, each once."""
        self.warnings += (text for text in texts if text not in self.warnings)


class Shown(Protocol[T_co]):
    """One object, typed and as compact JSON; either may be made only when it is asked for."""

    @property
    def object(self) -> T_co: ...
    @property
    def body(self) -> bytes: ...


class Unstored(Struct, Generic[T], frozen=True, gc=False):
    """An object as it would be stored, or as it was last."""

    object: T

    @property
    def body(self) -> bytes:
        data = codec.encode(self.object)
        return raw.compact(data) if codec.has_raw(type(self.object)) else data


class Written(Struct, Generic[T], frozen=True, gc=False):
    """What a write came to; `created` and `deleted` say that the object came into being or is gone."""

    shown: Shown[T]
    created: bool = False
    deleted: bool = False

    @property
    def object(self) -> T:
        return self.shown.object

    @property
    def body(self) -> bytes:
        return self.shown.body


class Registry(Generic[T]):
    """All writes to one kind through one of its versions; `resource` is the stored one, and what messages name."""

    def __init__(
        self,
        resource: Resource,
        strategy: Strategy[T],
        storage: ResourceStorage[T],
        version: Version[Any, T] | None = None,
    ) -> None:
        self.resource = resource
        self.strategy = strategy
        self.storage = storage
        # None: the stored version itself.
        self.version = version
        # Kinds without the field (token reviews) have no status to reset.
        self._status: Any = getattr(resource.type(), "status", None)
        self._has_status = resource.subresource("status") is not None and self._status is not None

    # ── versions ──

    def sent(self, obj: Any) -> T:
        """Return what a client sent as it would be stored, after filling in what its version and the stored one promise."""
        if self.version is not None:
            obj = self.version.to_stored(self.version.default(obj))
        return self.strategy.default(obj)

    def served(self, obj: T) -> Any:
        """Return a stored object as clients of this version see it."""
        return obj if self.version is None else self.version.to_served(obj)

    def shown(self, shown: Shown[T]) -> Shown[Any]:
        """Return an object and its encoding as clients of this version see them."""
        return shown if self.version is None else Unstored(self.version.to_served(shown.object))

    def item(self, entry: Entry[T]) -> bytes:
        """Return an object's encoding in a list: without kind and apiVersion."""
        if self.version is None:
            return entry.item
        return codec.encode(replace(self.version.to_served(entry.object), kind="", api_version=""))

    # ── errors ──

    def not_found(self, name: str) -> ApiError:
        """Say that there is no such object."""
        return errors.not_found(self.resource.group, self.resource.plural, name)

    def conflict(self, name: str, message: str) -> ApiError:
        """Refuse a write because of the stored object."""
        return errors.conflict(self.resource.group, self.resource.plural, name, message)

    def _check(self, name: str, found: Sequence[FieldError]) -> None:
        if found:
            raise errors.invalid(self.resource.group, self.resource.kind, name, found)

    def part(self, subresource: str) -> Part[T]:
        """Return the rules of a subresource that writes a part of the object."""
        part = self.strategy.parts.get(subresource)
        if part is None:
            assert subresource == "status", subresource
            part = Part(prepare_update=take_only_status)
        return part

    # ── create ──

    async def create(self, call: Call, obj: T) -> Written[T]:
        """Store a new object; its namespace has been checked against the path.

        Raises:
            ApiError: it exists, is invalid, or was refused by admission.
        """
        meta: ObjectMeta = obj.metadata  # type: ignore[attr-defined]
        if meta.resource_version:
            raise ApiError(500, "", "resourceVersion should not be set on objects to be created", None)
        obj = self._as_sent(call, obj, meta)
        if call.manage is not None:
            obj = await call.compute(partial(call.manage, obj, None))
        obj = await call.admit.mutate(obj, None)
        meta = obj.metadata  # type: ignore[attr-defined]
        generated = bool(meta.generate_name and not meta.name)
        attempt = 0
        while True:
            attempt += 1
            try:
                return await self._create_once(call, obj)
            except _NameTaken as taken:
                if not generated or attempt == GENERATE_NAME_ATTEMPTS:
                    raise self._exists(taken.name, meta.namespace, generated=generated) from None

    @staticmethod
    def _as_sent(call: Call, obj: T, meta: ObjectMeta) -> T:
        """Drop what a client may not set, and owner references named twice."""
        owners = meta.owner_references
        if owners:
            owners, warnings = metadata.duplicate_owner_warnings(owners)
            call.warn(warnings)
        # These are set before admission, so that plug-ins see the object as it will be.
        meta = replace(
            meta,
            uid=call.context.identity.uid(),
            creation_timestamp=timestamps.format(call.context.now),
            deletion_timestamp=None,
            deletion_grace_period_seconds=None,
            self_link="",
            owner_references=owners,
        )
        return replace(obj, metadata=meta)

    async def _create_once(self, call: Call, obj: T) -> Written[T]:
        strategy, context = self.strategy, call.context
        meta: ObjectMeta = obj.metadata  # type: ignore[attr-defined]
        changes: dict[str, Any] = {}
        if not meta.name and meta.generate_name:
            changes["name"] = meta.generate_name[:GENERATE_NAME_BASE] + context.identity.suffix()
        if strategy.generation is not None:
            changes["generation"] = 1
        obj = replace(obj, metadata=replace(meta, **changes)) if changes else obj
        if self._has_status and strategy.resets_status:
            obj = replace(obj, status=self._status)
        obj = strategy.prepare_create(context, obj)
        meta = obj.metadata  # type: ignore[attr-defined]
        await call.compute(partial(self._validate, obj))
        call.warn(strategy.warnings(obj, None))
        await call.admit.validate(obj, None)
        if self.storage.get(meta.name, meta.namespace) is not None:
            raise _NameTaken(meta.name)
        begun = await strategy.begin_create(context, obj) if strategy.begin_create is not None else Begun(obj)
        return await self._finish_create(call, begun)

    def _validate(self, obj: T) -> None:
        meta: ObjectMeta = obj.metadata  # type: ignore[attr-defined]
        found = metadata.validate(meta, namespaced=self.resource.namespaced, name_errors=self.strategy.name_errors)
        self._check(meta.name, [*found, *self.strategy.validate(obj)])

    async def _finish_create(self, call: Call, begun: Begun[T]) -> Written[T]:
        stored = False
        obj = begun.obj
        name: str = obj.metadata.name  # type: ignore[attr-defined]
        try:
            self._check(name, begun.errors)
            if call.context.dry_run:
                return Written(Unstored(obj), created=True)
            try:
                entry = await self.storage.create(obj)
            except KeyExists:
                await self.storage.catch_up()
                raise _NameTaken(name) from None
            stored = True
            return Written(entry, created=True)
        finally:
            await begun.finish(stored)

    def _exists(self, name: str, namespace: str, *, generated: bool) -> ApiError:
        if generated:
            return errors.generated_name_conflict(self.resource.group, self.resource.plural, name)
        error = errors.already_exists(self.resource.group, self.resource.plural, name)
        entry = self.storage.get(name, namespace)
        if entry is not None and entry.object.metadata.deletion_timestamp is not None:  # type: ignore[attr-defined]
            error.message = f"object is being deleted: {error.message}"
        return error

    async def replace(self, entry: Entry[T], new: T) -> Entry[T] | None:
        """Store what the server itself made of an object; None when another write came first."""
        try:
            return await self.storage.update(new, expected=entry.revision)
        except Conflict:
            await self.storage.catch_up()
            return None

    # ── update ──

    async def update(
        self,
        call: Call,
        name: str,
        namespace: str,
        build: Callable[[Entry[T]], Awaitable[T]],
        *,
        subresource: str = "",
        create: Callable[[], Awaitable[T]] | None = None,
    ) -> Written[T]:
        """Replace an object by what `build` makes of the stored one; it is asked again when another write came first.

        `create` makes the object where there is none and the kind allows that; None answers 404.

        Raises:
            ApiError: not found, conflict, invalid, or refused by admission.
        """
        while True:
            entry = self.storage.get(name, namespace)
            if entry is None:
                if create is None:
                    raise self.not_found(name)
                return await self.create(call, await create())
            written = await self._update_once(call, entry, await build(entry), subresource)
            if written is not None:
                return written

    async def _update_once(self, call: Call, entry: Entry[T], new: T, subresource: str) -> Written[T] | None:
        """Make one attempt; None means that another write came first and the client does not mind."""
        old = entry.object
        old_meta: ObjectMeta = old.metadata  # type: ignore[attr-defined]
        name = old_meta.name
        new = self._restore(call, new, old_meta)
        if call.manage is not None:
            new = await call.compute(partial(call.manage, new, old))
        new = await call.admit.mutate(new, old)
        self._check_version(name, new.metadata.resource_version, entry)  # type: ignore[attr-defined]
        new = self._prepare_update(call, new, old, entry, subresource)
        await call.compute(partial(self._validate_update, call, new, old, subresource))
        await call.admit.validate(new, old)
        meta: ObjectMeta = new.metadata  # type: ignore[attr-defined]
        begin = self.strategy.begin_update if not subresource else None
        begun = await begin(call.context, new, old) if begin is not None else Begun(new)
        stored = False
        try:
            self._check(name, begun.errors)
            new = begun.obj
            if entry.is_of(new):
                return Written(entry)
            if call.context.dry_run:
                return Written(Unstored(new))
            if self._is_finished(meta, old_meta, new):
                return await self._delete_finished(call, entry, new)
            written = await self.storage.update(new, expected=entry.revision)
            stored = True
            return Written(written)
        except Conflict:
            # Asked again, a client that named a version is told that it is not the stored one.
            await self.storage.catch_up()
            return None
        finally:
            await begun.finish(stored)

    def _restore(self, call: Call, new: T, old: ObjectMeta) -> T:
        """Take back what an update may not touch; what it may not touch and is an error to try is left for validation."""
        meta: ObjectMeta = new.metadata  # type: ignore[attr-defined]
        if call.uid_is_precondition and meta.uid and meta.uid != old.uid:
            raise self.conflict(
                old.name,
                f"StorageError: invalid object, Code: 4, Key: {self.storage.key(old.name, old.namespace)}, "
                f"ResourceVersion: 0, AdditionalErrorMsg: Precondition failed: UID in precondition: {meta.uid}, "
                f"UID in object meta: {old.uid}",
            )
        owners = meta.owner_references
        if owners and owners != old.owner_references:
            owners, warnings = metadata.duplicate_owner_warnings(owners)
            call.warn(warnings)
        grace = meta.deletion_grace_period_seconds
        meta = replace(
            meta,
            namespace=meta.namespace or old.namespace,
            uid=meta.uid or old.uid,
            creation_timestamp=old.creation_timestamp,
            deletion_timestamp=old.deletion_timestamp or meta.deletion_timestamp,
            deletion_grace_period_seconds=grace if grace is not None else old.deletion_grace_period_seconds,
            generation=old.generation,
            self_link="",
            owner_references=owners,
        )
        return replace(new, metadata=meta)

    def _check_version(self, name: str, version: str, entry: Entry[T]) -> None:
        """Compare the version the client meant, if any, with the stored one."""
        if version == str(entry.revision):
            return
        if version in {"", "0"}:
            if self.strategy.allow_unconditional_update:
                return
            found = [invalid(Path("metadata").child("resourceVersion"), 0, "must be specified for an update")]
            raise errors.invalid(self.resource.group, self.resource.plural, name, found)
        try:
            wanted = parse_uint(version)
        except ValueError as error:
            raise ApiError(500, "", f'resourceVersion: Invalid value: "{version}": {error}', None) from error
        if wanted != entry.revision:
            raise self.conflict(name, MODIFIED)

    def _prepare_update(self, call: Call, new: T, old: T, entry: Entry[T], subresource: str) -> T:
        strategy = self.strategy
        # With the stored version, an update that changes nothing encodes to the stored bytes.
        meta = replace(new.metadata, resource_version=str(entry.revision))  # type: ignore[attr-defined]
        new = replace(new, metadata=meta)
        if subresource:
            part = self.part(subresource)
            new = part.prepare_update(call.context, new, old)
            counts = part.generation
        else:
            if self._has_status:
                new = replace(new, status=old.status)  # type: ignore[attr-defined]
            new = strategy.prepare_update(call.context, new, old)
            counts = strategy.generation
        if counts is not None and counts(new, old):
            meta = new.metadata  # type: ignore[attr-defined]
            new = replace(new, metadata=replace(meta, generation=old.metadata.generation + 1))  # type: ignore[attr-defined]
        return without_new_times(new, old)

    def _validate_update(self, call: Call, new: T, old: T, subresource: str) -> None:
        strategy = self.strategy
        # Upstream runs these twice, in the kind's validation and in the generic one, and lists each cause twice.
        found = metadata.validate_update(new.metadata, old.metadata)  # type: ignore[attr-defined]
        found = [*found, *found]
        if subresource:
            part = self.part(subresource)
            found += part.validate_update(new, old)
            call.warn(part.warnings(new, old))
        else:
            if not strategy.validates_update_fully and not strategy.is_untouched(new, old):
                found += strategy.validate(new)
            found += strategy.validate_update(new, old)
            call.warn(strategy.warnings(new, old))
        self._check(old.metadata.name, found)  # type: ignore[attr-defined]

    def _is_finished(self, meta: ObjectMeta, old: ObjectMeta, new: T) -> bool:
        """Tell whether this update took the last thing that kept a deleted object."""
        return (
            old.deletion_timestamp is not None
            and not meta.finalizers
            and not meta.deletion_grace_period_seconds
            and not self.strategy.is_held(new)
        )

    async def _delete_finished(self, call: Call, entry: Entry[T], new: T) -> Written[T]:
        await self.storage.delete(entry.name, entry.namespace, expected=entry.revision)
        if self.strategy.after_delete is not None:
            await self.strategy.after_delete(call.context, new)
        return Written(Unstored(new), deleted=True)


class _NameTaken(Exception):
    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name
