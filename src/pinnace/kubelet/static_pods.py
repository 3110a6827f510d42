"""Pods from files on the node, which run whether there is an API server or not.

    file ──decoded, completed, named after the node──▶ wanted ──none of its name runs──▶ running ──file gone or changed──▶ ends ──▶ gone

A file holds one pod; one that cannot be read as such counts as absent, and that is logged. A changed file is another pod (its UID is made of
what the file says), which begins when the old one of its name has ended. Upstream: kubelet `config/file.go`, `config/common.go`.
"""

import asyncio
import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Never

from msgspec.structs import replace

from pinnace.api import codec, core_v1
from pinnace.component.clock import Clock
from pinnace.component.logging import get_logger
from pinnace.machinery import timestamps
from pinnace.machinery.codec import yaml

CONFIG_HASH, CONFIG_MIRROR = "kubernetes.io/config.hash", "kubernetes.io/config.mirror"
CONFIG_SOURCE, CONFIG_SEEN = "kubernetes.io/config.source", "kubernetes.io/config.seen"
# Between two looks at names and times of the files; upstream has the kernel tell it, and looks each 20 s beside that.
_LOOK_SECONDS = 1.0
_UID_BYTES = 16
_log = get_logger("static-pods")


def is_static(pod: core_v1.Pod) -> bool:
    """Tell whether a pod comes from a file of the node."""
    return pod.metadata.annotations.get(CONFIG_SOURCE, "api") != "api"


def is_mirror(pod: core_v1.Pod) -> bool:
    """Tell whether a pod is only what the API server has of a static one."""
    return CONFIG_MIRROR in pod.metadata.annotations


def without_source(pod: core_v1.Pod) -> core_v1.Pod:
    """Return a pod of the API server without what only the node may say of its own: a user could pass it off as static."""
    if CONFIG_SOURCE not in pod.metadata.annotations:
        return pod
    kept = {key: value for key, value in pod.metadata.annotations.items() if key != CONFIG_SOURCE}
    return replace(pod, metadata=replace(pod.metadata, annotations=kept))


def full_name(pod: core_v1.Pod) -> str:
    """Return namespace and name, which a static pod and its mirror have in common."""
    return f"{pod.metadata.namespace}/{pod.metadata.name}"


class PodFolder:
    """The pods of a folder's files, or of one file. `complete` gives a pod its defaults.

    Raised by `complete`:
        ValueError: the pod is not valid, or may not be a static one.
    """

    def __init__(
        self, path: Path, node_name: str, clock: Clock, complete: Callable[[core_v1.Pod], core_v1.Pod]
    ) -> None:
        self._path, self._node_name, self._clock, self._complete = path, node_name, clock, complete
        self._seen: object = None
        self._pods: dict[str, core_v1.Pod] = {}

    def read(self) -> Mapping[str, core_v1.Pod]:
        """Return the pods by their full names; the first file counts where two have the same."""
        files = list(self._files())
        seen = [(file, status.st_mtime_ns, status.st_size, status.st_ino) for file, status in files]
        if seen == self._seen:
            return self._pods
        self._seen = seen
        found: dict[str, core_v1.Pod] = {}
        for file, _ in files:
            try:
                pod = self._pod(file)
            except (ValueError, OSError) as error:
                _log.warning("static pod left out", file=str(file), error=str(error))
                continue
            name = full_name(pod)
            if name in found:
                _log.warning("static pod left out", file=str(file), error=f"another file has a pod {name}")
                continue
            before = self._pods.get(name)
            found[name] = before if before is not None and before.metadata.uid == pod.metadata.uid else pod
        self._pods = found
        return found

    def _files(self) -> Iterator[tuple[Path, os.stat_result]]:
        paths = sorted(self._path.glob("[!.]*")) if self._path.is_dir() else [self._path]
        for path in paths:
            try:
                if path.is_file():
                    yield path, path.stat()
            except OSError:
                continue

    def _pod(self, file: Path) -> core_v1.Pod:
        tree = yaml.parse(file.read_bytes()).tree
        if not isinstance(tree, dict) or (tree.get("apiVersion"), tree.get("kind")) != ("v1", "Pod"):
            raise ValueError("it holds no v1 Pod")
        pod = codec.convert(core_v1.Pod, tree)
        meta, spec = pod.metadata, pod.spec
        uid = meta.uid or self._uid(pod, file)
        tolerations = (*spec.tolerations, core_v1.Toleration(operator="Exists", effect="NoExecute"))
        annotations = {
            **meta.annotations,
            CONFIG_HASH: uid,
            CONFIG_SOURCE: "file",
            CONFIG_SEEN: timestamps.format_micro(self._clock.time()),
        }
        named = replace(
            meta,
            name=f"{meta.name}-{self._node_name.lower()}",
            namespace=meta.namespace or "default",
            uid=uid,
            annotations=annotations,
        )
        placed = replace(spec, node_name=self._node_name, tolerations=tolerations)
        return self._complete(replace(pod, metadata=named, spec=placed, status=core_v1.PodStatus(phase="Pending")))

    def _uid(self, pod: core_v1.Pod, file: Path) -> str:
        """Return what tells this pod from every other, also from what the file said before."""
        whole = codec.encode(pod) + f"host:{self._node_name}file:{file}".encode()
        return hashlib.blake2b(whole, digest_size=_UID_BYTES).hexdigest()


class StaticPods:
    """The static pods of one node; none without a folder. `start` begins one, `end` begins to end one and may be repeated."""

    def __init__(
        self,
        folder: PodFolder | None,
        clock: Clock,
        *,
        start: Callable[[core_v1.Pod], None],
        end: Callable[[core_v1.Pod], None],
    ) -> None:
        self._folder, self._clock, self._start, self._end = folder, clock, start, end
        self._wanted: Mapping[str, core_v1.Pod] = {}
        # By full name, from their start until they have left nothing behind.
        self.running: dict[str, core_v1.Pod] = {}

    async def run(self) -> Never:
        """Follow the files for ever."""
        if self._folder is None:
            await asyncio.Event().wait()
        async for _ in self._clock.ticker(_LOOK_SECONDS):
            self.look()
        raise AssertionError("a ticker does not end")

    def look(self) -> None:
        """Begin and end what the files say now."""
        wanted = self._folder.read() if self._folder is not None else {}
        if wanted is self._wanted:
            return
        self._wanted = wanted
        for name, pod in tuple(self.running.items()):
            if name not in wanted or wanted[name].metadata.uid != pod.metadata.uid:
                self._end(pod)
        for name in wanted:
            self._begin(name)

    def left(self, uid: str) -> None:
        """Learn that a pod has ended and left nothing behind; harmless when it was none of these."""
        name = next((name for name, pod in self.running.items() if pod.metadata.uid == uid), None)
        if name is not None:
            del self.running[name]
            self._begin(name)

    def _begin(self, name: str) -> None:
        if name in self._wanted and name not in self.running:
            self.running[name] = self._wanted[name]
            self._start(self._wanted[name])
