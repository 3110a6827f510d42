"""Serves an API server over the memory store, alone: for recordings, benchmarks and a look by hand.

Prints one line, `READY <url> <folder>`, when it answers; the folder holds ca.crt, admin.crt and admin.key. Runs until it is
terminated.
"""

import argparse
import asyncio
import logging
import os
import signal
from pathlib import Path

import uvloop

from pinnace.apiserver.compose import api_server
from pinnace.apiserver.config import ApiServerConfig
from pinnace.apiserver.service_account_tokens import SigningKey
from pinnace.component.clock import RealClock
from pinnace.component.http import UserInfo
from pinnace.component.http.server import serve
from pinnace.component.identity import system_identity
from pinnace.component.logging import configure
from pinnace.component.tls import CertificateAuthority, server_context
from pinnace.store.memory import open_memory


async def main(folder: Path, port: int) -> None:
    clock = RealClock()
    authority = CertificateAuthority.create("test", clock.time())
    pair = authority.issue_server("localhost", ["localhost", "127.0.0.1"], clock.time())
    admin = authority.issue_client("kubernetes-admin", ["system:masters"], clock.time())
    folder.mkdir(parents=True, exist_ok=True)
    pair.write(folder / "server.crt", folder / "server.key")
    (folder / "ca.crt").write_bytes(authority.certificate_pem)
    admin.write(folder / "admin.crt", folder / "admin.key")
    # For clients that cannot show a certificate, such as wrk; no token means no such user.
    token = os.environ.get("PINNACE_TEST_TOKEN", "")
    tokens = {token: UserInfo("test", groups=("system:masters",))} if token else {}
    stop = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    configure(level=logging.WARNING)
    async with open_memory(clock) as store:
        server = api_server(
            ApiServerConfig(),
            store,
            clock=clock,
            identity=system_identity(),
            signing_key=SigningKey(),
            tokens=tokens,
        )
        async with (
            server.running(),
            serve(
                server.handle,
                "127.0.0.1",
                port,
                ssl_context=server_context(pair, authority.certificate_pem),
                clock=clock,
            ) as listening,
            server.accepting(),
        ):
            print("READY", f"https://127.0.0.1:{listening.port}", folder, flush=True)
            await stop.wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--port", type=int, default=0)
    arguments = parser.parse_args()
    uvloop.run(main(arguments.folder, arguments.port))
