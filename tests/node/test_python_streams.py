"""Streams of the Python clients that people use: exec, attach, logs and ports of one running pod, as their documentation shows it.

What a library cannot do by itself is in `docs/how-to/client-libraries.md`.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import io
import itertools
import json
import os
import urllib.request
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.clusters import RunningCluster
from support.waiting import eventually

pytestmark = pytest.mark.filterwarnings("ignore")  # the clients' own deprecations are not ours to mend
IMAGE = "ikubernetes/demoapp:v1.0"
NO_PROXY = urllib.request.build_opener(urllib.request.ProxyHandler({}))
# A container that serves HTTP, one that answers what is typed, one that never ceases to talk.
CONTAINERS: list[dict[str, Any]] = [
    {"name": "main"},
    {"name": "ear", "stdin": True, "command": ["sh", "-c", "while read -r line; do echo heard $line; done; sleep 600"]},
    {"name": "ticks", "command": ["sh", "-c", "i=0; while true; do echo tick $i; i=$((i+1)); sleep 0.2; done"]},
]


@pytest.fixture(scope="module")
def kubeconfig(real: RunningCluster) -> Path:
    return real.kubeconfig


@pytest.fixture(scope="module")
def api(kubeconfig: Path) -> Any:
    """The official client."""
    from kubernetes import client, config

    return client.CoreV1Api(config.new_client_from_config(str(kubeconfig)))


@pytest.fixture
def streams(kubeconfig: Path) -> Any:
    """A client for `stream`, which changes the client that it is given."""
    from kubernetes import client, config

    return client.CoreV1Api(config.new_client_from_config(str(kubeconfig)))


@pytest.fixture(scope="module")
def name(api: Any) -> Iterator[str]:
    """The running pod that all tests share."""
    name = "streams-" + uuid.uuid4().hex[:6]
    spec = {
        "terminationGracePeriodSeconds": 0,
        "containers": [{"image": IMAGE, **one} for one in CONTAINERS],
    }
    api.create_namespaced_pod("default", {"metadata": {"name": name, "labels": {"app": name}}, "spec": spec})
    eventually(lambda: api.read_namespaced_pod(name, "default").status.phase, lambda phase: phase == "Running")
    yield name
    api.delete_namespaced_pod(name, "default", grace_period_seconds=0)


@contextlib.contextmanager
def opened(connect: Any, name: str, container: str, **options: Any) -> Iterator[Any]:
    """A stream of the official client that stays open for the body."""
    from kubernetes.stream import stream

    chosen = {"stdout": True, "stderr": True, "stdin": True, "tty": False, **options}
    made = stream(connect, name, "default", container=container, _preload_content=False, **chosen)
    try:
        yield made
    finally:
        made.close()


def test_official_client_talks_with_a_shell(streams: Any, name: str) -> None:
    """Output and errors come apart, line by line, and the exit code at the end."""
    with opened(streams.connect_get_namespaced_pod_exec, name, "main", command=["sh"]) as shell:
        shell.write_stdin("echo out; echo err >&2\n")
        assert (shell.readline_stdout(timeout=10), shell.readline_stderr(timeout=10)) == ("out", "err")
        shell.write_stdin("exit 3\n")
        shell.run_forever(timeout=10)
        assert shell.returncode == 3


def test_official_client_ends_the_input(streams: Any, name: str) -> None:
    """The fifth version of the protocol closes one channel, so that a command that reads to the end comes to it."""
    with opened(streams.connect_get_namespaced_pod_exec, name, "main", command=["sort"]) as sort:
        assert sort.subprotocol == "v5.channel.k8s.io"
        sort.write_stdin("b\na\n")
        sort.close_channel(0)
        sort.run_forever(timeout=10)
        assert (sort.read_stdout(), sort.returncode) == ("a\nb\n", 0)


def test_official_client_sizes_a_terminal(streams: Any, name: str) -> None:
    """The fourth channel carries the size of the window."""
    options = {"command": ["sh"], "tty": True, "stderr": False}
    with opened(streams.connect_get_namespaced_pod_exec, name, "main", **options) as shell:
        shell.write_channel(4, json.dumps({"Width": 99, "Height": 33}))
        shell.write_stdin("stty size; exit\n")
        shell.run_forever(timeout=10)
        assert "33 99" in shell.read_all()


def test_official_client_reads_bytes(streams: Any, name: str) -> None:
    """What is no text arrives unchanged."""
    command = ["sh", "-c", "head -c 300000 /dev/urandom | tee /tmp/bytes | md5sum >&2; cat /tmp/bytes"]
    connect = streams.connect_get_namespaced_pod_exec
    with opened(connect, name, "main", command=command, stdin=False, binary=True) as reading:
        reading.run_forever(timeout=20)
        data, digest = reading.read_stdout(), reading.read_stderr().split()[0].decode()
    assert (len(data), hashlib.md5(data, usedforsecurity=False).hexdigest()) == (300_000, digest)


def test_official_client_says_why_exec_is_refused(streams: Any) -> None:
    """A pod that is not there is a handshake with its status."""
    from kubernetes import client
    from kubernetes.stream import stream

    with pytest.raises(client.ApiException) as refused:
        stream(streams.connect_get_namespaced_pod_exec, "nobody", "default", command=["true"], stdout=True)
    assert 'pods \\"nobody\\" not found' in str(refused.value)


def test_official_client_attaches(streams: Any, name: str) -> None:
    """attach types into the running process and reads what it says."""
    with opened(streams.connect_get_namespaced_pod_attach, name, "ear") as ear:
        ear.write_stdin("hello\n")
        assert ear.readline_stdout(timeout=10) == "heard hello"
    with opened(streams.connect_get_namespaced_pod_attach, name, "ticks", stdin=False) as ticks:
        assert ticks.readline_stdout(timeout=10).startswith("tick ")


def test_official_client_follows_logs(api: Any, name: str) -> None:
    """`Watch().stream` of a log gives a line at a time until it is stopped; the options count."""
    from kubernetes import watch

    watching, lines = watch.Watch(), []
    options = {"container": "ticks", "follow": True, "tail_lines": 1}
    for line in watching.stream(api.read_namespaced_pod_log, name, "default", **options):
        lines.append(int(line.split()[1]))
        if len(lines) == 3:
            watching.stop()
    assert lines == list(range(lines[0], lines[0] + 3))
    assert api.read_namespaced_pod_log(name, "default", container="ticks", limit_bytes=6) == "tick 0"
    stamped = api.read_namespaced_pod_log(name, "default", container="ticks", tail_lines=1, timestamps=True)
    assert stamped.split()[0].endswith("Z")


def test_official_client_forwards_ports_to_their_ends(streams: Any, name: str) -> None:
    """An answer ends where the pod ends it; a port where nothing listens has an error, and takes no other along."""
    from kubernetes.stream import portforward

    forward = portforward(streams.connect_get_namespaced_pod_portforward, name, "default", ports="80,81")
    with contextlib.closing(forward.socket(80)) as connection:
        connection.settimeout(20)
        connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
        answer = b"".join(iter(lambda: connection.recv(4096), b""))
    assert answer.startswith(b"HTTP/1.1 200")
    assert b"demoapp v1.0" in answer
    assert forward.error(80) is None
    refused = eventually(lambda: forward.error(81))
    assert "error forwarding port 81 to pod" in refused
    assert "connection refused" in refused


def test_official_client_streams_without_threads(kubeconfig: Path, name: str) -> None:
    """`kubernetes.aio` follows a log and runs a command."""
    from kubernetes import aio
    from kubernetes.aio.stream import WsApiClient

    async def scenario() -> tuple[bytes, str]:
        await aio.config.load_kube_config(str(kubeconfig))
        async with aio.client.ApiClient() as client:
            core = aio.client.CoreV1Api(client)
            log = await core.read_namespaced_pod_log_without_preload_content(
                name, "default", container="ticks", follow=True
            )
            first = await log.content.readline()
            log.close()
        async with WsApiClient() as client:
            core = aio.client.CoreV1Api(client)
            options = {"stdout": True, "stderr": True, "stdin": False, "tty": False, "container": "main"}
            said = await core.connect_get_namespaced_pod_exec(name, "default", command=["echo", "hello"], **options)
        return first, said

    assert asyncio.run(scenario()) == (b"tick 0\n", "hello\n")


def test_kr8s_runs_commands(kubeconfig: Path, name: str) -> None:
    """Output, errors and exit code of a command, and its output into a file of the caller's."""
    import kr8s.asyncio
    from kr8s.asyncio.objects import Pod

    async def scenario() -> None:
        pod = await Pod.get(name, namespace="default", api=await kr8s.asyncio.api(kubeconfig=str(kubeconfig)))
        done = await pod.exec(["sh", "-c", "echo out; echo err >&2; exit 3"], check=False)
        assert (done.stdout, done.stderr, done.returncode) == (b"out\n", b"err\n", 3)
        into = io.BytesIO()
        await pod.exec(["head", "-c", "200000", "/dev/zero"], stdout=into, capture_output=False)
        assert into.getvalue() == bytes(200_000)

    asyncio.run(scenario())


def test_kr8s_follows_logs(kubeconfig: Path, name: str) -> None:
    """`logs(follow=True)` gives lines as they come."""
    import kr8s.asyncio
    from kr8s.asyncio.objects import Pod

    async def scenario() -> list[int]:
        pod = await Pod.get(name, namespace="default", api=await kr8s.asyncio.api(kubeconfig=str(kubeconfig)))
        numbers: list[int] = []
        async with asyncio.timeout(20):
            async for line in pod.logs(container="ticks", follow=True, tail_lines=2):
                numbers.append(int(line.split()[1]))
                if len(numbers) == 4:
                    break
        return numbers

    numbers = asyncio.run(scenario())
    assert numbers == list(range(numbers[0], numbers[0] + 4))


def test_kr8s_reaches_a_service(kubeconfig: Path, name: str) -> None:
    """A service by the API's proxy and by a forwarded port, and a pod by a forwarded port."""
    import kr8s
    from kr8s.objects import Pod, Service

    api = kr8s.api(kubeconfig=str(kubeconfig))
    spec = {"selector": {"app": name}, "ports": [{"port": 80}]}
    service = Service({"metadata": {"name": name, "namespace": "default"}, "spec": spec}, api=api)
    service.create()

    def proxied() -> int:
        try:
            return int(service.proxy_http_get("/").status_code)
        except kr8s.ServerError as error:
            return int(error.response.status_code) if error.response else 0

    try:
        # Its endpoints are there a moment after it.
        eventually(proxied, lambda status: status == 200)
        for what in (service, Pod.get(name, namespace="default", api=api)):
            with (
                what.portforward(remote_port=80) as port,
                NO_PROXY.open(f"http://127.0.0.1:{port}/", timeout=10) as answer,
            ):
                assert b"demoapp v1.0" in answer.read()
    finally:
        service.delete()


def test_lightkube_runs_commands(kubeconfig: Path, name: str) -> None:
    """Streams, exit code and input of any length; errors are raised when asked for."""
    from lightkube import ApiError, Client, KubeConfig

    client = Client(config=KubeConfig.from_file(str(kubeconfig)), namespace="default")
    options: dict[str, Any] = {"container": "main", "stdout": True, "stderr": True}
    done = client.exec(name, command=["sh", "-c", "echo out; echo err >&2; exit 4"], **options)
    assert (done.stdout, done.stderr, done.exit_code) == ("out\n", "err\n", 4)
    assert client.exec(name, command=["cat"], stdin="typed", **options).stdout == "typed"
    data, into = os.urandom(500_000), io.BytesIO()
    client.exec(name, container="main", command=["md5sum"], stdin=io.BytesIO(data), stdout=into)
    assert into.getvalue().split()[0].decode() == hashlib.md5(data, usedforsecurity=False).hexdigest()
    with pytest.raises(ApiError) as failed:
        client.exec(name, container="main", command=["false"], raise_on_error=True)
    assert failed.value.status.reason == "NonZeroExitCode"


def test_lightkube_follows_logs(kubeconfig: Path, name: str) -> None:
    """Lines come as they are written, with and without threads."""
    from lightkube import AsyncClient, Client, KubeConfig

    config = KubeConfig.from_file(str(kubeconfig))
    following = Client(config=config, namespace="default").log(name, container="ticks", follow=True, tail_lines=1)
    first, second = itertools.islice(following, 2)
    assert int(second.split()[1]) == int(first.split()[1]) + 1

    async def scenario() -> tuple[str, str]:
        client = AsyncClient(config=config, namespace="default")
        done = await client.exec(name, container="main", command=["cat"], stdin="typed", stdout=True)
        line = await anext(client.log(name, container="ticks", follow=True))
        await client.close()
        return done.stdout, line

    assert asyncio.run(scenario()) == ("typed", "tick 0\n")
