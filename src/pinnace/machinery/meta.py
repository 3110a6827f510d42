"""Rules over any object's metadata: what it is called, and who owns it.

Works on whatever has the attributes of the generated types; knows no kind. Upstream: apimachinery `pkg/apis/meta/v1`.
"""

from collections.abc import Iterable
from typing import Any

from msgspec import Struct


class GroupVersionKind(Struct, frozen=True):
    """A kind in one version of its group; the core group is ""."""

    group: str
    version: str
    kind: str

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @classmethod
    def of(cls, api_version: str, kind: str) -> "GroupVersionKind":
        """Take apart an apiVersion."""
        group, slash, version = api_version.rpartition("/")
        return cls(group if slash else "", version, kind)


def key(obj: Any) -> str:
    """Return the key under which caches and queues know an object: `namespace/name`, or `name` for a cluster-scoped one."""
    metadata = obj.metadata
    return f"{metadata.namespace}/{metadata.name}" if metadata.namespace else str(metadata.name)


def split_key(text: str) -> tuple[str, str]:
    """Return (namespace, name) of a key; the namespace is "" for cluster-scoped objects."""
    namespace, _, name = text.rpartition("/")
    return namespace, name


def controller_of(owners: Iterable[Any]) -> Any | None:
    """Return the owner reference that is marked as the controller, None when there is none."""
    return next((owner for owner in owners if owner.controller), None)


def is_controlled_by(obj: Any, uid: str) -> bool:
    """Tell whether the owner with this uid is the object's controller."""
    owner = controller_of(obj.metadata.owner_references)
    return owner is not None and owner.uid == uid
