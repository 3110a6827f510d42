"""The group `metrics.k8s.io`: what nodes and pods use now, asked of the kubelets; `kubectl top` and autoscalers read it.

A rate of processor use is the difference of two looks at counters. A node that was not looked at within the last minute, or not since a
container began that is asked for, is looked at twice, a moment apart, so that every question has an answer; nothing is scraped while nobody
asks. A node that does not answer is left out. Upstream: kubernetes-sigs/metrics-server `pkg/api`, `pkg/storage`.
"""

import asyncio
from collections.abc import AsyncIterable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from pinnace.api.core_v1 import Node, Pod
from pinnace.api.meta_v1 import ObjectMeta
from pinnace.api.resources import Resource
from pinnace.apiserver.endpoints.negotiation import negotiate
from pinnace.apiserver.endpoints.options import list_options
from pinnace.apiserver.endpoints.request_info import RequestInfo
from pinnace.apiserver.endpoints.responses import respond, tree_bytes
from pinnace.apiserver.extension import ExtensionGroup
from pinnace.apiserver.registry.strategy import Objects
from pinnace.apiserver.streaming import Kubelets
from pinnace.component.clock import Clock
from pinnace.component.http import BodyIncomplete, Request, Response
from pinnace.component.logging import get_logger
from pinnace.machinery import errors, timestamps
from pinnace.machinery.errors import ApiError, method_not_allowed, route_not_found

T = TypeVar("T", Node, Pod)

GROUP, VERSION = "metrics.k8s.io", "v1beta1"
# A look that is older says nothing of now; and one that is newer is not repeated.
STALE_SECONDS, FRESH_SECONDS = 60.0, 5.0
# Between the two looks at a node of which nothing is known.
_BETWEEN_SECONDS = 0.25
# For one kubelet to answer.
_ANSWER_SECONDS = 5.0
_SUMMARY_LIMIT_BYTES = 16 * 1024 * 1024
_READ = ("get", "list")
_NODES = Resource(GROUP, VERSION, "NodeMetrics", "nodes", "", namespaced=False, verbs=_READ)
_PODS = Resource(GROUP, VERSION, "PodMetrics", "pods", "", verbs=_READ)
_log = get_logger("resource-metrics")

# Of a node, or of one container of a pod (namespace, pod, container).
_Key = tuple[str, ...]
_NODE: _Key = ()


class _Look(Struct, frozen=True):
    """The counters of a node and its containers at one moment: nanoseconds of processors, and bytes; `at` by the monotonic clock."""

    at: float
    time: float
    counters: Mapping[_Key, tuple[int, int]]


class _Pair(Struct, frozen=True):
    """Two looks, which together give rates."""

    before: _Look
    now: _Look

    def usage(self, key: _Key) -> dict[str, str] | None:
        """Return what something uses, None when it was not there both times."""
        old, new = self.before.counters.get(key), self.now.counters.get(key)
        seconds = self.now.at - self.before.at
        if old is None or new is None or seconds <= 0.0 or new[0] < old[0]:
            return None
        return {"cpu": f"{int((new[0] - old[0]) / seconds)}n", "memory": f"{new[1] // 1024}Ki"}

    @property
    def span(self) -> dict[str, str]:
        window = round(self.now.at - self.before.at, 3)
        return {"timestamp": timestamps.format(self.now.time), "window": f"{window:g}s"}


class ResourceMetrics(ExtensionGroup):
    """Serves the group from what kubelets say."""

    resources = (_NODES, _PODS)

    def __init__(self, kubelets: Kubelets, clock: Clock) -> None:
        self._kubelets = kubelets
        self._clock = clock
        self._pairs: dict[str, _Pair] = {}

    async def handle(self, request: Request, info: RequestInfo, objects: Objects) -> Response:
        resource = next((one for one in self.resources if one.plural == info.resource), None)
        if resource is None or info.version != VERSION or info.subresource or (info.namespace and resource is _NODES):
            raise route_not_found()
        if (
            info.verb not in _READ
            or request.method != "GET"
            or (resource is _PODS and info.name and not info.namespace)
        ):
            raise method_not_allowed()
        find = self._nodes if resource is _NODES else self._pods
        output = negotiate(request, transforms=False)
        if info.name:
            found = await find(objects, info)
            if not found:
                raise errors.not_found(GROUP, resource.plural, "/".join(filter(None, (info.namespace, info.name))))
            return respond(request, tree_bytes(found[0]), output)
        options = list_options(request, lambda label, value: (label, value), watch=False)
        items = [
            item
            for item in await find(objects, info)
            if options.labels.matches(item["metadata"].get("labels", {})) and options.fields.matches(_fields(item))
        ]
        kind = f"{resource.kind}List"
        tree = {"kind": kind, "apiVersion": resource.api_version, "metadata": {}, "items": items}
        return respond(request, tree_bytes(tree), output)

    async def _nodes(self, objects: Objects, info: RequestInfo) -> list[dict[str, Any]]:
        nodes = _named(await objects.list(Node), info.name)
        pairs = await self._look_at(nodes, {})
        found = []
        for node in nodes:
            pair = pairs.get(node.metadata.name)
            usage = pair.usage(_NODE) if pair is not None else None
            if pair is not None and usage is not None:
                found.append({**_head(_NODES, node.metadata, pair), "usage": usage})
        return found

    async def _pods(self, objects: Objects, info: RequestInfo) -> list[dict[str, Any]]:
        pods = _named(await objects.list(Pod, info.namespace), info.name)
        wanted: dict[str, set[_Key]] = {}
        for pod in pods:
            if pod.spec.node_name and pod.status.phase == "Running":
                wanted.setdefault(pod.spec.node_name, set()).update(_running(pod))
        nodes = [node for node in await objects.list(Node) if node.metadata.name in wanted]
        pairs = await self._look_at(nodes, wanted)
        found = []
        for pod in pods:
            pair = pairs.get(pod.spec.node_name)
            if pair is None or pod.status.phase != "Running":
                continue
            usages = [(key[-1], pair.usage(key)) for key in _running(pod)]
            containers = [{"name": name, "usage": usage} for name, usage in usages if usage is not None]
            if containers:
                found.append({**_head(_PODS, pod.metadata, pair), "containers": containers})
        return found

    # ── asking ──

    async def _look_at(self, nodes: Sequence[Node], wanted: Mapping[str, set[_Key]]) -> Mapping[str, _Pair]:
        """Return what is known of nodes after a look at those of which too little is; `wanted` are containers by node."""
        async with asyncio.TaskGroup() as group:
            for node in nodes:
                name = node.metadata.name
                group.create_task(self._refresh(node, wanted.get(name, set())), name=f"metrics of {name}")
        now = self._clock.monotonic()
        self._pairs = {name: pair for name, pair in self._pairs.items() if now - pair.now.at < STALE_SECONDS}
        return self._pairs

    async def _refresh(self, node: Node, wanted: set[_Key]) -> None:
        name, now = node.metadata.name, self._clock.monotonic()
        pair = self._pairs.get(name)
        if pair is not None and now - pair.now.at < FRESH_SECONDS and wanted <= pair.before.counters.keys():
            return
        try:
            first = pair.now if pair is not None else None
            if first is None or now - first.at >= STALE_SECONDS or not wanted <= first.counters.keys():
                first = await self._look(node)
                await self._clock.sleep(_BETWEEN_SECONDS)
            self._pairs[name] = _Pair(first, await self._look(node))
        except (ApiError, BodyIncomplete, TimeoutError, msgspec.MsgspecError, LookupError, TypeError) as error:
            _log.warning("a node does not say what it uses", node=name, reason=str(error) or type(error).__name__)
            self._pairs.pop(name, None)

    async def _look(self, node: Node) -> _Look:
        request = Request("GET", "/stats/summary", query="only_cpu_and_memory=true")
        async with self._clock.timeout(_ANSWER_SECONDS):
            answer = await self._kubelets.forward(node, request)
            if not isinstance(answer, Response) or answer.status != 200:
                raise errors.internal(f"the kubelet answers {answer.status}")
            summary = msgspec.json.decode(await _read(answer.body))
        counters: dict[_Key, tuple[int, int]] = {}
        _put(counters, _NODE, summary["node"])
        for pod in summary["pods"]:
            ref = pod["podRef"]
            for container in pod["containers"]:
                _put(counters, (ref["namespace"], ref["name"], container["name"]), container)
        return _Look(self._clock.monotonic(), self._clock.time(), counters)


def _put(counters: dict[_Key, tuple[int, int]], key: _Key, found: Mapping[str, Any]) -> None:
    if "cpu" in found and "memory" in found:
        counters[key] = int(found["cpu"]["usageCoreNanoSeconds"]), int(found["memory"]["workingSetBytes"])


async def _read(body: bytes | AsyncIterable[bytes]) -> bytes:
    if isinstance(body, bytes):
        return body
    data = bytearray()
    async for chunk in body:
        data += chunk
        if len(data) > _SUMMARY_LIMIT_BYTES:
            raise errors.internal("the kubelet says more than a summary may hold")
    return bytes(data)


def _running(pod: Pod) -> list[_Key]:
    """Return the containers of a running pod that last."""
    meta = pod.metadata
    sidecars = [one for one in pod.spec.init_containers if one.restart_policy == "Always"]
    return [(meta.namespace, meta.name, one.name) for one in (*pod.spec.containers, *sidecars)]


def _named(objects: Iterable[T], name: str) -> list[T]:
    return [obj for obj in objects if not name or obj.metadata.name == name]


def _head(resource: Resource, meta: ObjectMeta, pair: _Pair) -> dict[str, Any]:
    shown: dict[str, Any] = {"name": meta.name}
    if meta.namespace:
        shown["namespace"] = meta.namespace
    shown["creationTimestamp"] = pair.span["timestamp"]
    if meta.labels:
        shown["labels"] = dict(meta.labels)
    return {"kind": resource.kind, "apiVersion": resource.api_version, "metadata": shown, **pair.span}


def _fields(item: Mapping[str, Any]) -> dict[str, str]:
    meta = item["metadata"]
    return {"metadata.name": meta["name"], "metadata.namespace": meta.get("namespace", "")}
