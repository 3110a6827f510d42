"""Groups of the API whose objects are computed when they are asked for, and stored nowhere.

Such a group is served behind the same authentication, flow control and authorization as the others, and stands in discovery beside them.
Upstream runs each of them as a server of its own behind an APIService (kube-aggregator).
"""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Protocol

from pinnace.api.resources import Resource
from pinnace.apiserver.endpoints.request_info import RequestInfo
from pinnace.apiserver.registry.strategy import Objects
from pinnace.component.http import Request, Response


class ExtensionGroup(Protocol):
    """One version of one group."""

    # What it serves; all of the same group and version.
    resources: Sequence[Resource]

    @abstractmethod
    async def handle(self, request: Request, info: RequestInfo, objects: Objects) -> Response:
        """Answer a request that was allowed; `objects` are those of the whole cluster.

        Raises:
            ApiError: there is no such path or object.
        """


def versions_of(groups: Sequence[ExtensionGroup]) -> Mapping[str, tuple[str, ...]]:
    """Return the groups by name, each with its version."""
    return {one.resources[0].group: (one.resources[0].version,) for one in groups}
