import asyncio
import os
import signal

import pytest

from pinnace.component import signals


@pytest.fixture
def ends(monkeypatch):
    """What the process would have ended with."""
    codes = []
    monkeypatch.setattr(signals.os, "_exit", codes.append)
    return codes


@pytest.mark.parametrize("number", signals.TERMINATION_SIGNALS)
async def test_first_signal_asks_for_an_orderly_end(ends, number):
    """The waiter learns which signal it was, and the process lives."""
    with signals.handle_termination() as termination:
        waiting = asyncio.ensure_future(termination.wait_terminated())
        os.kill(os.getpid(), number)
        assert await waiting is number
    assert ends == []


async def test_second_signal_ends_the_process_at_once(ends):
    """Whoever presses Ctrl-C twice does not want to wait; the code is the shell's for that signal."""
    with signals.handle_termination() as termination:
        os.kill(os.getpid(), signal.SIGTERM)
        await termination.wait_terminated()
        termination.ask(signal.SIGINT)
    assert ends == [128 + signal.SIGINT]


async def test_hangup_ends_nothing(ends):
    """A closed terminal is told to who wants to know, and otherwise ignored."""
    heard = asyncio.Event()
    with signals.handle_termination(heard.set) as termination:
        os.kill(os.getpid(), signal.SIGHUP)
        await heard.wait()
        assert termination.signal is None
    with signals.handle_termination() as termination:
        os.kill(os.getpid(), signal.SIGHUP)
        await asyncio.sleep(0)
        assert termination.signal is None
    assert ends == []


async def test_signals_do_again_what_they_did_after_the_block():
    """No handler outlives its block."""
    before = signal.getsignal(signal.SIGTERM)
    with signals.handle_termination():
        assert signal.getsignal(signal.SIGTERM) != before
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
