"""`pinnace server` and `pinnace apiserver`: the foreground processes."""

import gc
import threading
from importlib import import_module

import click
from msgspec.structs import replace

from pinnace.cli.options import Serving, serving_options
from pinnace.cluster.config import ClusterConfig, RuntimeKind, StoreKind
from pinnace.cluster.ports import API_PORT


@click.command()
@serving_options
@click.option("--lock-descriptor", type=int, hidden=True, help="The folder's lock, which `pinnace up` hands on.")
def server(serving: Serving, lock_descriptor: int | None) -> None:
    """Run the cluster in the foreground until it is told to stop."""
    _run(replace(_config(serving), lock_descriptor=lock_descriptor))


@click.command()
@serving_options
def apiserver(serving: Serving) -> None:
    """Run the API server alone in the foreground until it is told to stop."""
    if serving.runtime not in {"auto", "none"}:
        raise click.UsageError("an API server alone has no node: leave --runtime out, or use `pinnace server`")
    _run(replace(_config(serving), runtime=RuntimeKind.NONE, with_controllers=False, with_scheduler=False))


def _config(serving: Serving) -> ClusterConfig:
    return ClusterConfig(
        name=serving.name,
        data_dir=serving.paths.root,
        port=API_PORT if serving.port is None else serving.port,
        address=serving.address,
        store=StoreKind(serving.store),
        runtime=RuntimeKind(serving.runtime),
        keep_history=serving.keep_history,
    )


def _run(config: ClusterConfig) -> None:
    # Thousands of classes are about to be made that live for ever: looking for garbage among them takes a fifth of the start.
    gc.disable()
    # It reads the machine's certificate authorities, for a tenth of a second in which the rest can be imported.
    threading.Thread(target=import_module, args=("aiohttp",), name="import", daemon=True).start()
    from pinnace.cli.foreground import run  # noqa: PLC0415 - after the two above

    run(config)
