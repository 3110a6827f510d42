"""Watchers: who is told of a change, and what ends their wait."""

from pinnace.api.core_v1 import ConfigMap
from pinnace.api.meta_v1 import ObjectMeta
from pinnace.api.resources import by_type
from pinnace.apiserver.storage.entry import Entry, Kind
from pinnace.apiserver.storage.watchers import QUEUE_LIMIT_EVENTS, Burst, Change, Selection, Watcher, Watchers
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


def burst(*changes: Change) -> Burst:
    (made,) = selection().bursts(changes)
    return made


def names(offered: Burst) -> list[str]:
    return [event.entry.name for event in offered.events]


def watcher(clock: VirtualClock, labels: str = "") -> Watcher:
    return Watcher(selection(labels), 0, (), clock)


async def test_reminder_ends_the_wait_with_nothing():
    """Whoever has something else to do gets an empty batch, and the next wait is an ordinary one."""
    one = watcher(VirtualClock())
    one.remind()
    assert await anext(one) == ()
    one.offer(burst(added("a", 1)))
    (event,) = await anext(one)
    assert event.entry.name == "a"


async def test_reminder_among_events_is_not_lost():
    """Events come first, and the reminder after them, however close together they were."""
    clock = VirtualClock()
    one = watcher(clock)
    one.offer(burst(added("a", 1)))
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
    all_.note(added("a", 1, app="db"))
    all_.tell()
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
    one.divert(lambda offered: taken.extend(names(offered)) or True)
    for revision, name in enumerate("abc", start=1):
        one.offer(burst(added(name, revision)))
    assert taken == ["a", "b", "c"]
    assert one.is_idle
    assert clock.held() == {}


async def test_refused_events_are_iterated_and_overtaken_by_none():
    """While one event waits, those behind it wait as well, though they would be taken."""
    has_room, taken = [True, False, True, True], []
    one = watcher(VirtualClock())
    one.divert(lambda offered: has_room.pop(0) and (taken.extend(names(offered)) or True))
    for revision, name in enumerate("abc", start=1):
        one.offer(burst(added(name, revision)))
    assert taken == ["a"]
    assert [event.entry.name for event in await anext(one)] == ["b", "c"]
    one.offer(burst(added("d", 4)))
    assert taken == ["a", "d"]


async def test_bookmark_is_never_older_than_what_was_handed_over():
    """A revision that was asked for before an event came is no place to say that the client is at."""
    one = watcher(VirtualClock())
    one.divert(lambda _: True)
    assert one.is_at(0)
    one.offer(burst(added("a", 5)))
    assert not one.is_at(4)
    assert one.is_at(5)


async def test_changes_that_are_told_together_are_handed_over_together():
    """A connection gets several events in one send, made once for all who select alike."""
    made, taken = [], []

    def make(events):
        made.append(events)
        return tuple(event.entry.name for event in events)

    clock, all_ = VirtualClock(), Watchers(frozenset())
    for _ in range(3):
        one = watcher(clock)
        one.divert(lambda offered: taken.append(offered.sent_as(make)) or True)
        all_.add(one)
    for revision, name in enumerate("abc", start=1):
        all_.note(added(name, revision))
    assert taken == []
    all_.tell()
    assert taken == [("a", "b", "c")] * 3
    assert len(made) == 1
    all_.tell()
    assert len(taken) == 3


async def test_watcher_is_told_what_is_new_to_it_only():
    """Of events told together, those that the client knows already are left out."""
    one = Watcher(selection(), 2, (), VirtualClock())
    one.offer(burst(added("a", 1), added("b", 2)))
    assert one.is_idle
    one.offer(burst(added("b", 2), added("c", 3), added("d", 4)))
    assert [event.entry.name for event in await anext(one)] == ["c", "d"]


async def test_large_events_are_told_apart():
    """One send does not grow with the size of objects: a client that does not read is noticed in between."""
    large = "x" * 40_000
    changes = [added(name, revision, note=large) for revision, name in enumerate("abcde", start=1)]
    assert [names(some) for some in selection().bursts(changes)] == [["a", "b"], ["c", "d"], ["e"]]


async def test_watcher_that_falls_behind_is_ended():
    """The queue holds so many events and no more; whoever lets it fill up lists anew."""
    one = watcher(VirtualClock())
    change = added("a", 1)
    one.offer(Burst((change.seen_as("ADDED"),) * QUEUE_LIMIT_EVENTS))
    assert not one.is_too_slow
    one.offer(burst(added("b", 2)))
    assert one.is_too_slow
    assert [batch async for batch in one] == []
