"""What a server serves, by its own word: for work on whatever kinds there are, custom ones included.

One preferred version per group. Upstream: client-go `discovery`.
"""

from collections.abc import Sequence

import msgspec
from msgspec import Struct

from pinnace.client.rest import Client
from pinnace.machinery.errors import ApiError


class _Resource(msgspec.Struct):
    name: str = ""
    namespaced: bool = False
    kind: str = ""
    verbs: tuple[str, ...] = ()


class _Resources(msgspec.Struct):
    resources: tuple[_Resource, ...] = ()


class _Version(msgspec.Struct, rename="camel"):
    group_version: str = ""


class _Group(msgspec.Struct, rename="camel"):
    name: str = ""
    preferred_version: _Version = msgspec.field(default_factory=_Version)


class _Groups(msgspec.Struct):
    groups: tuple[_Group, ...] = ()


class ServedResource(Struct, frozen=True):
    """One resource of the preferred version of its group; `group_version` is what stands in apiVersion."""

    group_version: str
    plural: str
    kind: str
    namespaced: bool
    verbs: frozenset[str]

    @property
    def qualified(self) -> str:
        """The plural with its group: `deployments.apps`, `pods.`; as conditions of namespaces print it."""
        group = self.group_version.rpartition("/")[0]
        return f"{self.plural}.{group}"

    def path(self, namespace: str = "", name: str = "") -> str:
        """Return the path of all objects, of those of a namespace, or of one."""
        prefix = f"/apis/{self.group_version}" if "/" in self.group_version else f"/api/{self.group_version}"
        scope = f"/namespaces/{namespace}" if namespace else ""
        return f"{prefix}{scope}/{self.plural}" + (f"/{name}" if name else "")


class Discovered(Struct, frozen=True):
    """What is served, and which groups did not answer: groupVersion → why."""

    resources: Sequence[ServedResource]
    failures: dict[str, str]


async def discover(client: Client) -> Discovered:
    """Ask for everything; a group that does not answer is named, and the others are there.

    Raises:
        ApiError: not even the groups can be asked for.
    """
    groups = msgspec.json.decode(await client.raw("GET", "/apis"), type=_Groups).groups
    found: list[ServedResource] = []
    failures: dict[str, str] = {}
    for version in ("v1", *(group.preferred_version.group_version for group in groups)):
        path = f"/apis/{version}" if "/" in version else f"/api/{version}"
        try:
            listed = msgspec.json.decode(await client.raw("GET", path), type=_Resources)
        except ApiError as error:
            failures[version] = str(error)
            continue
        found += [
            ServedResource(version, item.name, item.kind, item.namespaced, frozenset(item.verbs))
            for item in listed.resources
            if "/" not in item.name
        ]
    return Discovered(tuple(found), failures)
