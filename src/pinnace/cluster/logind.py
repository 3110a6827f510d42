"""Learns from logind that the machine is about to go down, and holds that back until it is told to let go.

One child process does both: `systemd-inhibit` keeps a lock for as long as its command lives, and the command prints logind's signals. A
lock can only be taken while no shutdown is under way, so one that is held says that none is. How long logind waits at most is its own
setting, `InhibitDelayMaxSec`. Upstream: kubelet `nodeshutdown/systemd/inhibit_linux.go`.
"""

import asyncio
import json
import shutil
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path

_SIGNAL = "type='signal',interface='org.freedesktop.login1.Manager',member='PrepareForShutdown'"
_HELD = "held"
_COMMAND = (
    "systemd-inhibit",
    "--what=shutdown",
    "--mode=delay",
    "--who=kubelet",
    "--why=Kubelet needs time to handle node shutdown",
    "sh",
    "-c",
    f'echo {_HELD}; exec busctl --system --json=short monitor --match="{_SIGNAL}"',
)


def is_there() -> bool:
    """Tell whether this machine has a logind to ask."""
    return Path("/run/systemd/seats").exists() and all(shutil.which(name) for name in ("systemd-inhibit", "busctl"))


async def announcements(command: Sequence[str] = _COMMAND) -> AsyncGenerator[bool, None]:
    """Yield True when the machine is about to go down, False when it is not; it waits until the iterator is closed.

    Ends by itself when the lock cannot be had, or is lost.
    """
    process = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    assert process.stdout is not None
    try:
        async for line in process.stdout:
            text = line.decode().strip()
            yield text != _HELD and bool(json.loads(text)["payload"]["data"][0])
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()
