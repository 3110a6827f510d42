"""What a server that starts says in its log, for the command that waits for it: its steps as they are done, and why it ended.

The server writes for the eyes of whoever runs it in the foreground, one line a step, among the records of its parts. Only what it wrote since
the command began is read, and only whole lines.
"""

from collections.abc import Iterator
from pathlib import Path

# What a line begins with that tells of a step, and one that tells why the server cannot go on.
STEP, COMPLAINT = "✓ ", "pinnace: "


class ServerLog:
    """The log from `begin` on, a number of bytes."""

    def __init__(self, path: Path, begin: int) -> None:
        self._path, self._begin, self._told = path, begin, begin

    def new_steps(self) -> Iterator[str]:
        """Give the steps that were done since the last time, without their mark."""
        with self._path.open("rb") as file:
            file.seek(self._told)
            for line in file:
                if not line.endswith(b"\n"):
                    return
                self._told += len(line)
                text = line.decode(errors="replace").rstrip()
                if text.startswith(STEP):
                    yield text.removeprefix(STEP)

    def last_word(self) -> str:
        """Return the server's last complaint; empty when it made none."""
        with self._path.open("rb") as file:
            file.seek(self._begin)
            lines = file.read().decode(errors="replace").strip().splitlines()
        return next((line.removeprefix(COMPLAINT) for line in reversed(lines) if line.startswith(COMPLAINT)), "")
