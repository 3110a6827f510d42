"""Cluster DNS as a program: informers, sockets, and one page each for health, readiness and metrics.

It is a process of its own so that names go on resolving while the server is away: what the informers have seen stays. Its address is
that of the node's DNS endpoint, to which the Service `kube-dns` leads.
"""

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from msgspec import Struct, field

from pinnace.client import Client, InformerFactory
from pinnace.component.clock import Clock
from pinnace.component.http import Handler, Request, Response
from pinnace.component.http.server import serve
from pinnace.component.lifecycle import running
from pinnace.component.logging import get_logger
from pinnace.component.metrics import Metrics
from pinnace.network.dns.forward import Forwarder, resolvers
from pinnace.network.dns.server import DnsServer
from pinnace.network.dns.zone import Zone, ZoneConfig

_log = get_logger("dns")


class DnsConfig(Struct, frozen=True):
    """Where to listen, what to answer for, and where to find the servers for everything else.

    `metrics_port` 0 opens no page.
    """

    host: str
    port: int
    zone: ZoneConfig = field(default_factory=ZoneConfig)
    resolv_conf: Path = Path("/etc/resolv.conf")
    metrics_port: int = 0


@asynccontextmanager
async def dns_server(config: DnsConfig, client: Client, clock: Clock) -> AsyncIterator[int]:
    """Answer while the body runs; gives the port.

    Raises:
        OSError: the address cannot be listened on.
    """
    metrics = Metrics(process=True)
    source = random.SystemRandom()
    informers = InformerFactory(client, clock)
    zone = Zone(informers, config.zone)
    # A server that is named in the file and is this one would be asked for ever.
    servers = resolvers(config.resolv_conf, leave_out=(config.zone.address, config.host))
    server = DnsServer(zone, Forwarder(servers, clock, source), clock, source, metrics)
    async with server.listening(config.host, config.port) as port, running("dns informers", informers.run):
        _log.info("answering", host=config.host, port=port, forward=[one.host for one in servers])
        if not config.metrics_port:
            yield port
            return
        async with serve(_pages(zone, metrics), config.host, config.metrics_port, clock=clock):
            yield port


def _pages(zone: Zone, metrics: Metrics) -> Handler:
    async def handle(request: Request) -> Response:
        match request.path:
            case "/health":
                return Response(body=b"OK")
            case "/ready":
                return Response(body=b"OK") if zone.is_ready else Response(503, body=b"kubernetes")
            case "/metrics":
                return metrics.response()
            case _:
                return Response(404, body=b"404 page not found\n")

    return handle
