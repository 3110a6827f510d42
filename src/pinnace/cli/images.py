"""`pinnace images`: the images that a cluster's nodes have without a registry."""

import asyncio
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import msgspec

from pinnace.cli.options import cluster_options, fail, paths_of
from pinnace.cluster.containerd import Containerd
from pinnace.cluster.containerd_config import ContainerdError, ContainerdPaths, detect
from pinnace.cluster.image_archive import ImageConfig, NoArchive, build
from pinnace.cluster.image_builds import ImageBuildError, gather, with_entrypoint
from pinnace.cluster.images import Images, Offered
from pinnace.cluster.paths import ClusterPaths, ForeignFolder
from pinnace.component.clock import RealClock


@click.group()
def images() -> None:
    """List, import and build images."""


@images.command("list")
@cluster_options
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
def list_images(name: str, data_dir: Path | None, output: str) -> None:
    """List the images that pods can use now, whatever way they came."""
    paths = paths_of(name, data_dir)
    if not _runs_containerd(paths):
        fail(f"no containerd runs for {name!r}, so it has no images: start one with `pinnace up` as root")
    try:
        found = asyncio.run(_images(paths).listed())
    except ContainerdError as error:
        fail(str(error))
    if output == "json":
        click.echo(msgspec.json.encode(found))
        return
    width = max([len(image.name) for image in found] + [len("IMAGE")])
    click.echo(f"{'IMAGE':<{width}}   {'SIZE':<10} DIGEST")
    for image in found:
        click.echo(f"{image.name:<{width}}   {image.size:<10} {image.digest}")


@images.command("import")
@cluster_options
@click.argument("archives", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True, dir_okay=False))
def import_images(name: str, data_dir: Path | None, archives: tuple[Path, ...]) -> None:
    """Give the cluster the images in ARCHIVES, as `docker save` and `skopeo copy` write them.

    They are kept with the cluster, so that a start on new disks has them too.
    """
    _offer(paths_of(name, data_dir), name, archives)


@images.command("build")
@cluster_options
@click.argument("image")
@click.argument("sources", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True))
@click.option("--entrypoint", multiple=True, help="A word of the command; once per word.")
@click.option("--cmd", multiple=True, help="A word that a pod's args replace; once per word.")
@click.option("--env", multiple=True, metavar="KEY=VALUE", help="A variable.")
@click.option("--expose", multiple=True, metavar="PORT/PROTOCOL", help="A port, such as 80/tcp.")
@click.option(
    "--to", type=click.Path(path_type=Path, dir_okay=False), help="Write the archive here instead of importing it."
)
def build_image(
    name: str,
    data_dir: Path | None,
    image: str,
    sources: tuple[Path, ...],
    entrypoint: tuple[str, ...],
    cmd: tuple[str, ...],
    env: tuple[str, ...],
    expose: tuple[str, ...],
    to: Path | None,
) -> None:
    """Make IMAGE of SOURCES: folders, which become its root, and static programs, which land in /bin.

    One program alone is also what the image runs.
    """
    variables = dict(pair.partition("=")[::2] for pair in env)
    with TemporaryDirectory() as folder:
        archive = to or Path(folder, "image.tar")
        try:
            config = with_entrypoint(ImageConfig(entrypoint, cmd, variables, expose), sources)
            archive.write_bytes(build(image, gather(sources), config))
        except ImageBuildError as error:
            fail(str(error))
        except OSError as error:
            fail(f"{error.filename}: {error.strerror}: check its rights, and the space of the disk")
        if to is not None:
            click.echo(f"✓ {image}: in {to}", err=True)
            return
        _offer(paths_of(name, data_dir), name, [archive])


def _offer(paths: ClusterPaths, cluster: str, archives: Iterable[Path]) -> None:
    """Keep archives with the cluster, have a running containerd import them, and tell what became of each image."""
    offered: list[Offered] = []
    try:
        paths.make()
        offered += (_images(paths).offer(archive) for archive in archives)
        failures = asyncio.run(_images(paths).import_new()).failures if _runs_containerd(paths) else None
    except (NoArchive, ForeignFolder, ContainerdError) as error:
        fail(str(error))
    except OSError as error:
        fail(f"{error.filename or paths.root}: {error.strerror}: check its rights, and the space of the disk")
    if failures:
        for one in offered:
            one.path.unlink(missing_ok=True)
        fail("; ".join(failures))
    done = "imported" if failures is not None else f"kept for the next start of {cluster!r} with containerd"
    names = [image for one in offered for image in one.names]
    for name in names:
        click.echo(f"✓ {name}: {done}", err=True)
    if any(":" not in name.rpartition("/")[2] or name.endswith(":latest") for name in names):
        click.echo("! pods pull `latest` anew each time unless they say `imagePullPolicy: IfNotPresent`", err=True)


def _images(paths: ClusterPaths) -> Images:
    return Images(_containerd_paths(paths), paths.root / "images")


def _runs_containerd(paths: ClusterPaths) -> bool:
    return Containerd(_containerd_paths(paths), detect(), RealClock()).pid() is not None


def _containerd_paths(paths: ClusterPaths) -> ContainerdPaths:
    return ContainerdPaths(paths.root / "containerd")
