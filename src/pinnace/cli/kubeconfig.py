"""`pinnace kubeconfig`: the administrator's way in."""

from pathlib import Path

import click

from pinnace.cli.options import cluster_options, fail, paths_of
from pinnace.component.kubeconfig import KubeconfigError, access, merge, user_file


@click.command()
@cluster_options
@click.option("--merge", "merging", is_flag=True, help="Put it into your kubeconfig instead of printing it.")
@click.option("--use", is_flag=True, help="With --merge: make its context the current one.")
def kubeconfig(name: str, data_dir: Path | None, *, merging: bool, use: bool) -> None:
    """Print the administrator's kubeconfig, or merge it into yours."""
    paths = paths_of(name, data_dir)
    if not paths.admin_kubeconfig.exists():
        fail(f"there is no cluster {name!r} in {paths.root}: start one with `pinnace up`")
    if not merging:
        click.echo(paths.admin_kubeconfig.read_text(), nl=False)
        return
    try:
        merge(user_file(), name, access(paths.admin_kubeconfig), use=use)
    except (KubeconfigError, OSError) as error:
        fail(str(error))
    click.echo(f"context {name!r} is in {user_file()}", err=True)
