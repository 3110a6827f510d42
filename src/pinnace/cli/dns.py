"""`pinnace dns`: cluster DNS in the foreground; nodes start it by themselves."""

import logging
from pathlib import Path

import click
import uvloop

from pinnace.cli.options import fail
from pinnace.client import Client, HttpTransport
from pinnace.component.clock import RealClock
from pinnace.component.kubeconfig import Access, KubeconfigError, access
from pinnace.component.logging import configure
from pinnace.component.signals import handle_termination
from pinnace.network.dns.app import DnsConfig, dns_server
from pinnace.network.dns.zone import ZoneConfig


@click.command()
@click.option(
    "--kubeconfig", type=click.Path(path_type=Path, dir_okay=False), required=True, help="How to reach the API."
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to answer on.")
@click.option("--port", type=click.IntRange(0, 65535), default=53, show_default=True, help="Port of UDP and TCP.")
@click.option(
    "--metrics-port", type=click.IntRange(0, 65535), default=0, help="Port of /health, /ready, /metrics; 0: none."
)
@click.option("--domain", default="cluster.local", show_default=True, help="The cluster's domain.")
@click.option("--service-address", default="", help="Address of the Service that leads here.")
@click.option(
    "--resolv-conf",
    type=click.Path(path_type=Path),
    default=Path("/etc/resolv.conf"),
    show_default=True,
    help="Names the servers for everything else.",
)
def dns(
    kubeconfig: Path, host: str, port: int, metrics_port: int, domain: str, service_address: str, resolv_conf: Path
) -> None:
    """Answer names of the cluster in the foreground."""
    configure(level=logging.INFO)
    zone = ZoneConfig(domain=domain.strip(".").lower(), address=service_address)
    config = DnsConfig(host, port, zone, resolv_conf, metrics_port)
    try:
        found = access(kubeconfig)
    except KubeconfigError as error:
        fail(str(error))
    try:
        uvloop.run(_serve(config, found))
    except* OSError as group:
        fail(f"cannot answer on {host}:{port}: {group.exceptions[0]}")


async def _serve(config: DnsConfig, found: Access) -> None:
    clock = RealClock()
    transport = HttpTransport.to(found)
    with handle_termination() as termination:
        async with dns_server(config, Client(transport, user_agent="pinnace-dns"), clock):
            await termination.wait_terminated()
    await transport.close()
