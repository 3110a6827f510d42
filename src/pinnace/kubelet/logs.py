"""Reads container logs as the runtime writes them: `<time> <stdout|stderr> <F|P> <text>`. Upstream: cri-client `pkg/logs/logs.go`."""

import os
from collections import deque
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from msgspec import Struct

from pinnace.component.clock import Clock
from pinnace.machinery import timestamps

_LOOK_SECONDS = 0.1
_CHUNK_BYTES = 65536


class LogOptions(Struct, frozen=True, kw_only=True):
    """Which part of a log is wanted."""

    follow: bool = False
    timestamps: bool = False
    tail_lines: int | None = None
    limit_bytes: int | None = None
    since: float | None = None


async def read(path: Path, options: LogOptions, clock: Clock, running: Callable[[], bool]) -> AsyncIterator[bytes]:
    """Yield the text of a log; while following, until the container has ended and all was read, also across rotations."""
    left = options.limit_bytes
    file = path.open("rb")
    try:
        if options.tail_lines is not None:
            file.seek(_tail_offset(path, options.tail_lines))
        rest, rotated = b"", False
        while True:
            alive = options.follow and running()
            data = file.read(_CHUNK_BYTES)
            if not data:
                if rotated:
                    file.close()
                    file, rotated = path.open("rb"), False
                elif options.follow and _is_rotated(path, file.fileno()):
                    # Once there is a new file the old one is complete, but not yet read to its end.
                    rotated = True
                elif not alive:
                    return
                else:
                    await clock.sleep(_LOOK_SECONDS)
                continue
            *lines, rest = (rest + data).split(b"\n")
            text = b"".join(_shown(line, options) for line in lines)
            if left is not None:
                text = text[:left]
                left -= len(text)
            if text:
                yield text
            if left == 0:
                return
    finally:
        file.close()


def _is_rotated(path: Path, file: int) -> bool:
    try:
        return path.stat().st_ino != os.fstat(file).st_ino
    except OSError:
        return False


def _tail_offset(path: Path, count: int) -> int:
    """Return where the last lines begin; a line that was written in parts is one."""
    starts: deque[int] = deque(maxlen=max(count, 1))
    position, whole = 0, True
    with path.open("rb") as file:
        for line in file:
            if whole:
                starts.append(position)
            position += len(line)
            whole = line.split(b" ", 3)[2:3] != [b"P"]
    return position if count == 0 or not starts else starts[0]


def _shown(line: bytes, options: LogOptions) -> bytes:
    stamp, _, rest = line.partition(b" ")
    _, _, rest = rest.partition(b" ")
    tag, _, text = rest.partition(b" ")
    if options.since is not None and timestamps.parse(stamp.decode()) < options.since:
        return b""
    end = b"" if tag.split(b":")[0] == b"P" else b"\n"
    return (stamp + b" " if options.timestamps else b"") + text + end
