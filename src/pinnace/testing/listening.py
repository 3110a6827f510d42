"""A way from outside into a test's cluster: a port of its own, and a kubeconfig for it.

The certificates are made for this one listening and live in memory; only the kubeconfig is a file, for its owner alone. They are good by
the machine's clock, since that is what the programs outside go by, while the cluster keeps its own.
"""

import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Never

from pinnace.component.clock import RealClock, VirtualClock
from pinnace.component.http import Handler
from pinnace.component.http.server import serve
from pinnace.component.kubeconfig import Access, tree, write
from pinnace.component.lifecycle import running
from pinnace.component.tls import CA_LIFETIME_SECONDS, CertificateAuthority, server_context

# Real seconds between two steps of a clock that goes on by itself.
_STEP_SECONDS = 0.02


@asynccontextmanager
async def listening(handler: Handler, clock: VirtualClock, *, time_passes: bool) -> AsyncIterator[Path]:
    """Serve the cluster on this machine's loopback while the body runs; gives a kubeconfig for its administrator."""
    machine = RealClock()
    authority = CertificateAuthority.create("pinnace-testing", machine.time())
    server = authority.issue_server("kube-apiserver", ["localhost", "127.0.0.1"], machine.time())
    # The cluster's clock may be moved by years.
    admin = authority.issue_client(
        "kubernetes-admin", ["system:masters"], machine.time(), lifetime_seconds=CA_LIFETIME_SECONDS
    )
    context = server_context(server, authority.certificate_pem)
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pinnace-")))
        listener = await stack.enter_async_context(serve(handler, "127.0.0.1", 0, ssl_context=context, clock=machine))
        if time_passes:
            await stack.enter_async_context(running("passing time", lambda: _pass_time(clock, machine)))
        url = f"https://127.0.0.1:{listener.port}"
        access = Access(url, authority.certificate_pem, admin.certificate_pem, admin.key_pem)
        kubeconfig = folder / "kubeconfig"
        write(kubeconfig, tree("pinnace", access))
        yield kubeconfig


async def _pass_time(clock: VirtualClock, machine: RealClock) -> Never:
    """Move a clock as far as the machine's moves."""
    last = machine.monotonic()
    while True:
        await machine.sleep(_STEP_SECONDS)
        now = machine.monotonic()
        await clock.advance(now - last)
        last = now
