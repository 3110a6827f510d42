"""The `nft` command as a process: scripts reach it whole, and how it ends is no surprise."""

import asyncio
from pathlib import Path

import pytest
import uvloop

from pinnace.network.nftables import NftablesError, NftCommand

RUNS = 300


def command(folder: Path, script: str) -> NftCommand:
    """A program that stands in for nft."""
    path = folder / "nft"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return NftCommand(str(path))


def test_command_that_reads_nothing_may_end_at_once(tmp_path: Path) -> None:
    """The server's event loop refuses to write to a process that has gone; listing a table needs no writing."""
    nft = command(tmp_path, "exit 0")

    async def look() -> list[str]:
        return [
            text
            for _ in range(RUNS // 10)
            for text in await asyncio.gather(*(nft.list_table("ip", "t") for _ in range(10)))
        ]

    assert uvloop.run(look()) == [""] * RUNS
    print(f"{RUNS} looks")


async def test_script_is_read_whole(tmp_path: Path) -> None:
    """A script larger than a pipe holds arrives to its last byte."""
    nft = command(tmp_path, f"cat > {tmp_path}/seen")
    script = "add element ip t s { 10.0.0.1 }\n" * 20_000
    await nft.apply(script)
    assert (tmp_path / "seen").read_text() == script


async def test_refusal_carries_the_words_of_nft(tmp_path: Path) -> None:
    """What nft complains of is what the error says."""
    nft = command(tmp_path, "echo 'syntax error' >&2; exit 1")
    with pytest.raises(NftablesError, match="syntax error"):
        await nft.apply("nonsense")
