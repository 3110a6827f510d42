"""A stored object as the server keeps it: encoded once, with its version spliced in.

The store holds an object's JSON without kind, apiVersion and resourceVersion, because the revision is not known when the bytes
are made. Metadata is the first member and the version follows the uid in it, so the place of the splice is the length of the
encoding of the metadata's members up to the uid: computed, never searched for.
"""

from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from pinnace.api import codec
from pinnace.api.meta_v1 import ObjectMeta
from pinnace.api.resources import Resource
from pinnace.machinery.codec import raw

T = TypeVar("T", bound=Struct)

_OPENING = len(b'{"metadata":')
FieldsOf = Callable[[Any], Mapping[str, str]]


class Encoded(Struct, Generic[T], frozen=True, gc=False):
    """An object, what is stored of it, and where in that the version belongs."""

    obj: T
    data: bytes
    offset: int


class Kind(Generic[T]):
    """What the entries of one resource share: their type, how they begin on the wire, and the fields that can be selected."""

    __slots__ = ("api_version", "fields_of", "has_raw", "head", "name", "type")

    def __init__(self, resource: Resource, fields_of: FieldsOf) -> None:
        self.type: type[T] = resource.type  # type: ignore[assignment]
        self.name = resource.kind
        self.api_version = resource.api_version
        self.fields_of = fields_of
        self.has_raw = codec.has_raw(self.type)
        self.head = f'{{"kind":"{resource.kind}","apiVersion":"{resource.api_version}",'.encode()

    def encode(self, obj: T) -> Encoded[T]:
        """Return an object with what is stored of it."""
        metadata: ObjectMeta = obj.metadata  # type: ignore[attr-defined]
        bare = replace(obj, kind="", api_version="", metadata=replace(metadata, resource_version=""))
        return Encoded(obj, codec.encode(bare), version_offset(metadata))

    def entry(self, key: str, data: bytes, revision: int) -> "Entry[T]":
        """Return the entry of stored bytes."""
        obj: T = codec.decode(self.type, data)
        return self.entry_of(key, Encoded(obj, data, version_offset(obj.metadata)), revision)  # type: ignore[attr-defined]

    def entry_of(self, key: str, encoded: Encoded[T], revision: int) -> "Entry[T]":
        """Return the entry of an object that is known beside its bytes."""
        data, offset = encoded.data, encoded.offset
        item = b'%b,"resourceVersion":"%d"%b' % (data[:offset], revision, data[offset:])
        metadata: ObjectMeta = encoded.obj.metadata  # type: ignore[attr-defined]
        entry = Entry(self, key, metadata, item, offset, revision, self.fields_of(encoded.obj))
        if self.has_raw and (compact := raw.compact(item)) != item:
            entry.item, entry.stored = compact, item
        return entry


def version_offset(metadata: ObjectMeta) -> int:
    """Return where in the stored bytes of an object the version is to be put."""
    before = ObjectMeta(
        name=metadata.name, generate_name=metadata.generate_name, namespace=metadata.namespace, uid=metadata.uid
    )
    return _OPENING + len(codec.encode(before)) - 1


class Entry(Generic[T]):
    """One object at one revision; immutable, shared by everyone who reads it.

    Attributes:
        key: its place in the store.
        item: its JSON as an item of a list: with resourceVersion, without kind and apiVersion.
        stored: the same with the blanks that raw values in it were sent with; None when there are none, as nearly always.
        labels: its labels.
        fields: the values of its selectable fields, metadata.name and metadata.namespace included.
    """

    __slots__ = ("_kind", "_offset", "fields", "item", "key", "labels", "name", "namespace", "revision", "stored")

    def __init__(
        self,
        kind: Kind[T],
        key: str,
        metadata: ObjectMeta,
        item: bytes,
        offset: int,
        revision: int,
        fields: Mapping[str, str],
    ) -> None:
        self._kind = kind
        self._offset = offset
        self.key = key
        self.name = metadata.name
        self.namespace = metadata.namespace
        self.item = item
        self.stored: bytes | None = None
        self.revision = revision
        self.labels: Mapping[str, str] = metadata.labels
        self.fields = fields

    @property
    def body(self) -> bytes:
        """Its JSON with kind and apiVersion."""
        return self._kind.head + self.item[1:]

    @property
    def object(self) -> T:
        """The object; decoded at each call, which is cheaper than keeping it."""
        return codec.decode(self._kind.type, self._exact)

    def is_of(self, obj: T) -> bool:
        """Tell whether this is just what would be stored of an object that carries its version."""
        return codec.encode(obj) == self._exact

    @property
    def _exact(self) -> bytes:
        return self.body if self.stored is None else self._kind.head + self.stored[1:]

    def at(self, revision: int) -> "Entry[T]":
        """Return the same content under another revision, as a deletion shows it."""
        copied: Entry[T] = object.__new__(type(self))
        copied._kind, copied._offset = self._kind, self._offset
        copied.key, copied.name, copied.namespace = self.key, self.name, self.namespace
        copied.labels, copied.fields = self.labels, self.fields
        old = b',"resourceVersion":"%d"' % self.revision
        new = b',"resourceVersion":"%d"' % revision
        copied.item = self.item[: self._offset] + new + self.item[self._offset + len(old) :]
        copied.stored = self.stored and self.stored[: self._offset] + new + self.stored[self._offset + len(old) :]
        copied.revision = revision
        return copied
