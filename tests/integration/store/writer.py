"""Writes without end to a store, or to a plain file as a control, and prints each write once it is answered.

Usage: writer.py sqlite|raw FILE ROUND. A line is `key revision`; the tests kill the process at any moment.
"""

import asyncio
import os
import sys
from pathlib import Path

from pinnace.component.clock import RealClock
from pinnace.store.interface import Store
from pinnace.store.sqlite import open_sqlite

WRITERS = 8


async def _write(store: Store, name: str) -> None:
    number = 0
    while True:
        key = f"/{name}/{number}"
        revision = await store.create(key, key.encode() * 50)
        os.write(1, f"{key} {revision}\n".encode())
        number += 1


async def _write_store(path: Path, label: str) -> None:
    async with open_sqlite(path, RealClock()) as store, asyncio.TaskGroup() as group:
        for number in range(WRITERS):
            group.create_task(_write(store, f"{label}-{number}"), name=f"writer {number}")


def _write_raw(path: Path, label: str) -> None:
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    number = 0
    while True:
        line = f"/{label}/{number} {number}\n".encode()
        os.write(file, line)
        os.fdatasync(file)
        os.write(1, line)
        number += 1


if __name__ == "__main__":
    kind, target, label = sys.argv[1:]
    if kind == "raw":
        _write_raw(Path(target), label)
    else:
        asyncio.run(_write_store(Path(target), label))
