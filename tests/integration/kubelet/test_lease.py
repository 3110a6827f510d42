"""The lease that says that a node is alive, while its way to the API server is bad."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from integration.kubelet.conftest import World, running_world
from pinnace.api import coordination_v1
from pinnace.client import Transport
from pinnace.component.http import Headers, HttpError, Response


class LossyWay(Transport):
    """Loses as many renewals as it is told, each in its turn by a broken connection or by an answer that says so."""

    def __init__(self, inner: Transport) -> None:
        self._inner, self.losses, self.lost = inner, 0, 0

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: str = "",
        headers: Mapping[str, str],
        body: bytes = b"",
        stream: bool = False,
    ) -> Response:
        if method == "PUT" and "/leases/" in path and self.losses:
            self.losses, self.lost = self.losses - 1, self.lost + 1
            if self.lost % 2:
                raise HttpError("connection reset by peer")
            return Response(503, Headers(), b"")
        return await self._inner.request(method, path, query=query, headers=headers, body=body, stream=stream)

    async def close(self) -> None:
        await self._inner.close()


async def renewed(world: World) -> str:
    found = await world.cluster.client.get(coordination_v1.Lease, "n1", "kube-node-lease")
    return found.spec.renew_time or ""


@pytest.mark.parametrize(
    "losses", [pytest.param(1, id="one"), pytest.param(4, id="all-but-the-last-try"), pytest.param(5, id="every-try")]
)
async def test_lost_renewal_is_tried_again_within_its_period(losses: int) -> None:
    """Nobody notices some lost requests: the next try comes at once, not ten seconds later."""
    ways: list[LossyWay] = []

    def lossy(inner: Transport) -> Transport:
        ways.append(LossyWay(inner))
        return ways[-1]

    async with running_world(way=lossy) as world:
        before = await renewed(world)
        ways[0].losses = losses
        await world.cluster.clock.advance(seconds=10.5)
        assert ways[0].lost == losses
        assert await renewed(world) > before


async def test_lease_that_was_deleted_is_made_anew() -> None:
    """A node whose lease somebody deleted has one again with its next renewal."""
    async with running_world() as world:
        await world.cluster.client.delete(coordination_v1.Lease, "n1", "kube-node-lease")
        await world.cluster.clock.advance(seconds=10.5)
        assert await renewed(world)
