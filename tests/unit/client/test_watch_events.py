"""What a watch tells: lines to objects, each read once."""

from collections.abc import AsyncIterator

import pytest

from pinnace.api.core_v1 import Node
from pinnace.client.watch_events import events
from pinnace.machinery.errors import Expired

_NODE = b'{"metadata":{"name":"a","managedFields":[{"manager":"kubectl","fieldsType":"FieldsV1","fieldsV1":{}}]}}'


async def _chunks(*chunks: bytes) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


async def test_events_are_found_wherever_the_chunks_are_cut() -> None:
    """A line may come in pieces, and several lines together."""
    text = b'{"type":"ADDED","object":%b}\n{"type":"DELETED","object":%b}\n' % (_NODE, _NODE)
    for cut in (1, 40, len(text) // 2 + 3, len(text) - 1):
        seen = [
            (event.type, event.object.metadata.name) async for event in events(Node, _chunks(text[:cut], text[cut:]))
        ]
        assert seen == [("ADDED", "a"), ("DELETED", "a")]


async def test_event_that_several_follow_is_one_object_without_owners_of_fields() -> None:
    """Who watches the same in one process shares the value, and nobody pays for what nobody asks for."""
    line = b'{"type":"ADDED","object":%b}\n' % _NODE
    first, second = [event.object for _ in range(2) async for event in events(Node, _chunks(line))]
    assert first is second
    assert first.metadata.managed_fields is None


async def test_error_ends_the_watch() -> None:
    """What the server says is raised."""
    line = b'{"type":"ERROR","object":{"kind":"Status","code":410,"reason":"Expired","message":"too old"}}\n'
    with pytest.raises(Expired, match="too old"):
        _ = [event async for event in events(Node, _chunks(line))]
