"""What a controller has written itself: it looks at an object again only when its caches show that (the stale-cache guard).

Without this a look at a cache that has not heard of the last one's writes makes everything twice. Upstream: the consistency store of
pkg/controller/util/consistency.
"""

from typing import Any

from pinnace.client import SharedInformer

# Seconds after which a look that came too early is repeated; the news itself is usually faster.
SOON_SECONDS = 0.05


class OwnWrites:
    """The last resourceVersion written for each key, to objects that one informer follows."""

    def __init__(self, informer: SharedInformer[Any]) -> None:
        self._informer = informer
        self._written: dict[str, int] = {}

    def wrote(self, key: str, obj: Any) -> None:
        """Remember the answer to a create or an update."""
        version = obj.metadata.resource_version
        if version.isdecimal():
            self._written[key] = max(self._written.get(key, 0), int(version))

    def are_seen(self, key: str) -> bool:
        """Tell whether the cache shows everything that was written for a key."""
        version = self._written.get(key)
        if version is None:
            return True
        if not self._informer.has_reached(version):
            return False
        del self._written[key]
        return True
