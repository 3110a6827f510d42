"""What sets one kind apart from the others, as one frozen record of small functions.

The generic registry (`store.py`) does everything that all kinds share: metadata, versions, deletion, dry runs. A kind's module
says the rest by filling in a `Strategy`; whatever it leaves out has the meaning most kinds want. Every function takes frozen
values and returns new ones; only the hooks that allocate something or look at other objects are coroutines. Upstream:
apiserver `registry/rest` (RESTCreateStrategy, RESTUpdateStrategy, RESTGracefulDeleteStrategy) and the kinds' `strategy.go`.
"""

from abc import abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Generic, Protocol, TypeVar

from msgspec import Struct, field
from msgspec.structs import replace

from pinnace.component.http import UserInfo
from pinnace.component.identity import Identity
from pinnace.machinery.field import FieldError
from pinnace.machinery.names import dns_subdomain

T = TypeVar("T", bound=Struct)
S = TypeVar("S", bound=Struct)


class Objects(Protocol):
    """Other objects of the same API server, for the few kinds that must look at them or keep them in step.

    Reads see every write that has been answered. Nothing here is authorized or admitted again.
    """

    @abstractmethod
    async def get(self, cls: type[S], name: str, namespace: str = "") -> S | None:
        """Return an object, None when there is none."""

    @abstractmethod
    async def list(self, cls: type[S], namespace: str = "") -> tuple[S, ...]:
        """Return all objects of a type, of one namespace when it is given, in the order of their keys."""

    @abstractmethod
    async def create(self, obj: S) -> S:
        """Create an object with the kind's own defaults and rules, and return what was stored.

        Raises:
            ApiError: AlreadyExists, Invalid.
        """

    @abstractmethod
    async def update(self, obj: S, subresource: str = "") -> S:
        """Replace an object, or a part of it; a resourceVersion in it is a precondition.

        Raises:
            ApiError: NotFound, Conflict, Invalid.
        """

    @abstractmethod
    async def delete(self, cls: type[S], name: str, namespace: str = "", *, uid: str = "") -> None:
        """Delete an object; nothing happens when it is not there.

        Raises:
            ApiError: Conflict, when a uid is given and the object has another.
        """


class Context(Struct, frozen=True, kw_only=True):
    """The request a strategy works for."""

    user: UserInfo
    now: float  # wall time, seconds since the epoch
    identity: Identity
    objects: Objects
    dry_run: bool = False
    # The resource as messages name it: ("", "pods") or ("apps", "deployments").
    group: str = ""
    plural: str = ""


class Column(Struct, frozen=True):
    """A column of a kind's table; `priority` above 0 shows only in wide output."""

    name: str
    type: str = "string"
    description: str = ""
    format: str = ""
    priority: int = 0


async def _nothing(stored: bool) -> None:  # noqa: FBT001
    """Have nothing to give back."""


class Begun(Struct, Generic[T], frozen=True):
    """A write for which something was allocated.

    `errors` refuse it (422). `finish` is called exactly once, with whether the object was stored; with False it gives back what
    was allocated.
    """

    obj: T
    errors: Sequence[FieldError] = ()
    finish: Callable[[bool], Awaitable[None]] = _nothing


def _same(obj: T) -> T:
    return obj


def _same_created(ctx: Context, obj: T) -> T:  # noqa: ARG001
    return obj


def _same_updated(ctx: Context, new: T, old: T) -> T:  # noqa: ARG001
    return new


def _no_errors(obj: T) -> Sequence[FieldError]:  # noqa: ARG001
    return ()


def _no_update_errors(new: T, old: T) -> Sequence[FieldError]:  # noqa: ARG001
    return ()


def _no_warnings(new: T, old: T | None) -> Sequence[str]:  # noqa: ARG001
    return ()


def _never_untouched(new: Any, old: Any) -> bool:  # noqa: ARG001
    return False


def _never(obj: T) -> bool:  # noqa: ARG001
    return False


def _may_go(obj: T) -> str:  # noqa: ARG001
    return ""


def spec_changed(new: T, old: T) -> bool:
    """Tell whether the generation counts on: the rule of kinds with a spec that controllers observe."""
    return getattr(new, "spec", None) != getattr(old, "spec", None)


def spec_untouched(new: T, old: T) -> bool:
    """Tell that an update leaves the spec as it is."""
    return not spec_changed(new, old)


def never_changes(new: T, old: T) -> bool:  # noqa: ARG001
    """Keep the generation at 1."""
    return False


def unknown_field_generic(label: str) -> str:
    """Say that a field cannot be selected, for kinds that select by metadata only."""
    return f'"{label}" is not a known field selector: only "metadata.name", "metadata.namespace"'


def unknown_field_own_table(label: str) -> str:
    """Say that a field cannot be selected, for kinds with selectable fields of their own."""
    return f"field label not supported: {label}"


class Selectable(Struct, Generic[T], frozen=True, kw_only=True):
    """The fields of a kind that field selectors may name, beside metadata.name and metadata.namespace.

    `fields` maps a field label to a function that gives the object's value as text (booleans as `true`/`false`, numbers in
    decimal). `aliases` maps further labels to those that the storage knows. `unknown` gives the message (400) for any other label. The labels
    in `indexed` get an index in the watch cache: those that components select by all the time.
    """

    fields: Mapping[str, Callable[[T], str]] = field(default_factory=dict)
    aliases: Mapping[str, str] = field(default_factory=dict)
    indexed: frozenset[str] = frozenset()
    unknown: Callable[[str], str] = unknown_field_generic


class Part(Struct, Generic[T], frozen=True, kw_only=True):
    """A subresource that reads and writes a part of the object itself: status, resize, ephemeralcontainers, approval, finalize.

    `prepare_update` starts from what the client sent and takes everything that this path may not change from `old`; metadata
    such as uid and creationTimestamp is already taken care of.
    """

    prepare_update: Callable[[Context, T, T], T]
    validate_update: Callable[[T, T], Sequence[FieldError]] = _no_update_errors
    warnings: Callable[[T, T | None], Sequence[str]] = _no_warnings
    # None leaves the generation alone.
    generation: Callable[[T, T], bool] | None = None


def take_only_status(ctx: Context, new: T, old: T) -> T:  # noqa: ARG001
    """Take everything but status and metadata from the stored object: the status path of most kinds."""
    keep = {
        name: getattr(old, name)
        for name in new.__struct_fields__
        if name not in {"kind", "api_version", "metadata", "status"}
    }
    return replace(new, **keep)


class Scale(Struct, Generic[T], frozen=True, kw_only=True):
    """How autoscaling/v1 Scale reads and writes a kind."""

    replicas: Callable[[T], int]
    with_replicas: Callable[[T, int], T]
    status_replicas: Callable[[T], int]
    # The pods' label selector in text form.
    selector: Callable[[T], str]


class Strategy(Struct, Generic[T], frozen=True, kw_only=True):
    """All that is particular to a kind. The order on create: default, prepare_create, validate, begin_create; on update:
    default, prepare_update, validate_update, begin_update. Metadata is checked by the registry: by `name_errors` and the rules
    that hold for all, before the kind's errors.
    """

    # Fill in what the API promises for absent fields; run on each object a client sends, before admission. Must be idempotent.
    default: Callable[[T], T] = _same
    # Reset what clients may not set, derive what the server sets. Admission has run; uid, creationTimestamp and name are there.
    prepare_create: Callable[[Context, T], T] = _same_created
    # The status and the generation are the registry's (`resets_status`, `generation`).
    prepare_update: Callable[[Context, T, T], T] = _same_updated
    validate: Callable[[T], Sequence[FieldError]] = _no_errors
    # Called with the new and the stored object; does not include `validate`, which the registry runs first unless
    # `validates_update_fully` is set.
    validate_update: Callable[[T, T], Sequence[FieldError]] = _no_update_errors
    validates_update_fully: bool = False
    # Tells that an update touches nothing that `validate` looks at: what has passed, and is costly to look at, passes unseen.
    is_untouched: Callable[[T, T], bool] = _never_untouched
    # How many times as much a byte of it costs to read and check as one of an ordinary kind; expressions are compiled.
    weight: int = 1
    # Text of a Warning header of every answer about the kind, when it is deprecated.
    deprecation: str = ""
    # Texts of Warning headers; the stored object is None on create.
    warnings: Callable[[T, T | None], Sequence[str]] = _no_warnings

    # Allocations (Services): after validation, before the write; see Begun. The stored object is last on update.
    begin_create: Callable[[Context, T], Awaitable[Begun[T]]] | None = None
    begin_update: Callable[[Context, T, T], Awaitable[Begun[T]]] | None = None
    # Called when an object is gone for good, not on dry runs.
    after_delete: Callable[[Context, T], Awaitable[None]] | None = None

    # Complaints about a name; the flag says that it is a generateName, to which a suffix comes.
    name_errors: Callable[[str, bool], Sequence[str]] = dns_subdomain
    # Tells whether an update counts the generation on; None: the kind does not manage it and a client's value is stored.
    generation: Callable[[T, T], bool] | None = None
    # True: with a status subresource, the status of a body is dropped on create. On update it always is.
    resets_status: bool = True
    # PUT to a name that is not there creates it.
    allow_create_on_update: bool = False
    # PUT without resourceVersion overwrites; False makes it a 422.
    allow_unconditional_update: bool = True

    # Seconds between the mark and the removal, given the DELETE's gracePeriodSeconds (None when absent); 0 removes at once.
    # None as the function: the kind is never deleted gracefully and the option has no meaning.
    grace_seconds: Callable[[T, int | None], int] | None = None
    # Why an object may not be deleted at all (403), empty when it may.
    refuse_delete: Callable[[T], str] = _may_go
    # What else an object gets when it is marked for deletion (a namespace its phase).
    mark_deleted: Callable[[Context, T], T] = _same_created
    # Tells that something besides metadata.finalizers keeps a deleted object (a namespace's spec.finalizers).
    is_held: Callable[[T], bool] = _never
    # DELETE answers with the object rather than with a Status.
    delete_returns_object: bool = False
    # The propagationPolicy of a DELETE that names none.
    default_propagation: str = "Background"
    # Text of a Warning header of a DELETE that leaves the propagation to the kind.
    propagation_warning: str = ""
    # Orphan and Foreground add their finalizers (not so for events).
    honours_propagation: bool = True

    selectable: Selectable[T] = field(default_factory=Selectable)
    # None as columns: Name and Created At. Cells stand in the columns' order; the number is wall time, for ages.
    columns: tuple[Column, ...] | None = None
    cells: Callable[[T, float], Sequence[Any]] | None = None
    # Conditions of the object's row (a finished pod's), as plain trees.
    row_conditions: Callable[[T], Sequence[Mapping[str, str]]] | None = None

    # Annotations that older versions of the kind had fields for: only the whole object carries them, tables and partial objects do
    # not.
    field_annotations: frozenset[str] = frozenset()

    # Absent "status" with a status subresource in the table of resources means Part(prepare_update=take_only_status).
    parts: Mapping[str, Part[T]] = field(default_factory=dict)
    scale: Scale[T] | None = None
    # Seconds an object lives after its last write (events); None: for ever.
    ttl_seconds: int | None = None


DEFAULT: Strategy[Any] = Strategy()
