"""Signals: the one place that listens for SIGTERM and SIGINT.

The first one asks for an orderly end, by ending `wait_terminated`; the blocks around it then unwind in reverse order of their
start. A second one gives up on order: the process ends at once, as a user who presses Ctrl-C twice expects.
"""

import asyncio
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

TERMINATION_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Termination:
    """Whether the process has been asked to end, and by which signal."""

    def __init__(self) -> None:
        self._asked = asyncio.Event()
        self.signal: signal.Signals | None = None

    def ask(self, number: signal.Signals) -> None:
        """Note a signal; the second one kills."""
        if self.signal is not None:
            # 128 + n is what a shell reports for a process that died of signal n.
            os._exit(128 + number)
        self.signal = number
        self._asked.set()

    async def wait_terminated(self) -> signal.Signals:
        """Wait for the first signal and return it."""
        await self._asked.wait()
        assert self.signal is not None
        return self.signal


@contextmanager
def handle_termination(on_hangup: Callable[[], None] | None = None) -> Iterator[Termination]:
    """Listen within the block; on leaving, the signals do again what they did by default.

    `on_hangup` is called at each SIGHUP, which is ignored when it is None (a closed terminal does not end a server).
    """
    loop = asyncio.get_running_loop()
    termination = Termination()
    for number in TERMINATION_SIGNALS:
        loop.add_signal_handler(number, termination.ask, number)
    loop.add_signal_handler(signal.SIGHUP, on_hangup or _ignore)
    try:
        yield termination
    finally:
        for number in (*TERMINATION_SIGNALS, signal.SIGHUP):
            loop.remove_signal_handler(number)


def _ignore() -> None:
    pass
