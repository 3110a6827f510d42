"""The one adapter between our values and CRI v1 messages, over gRPC on a unix socket.

Every call has a time limit; gRPC's errors become `RuntimeFailure` in `_call` and nowhere else. A new channel is opened by gRPC itself
when the runtime restarts. Upstream: cri-client `pkg/remote_runtime.go`.
"""

import os
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from typing import Any, Self

# gRPC's fork handlers abort a process that starts children under uvloop.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

import grpc
import grpc.aio

from pinnace.component.http.message import DuplexStream
from pinnace.component.http.streams import CommandFailed, CommandStreams, PortForwardFailed
from pinnace.kubelet.cri import api_pb2, remote
from pinnace.kubelet.runtime import (
    CONTAINER_NAME,
    POD_NAME,
    POD_NAMESPACE,
    POD_UID,
    RESTART_COUNT,
    ContainerConfig,
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
)

# The generated module makes its classes at run time, so that no type checker sees them.
_pb: Any = api_pb2
# Seconds: upstream's limit for a call, and for one that moves images (which it does not limit; a day ends all that hangs).
CALL_SECONDS, PULL_SECONDS = 120.0, 86400.0
_STATES = (State.CREATED, State.RUNNING, State.EXITED, State.UNKNOWN)
_SECCOMP = {"RuntimeDefault": 0, "Unconfined": 1, "Localhost": 2}
_PROPAGATION = {"None": 0, "HostToContainer": 1, "Bidirectional": 2}


class CriRuntime(Runtime):
    """A runtime behind a socket; use it as an async context manager."""

    def __init__(self, socket: str) -> None:
        self._channel = grpc.aio.insecure_channel(f"unix://{socket}")
        self._details: dict[str, Any] = {}
        self._ips: dict[str, tuple[str, ...]] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._channel.close()

    async def pods(self) -> Mapping[str, PodRecord]:
        found = await self._records({})
        self._forget(found.values())
        return found

    async def pod(self, uid: str) -> PodRecord:
        return (await self._records({POD_UID: uid})).get(uid) or PodRecord(uid=uid)

    async def changes(self) -> AsyncIterator[str]:
        raise RuntimeFailure("this runtime does not tell of changes")
        yield ""

    async def run_sandbox(self, config: SandboxConfig) -> str:
        answer = await self._call("RunPodSandbox", _pb.RunPodSandboxRequest(config=_sandbox_message(config)))
        return str(answer.pod_sandbox_id)

    async def end_sandbox(self, sandbox_id: str, *, remove: bool) -> None:
        try:
            await self._call("StopPodSandbox", _pb.StopPodSandboxRequest(pod_sandbox_id=sandbox_id))
            if remove:
                await self._call("RemovePodSandbox", _pb.RemovePodSandboxRequest(pod_sandbox_id=sandbox_id))
        except NotThere:
            return

    async def create_container(self, sandbox_id: str, config: ContainerConfig, sandbox: SandboxConfig) -> str:
        request = _pb.CreateContainerRequest(
            pod_sandbox_id=sandbox_id,
            config=_container_message(config, sandbox),
            sandbox_config=_sandbox_message(sandbox),
        )
        return str((await self._call("CreateContainer", request)).container_id)

    async def start_container(self, container_id: str) -> None:
        await self._call("StartContainer", _pb.StartContainerRequest(container_id=container_id))

    async def stop_container(self, container_id: str, grace_seconds: int) -> None:
        request = _pb.StopContainerRequest(container_id=container_id, timeout=grace_seconds)
        try:
            await self._call("StopContainer", request, CALL_SECONDS + grace_seconds)
        except NotThere:
            return

    async def remove_container(self, container_id: str) -> None:
        try:
            await self._call("RemoveContainer", _pb.RemoveContainerRequest(container_id=container_id))
        except NotThere:
            return

    async def health(self) -> Health:
        version = await self._call("Version", _pb.VersionRequest())
        status = (await self._call("Status", _pb.StatusRequest())).status
        reasons = {item.type: "" if item.status else _condition(item) for item in status.conditions}
        return Health(
            version=f"{version.runtime_name}://{version.runtime_version}",
            runtime_reason=reasons.get("RuntimeReady", ""),
            network_reason=reasons.get("NetworkReady", ""),
        )

    async def set_pod_cidr(self, cidr: str) -> None:
        config = _pb.RuntimeConfig(network_config=_pb.NetworkConfig(pod_cidr=cidr))
        await self._call("UpdateRuntimeConfig", _pb.UpdateRuntimeConfigRequest(runtime_config=config))

    async def image(self, name: str) -> Image | None:
        request = _pb.ImageStatusRequest(image=_pb.ImageSpec(image=name))
        answer = await self._call("ImageStatus", request, service="ImageService")
        return _image(answer.image) if answer.HasField("image") and answer.image.id else None

    async def images(self) -> Sequence[Image]:
        answer = await self._call("ListImages", _pb.ListImagesRequest(), service="ImageService")
        return [_image(item) for item in answer.images]

    async def pull(self, name: str, user: str, password: str) -> str:
        request = _pb.PullImageRequest(image=_pb.ImageSpec(image=name))
        if user:
            request.auth.username, request.auth.password = user, password
        return str((await self._call("PullImage", request, PULL_SECONDS, service="ImageService")).image_ref)

    async def execute(self, container_id: str, command: Sequence[str], timeout_seconds: int) -> Executed:
        request = _pb.ExecSyncRequest(container_id=container_id, cmd=command, timeout=timeout_seconds)
        answer = await self._call("ExecSync", request, CALL_SECONDS + timeout_seconds)
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
            answer = await self._call("PortForward", _pb.PortForwardRequest(pod_sandbox_id=sandbox_id, port=[port]))
        except RuntimeFailure as error:
            raise PortForwardFailed(str(error)) from error
        await remote.carry_port(str(answer.url), port, stream)

    async def reopen_log(self, container_id: str) -> None:
        await self._call("ReopenContainerLog", _pb.ReopenContainerLogRequest(container_id=container_id))

    async def _records(self, labels: Mapping[str, str]) -> dict[str, PodRecord]:
        """Return all that carries these labels."""
        sandboxes: dict[str, list[Sandbox]] = defaultdict(list)
        instances: dict[str, list[Instance]] = defaultdict(list)
        request = _pb.ListPodSandboxRequest(filter=_pb.PodSandboxFilter(label_selector=labels))
        for item in (await self._call("ListPodSandbox", request)).items:
            sandboxes[item.metadata.uid].append(await self._sandbox(item))
        wanted = _pb.ListContainersRequest(filter=_pb.ContainerFilter(label_selector=labels))
        for item in (await self._call("ListContainers", wanted)).containers:
            if POD_UID in item.labels and (found := await self._instance(item)) is not None:
                instances[found.uid].append(found)
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
            return str((await self._call(method, request)).url)
        except RuntimeFailure as error:
            raise CommandFailed(f"error executing command in container: {error}") from error

    async def _sandbox(self, item: Any) -> Sandbox:
        ready = item.state == 0
        if ready and item.id not in self._ips:
            try:
                request = _pb.PodSandboxStatusRequest(pod_sandbox_id=item.id)
                network = (await self._call("PodSandboxStatus", request)).status.network
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
                status = self._details[item.id] = (await self._call("ContainerStatus", request)).status
            except NotThere:
                return None
        return Instance(
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

    def _forget(self, present: Iterable[PodRecord]) -> None:
        """Keep details only of what is there."""
        records = tuple(present)
        containers = {run.id for record in records for run in record.instances}
        sandboxes = {sandbox.id for record in records for sandbox in record.sandboxes}
        self._details = {key: value for key, value in self._details.items() if key in containers}
        self._ips = {key: value for key, value in self._ips.items() if key in sandboxes}

    async def _call(
        self, method: str, request: Any, limit_seconds: float = CALL_SECONDS, *, service: str = "RuntimeService"
    ) -> Any:
        described = _pb.DESCRIPTOR.services_by_name[service].methods_by_name[method]
        answer = getattr(_pb, described.output_type.name)
        call = self._channel.unary_unary(
            f"/runtime.v1.{service}/{method}",
            request_serializer=type(request).SerializeToString,
            response_deserializer=answer.FromString,
        )
        try:
            return await call(request, timeout=limit_seconds)
        except grpc.aio.AioRpcError as error:
            text = f"rpc error: code = {_code(error)} desc = {error.details()}"
            if error.code() is grpc.StatusCode.NOT_FOUND:
                raise NotThere(text) from error
            raise RuntimeFailure(text) from error


def _code(error: grpc.aio.AioRpcError) -> str:
    """Return the code as Go's gRPC prints it."""
    return "".join(word.capitalize() for word in error.code().name.split("_"))


def _condition(item: Any) -> str:
    return f"{item.type}={str(item.status).lower()} reason:{item.reason} message:{item.message}"


def _image(item: Any) -> Image:
    return Image(
        id=item.id,
        tags=tuple(item.repo_tags),
        digests=tuple(item.repo_digests),
        size_bytes=item.size,
        user=item.uid.value if item.HasField("uid") else None,
        username=item.username,
    )


def _namespaces(config: SandboxConfig, process_target: str = "") -> Any:
    pid = 2 if config.host_pid else 0 if config.share_processes else 3 if process_target else 1
    return _pb.NamespaceOption(
        network=2 if config.host_network else 0, pid=pid, ipc=2 if config.host_ipc else 0, target_id=process_target
    )


def _sandbox_message(config: SandboxConfig) -> Any:
    security = _pb.LinuxSandboxSecurityContext(
        namespace_options=_namespaces(config),
        privileged=config.privileged,
        supplemental_groups=config.groups,
        seccomp=_pb.SecurityProfile(profile_type=0),
    )
    return _pb.PodSandboxConfig(
        metadata=_pb.PodSandboxMetadata(
            name=config.name, namespace=config.namespace, uid=config.uid, attempt=config.attempt
        ),
        hostname=config.hostname,
        log_directory=config.log_directory,
        dns_config=_pb.DNSConfig(servers=config.dns_servers, searches=config.dns_searches, options=config.dns_options),
        port_mappings=[
            _pb.PortMapping(
                protocol=_pb.Protocol.Value(port.protocol),
                container_port=port.container_port,
                host_port=port.host_port,
                host_ip=port.host_ip,
            )
            for port in config.ports
        ],
        labels=config.labels,
        annotations=config.annotations,
        linux=_pb.LinuxPodSandboxConfig(
            cgroup_parent=config.cgroup_parent, security_context=security, sysctls=config.sysctls
        ),
    )


def _container_message(config: ContainerConfig, sandbox: SandboxConfig) -> Any:
    return _pb.ContainerConfig(
        metadata=_pb.ContainerMetadata(name=config.name, attempt=config.attempt),
        image=_pb.ImageSpec(image=config.image),
        command=config.command,
        args=config.args,
        working_dir=config.working_dir,
        envs=[_pb.KeyValue(key=key, value=value) for key, value in config.env],
        mounts=[
            _pb.Mount(
                container_path=mount.container_path,
                host_path=mount.host_path,
                readonly=mount.read_only,
                propagation=_PROPAGATION[mount.propagation],
            )
            for mount in config.mounts
        ],
        labels=config.labels,
        annotations=config.annotations,
        log_path=config.log_path,
        stdin=config.stdin,
        stdin_once=config.stdin_once,
        tty=config.tty,
        linux=_linux(config, sandbox),
    )


def _linux(config: ContainerConfig, sandbox: SandboxConfig) -> Any:
    limits, security = config.limits, config.security
    message = _pb.LinuxContainerSecurityContext(
        capabilities=_pb.Capability(add_capabilities=security.add, drop_capabilities=security.drop),
        privileged=security.privileged,
        namespace_options=_namespaces(sandbox, config.process_target),
        readonly_rootfs=security.read_only_root,
        supplemental_groups=security.groups,
        no_new_privs=security.no_new_privileges,
        masked_paths=security.masked_paths,
        readonly_paths=security.read_only_paths,
        seccomp=_pb.SecurityProfile(profile_type=_SECCOMP[security.seccomp], localhost_ref=security.seccomp_file),
        run_as_username=security.username,
    )
    if security.user is not None:
        message.run_as_user.value = security.user
    if security.group is not None:
        message.run_as_group.value = security.group
    return _pb.LinuxContainerConfig(
        resources=_pb.LinuxContainerResources(
            cpu_shares=limits.cpu_shares,
            cpu_quota=limits.cpu_quota,
            cpu_period=limits.cpu_period,
            memory_limit_in_bytes=limits.memory_bytes,
            oom_score_adj=limits.oom_score_adj,
        ),
        security_context=message,
    )
