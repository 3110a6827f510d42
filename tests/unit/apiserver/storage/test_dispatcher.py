"""The dispatcher: what the store commits, as caches and watchers see it."""

import asyncio

from pinnace.api.core_v1 import ConfigMap
from pinnace.api.meta_v1 import ObjectMeta
from pinnace.api.resources import by_type
from pinnace.apiserver.storage import Storage
from pinnace.component.clock import VirtualClock
from pinnace.store.memory import open_memory


async def test_writes_of_one_moment_reach_a_watcher_in_one_send():
    """Whoever takes events at once is handed all that the store shows together, in order, and each of them once."""
    clock, taken = VirtualClock(), []
    async with open_memory(clock) as store:
        storage = Storage(store, clock)
        maps = storage.add(by_type(ConfigMap), fields_of=lambda obj: {"metadata.name": obj.metadata.name})
        async with storage.running(), maps.watch("default") as watcher:
            watcher.divert(lambda burst: taken.append([event.entry.name for event in burst.events]) or True)
            async with asyncio.TaskGroup() as group:
                for name in "abc":
                    group.create_task(maps.create(ConfigMap(metadata=ObjectMeta(name=name, namespace="default"))))
            assert watcher.is_idle
    assert taken == [["a", "b", "c"]]
