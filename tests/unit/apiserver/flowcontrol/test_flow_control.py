"""Seats, queues and turns: who is served next when there are more requests than seats."""

import asyncio
import itertools
import random
from dataclasses import dataclass

import pytest
from msgspec.structs import replace

from pinnace.api.flowcontrol_v1 import (
    FlowSchema,
    LimitedPriorityLevelConfiguration,
    PriorityLevelConfiguration,
    PriorityLevelConfigurationSpec,
    Subject,
    UserSubject,
)
from pinnace.api.meta_v1 import ObjectMeta
from pinnace.apiserver.endpoints import request_info
from pinnace.apiserver.flowcontrol import FlowControl, Rejected, Turns
from pinnace.apiserver.flowcontrol.controller import width_of_list
from pinnace.apiserver.flowcontrol.metrics import FlowControlCollector
from pinnace.apiserver.flowcontrol.priority_level import deal
from pinnace.apiserver.flowcontrol.seats import limits_of
from pinnace.apiserver.registry.flowcontrol import mandatory
from pinnace.component.clock import VirtualClock
from pinnace.component.http import Request, UserInfo
from pinnace.component.metrics import Metrics

ANN, BOB = (UserInfo(name, groups=("system:authenticated",)) for name in ("ann", "bob"))
NODE = UserInfo("system:node:n1", groups=("system:nodes",))
ROOT = UserInfo("root", groups=("system:masters",))
LIST = request_info.parse(Request("GET", "/api/v1/namespaces/ns/pods"))
LEASE = request_info.parse(Request("PUT", "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/n1"))


@dataclass
class Entry:
    object: object


class Objects:
    """What is configured, as a storage shows it."""

    def __init__(self, objects):
        self.objects = list(objects)
        self.changed = 1

    def current(self):
        return map(Entry, self.objects)


def levels(specs):
    return [
        PriorityLevelConfiguration(metadata=ObjectMeta(name=name, uid=f"l-{name}"), spec=specs[name]) for name in specs
    ]


def flow_control(seats, clock, **further):
    schemas = {**mandatory.FLOW_SCHEMAS, **mandatory.SUGGESTED_FLOW_SCHEMAS, **further}
    return FlowControl(
        Objects(
            FlowSchema(metadata=ObjectMeta(name=name, uid=f"s-{name}"), spec=spec) for name, spec in schemas.items()
        ),
        Objects(levels({**mandatory.PRIORITY_LEVELS, **mandatory.SUGGESTED_PRIORITY_LEVELS})),
        seats,
        clock,
    )


def hand_of(flow):
    """The queues that a flow is dealt."""
    return set(deal(flow.hash, len(flow.level._queues), flow.level._hand))


def apart_from(flow, other):
    """The other flow under a text that deals it queues of its own: which numbers texts have is not what is tested."""
    named = (replace(other, text=f"{other.text} {number}") for number in itertools.count())
    return next(one for one in named if hand_of(one).isdisjoint(hand_of(flow)))


def test_nominal_seats_follow_the_shares():
    """600 seats by 245 shares, rounded up; what may be lent is not sure."""
    limits = limits_of(levels({**mandatory.PRIORITY_LEVELS, **mandatory.SUGGESTED_PRIORITY_LEVELS}), 600)
    assert {name: (one.nominal, one.least) for name, one in limits.items()} == {
        "catch-all": (13, 13),
        "global-default": (49, 25),
        "leader-election": (25, 25),
        "node-high": (98, 74),
        "system": (74, 50),
        "workload-high": (98, 49),
        "workload-low": (245, 25),
    }


async def test_users_of_one_schema_have_flows_of_their_own():
    """What schemas make of a request is remembered for all nodes; which flow it is of goes by the node."""
    control = flow_control(600, VirtualClock())
    other = UserInfo("system:node:n2", groups=NODE.groups)
    first, second, again = (control.classify(LEASE, user) for user in (NODE, other, NODE))
    assert first.counts is second.counts
    assert first.hash != second.hash
    assert first.hash == again.hash


async def test_schema_that_names_a_user_takes_that_user_only():
    """A user whom a schema names is not taken for another of the same groups, whoever asks first."""
    rule = replace(
        mandatory.FLOW_SCHEMAS["catch-all"].rules[0], subjects=(Subject(kind="User", user=UserSubject(name="ann")),)
    )
    spec = replace(mandatory.FLOW_SCHEMAS["catch-all"], matching_precedence=1, rules=(rule,))
    control = flow_control(600, VirtualClock(), mine=spec)
    names = [control.classify(LIST, user).counts.name for user in (BOB, ANN, BOB, ANN)]
    assert names == ["global-default", "mine", "global-default", "mine"]


async def test_flood_of_one_level_leaves_another_its_own():
    """However many lists people send, a node's lease finds a seat at once."""
    control = flow_control(60, VirtualClock())
    people, node = control.classify(LIST, ANN), control.classify(LEASE, NODE)
    taken = 0
    while people.level.take(1):
        taken += 1
    assert taken < 60
    assert node.level.take(1)


async def test_idle_seats_are_lent():
    """A level alone gets more than its nominal share."""
    control = flow_control(600, VirtualClock())
    people = control.classify(LIST, ANN)
    taken = sum(people.level.take(1) for _ in range(600))
    assert taken > people.level.holder.limits.nominal


async def test_borrowing_can_be_forbidden():
    """A level with a borrowing limit of nothing stays at its nominal share."""
    spec = PriorityLevelConfigurationSpec(
        type="Limited",
        limited=LimitedPriorityLevelConfiguration(nominal_concurrency_shares=1, borrowing_limit_percent=0),
    )
    limits = limits_of(levels({"a": spec, "b": mandatory.PRIORITY_LEVELS["catch-all"]}), 60)
    assert (limits["a"].nominal, limits["a"].most) == (10, 10)


async def test_waiting_flows_get_seats_in_turn():
    """The one request of a quiet user, whose queues are not all the loud one's, waits behind none of that one's but its turn's."""
    control = flow_control(20, VirtualClock())
    loud = control.classify(LIST, ANN)
    quiet = apart_from(loud, control.classify(LIST, BOB))
    seated = []

    async def ask(flow, name):
        await control.seat(flow, 1)
        seated.append(name)

    async with asyncio.TaskGroup() as group:
        taken = 0
        while loud.level.take(1):
            loud.counts.executing += 1
            taken += 1
        tasks = [group.create_task(ask(loud, "loud")) for _ in range(20)]
        tasks.append(group.create_task(ask(quiet, "quiet")))
        while loud.level.waiting < 21:
            await asyncio.sleep(0)
        for _ in range(len(hand_of(loud)) + 1):
            control.give_back(loud, 1)
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert "quiet" in seated
        for task in tasks:
            task.cancel()
    assert loud.level.waiting == 0


async def test_queue_has_an_end():
    """A flow whose queues are full is refused, and counted."""
    control = flow_control(20, VirtualClock())
    flow = control.classify(LIST, ANN)
    while flow.level.take(1):
        pass
    async with asyncio.TaskGroup() as group:
        room = len(hand_of(flow)) * flow.level._length
        tasks = [group.create_task(control.seat(flow, 1)) for _ in range(room)]
        while flow.level.waiting < room:
            await asyncio.sleep(0)
        with pytest.raises(Rejected, match="queue-full"):
            await control.seat(flow, 1)
        for task in tasks:
            task.cancel()
    assert flow.counts.rejected == {"queue-full": 1}


async def test_level_without_queues_refuses_at_once():
    """What nobody else takes goes to catch-all, which keeps nobody waiting."""
    control = flow_control(20, VirtualClock())
    control._configured[0].objects = [one for one in control._configured[0].objects if one.metadata.name == "catch-all"]
    flow = control.classify(LIST, ANN)
    while flow.level.take(1):
        pass
    with pytest.raises(Rejected, match="concurrency-limit"):
        await control.seat(flow, 1)


async def test_waiting_ends_after_a_quarter_of_the_requests_time():
    """Fifteen seconds without a seat are enough."""
    clock = VirtualClock()
    control = flow_control(20, clock)
    flow = control.classify(LIST, ANN)
    while flow.level.take(1):
        pass
    async with asyncio.TaskGroup() as group:
        asking = group.create_task(_outcome(control.seat(flow, 1)))
        await clock.advance(14.9)
        assert not asking.done()
        await clock.advance(0.2)
    assert asking.result() == "time-out"
    assert flow.level.waiting == 0


async def _outcome(asked):
    try:
        await asked
    except Rejected as rejected:
        return rejected.reason
    return "seated"


async def test_masters_are_exempt():
    """An administrator reaches a flooded server."""
    control = flow_control(20, VirtualClock())
    flow = control.classify(LIST, ANN)
    while flow.level.take(1):
        pass
    assert control.classify(LIST, ROOT).level.take(1)


async def test_changed_configuration_counts_at_once():
    """A schema that sends a user elsewhere does so from the next request; seats go back where they came from."""
    control = flow_control(600, VirtualClock())
    before = control.classify(LIST, ANN)
    await control.seat(before, 1)
    schemas = control._configured[0]
    schemas.objects = [one for one in schemas.objects if one.metadata.name != "global-default"]
    schemas.changed += 1
    after = control.classify(LIST, ANN)
    assert (before.level.name, after.level.name) == ("global-default", "catch-all")
    control.give_back(before, 1)
    assert before.level.holder.in_use == after.level.holder.in_use == 0


def test_headers_name_schema_and_level():
    """Clients see which schema and level took their request."""
    flow = flow_control(600, VirtualClock()).classify(LEASE, NODE)
    assert flow.headers == (
        ("X-Kubernetes-PF-FlowSchema-UID", "s-system-node-high"),
        ("X-Kubernetes-PF-PriorityLevel-UID", "l-node-high"),
    )


def test_hand_has_no_card_twice():
    """Every number deals different cards from the deck."""
    chance = random.Random(64)
    hands = [deal(chance.getrandbits(64), 64, 6) for _ in range(2000)]
    assert all(len(set(hand)) == 6 and max(hand) < 64 and min(hand) >= 0 for hand in hands)
    # Each card is dealt first, and last, to somebody: 2000 hands of 64 cards leave none out but by a defect.
    assert {hand[0] for hand in hands} == {hand[-1] for hand in hands} == set(range(64))


@pytest.mark.parametrize(("objects", "seats"), [(0, 1), (100, 1), (101, 2), (1000, 10), (12_000, 10)])
def test_long_lists_take_more_seats(objects, seats):
    """A seat for each hundred objects, ten at most."""
    assert width_of_list(objects) == seats


async def test_turns_leave_room_between_them():
    """Of many that are ready at once one runs in each round, and whoever is quick comes between."""
    turns, order = Turns(VirtualClock()), []

    async def slow(number):
        async with turns.turn():
            order.append(number)

    async def quick():
        order.append("quick")

    async with asyncio.TaskGroup() as group:
        for number in range(20):
            group.create_task(slow(number))
        await asyncio.sleep(0)
        group.create_task(quick())
    assert order.index("quick") <= 2
    assert [one for one in order if one != "quick"] == list(range(20))


async def test_metrics_have_upstreams_names():
    """What was served and refused can be read from /metrics."""
    control = flow_control(600, VirtualClock())
    metrics = Metrics()
    metrics.registry.register(FlowControlCollector(control))
    flow = control.classify(LEASE, NODE)
    await control.seat(flow, 1)
    text = metrics.response().body.decode()
    labels = '{flow_schema="system-node-high",priority_level="node-high"} 1.0'
    assert f"apiserver_flowcontrol_dispatched_requests_total{labels}" in text
    assert f"apiserver_flowcontrol_current_executing_requests{labels}" in text
    assert 'apiserver_flowcontrol_nominal_limit_seats{priority_level="node-high"} 98.0' in text
