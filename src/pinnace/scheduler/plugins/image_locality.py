"""ImageLocality: nodes that have a pod's images already, or the larger part of them, come first (plugins/imagelocality).

An image counts by its size and by how many nodes have it, so that one node's rare image does not draw every pod to it.
"""

import numpy as np

from pinnace.api import core_v1
from pinnace.scheduler.framework import MAX_NODE_SCORE, CycleState, Mask, ScorePlugin, Scores
from pinnace.scheduler.nodes import NodeTable

# Bytes: below the first an image is not worth a thought, above the second times the containers it cannot count for more.
LEAST_BYTES, MOST_BYTES = 23 * 1024 * 1024, 1000 * 1024 * 1024


class ImageLocality(ScorePlugin):
    """Ranks nodes by the images that they have."""

    name = "ImageLocality"
    events = frozenset()

    def score(self, state: CycleState, pod: core_v1.Pod, nodes: NodeTable, feasible: Mask) -> Scores:  # noqa: ARG002
        containers = (*pod.spec.init_containers, *pod.spec.containers)
        volumes = [volume.image.reference for volume in pod.spec.volumes if volume.image is not None]
        total = np.zeros(nodes.size)
        for name in (*(container.image for container in containers), *volumes):
            sizes = nodes.image_sizes(_tagged(name))
            spread = int((sizes[nodes.alive] > 0).sum()) / max(len(nodes), 1)
            total += np.trunc(sizes * spread)
        most = MOST_BYTES * len(containers)
        clamped = np.clip(total, LEAST_BYTES, most)
        return np.floor(MAX_NODE_SCORE * (clamped - LEAST_BYTES) / (most - LEAST_BYTES))


def _tagged(name: str) -> str:
    """Return a name as nodes tell it: one without a tag has the tag `latest`."""
    return name if ":" in name.rpartition("/")[2] else f"{name}:latest"
