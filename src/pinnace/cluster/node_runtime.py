"""What a node has before it is one: a containerd that runs, with the images that pods start from."""

from pathlib import Path

from msgspec import Struct

from pinnace.cluster.containerd import Containerd
from pinnace.cluster.containerd_config import ContainerdPaths, detect
from pinnace.cluster.images import Images
from pinnace.component.clock import Clock
from pinnace.component.logging import get_logger

_log = get_logger("cluster")


class NodeRuntime(Struct, frozen=True):
    """The containerd of a node, which runs, and its images."""

    daemon: Containerd
    images: Images


async def ready_runtime(paths: ContainerdPaths, archives: Path, clock: Clock) -> NodeRuntime:
    """Start a node's containerd, or find the one that runs, and give it the images that are new.

    Raises:
        ContainerdError: it cannot be started, or its images cannot be made.
    """
    daemon = Containerd(paths, detect(), clock)
    await daemon.start()
    images = Images(paths, archives)
    imported = await images.import_new()
    for failure in imported.failures:
        _log.warning("image archive left out", reason=failure)
    return NodeRuntime(daemon, images)
