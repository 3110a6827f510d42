"""Asks a container once, by one of its probes: a command, a request, a connection, gRPC's health service.

Texts are upstream's, as they end up in events. Upstream: `pkg/probe/{exec,http,tcp,grpc}`, kubelet `prober/prober.go`.
"""

from enum import StrEnum
from urllib.parse import urljoin, urlsplit

from msgspec import Struct

from pinnace.api import core_v1
from pinnace.component.clock import Clock
from pinnace.kubelet.environment import expand
from pinnace.kubelet.handlers import port_number
from pinnace.kubelet.pod_network import HttpAnswer, HttpCall, PodNetwork
from pinnace.kubelet.runtime import RuntimeFailure, Streams

_OUTPUT_BYTES = 10 * 1024
_MOST_REDIRECTS = 10
_USER_AGENT = "kube-probe/1.36"


class Verdict(StrEnum):
    """What an answer means."""

    SUCCESS = "success"
    WARNING = "warning"
    FAILURE = "failure"


class Answer(Struct, frozen=True):
    """One answer and its text."""

    verdict: Verdict
    output: str = ""


class ProbeError(Exception):
    """The question could not be put, which says nothing of the container."""


class Target(Struct, frozen=True, kw_only=True):
    """A running container and where its pod is."""

    container: core_v1.Container
    container_id: str
    host: str


class Probes:
    """Asks containers."""

    def __init__(self, streams: Streams, network: PodNetwork, clock: Clock) -> None:
        self._streams, self._network, self._clock = streams, network, clock

    async def ask(self, target: Target, probe: core_v1.Probe) -> Answer:
        """Ask once, within the probe's time limit.

        Raises:
            ProbeError: it could not be asked.
        """
        limit = probe.timeout_seconds or 1
        if probe.exec is not None:
            return await self._exec(target, probe.exec, limit)
        if probe.http_get is not None:
            return await self._http(target, probe.http_get, limit)
        if probe.tcp_socket is not None:
            return await self._tcp(target, probe.tcp_socket, limit)
        if probe.grpc is not None:
            return await self._grpc(target, probe.grpc, limit)
        raise ProbeError(f"missing probe handler for container {target.container.name}")

    async def _exec(self, target: Target, action: core_v1.ExecAction, limit: int) -> Answer:
        literal = {item.name: item.value for item in target.container.env if item.value_from is None}
        command = [expand(word, literal) for word in action.command]
        try:
            async with self._clock.timeout(limit):
                done = await self._streams.execute(target.container_id, command, limit)
        except TimeoutError:
            return _timed_out(command, limit)
        except RuntimeFailure as error:
            if "timed out" in str(error) or "DeadlineExceeded" in str(error):
                return _timed_out(command, limit)
            raise ProbeError(str(error)) from error
        output = done.output[:_OUTPUT_BYTES].decode(errors="replace")
        return Answer(Verdict.SUCCESS if done.exit_code == 0 else Verdict.FAILURE, output)

    async def _http(self, target: Target, action: core_v1.HTTPGetAction, limit: int) -> Answer:
        call = _call(target, action)
        url = f"{'https' if call.secure else 'http'}://{call.host}:{call.port}{call.path}"
        try:
            async with self._clock.timeout(limit):
                answer = await self._follow(call, url)
        except TimeoutError:
            text = "context deadline exceeded (Client.Timeout exceeded while awaiting headers)"
            return Answer(Verdict.FAILURE, f'Get "{url}": {text}')
        except OSError as error:
            return Answer(Verdict.FAILURE, f'Get "{url}": {_refused(error, call.host, call.port)}')
        body = answer.body[:_OUTPUT_BYTES].decode(errors="replace")
        if 300 <= answer.status < 400 and answer.location:
            return Answer(Verdict.WARNING, f"Probe terminated redirects, Response body: {body}")
        if 200 <= answer.status < 400:
            return Answer(Verdict.SUCCESS, body)
        return Answer(Verdict.FAILURE, f"HTTP probe failed with statuscode: {answer.status}")

    async def _follow(self, call: HttpCall, url: str) -> HttpAnswer:
        """Ask, and follow redirects as long as they lead to the same host."""
        for _ in range(_MOST_REDIRECTS + 1):
            answer = await self._network.get(call)
            if not (300 <= answer.status < 400 and answer.location):
                return answer
            url = urljoin(url, answer.location)
            parts = urlsplit(url)
            if parts.hostname != call.host:
                return answer
            secure = parts.scheme == "https"
            path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            port = parts.port or (443 if secure else 80)
            call = HttpCall(host=call.host, port=port, path=path, secure=secure, headers=call.headers)
        raise OSError(f"stopped after {_MOST_REDIRECTS} redirects")

    async def _tcp(self, target: Target, action: core_v1.TCPSocketAction, limit: int) -> Answer:
        host, port = action.host or target.host, port_number(action.port, target.container)
        try:
            async with self._clock.timeout(limit):
                await self._network.connect(host, port)
        except TimeoutError:
            return Answer(Verdict.FAILURE, f"dial tcp {host}:{port}: i/o timeout")
        except OSError as error:
            return Answer(Verdict.FAILURE, _refused(error, host, port))
        return Answer(Verdict.SUCCESS)

    async def _grpc(self, target: Target, action: core_v1.GRPCAction, limit: int) -> Answer:
        where = f"{target.host}:{action.port}"
        try:
            async with self._clock.timeout(limit):
                status = await self._network.health(target.host, action.port, action.service or "")
        except TimeoutError:
            text = f'timeout: failed to connect service "{where}" within {limit}s: context deadline exceeded'
            return Answer(Verdict.FAILURE, text)
        except OSError as error:
            text = f'timeout: failed to connect service "{where}" within {limit}s: {error}'
            return Answer(Verdict.FAILURE, text)
        if status == "SERVING":
            return Answer(Verdict.SUCCESS, "service healthy")
        return Answer(Verdict.FAILURE, f'service unhealthy (responded with "{status}")')


def _call(target: Target, action: core_v1.HTTPGetAction) -> HttpCall:
    given = [(item.name, item.value) for item in action.http_headers]
    names = {name.lower() for name, _ in given}
    # An empty Accept takes the usual one away.
    kept = tuple((name, value) for name, value in given if name.lower() != "accept" or value)
    defaults = tuple(
        (name, value) for name, value in (("User-Agent", _USER_AGENT), ("Accept", "*/*")) if name.lower() not in names
    )
    path = action.path or "/"
    return HttpCall(
        host=action.host or target.host,
        port=port_number(action.port, target.container),
        path=path if path.startswith("/") else f"/{path}",
        secure=action.scheme == "HTTPS",
        headers=(*defaults, *kept),
    )


def _timed_out(command: list[str], limit: int) -> Answer:
    words = " ".join(command)
    return Answer(Verdict.FAILURE, f'command timed out: "{words}" timed out after {limit}s')


def _refused(error: OSError, host: str, port: int) -> str:
    if isinstance(error, ConnectionRefusedError) or "refused" in str(error) or "Connect call failed" in str(error):
        return f"dial tcp {host}:{port}: connect: connection refused"
    return str(error) or type(error).__name__
