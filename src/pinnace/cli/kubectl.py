"""`pinnace kubectl`: the installed kubectl, pointed at the cluster."""

import os
import shutil
from pathlib import Path

import click

from pinnace.cli.options import cluster_options, fail, paths_of


@click.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@cluster_options
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def kubectl(name: str, data_dir: Path | None, arguments: tuple[str, ...]) -> None:
    """Run kubectl against the cluster: pinnace kubectl get nodes."""
    program = shutil.which("kubectl")
    if program is None:
        fail("kubectl is not installed: on Debian and Ubuntu, apt-get install kubernetes-client")
    paths = paths_of(name, data_dir)
    if not paths.admin_kubeconfig.exists():
        fail(f"there is no cluster {name!r} in {paths.root}: start one with `pinnace up`")
    os.execv(program, [program, "--kubeconfig", str(paths.admin_kubeconfig), *arguments])  # noqa: S606
