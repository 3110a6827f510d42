"""What the node answers on its port: logs, commands, connections, pods, usage, settings, health.

`authorize` says who may ask, before any path is looked at. Upstream: kubelet `server/server.go`.
"""

import json
from collections.abc import Awaitable, Callable, Sequence
from urllib.parse import unquote

from pinnace.api import codec, core_v1
from pinnace.component.clock import Clock
from pinnace.component.http import Headers, Request, Response, Upgrade
from pinnace.component.http.message import DuplexStream
from pinnace.component.http.streams import (
    CommandStreams,
    parse_options,
    serve_port_forward,
    serve_remote_command,
)
from pinnace.kubelet import configz, logs
from pinnace.kubelet.config import KubeletConfig
from pinnace.kubelet.pleg import Pleg
from pinnace.kubelet.pod_containers import find
from pinnace.kubelet.pod_files import PodFiles
from pinnace.kubelet.prober import Prober
from pinnace.kubelet.runtime import Instance, RuntimeFailure, State, Streams
from pinnace.kubelet.stats import Stats
from pinnace.machinery import timestamps

_TEXT = Headers([("Content-Type", "text/plain; charset=utf-8")])
_PROMETHEUS = Headers([("Content-Type", "text/plain; version=0.0.4; charset=utf-8")])
_JSON = Headers([("Content-Type", "application/json")])


class KubeletServer:
    """The handler of one node's port."""

    def __init__(
        self,
        config: KubeletConfig,
        clock: Clock,
        streams: Streams,
        files: PodFiles,
        pleg: Pleg,
        stats: Stats,
        prober: Prober,
        pods: Callable[[], Sequence[core_v1.Pod]],
        authorize: Callable[[Request], Awaitable[Response | None]],
    ) -> None:
        self._config, self._clock, self._streams, self._files = config, clock, streams, files
        self._pleg, self._pods = pleg, pods
        self._stats, self._prober, self._authorize = stats, prober, authorize

    async def handle(self, request: Request) -> Response | Upgrade:
        """Answer one request."""
        refused = await self._authorize(request)
        if refused is not None:
            return refused
        parts = [unquote(part) for part in request.path.strip("/").split("/")]
        match parts:
            case ["healthz", *_]:
                return Response(200, _TEXT, b"ok")
            case ["pods"]:
                return _pod_list(self._pods())
            case ["runningpods"]:
                return _pod_list([pod for pod in self._pods() if self._pleg.record(pod.metadata.uid).instances])
            case ["configz"]:
                return Response(200, _JSON, json.dumps(configz.settings(self._config)).encode())
            case ["metrics", "probes"]:
                return Response(200, _PROMETHEUS, self._prober.metrics(self._pods()).encode())
            case ["stats", "summary"] | ["metrics", "resource" | "cadvisor"]:
                return await self._usage(request, parts[1])
            case ["containerLogs", namespace, name, container]:
                return self._logs(request, namespace, name, container)
            case ["exec" | "attach" as verb, namespace, name, *_, container]:
                return await self._command(request, verb, namespace, name, container)
            case ["run", namespace, name, *_, container] if request.method == "POST":
                return await self._run(request, namespace, name, container)
            case ["portForward", namespace, name, *_]:
                return await self._forward(request, namespace, name)
        return Response(404, _TEXT, b"404 page not found\n")

    async def _usage(self, request: Request, what: str) -> Response:
        try:
            if what == "resource":
                return Response(200, _PROMETHEUS, (await self._stats.metrics()).encode())
            if what == "cadvisor":
                return Response(200, _PROMETHEUS, (await self._stats.cadvisor()).encode())
            only = request.param("only_cpu_and_memory") == "true"
            return Response(200, _JSON, json.dumps(await self._stats.summary(only_cpu_and_memory=only)).encode())
        except RuntimeFailure as error:
            return _text(500, str(error))

    def _logs(self, request: Request, namespace: str, name: str, container: str) -> Response:
        pod = self._pod(namespace, name)
        if pod is None:
            return _text(404, f'pod "{name}" not found')
        if find(pod, container) is None:
            return _text(404, f'container "{container}" not found in pod "{name}"')
        runs = self._pleg.record(pod.metadata.uid).of(container)
        previous = bool(request.flag("previous"))
        if previous:
            runs = tuple(run for run in runs if run.state is State.EXITED)
            if self._current(pod, container) is None:
                runs = runs[1:]
        if not runs:
            return _text(400, _no_log(pod, container, previous=previous))
        run = runs[0]

        def running() -> bool:
            latest = self._pleg.record(pod.metadata.uid).instances
            return any(each.id == run.id and each.state is State.RUNNING for each in latest)

        try:
            options = self._options(request)
        except ValueError as error:
            return _text(400, str(error))
        body = self._files.log(pod, run, options, running)
        if body is None:
            return _text(404, f"the log of container {container} is not there")
        return Response(200, _TEXT, body)

    def _options(self, request: Request) -> logs.LogOptions:
        since = None
        if request.param("sinceSeconds"):
            since = self._clock.time() - int(request.param("sinceSeconds"))
        elif request.param("sinceTime"):
            since = timestamps.parse(request.param("sinceTime"))
        tail = request.param("tailLines") or request.param("tail")
        return logs.LogOptions(
            follow=bool(request.flag("follow")),
            timestamps=bool(request.flag("timestamps")),
            tail_lines=int(tail) if tail and tail != "all" else None,
            limit_bytes=int(request.param("limitBytes")) if request.param("limitBytes") else None,
            since=since,
        )

    async def _command(
        self, request: Request, verb: str, namespace: str, name: str, container: str
    ) -> Response | Upgrade:
        found = self._running(namespace, name, container)
        if isinstance(found, Response):
            return found
        options = parse_options(request)
        if isinstance(options, Response):
            return options

        async def run(streams: CommandStreams) -> int:
            if verb == "exec":
                return await self._streams.exec(found.id, streams)
            return await self._streams.attach(found.id, streams)

        return await serve_remote_command(request, options, run)

    async def _run(self, request: Request, namespace: str, name: str, container: str) -> Response:
        found = self._running(namespace, name, container)
        if isinstance(found, Response):
            return found
        try:
            done = await self._streams.execute(found.id, request.param("cmd").split(), 0)
        except RuntimeFailure as error:
            return _text(500, str(error))
        return Response(200, _TEXT, done.output)

    async def _forward(self, request: Request, namespace: str, name: str) -> Response | Upgrade:
        pod = self._pod(namespace, name)
        sandbox = self._pleg.record(pod.metadata.uid).sandbox if pod is not None else None
        if pod is None or sandbox is None:
            return _text(404, f'pod "{name}" not found')

        async def forward(port: int, stream: DuplexStream) -> None:
            await self._streams.forward(sandbox.id, port, stream)

        return await serve_port_forward(request, f"pod {name}, uid {pod.metadata.uid}", forward)

    def _running(self, namespace: str, name: str, container: str) -> Instance | Response:
        pod = self._pod(namespace, name)
        if pod is None:
            return _text(404, f'pod "{name}" not found')
        found = self._current(pod, container)
        return found if found is not None else _text(404, f'container not found ("{container}")')

    def _current(self, pod: core_v1.Pod, container: str) -> Instance | None:
        runs = self._pleg.record(pod.metadata.uid).of(container)
        return next((run for run in runs if run.state is State.RUNNING), None)

    def _pod(self, namespace: str, name: str) -> core_v1.Pod | None:
        for pod in self._pods():
            if (pod.metadata.namespace, pod.metadata.name) == (namespace, name):
                return pod
        return None


def _no_log(pod: core_v1.Pod, container: str, *, previous: bool) -> str:
    name = pod.metadata.name
    if previous:
        return f'previous terminated container "{container}" in pod "{name}" not found'
    whole = pod.status
    statuses = (*whole.init_container_statuses, *whole.container_statuses, *whole.ephemeral_container_statuses)
    for status in statuses:
        if status.name == container and status.state.waiting is not None:
            reason = status.state.waiting.reason
            text = {
                "ErrImagePull": "image can't be pulled",
                "ImagePullBackOff": "trying and failing to pull image",
            }.get(reason, reason)
            return f'container "{container}" in pod "{name}" is waiting to start: {text}'
    return f'container "{container}" in pod "{name}" is not available'


def _pod_list(pods: Sequence[core_v1.Pod]) -> Response:
    return Response(200, _JSON, codec.encode(core_v1.PodList(kind="PodList", api_version="v1", items=tuple(pods))))


def _text(status: int, text: str) -> Response:
    return Response(status, _TEXT, text.encode())
