"""The one adapter between our values and CRI v1 messages, over gRPC on a unix socket.

Details of a container are asked for once per state that it is seen in. The ends of containers are told by containerd's own events, as
CRI has none before containerd 1.7. Upstream: cri-client `pkg/remote_runtime.go`.
"""

from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Self

from msgspec.structs import replace

from pinnace.component.clock import Clock, RealClock
from pinnace.component.http.message import DuplexStream
from pinnace.component.http.streams import CommandFailed, CommandStreams, PortForwardFailed
from pinnace.kubelet.cri import api_pb2, messages, remote
from pinnace.kubelet.cri.calls import CALL_SECONDS, HEALTH_SECONDS, Calls
from pinnace.kubelet.cri.events import Exit, OutOfMemory, subscribe
from pinnace.kubelet.runtime import (
    CONTAINER_NAME,
    POD_NAME,
    POD_NAMESPACE,
    POD_UID,
    RESTART_COUNT,
    ContainerConfig,
    Credential,
    Executed,
    Health,
    Image,
    Instance,
    NotThere,
    PodRecord,
    Runtime,
    RuntimeFailure,
    Sandbox,
    SandboxConfig,
    State,
    Usage,
)

# The generated module makes its classes at run time, so that no type checker sees them.
_pb: Any = api_pb2
# Seconds for a call that moves images: upstream does not limit it; a day ends all that hangs.
_PULL_SECONDS = 86400.0
# Seconds between two looks at a sandbox that has ended while CRI does not know it: each pause is twice the last one.
_FIRST_PAUSE_SECONDS, _MOST_PAUSE_SECONDS = 0.001, 1.0
_STATES = (State.CREATED, State.RUNNING, State.EXITED, State.UNKNOWN)


class CriRuntime(Runtime):
    """A runtime behind a socket; use it as an async context manager."""

    def __init__(self, socket: str, clock: Clock | None = None) -> None:
        self._clock = clock if clock is not None else RealClock()
        self._calls = Calls(socket)
        self._details: dict[str, Any] = {}
        self._ips: dict[str, tuple[str, ...]] = {}
        # Ends that containerd has told of; they count until CRI knows of them, too.
        self._exits: dict[str, Exit] = {}
        # Pods by the IDs of their containers and sandboxes.
        self._owners: dict[str, str] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._calls.close()

    async def pods(self) -> Mapping[str, PodRecord]:
        found = await self._records({})
        self._forget(found.values())
        return found

    async def pod(self, uid: str) -> PodRecord:
        return (await self._records({POD_UID: uid})).get(uid) or PodRecord(uid=uid)

    async def changes(self) -> AsyncIterator[str]:
        async for event in subscribe(self._calls):
            if isinstance(event, OutOfMemory):
                self._details.pop(event.id, None)
            elif event.id in self._ips:
                await self._wait_not_ready(event.id)
            else:
                self._exits[event.id] = event
            if event.id in self._owners:
                yield self._owners[event.id]

    async def usage(self) -> Sequence[Usage]:
        answer = await self._calls.runtime("ListContainerStats", _pb.ListContainerStatsRequest())
        return [messages.usage(item) for item in answer.stats]

    async def run_sandbox(self, config: SandboxConfig) -> str:
        answer = await self._calls.runtime(
            "RunPodSandbox", _pb.RunPodSandboxRequest(config=messages.sandbox_message(config))
        )
        return str(answer.pod_sandbox_id)

    async def end_sandbox(self, sandbox_id: str, *, remove: bool) -> None:
        try:
            await self._calls.runtime("StopPodSandbox", _pb.StopPodSandboxRequest(pod_sandbox_id=sandbox_id))
            if remove:
                await self._calls.runtime("RemovePodSandbox", _pb.RemovePodSandboxRequest(pod_sandbox_id=sandbox_id))
        except NotThere:
            return

    async def create_container(self, sandbox_id: str, config: ContainerConfig, sandbox: SandboxConfig) -> str:
        request = _pb.CreateContainerRequest(
            pod_sandbox_id=sandbox_id,
            config=messages.container_message(config, sandbox),
            sandbox_config=messages.sandbox_message(sandbox),
        )
        return str((await self._calls.runtime("CreateContainer", request)).container_id)

    async def start_container(self, container_id: str) -> None:
        await self._calls.runtime("StartContainer", _pb.StartContainerRequest(container_id=container_id))

    async def stop_container(self, container_id: str, grace_seconds: int) -> None:
        request = _pb.StopContainerRequest(container_id=container_id, timeout=grace_seconds)
        try:
            await self._calls.runtime("StopContainer", request, CALL_SECONDS + grace_seconds)
        except NotThere:
            return

    async def remove_container(self, container_id: str) -> None:
        try:
            await self._calls.runtime("RemoveContainer", _pb.RemoveContainerRequest(container_id=container_id))
        except NotThere:
            return

    async def health(self) -> Health:
        version = await self._calls.runtime("Version", _pb.VersionRequest(), HEALTH_SECONDS)
        status = (await self._calls.runtime("Status", _pb.StatusRequest(), HEALTH_SECONDS)).status
        reasons = {item.type: "" if item.status else messages.condition(item) for item in status.conditions}
        return Health(
            version=f"{version.runtime_name}://{version.runtime_version}",
            runtime_reason=reasons.get("RuntimeReady", ""),
            network_reason=reasons.get("NetworkReady", ""),
        )

    async def set_pod_cidr(self, cidr: str) -> None:
        config = _pb.RuntimeConfig(network_config=_pb.NetworkConfig(pod_cidr=cidr))
        await self._calls.runtime("UpdateRuntimeConfig", _pb.UpdateRuntimeConfigRequest(runtime_config=config))

    async def image(self, name: str) -> Image | None:
        request = _pb.ImageStatusRequest(image=_pb.ImageSpec(image=name))
        answer = await self._calls.image("ImageStatus", request)
        return messages.image(answer.image) if answer.HasField("image") and answer.image.id else None

    async def images(self) -> Sequence[Image]:
        answer = await self._calls.image("ListImages", _pb.ListImagesRequest())
        return [messages.image(item) for item in answer.images]

    async def pull(self, name: str, credential: Credential | None) -> str:
        request = _pb.PullImageRequest(image=_pb.ImageSpec(image=name))
        if credential is not None:
            request.auth.username, request.auth.password = credential.user, credential.password
            request.auth.identity_token = credential.token
        return str((await self._calls.image("PullImage", request, _PULL_SECONDS)).image_ref)

    async def remove_image(self, image_id: str) -> None:
        await self._calls.image("RemoveImage", _pb.RemoveImageRequest(image=_pb.ImageSpec(image=image_id)))

    async def execute(self, container_id: str, command: Sequence[str], timeout_seconds: int) -> Executed:
        request = _pb.ExecSyncRequest(container_id=container_id, cmd=command, timeout=timeout_seconds)
        answer = await self._calls.runtime("ExecSync", request, CALL_SECONDS + timeout_seconds)
        return Executed(exit_code=answer.exit_code, output=answer.stdout + answer.stderr)

    async def exec(self, container_id: str, streams: CommandStreams) -> int:
        wanted = streams.options
        request = _pb.ExecRequest(
            container_id=container_id,
            cmd=wanted.command,
            tty=wanted.tty,
            stdin=wanted.stdin,
            stdout=wanted.stdout,
            stderr=wanted.stderr,
        )
        return await remote.command(await self._stream_url("Exec", request), streams)

    async def attach(self, container_id: str, streams: CommandStreams) -> int:
        wanted = streams.options
        request = _pb.AttachRequest(
            container_id=container_id,
            tty=wanted.tty,
            stdin=wanted.stdin,
            stdout=wanted.stdout,
            stderr=wanted.stderr,
        )
        return await remote.command(await self._stream_url("Attach", request), streams)

    async def forward(self, sandbox_id: str, port: int, stream: DuplexStream) -> None:
        try:
            answer = await self._calls.runtime(
                "PortForward", _pb.PortForwardRequest(pod_sandbox_id=sandbox_id, port=[port])
            )
        except RuntimeFailure as error:
            raise PortForwardFailed(str(error)) from error
        await remote.carry_port(str(answer.url), port, stream)

    async def reopen_log(self, container_id: str) -> None:
        await self._calls.runtime("ReopenContainerLog", _pb.ReopenContainerLogRequest(container_id=container_id))

    async def _wait_not_ready(self, sandbox_id: str) -> None:
        """Wait until CRI, too, has seen a sandbox end."""
        pause = _FIRST_PAUSE_SECONDS
        request = _pb.PodSandboxStatusRequest(pod_sandbox_id=sandbox_id)
        with suppress(NotThere):
            while pause < _MOST_PAUSE_SECONDS:
                if (await self._calls.runtime("PodSandboxStatus", request)).status.state != 0:
                    return
                await self._clock.sleep(pause)
                pause *= 2

    async def _records(self, labels: Mapping[str, str]) -> dict[str, PodRecord]:
        """Return all that carries these labels."""
        sandboxes: dict[str, list[Sandbox]] = defaultdict(list)
        instances: dict[str, list[Instance]] = defaultdict(list)
        request = _pb.ListPodSandboxRequest(filter=_pb.PodSandboxFilter(label_selector=labels))
        for item in (await self._calls.runtime("ListPodSandbox", request)).items:
            sandboxes[item.metadata.uid].append(await self._sandbox(item))
        wanted = _pb.ListContainersRequest(filter=_pb.ContainerFilter(label_selector=labels))
        for item in (await self._calls.runtime("ListContainers", wanted)).containers:
            if POD_UID in item.labels and (found := await self._instance(item)) is not None:
                instances[found.uid].append(found)
        self._owners |= {run.id: uid for uid, runs in instances.items() for run in runs}
        self._owners |= {sandbox.id: uid for uid, made in sandboxes.items() for sandbox in made}
        return {
            uid: PodRecord(
                uid=uid,
                sandboxes=tuple(sorted(sandboxes[uid], key=lambda sandbox: -sandbox.created_at)),
                instances=tuple(sorted(instances[uid], key=lambda instance: -instance.created_at)),
            )
            for uid in {*sandboxes, *instances}
        }

    async def _stream_url(self, method: str, request: Any) -> str:
        try:
            return str((await self._calls.runtime(method, request)).url)
        except RuntimeFailure as error:
            raise CommandFailed(f"error executing command in container: {error}") from error

    async def _sandbox(self, item: Any) -> Sandbox:
        ready = item.state == 0
        if ready and item.id not in self._ips:
            try:
                request = _pb.PodSandboxStatusRequest(pod_sandbox_id=item.id)
                network = (await self._calls.runtime("PodSandboxStatus", request)).status.network
                ips = (network.ip, *(extra.ip for extra in network.additional_ips))
                self._ips[item.id] = tuple(ip for ip in ips if ip)
            except NotThere:
                ready = False
        return Sandbox(
            id=item.id,
            uid=item.metadata.uid,
            name=item.labels.get(POD_NAME, item.metadata.name),
            namespace=item.labels.get(POD_NAMESPACE, item.metadata.namespace),
            attempt=item.metadata.attempt,
            ready=ready,
            created_at=item.created_at,
            ips=self._ips.get(item.id, ()),
        )

    async def _instance(self, item: Any) -> Instance | None:
        status = self._details.get(item.id)
        if status is None or status.state != item.state:
            try:
                request = _pb.ContainerStatusRequest(container_id=item.id)
                status = self._details[item.id] = (await self._calls.runtime("ContainerStatus", request)).status
            except NotThere:
                return None
        found = Instance(
            id=item.id,
            sandbox_id=item.pod_sandbox_id,
            uid=item.labels[POD_UID],
            name=item.labels.get(CONTAINER_NAME, item.metadata.name),
            state=_STATES[status.state],
            restart_count=int(item.annotations.get(RESTART_COUNT, item.metadata.attempt)),
            created_at=status.created_at,
            started_at=status.started_at,
            finished_at=status.finished_at,
            exit_code=status.exit_code,
            reason=status.reason,
            message=status.message,
            image=status.image.image,
            image_id=status.image_ref,
            annotations=dict(item.annotations),
        )
        ended = self._exits.get(item.id)
        if ended is None or found.state is not State.RUNNING:
            return found
        reason = "Completed" if ended.exit_code == 0 else "Error"
        return replace(
            found, state=State.EXITED, exit_code=ended.exit_code, finished_at=ended.finished_at, reason=reason
        )

    def _forget(self, present: Iterable[PodRecord]) -> None:
        """Keep details only of what is there."""
        records = tuple(present)
        containers = {run.id for record in records for run in record.instances}
        sandboxes = {sandbox.id for record in records for sandbox in record.sandboxes}
        self._details = {key: value for key, value in self._details.items() if key in containers}
        self._exits = {key: value for key, value in self._exits.items() if key in containers}
        self._ips = {key: value for key, value in self._ips.items() if key in sandboxes}
        self._owners = {key: value for key, value in self._owners.items() if key in containers or key in sandboxes}
