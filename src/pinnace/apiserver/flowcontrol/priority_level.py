"""One priority level: its seats, and the queues in which requests wait for them.

A request of a flow waits in the shortest of the few queues that the flow is dealt, so that a flood of one flow leaves other flows
most of theirs (shuffle sharding). Seats go to the queue that has had the fewest so far; one that was empty starts at the
level's present count, so that nobody saves up. A level without queues refuses at once what finds no seat.

```
  take() ── room, nobody waits ──▶ seated ── give_back() ──▶ done
     └──── else ──▶ waiting ── a seat is given back ──▶ seated
                       └── queue full, or too long ──▶ Rejected
```
Upstream: apiserver `util/flowcontrol/fairqueuing/queueset`, `util/shufflesharding`.
"""

import asyncio
from collections import deque
from collections.abc import Sequence

from pinnace.api.flowcontrol_v1 import PriorityLevelConfiguration
from pinnace.apiserver.flowcontrol.seats import Holder, Limits, Seats
from pinnace.component.clock import Clock

# Seconds that a request may wait for a seat: a quarter of the time it has in all, as upstream has it.
WAIT_SECONDS = 15.0
DEFAULT_QUEUES, DEFAULT_HAND, DEFAULT_LENGTH = 64, 8, 50


class Rejected(Exception):
    """Raised when a request is not to be served; `reason` is the word in the metrics."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class _Waiting:
    __slots__ = ("seated", "width")

    def __init__(self, width: int, seated: "asyncio.Future[None]") -> None:
        self.width = width
        self.seated = seated


class _Queue:
    __slots__ = ("had", "waiting")

    def __init__(self) -> None:
        self.waiting: deque[_Waiting] = deque()
        # Seats given to this queue so far, counted from where the level was when it was last empty.
        self.had = 0


class PriorityLevel:
    """A level, as long as its configuration exists."""

    def __init__(self, name: str, seats: Seats, clock: Clock) -> None:
        self.name = name
        self.uid = ""
        self.is_exempt = False
        self.holder = Holder()
        self.waiting = 0
        self._seats = seats
        self._clock = clock
        self._queues: list[_Queue] = []
        self._hand = self._length = self._had = 0

    def configure(self, level: PriorityLevelConfiguration, limits: Limits | None) -> None:
        """Follow the configuration; who waits already stays where they are. Without limits the level is exempt."""
        self.uid = level.metadata.uid
        self.is_exempt = limits is None
        if limits is not None:
            self.holder.limits = limits
        response = level.spec.limited.limit_response if level.spec.limited is not None else None
        queuing = response.queuing if response is not None and response.type == "Queue" else None
        count = (queuing.queues or DEFAULT_QUEUES) if queuing is not None else 0
        if count != len(self._queues) and not self.waiting:
            self._queues = [_Queue() for _ in range(count)]
        if queuing is not None:
            self._hand = min(queuing.hand_size or DEFAULT_HAND, max(len(self._queues), 1))
            self._length = queuing.queue_length_limit or DEFAULT_LENGTH

    def take(self, width: int) -> bool:
        """Take seats without waiting; False when there are none, or others wait for them."""
        if not self.is_exempt and (self.waiting or not self._seats.has_room(self.holder, width)):
            return False
        self.holder.in_use += width
        return True

    async def wait(self, flow: int, width: int) -> None:
        """Wait for seats.

        Raises:
            Rejected: the level has no queues, the flow's are full, or it took too long.
        """
        if not self._queues:
            raise Rejected("concurrency-limit")
        queue = min((self._queues[card] for card in deal(flow, len(self._queues), self._hand)), key=_length)
        if len(queue.waiting) >= self._length:
            raise Rejected("queue-full")
        if not queue.waiting:
            queue.had = max(queue.had, self._had)
        waiting = _Waiting(width, asyncio.get_running_loop().create_future())
        queue.waiting.append(waiting)
        self.waiting += 1
        try:
            async with self._clock.timeout(WAIT_SECONDS):
                with self._clock.waiting():
                    await waiting.seated
        except BaseException as error:
            self._leave(queue, waiting)
            if isinstance(error, TimeoutError):
                raise Rejected("time-out") from error
            raise

    def give_back(self, width: int) -> None:
        """Give seats back; whoever dispatches sees to those who wait."""
        self.holder.in_use -= width

    def dispatch(self) -> None:
        """Seat those who wait, as far as there is room."""
        while self.waiting:
            queue = min((queue for queue in self._queues if queue.waiting), key=_had)
            waiting = queue.waiting[0]
            if not self._seats.has_room(self.holder, waiting.width):
                return
            queue.waiting.popleft()
            self.waiting -= 1
            self._had = queue.had
            queue.had += waiting.width
            self.holder.in_use += waiting.width
            waiting.seated.set_result(None)

    def _leave(self, queue: _Queue, waiting: _Waiting) -> None:
        """Give up: out of the queue, or, when a seat came in the same moment, back with it."""
        if waiting in queue.waiting:
            queue.waiting.remove(waiting)
            self.waiting -= 1
        else:
            self.give_back(waiting.width)
            self.dispatch()


def _length(queue: _Queue) -> int:
    return len(queue.waiting)


def _had(queue: _Queue) -> int:
    return queue.had


def deal(value: int, deck: int, size: int) -> Sequence[int]:
    """Deal a hand of different cards, determined by a large number."""
    hand: list[int] = []
    for dealt in range(size):
        value, card = divmod(value, deck - dealt)
        for earlier in sorted(hand):
            if card >= earlier:
                card += 1
        hand.append(card)
    return hand
