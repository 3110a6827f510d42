"""Between our values and CRI v1 messages. Pure. Upstream: cri-api `pkg/apis/runtime/v1/api.proto`."""

from typing import Any

from pinnace.kubelet.cri import api_pb2
from pinnace.kubelet.runtime import ContainerConfig, Image, SandboxConfig, Usage

# The generated module makes its classes at run time, so that no type checker sees them.
_pb: Any = api_pb2
_SECCOMP = {"RuntimeDefault": 0, "Unconfined": 1, "Localhost": 2}
_PROPAGATION = {"None": 0, "HostToContainer": 1, "Bidirectional": 2}


def condition(item: Any) -> str:
    """Return a condition of the runtime as upstream prints it."""
    return f"{item.type}={str(item.status).lower()} reason:{item.reason} message:{item.message}"


def image(item: Any) -> Image:
    """Return an image."""
    return Image(
        id=item.id,
        tags=tuple(item.repo_tags),
        digests=tuple(item.repo_digests),
        size_bytes=item.size,
        user=item.uid.value if item.HasField("uid") else None,
        username=item.username,
    )


def usage(item: Any) -> Usage:
    """Return what a container has used."""
    return Usage(
        container_id=item.attributes.id,
        at=item.cpu.timestamp,
        cpu_nanos=item.cpu.usage_core_nano_seconds.value,
        memory_bytes=item.memory.working_set_bytes.value,
        disk_bytes=item.writable_layer.used_bytes.value,
        inodes=item.writable_layer.inodes_used.value,
    )


def _namespaces(config: SandboxConfig, process_target: str = "") -> Any:
    pid = 2 if config.host_pid else 0 if config.share_processes else 3 if process_target else 1
    return _pb.NamespaceOption(
        network=2 if config.host_network else 0, pid=pid, ipc=2 if config.host_ipc else 0, target_id=process_target
    )


def sandbox_message(config: SandboxConfig) -> Any:
    """Return what a sandbox is made from."""
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


def container_message(config: ContainerConfig, sandbox: SandboxConfig) -> Any:
    """Return what a container is made from."""
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
