"""From a pod's spec to what the runtime is told: sandbox, container, limits, rights. Pure but for the hosts file.

Upstream: kuberuntime `kuberuntime_sandbox.go`, `security_context.go`, kubelet `network/dns/dns.go`, `qos/policy.go`, `cm/helpers_linux.go`.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path

from pinnace.api import core_v1
from pinnace.kubelet import runtime as cri
from pinnace.kubelet.config import KubeletConfig
from pinnace.kubelet.environment import ConfigError
from pinnace.machinery import quantity

# Microseconds in which a quota counts.
CPU_PERIOD = 100_000
_HOST_NAME_CHARS, _KERNEL_NAME_CHARS = 63, 64
_MASKED = (
    "/proc/asound", "/proc/acpi", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
    "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug", "/proc/scsi", "/sys/firmware",
    "/sys/devices/virtual/powercap",
)  # fmt: skip
_READ_ONLY = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")
_HOSTS = (
    "# Kubernetes-managed hosts file.", "127.0.0.1\tlocalhost", "::1\tlocalhost ip6-localhost ip6-loopback",
    "fe00::0\tip6-localnet", "fe00::0\tip6-mcastprefix", "fe00::1\tip6-allnodes", "fe00::2\tip6-allrouters",
)  # fmt: skip


def log_dir(config: KubeletConfig, pod: core_v1.Pod) -> Path:
    """Return where the logs of a pod are."""
    return config.log_dir / f"{pod.metadata.namespace}_{pod.metadata.name}_{pod.metadata.uid}"


def cgroup_parent(config: KubeletConfig, pod: core_v1.Pod) -> str:
    """Return the cgroup of a pod, below that of its quality of service."""
    tier = {"Burstable": "/burstable", "BestEffort": "/besteffort"}.get(pod.status.qos_class, "")
    return f"{config.cgroup_root}{tier}/pod{pod.metadata.uid}"


def hostname(pod: core_v1.Pod) -> str:
    """Return the host name of a pod."""
    if pod.spec.hostname_override:
        return pod.spec.hostname_override
    return (pod.spec.hostname or pod.metadata.name)[:_HOST_NAME_CHARS].rstrip("-.")


def domain(config: KubeletConfig, pod: core_v1.Pod) -> str:
    """Return the domain of a pod's host name; empty without a subdomain."""
    if not pod.spec.subdomain or pod.spec.hostname_override:
        return ""
    return f"{pod.spec.subdomain}.{pod.metadata.namespace}.svc.{config.cluster_domain}"


def kernel_hostname(config: KubeletConfig, pod: core_v1.Pod) -> str:
    """Return what the kernel is told: the host name, with its domain where the pod asks for that.

    Raises:
        ConfigError: with the domain it is too long for the kernel.
    """
    name, below = hostname(pod), domain(config, pod)
    if not pod.spec.set_hostname_as_fqdn or not below:
        return name
    full = f"{name}.{below}"
    if len(full) > _KERNEL_NAME_CHARS:
        raise ConfigError(
            f"failed to construct FQDN from pod hostname and cluster domain, FQDN {full} is too long "
            f"({_KERNEL_NAME_CHARS} characters is the max, {len(full)} characters requested)"
        )
    return full


def sandbox(config: KubeletConfig, pod: core_v1.Pod, attempt: int) -> cri.SandboxConfig:
    """Return what a pod's sandbox is made from.

    Raises:
        ConfigError: it cannot have the host name that it asks for.
    """
    spec, security = pod.spec, pod.spec.security_context
    servers, searches, options = dns(config, pod)
    ports = {
        (port.name or f"{port.host_port}/{port.protocol}"): cri.PortMapping(
            container_port=port.container_port,
            host_port=port.host_port,
            protocol=port.protocol or "TCP",
            host_ip=port.host_ip,
        )
        for container in spec.containers or ()
        for port in container.ports
        if port.host_port
    }
    return cri.SandboxConfig(
        name=pod.metadata.name,
        namespace=pod.metadata.namespace,
        uid=pod.metadata.uid,
        attempt=attempt,
        hostname="" if spec.host_network else kernel_hostname(config, pod),
        log_directory=str(log_dir(config, pod)),
        dns_servers=servers,
        dns_searches=searches,
        dns_options=options,
        ports=() if spec.host_network else tuple(ports.values()),
        labels={**(pod.metadata.labels or {}), **_identity(pod)},
        annotations=pod.metadata.annotations or {},
        cgroup_parent=cgroup_parent(config, pod),
        host_network=bool(spec.host_network),
        host_pid=bool(spec.host_pid),
        host_ipc=bool(spec.host_ipc),
        share_processes=bool(spec.share_process_namespace),
        privileged=any(
            each.security_context is not None and bool(each.security_context.privileged)
            for each in (*(spec.init_containers or ()), *(spec.containers or ()))
        ),
        sysctls={item.name.replace("/", "."): item.value for item in security.sysctls} if security is not None else {},
        groups=_groups(security),
    )


def labels(pod: core_v1.Pod, container: core_v1.Container) -> dict[str, str]:
    """Return the labels by which a container is found again."""
    return {**_identity(pod), cri.CONTAINER_NAME: container.name}


def spec_hash(container: core_v1.Container) -> str:
    """Return what changes when a container has to be made anew: its name and image."""
    return hashlib.sha256(f"{container.name}\0{container.image}".encode()).hexdigest()[:8]


def annotations(container: core_v1.Container, attempt: int) -> dict[str, str]:
    """Return what the agent needs to know of a container after its own restart."""
    return {
        cri.CONTAINER_HASH: spec_hash(container),
        cri.RESTART_COUNT: str(attempt),
        cri.TERMINATION_PATH: container.termination_message_path,
        cri.TERMINATION_POLICY: container.termination_message_policy,
    }


def limits(pod: core_v1.Pod, container: core_v1.Container, node_memory: int) -> cri.Limits:
    """Return a container's share in the kernel's units."""
    wanted, most = container.resources.requests, container.resources.limits
    cpu = quantity.parse(wanted.get("cpu", most.get("cpu", "0"))).milli()
    cpu_limit = quantity.parse(most.get("cpu", "0")).milli()
    return cri.Limits(
        cpu_shares=cpu_shares(cpu),
        cpu_quota=cpu_quota(cpu_limit) if cpu_limit else 0,
        cpu_period=CPU_PERIOD,
        memory_bytes=quantity.parse(most.get("memory", "0")).value(),
        oom_score_adj=oom_score(pod, container, node_memory),
    )


def cpu_shares(millis: int) -> int:
    """Return the kernel's shares for thousandths of a core."""
    return min(max(millis * 1024 // 1000, 2), 262144)


def cpu_quota(millis: int) -> int:
    """Return the microseconds of each period for thousandths of a core."""
    return max(millis * CPU_PERIOD // 1000, 1000)


def oom_score(pod: core_v1.Pod, container: core_v1.Container, node_memory: int) -> int:
    """Return how willingly the kernel ends a container when memory is short."""
    if pod.status.qos_class == "Guaranteed" or pod.spec.priority_class_name == "system-node-critical":
        return -997
    if pod.status.qos_class == "BestEffort":
        return 1000
    request = quantity.parse(container.resources.requests.get("memory", "0")).value()
    score = 1000 - 1000 * request // max(node_memory, 1)
    return 999 if score == 1000 else max(score, 3)


def security(pod: core_v1.Pod, container: core_v1.Container, image: cri.Image) -> cri.Security:
    """Return what a container's processes may do.

    Raises:
        ConfigError: it must not run as root and would, or may.
    """
    own = container.security_context or core_v1.SecurityContext()
    whole = pod.spec.security_context or core_v1.PodSecurityContext()
    user = own.run_as_user if own.run_as_user is not None else whole.run_as_user
    group = own.run_as_group if own.run_as_group is not None else whole.run_as_group
    name = ""
    if user is None:
        user, name = image.user, image.username
        if user is None and not name:
            user = 0
    _check_non_root(pod, container, user, name, explicit=own.run_as_user is not None or whole.run_as_user is not None)
    profile = own.seccomp_profile or whole.seccomp_profile
    unmasked = own.proc_mount == "Unmasked" or bool(own.privileged)
    caps = own.capabilities
    return cri.Security(
        user=user,
        username=name,
        group=group,
        groups=_groups(whole),
        privileged=bool(own.privileged),
        read_only_root=bool(own.read_only_root_filesystem),
        no_new_privileges=own.allow_privilege_escalation is False,
        add=tuple(caps.add) if caps is not None else (),
        drop=tuple(caps.drop) if caps is not None else (),
        seccomp=profile.type if profile is not None else "Unconfined",
        seccomp_file=f"/var/lib/kubelet/seccomp/{profile.localhost_profile}"
        if profile is not None and profile.type == "Localhost"
        else "",
        masked_paths=() if unmasked else _MASKED,
        read_only_paths=() if unmasked else _READ_ONLY,
    )


def _check_non_root(
    pod: core_v1.Pod, container: core_v1.Container, user: int | None, name: str, *, explicit: bool
) -> None:
    own, whole = container.security_context, pod.spec.security_context
    wanted = own.run_as_non_root if own is not None and own.run_as_non_root is not None else None
    if wanted is None and whole is not None:
        wanted = whole.run_as_non_root
    if not wanted:
        return
    where = f'(pod: "{pod.metadata.name}_{pod.metadata.namespace}({pod.metadata.uid})", container: {container.name})'
    if user == 0:
        text = (
            "container's runAsUser breaks non-root policy"
            if explicit
            else ("container has runAsNonRoot and image will run as root")
        )
        raise ConfigError(f"{text} {where}")
    if user is None:
        raise ConfigError(
            f"container has runAsNonRoot and image has non-numeric user ({name}), cannot verify user is non-root {where}"
        )


def dns(config: KubeletConfig, pod: core_v1.Pod) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """Return name servers, search domains and options of a pod."""
    policy, extra = pod.spec.dns_policy or "ClusterFirst", pod.spec.dns_config
    servers, searches, options = _host_dns(config)
    clustered = policy == "ClusterFirstWithHostNet" or (policy == "ClusterFirst" and not pod.spec.host_network)
    if clustered and config.cluster_dns:
        domain = config.cluster_domain
        servers, options = config.cluster_dns, ("ndots:5",)
        searches = (f"{pod.metadata.namespace}.svc.{domain}", f"svc.{domain}", domain, *searches)
    elif policy == "None":
        servers, searches, options = (), (), ()
    if extra is not None:
        servers, searches = (*servers, *extra.nameservers), (*searches, *extra.searches)
        named = dict(option.partition(":")[::2] for option in options)
        named |= {option.name: option.value or "" for option in extra.options}
        options = tuple(f"{key}:{value}" if value else key for key, value in named.items())
    return tuple(dict.fromkeys(servers))[:3], tuple(dict.fromkeys(searches))[:32], options


def _host_dns(config: KubeletConfig) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    try:
        lines = [line.split() for line in config.resolv_conf.read_text(encoding="utf-8").splitlines()]
    except OSError:
        return (), (), ()
    servers = tuple(words[1] for words in lines if len(words) > 1 and words[0] == "nameserver")
    searches = next((tuple(words[1:]) for words in reversed(lines) if words and words[0] == "search"), ())
    options = next((tuple(words[1:]) for words in reversed(lines) if words and words[0] == "options"), ())
    return servers, searches, options


def hosts(config: KubeletConfig, pod: core_v1.Pod, ips: tuple[str, ...]) -> str:
    """Return the hosts file of a pod."""
    if pod.spec.host_network:
        try:
            own = Path("/etc/hosts").read_text(encoding="utf-8").rstrip("\n")
        except OSError:
            own = ""
        lines = ["# Kubernetes-managed hosts file (host network).", own]
    else:
        name, below = hostname(pod), domain(config, pod)
        names = f"{name}.{below}\t{name}" if below else name
        lines = [*_HOSTS, *(f"{ip}\t{names}" for ip in ips)]
    if pod.spec.host_aliases:
        lines += ["", "# Entries added by HostAliases."]
        lines += [f"{alias.ip}\t" + "\t".join(alias.hostnames or ()) for alias in pod.spec.host_aliases]
    return "\n".join(lines) + "\n"


def _groups(context: core_v1.PodSecurityContext | None) -> tuple[int, ...]:
    if context is None:
        return ()
    first = (context.fs_group,) if context.fs_group is not None else ()
    return (*first, *context.supplemental_groups)


def _identity(pod: core_v1.Pod) -> Mapping[str, str]:
    return {
        cri.POD_NAME: pod.metadata.name,
        cri.POD_NAMESPACE: pod.metadata.namespace,
        cri.POD_UID: pod.metadata.uid,
    }
