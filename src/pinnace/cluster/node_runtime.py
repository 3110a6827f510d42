"""What a node has before it is one: a containerd that runs, with the images that pods start from."""

from pathlib import Path

from pinnace.cluster.containerd import Containerd
from pinnace.cluster.containerd_config import ContainerdPaths, detect
from pinnace.cluster.images import Images
from pinnace.component.clock import Clock
from pinnace.component.logging import get_logger

_log = get_logger("cluster")


async def ready_runtime(paths: ContainerdPaths, archives: Path, clock: Clock) -> Images:
    """Start a node's containerd, or find the one that runs, and give it the images that are new; return its images.

    Raises:
        ContainerdError: it cannot be started, or its images cannot be made.
    """
    await Containerd(paths, detect(), clock).start()
    images = Images(paths, archives)
    imported = await images.import_new()
    for failure in imported.failures:
        _log.warning("image archive left out", reason=failure)
    return images
