"""A server that is killed in the middle of writes loses none that it has answered."""

import random
import subprocess
import sys
from pathlib import Path

from pinnace.component.clock import RealClock
from pinnace.store.sqlite import open_sqlite

WRITER = Path(__file__).with_name("writer.py")
ROUNDS = 8


async def test_kill_in_the_middle_of_writes_loses_no_answered_write(tmp_path: Path) -> None:
    """Over several kills every answered write is there at its revision, and no revision is given twice."""
    path = tmp_path / "state.db"
    answered: dict[str, int] = {}
    chance = random.Random(1)
    for number in range(ROUNDS):
        command = [sys.executable, str(WRITER), "sqlite", str(path), f"r{number}"]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as writer:
            assert writer.stdout is not None
            lines = [writer.stdout.readline() for _ in range(chance.randint(50, 400))]
            writer.kill()
            lines += writer.stdout.read().splitlines(keepends=True)
        newest = max(answered.values(), default=0)
        for line in lines:
            if line.endswith(b"\n"):
                key, revision = line.decode().split()
                assert int(revision) > newest
                answered[key] = int(revision)
        assert len(set(answered.values())) == len(answered)
        async with open_sqlite(path, RealClock()) as store:
            stored = {item.key: int(item.mod_revision) for item in (await store.list("/")).items}
        assert {key: stored.get(key) for key in answered} == answered
    assert len(answered) >= ROUNDS * 50
