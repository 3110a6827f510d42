"""nftables, reached through the `nft` command: one script is one transaction.

A Protocol, so that what computes rules is tested without a kernel. Upstream: sigs.k8s.io/knftables.
"""

import asyncio
import os
import shutil
from abc import abstractmethod
from typing import Protocol


class NftablesError(Exception):
    """A transaction was refused, and nothing of it is in force; the text is nft's."""


class Nftables(Protocol):
    """One network namespace's rules."""

    @abstractmethod
    async def apply(self, script: str) -> None:
        """Run a script as one transaction.

        Raises:
            NftablesError: it was refused as a whole.
        """

    @abstractmethod
    async def list_table(self, family: str, table: str) -> str:
        """Return a table as text, empty when there is none; elements that come and go by themselves are left out."""


class NftCommand(Nftables):
    """The real one."""

    def __init__(self, path: str) -> None:
        self.path = path

    @classmethod
    def find(cls) -> "NftCommand | None":
        """Return the command of this machine, None when it has none."""
        path = shutil.which("nft", path="/usr/sbin:/sbin:/usr/local/sbin:/usr/bin:/bin")
        return None if path is None else cls(path)

    async def apply(self, script: str) -> None:
        code, _, complaint = await self._run("-f", "-", text=script)
        if code != 0:
            raise NftablesError(complaint.strip())

    async def list_table(self, family: str, table: str) -> str:
        code, text, _ = await self._run("--terse", "--stateless", "list", "table", family, table)
        return text if code == 0 else ""

    async def _run(self, *arguments: str, text: str = "") -> tuple[int, str, str]:
        # A file, since nft may have ended before a pipe would have been written to.
        with os.fdopen(os.memfd_create("nft"), "w+") as script:
            script.write(text)
            script.seek(0)
            process = await asyncio.create_subprocess_exec(
                self.path, *arguments, stdin=script, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
            )
        try:
            out, err = await process.communicate()
        except BaseException:
            if process.returncode is None:
                process.kill()
                await process.wait()
            raise
        return process.returncode or 0, out.decode(), err.decode()
