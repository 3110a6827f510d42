"""Reading logs as the runtime writes them."""

from __future__ import annotations

from pathlib import Path

import pytest

from pinnace.component.clock import RealClock
from pinnace.kubelet.logs import LogOptions, read

LINES = (
    b"2026-01-01T00:00:00.000000001Z stdout F one\n"
    b"2026-01-01T00:00:01.000000000Z stdout P tw\n"
    b"2026-01-01T00:00:01.000000000Z stdout F o\n"
    b"2026-01-01T00:00:02.000000000Z stderr F three\n"
)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        pytest.param(LogOptions(), b"one\ntwo\nthree\n", id="all"),
        pytest.param(LogOptions(tail_lines=2), b"two\nthree\n", id="tail-joins-parts"),
        pytest.param(LogOptions(tail_lines=0), b"", id="tail-none"),
        pytest.param(LogOptions(limit_bytes=5), b"one\nt", id="limited"),
        pytest.param(LogOptions(since=1767225602.0), b"three\n", id="since"),
        pytest.param(
            LogOptions(timestamps=True, tail_lines=1), b"2026-01-01T00:00:02.000000000Z three\n", id="timestamps"
        ),
    ],
)
async def test_log_options_choose_the_part(tmp_path: Path, options: LogOptions, text: bytes) -> None:
    """Each option cuts as the API says."""
    path = tmp_path / "0.log"
    path.write_bytes(LINES)
    parts = [chunk async for chunk in read(path, options, RealClock(), lambda: False)]
    assert b"".join(parts) == text
