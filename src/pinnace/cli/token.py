"""`pinnace token`: what lets new nodes in."""

from pathlib import Path

import click
import msgspec

from pinnace.cli.administrator import as_administrator, new_token
from pinnace.cli.options import cluster_options, fail, paths_of
from pinnace.cluster.paths import ClusterPaths
from pinnace.cluster.token_secrets import delete_token, list_tokens
from pinnace.component.http import HttpError
from pinnace.component.kubeconfig import KubeconfigError
from pinnace.component.tls import public_key_pin
from pinnace.machinery.errors import ApiError, NotFound

_FAILURES = (ApiError, HttpError, KubeconfigError, OSError)


@click.group()
def token() -> None:
    """Make, list and delete the tokens that let new nodes in."""


@token.command()
@cluster_options
@click.option("--ttl", "hours", type=click.FloatRange(0), default=24, show_default=True, help="Hours; 0: for ever.")
@click.option("--description", default="", help="What it is for.")
def create(name: str, data_dir: Path | None, hours: float, description: str) -> None:
    """Make a token, and print the command that makes another machine a node."""
    paths = _paths(name, data_dir)
    try:
        made, server = new_token(paths, hours * 3600, description)
        pin = public_key_pin((paths.pki / "ca.crt").read_bytes())
    except _FAILURES as error:
        fail(f"no token was made: {error}")
    click.echo(f"pinnace agent --server {server} --token {made.text} --ca-hash {pin}")


@token.command("list")
@cluster_options
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
def list_all(name: str, data_dir: Path | None, output: str) -> None:
    """List the tokens; their secrets are left out."""
    try:
        found = as_administrator(_paths(name, data_dir), list_tokens)
    except _FAILURES as error:
        fail(f"tokens cannot be listed: {error}")
    if output == "json":
        rows = [{"id": one.id, "expiration": one.expiration, "description": one.description} for one in found]
        click.echo(msgspec.json.encode(rows))
        return
    click.echo(f"{'ID':<8} {'EXPIRES':<22} DESCRIPTION")
    for one in found:
        click.echo(f"{one.id:<8} {one.expiration or '<never>':<22} {one.description or '<none>'}")


@token.command()
@cluster_options
@click.argument("token_id", metavar="ID")
def delete(name: str, data_dir: Path | None, token_id: str) -> None:
    """Delete a token, named by its ID or as a whole; nodes that joined by it stay."""
    wanted = token_id.partition(".")[0]
    try:
        as_administrator(_paths(name, data_dir), lambda client: delete_token(client, wanted))
    except NotFound:
        fail(f"there is no token {wanted!r}: see `pinnace token list`")
    except _FAILURES as error:
        fail(f"the token cannot be deleted: {error}")
    click.echo(f"token {wanted}: deleted", err=True)


def _paths(name: str, data_dir: Path | None) -> ClusterPaths:
    paths = paths_of(name, data_dir)
    if not paths.admin_kubeconfig.exists():
        fail(f"there is no cluster {name!r} in {paths.root}: start one with `pinnace up`")
    return paths
