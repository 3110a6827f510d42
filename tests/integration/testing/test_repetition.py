"""The same seed gives the same run."""

import os
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).with_name("event_log.py")


def run(seed: int, hash_seed: str) -> list[str]:
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    command = [sys.executable, str(SCRIPT), str(seed)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60, env=environment)
    return done.stdout.splitlines()


def test_same_seed_gives_the_same_event_log_whatever_the_hash_seed() -> None:
    """Every event of every kind, with its time, in its order, is the same in two processes whose sets are ordered differently."""
    first, second = run(7, "1"), run(7, "2")
    assert len(first) > 200
    for number, (one, two) in enumerate(zip(first, second, strict=False)):
        assert one == two, f"event {number} differs"
    assert len(first) == len(second)


def test_other_seed_gives_another_event_log() -> None:
    """Names and identities come from the seed."""
    assert run(7, "1") != run(8, "1")
