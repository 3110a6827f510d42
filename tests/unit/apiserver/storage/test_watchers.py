"""Watchers: who is told of a change, and what ends their wait."""

from pinnace.api.core_v1 import ConfigMap
from pinnace.api.meta_v1 import ObjectMeta
from pinnace.api.resources import by_type
from pinnace.apiserver.storage.entry import Entry, Kind
from pinnace.apiserver.storage.watchers import Change, Selection, Watcher, Watchers
from pinnace.component.clock import VirtualClock
from pinnace.machinery.selectors import FieldSelector, parse_labels

KIND: Kind[ConfigMap] = Kind(by_type(ConfigMap), lambda obj: {"metadata.name": obj.metadata.name})


def entry(name: str, revision: int, **labels: str) -> Entry[ConfigMap]:
    obj = ConfigMap(metadata=ObjectMeta(name=name, namespace="default", labels=labels))
    return KIND.entry(f"configmaps/default/{name}", KIND.encode(obj).data, revision)


def selection(labels: str = "") -> Selection:
    return Selection("default", parse_labels(labels), FieldSelector(()))


def added(name: str, revision: int, **labels: str) -> Change:
    return Change(revision, entry(name, revision, **labels), None, 0.0)


def watcher(clock: VirtualClock, labels: str = "") -> Watcher:
    return Watcher(selection(labels), 0, (), clock)


async def test_reminder_ends_the_wait_with_nothing():
    """Whoever has something else to do gets an empty batch, and the next wait is an ordinary one."""
    one = watcher(VirtualClock())
    one.remind()
    assert await anext(one) == ()
    change = added("a", 1)
    one.offer(change, selection().see(change))
    (event,) = await anext(one)
    assert event.entry.name == "a"


async def test_reminder_among_events_is_not_lost():
    """Events come first, and the reminder after them, however close together they were."""
    clock = VirtualClock()
    one = watcher(clock)
    change = added("a", 1)
    one.offer(change, selection().see(change))
    one.remind()
    assert len(await anext(one)) == 1
    assert clock.held() == {"watch event": 1}
    assert await anext(one) == ()
    assert clock.held() == {}


async def test_change_is_matched_once_for_all_who_select_alike(monkeypatch):
    """A thousand watches of one namespace cost one look at a change."""
    looks = []
    see = Selection.see
    monkeypatch.setattr(Selection, "see", lambda self, change: looks.append(self) or see(self, change))
    clock, all_ = VirtualClock(), Watchers(frozenset())
    some = [watcher(clock) for _ in range(10)]
    others = [watcher(clock, "app=web") for _ in range(10)]
    for one in (*some, *others):
        all_.add(one)
    assert len(all_) == 20
    all_.offer(added("a", 1, app="db"))
    assert len(looks) == 2
    assert [one.is_idle for one in some] == [False] * 10
    assert [one.is_idle for one in others] == [True] * 10
    for one in (*some, *others):
        all_.remove(one)
    assert len(all_) == 0


async def test_diverted_events_wake_nobody():
    """What is taken in the step in which it happens is not iterated, and holds no time up."""
    clock, taken = VirtualClock(), []
    one = watcher(clock)
    one.divert(lambda event: taken.append(event.entry.name) or True)
    for revision, name in enumerate("abc", start=1):
        change = added(name, revision)
        one.offer(change, selection().see(change))
    assert taken == ["a", "b", "c"]
    assert one.is_idle
    assert clock.held() == {}


async def test_refused_events_are_iterated_and_overtaken_by_none():
    """While one event waits, those behind it wait as well, though they would be taken."""
    has_room, taken = [True, False, True, True], []
    one = watcher(VirtualClock())
    one.divert(lambda event: has_room.pop(0) and (taken.append(event.entry.name) or True))
    for revision, name in enumerate("abc", start=1):
        change = added(name, revision)
        one.offer(change, selection().see(change))
    assert taken == ["a"]
    assert [event.entry.name for event in await anext(one)] == ["b", "c"]
    change = added("d", 4)
    one.offer(change, selection().see(change))
    assert taken == ["a", "d"]


async def test_bookmark_is_never_older_than_what_was_handed_over():
    """A revision that was asked for before an event came is no place to say that the client is at."""
    one = watcher(VirtualClock())
    one.divert(lambda _: True)
    assert one.is_at(0)
    change = added("a", 5)
    one.offer(change, selection().see(change))
    assert not one.is_at(4)
    assert one.is_at(5)
