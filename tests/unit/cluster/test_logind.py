"""What is understood of logind's signals."""

from __future__ import annotations

from contextlib import aclosing

from pinnace.cluster import logind

SIGNAL = '{"type":"signal","member":"PrepareForShutdown","payload":{"type":"b","data":[%s]}}'


async def test_lock_and_signals_are_told_in_order() -> None:
    """A held lock says that no shutdown is under way; the signals say when one begins and when it is called off."""
    lines = "\n".join(("held", SIGNAL % "true", SIGNAL % "false"))
    async with aclosing(logind.announcements(("printf", "%s\n", lines))) as found:
        assert [each async for each in found] == [False, True, False]


async def test_lock_is_let_go_when_nobody_listens() -> None:
    """Whoever has heard enough ends the child, and with it the lock."""
    async with aclosing(logind.announcements(("sh", "-c", "echo held; exec sleep 60"))) as found:
        assert not await anext(found)
