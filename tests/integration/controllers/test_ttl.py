"""How long agents may believe what they read: by the number of nodes."""

from pinnace.api import core_v1
from pinnace.api.meta_v1 import ObjectMeta
from pinnace.controllers.ttl import ANNOTATION
from pinnace.testing import Cluster


async def told(cluster: Cluster) -> set[str]:
    # As many as there are in the test, at their turns.
    await cluster.clock.advance(seconds=10)
    return {node.metadata.annotations.get(ANNOTATION, "") for node in (await cluster.client.list(core_v1.Node)).items}


async def test_nodes_are_told_by_their_number(cluster: Cluster) -> None:
    """The hundred-and-first node makes it 15 s for all; only below 90 nodes is it nothing again."""
    for number in range(100):
        await cluster.client.create(core_v1.Node(metadata=ObjectMeta(name=f"n{number}")))
    assert await told(cluster) == {"0"}
    await cluster.client.create(core_v1.Node(metadata=ObjectMeta(name="one-more")))
    assert await told(cluster) == {"15"}
    for number in range(11):
        await cluster.client.delete(core_v1.Node, f"n{number}")
    assert await told(cluster) == {"15"}
    await cluster.client.delete(core_v1.Node, "n11")
    assert await told(cluster) == {"0"}


async def test_nodes_that_come_at_once_are_told_in_turns(cluster: Cluster) -> None:
    """Thirty are told at once, then twenty a second, so that what can wait does not hold up what cannot."""
    for number in range(80):
        await cluster.client.create(core_v1.Node(metadata=ObjectMeta(name=f"n{number}")))
    counts = []
    for _ in range(4):
        await cluster.settle()
        nodes = (await cluster.client.list(core_v1.Node)).items
        counts.append(sum(ANNOTATION in node.metadata.annotations for node in nodes))
        await cluster.clock.advance(seconds=1.01)
    assert counts == [30, 50, 70, 80]
