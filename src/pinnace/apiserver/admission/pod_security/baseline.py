"""The baseline checks: what keeps a pod from known ways to take over its node.

Upstream: `staging/src/k8s.io/pod-security-admission/policy/check_*.go`; the version of each rule is the one it came with.
"""

from collections.abc import Iterable, Iterator, Mapping

from pinnace.api.core_v1 import LifecycleHandler, PodSpec, Probe, SELinuxOptions
from pinnace.apiserver.admission.pod_security.violation import (
    AnyContainer,
    Check,
    Rule,
    Violation,
    containers_of,
    named,
    plural,
    quoted,
    setters,
)
from pinnace.machinery.field import go_quoted

APPARMOR_PREFIX = "container.apparmor.security.beta.kubernetes.io/"
SECCOMP_POD = "seccomp.security.alpha.kubernetes.io/pod"
SECCOMP_PREFIX = "container.seccomp.security.alpha.kubernetes.io/"
PROFILES = frozenset({"RuntimeDefault", "Localhost"})
_CAPABILITIES = frozenset({
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
})
_SELINUX_TYPES = frozenset({"", "container_t", "container_init_t", "container_kvm_t"})
_SELINUX_TYPES_31 = _SELINUX_TYPES | {"container_engine_t"}
_SYSCTLS = frozenset({
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.ping_group_range",
    "net.ipv4.tcp_syncookies",
})
_SYSCTLS_27 = _SYSCTLS | {"net.ipv4.ip_local_reserved_ports"}
_SYSCTLS_29 = _SYSCTLS_27 | {
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_keepalive_time",
}
_SYSCTLS_32 = _SYSCTLS_29 | {"net.ipv4.tcp_rmem", "net.ipv4.tcp_wmem"}


def _app_armor(spec: PodSpec, annotations: Mapping[str, str]) -> Violation | None:
    context = spec.security_context
    pod = context.app_armor_profile if context is not None else None
    bad = {pod.type} - PROFILES if pod is not None else set()
    by_pod, containers = bool(bad), []
    for container in containers_of(spec):
        own = container.security_context.app_armor_profile if container.security_context is not None else None
        if own is not None and own.type not in PROFILES:
            containers.append(container.name)
            bad.add(own.type)
    noted = sorted(
        f"{key}={go_quoted(value)}"
        for key, value in annotations.items()
        if key.startswith(APPARMOR_PREFIX)
        and value not in {"", "runtime/default"}
        and not value.startswith("localhost/")
    )
    who = [
        text for text in (setters(containers, pod=by_pod), plural(len(noted), "annotation") if noted else "") if text
    ]
    if not who:
        return None
    values = [*sorted(bad), *noted]
    return Violation(
        plural(len(values), "forbidden AppArmor profile"),
        f"{' and '.join(who)} must not set AppArmor profile type to {quoted(values)}",
    )


def _capabilities(spec: PodSpec, annotations: Mapping[str, str]) -> Violation | None:  # noqa: ARG001
    containers, added = [], set()
    for container in containers_of(spec):
        context = container.security_context
        own = set(context.capabilities.add if context is not None and context.capabilities is not None else ())
        if own - _CAPABILITIES:
            containers.append(container.name)
            added |= own - _CAPABILITIES
    if not containers:
        return None
    return Violation(
        "non-default capabilities",
        f"{named(containers)} must not include {quoted(sorted(added))} in securityContext.capabilities.add",
    )


def _host_namespaces(spec: PodSpec, annotations: Mapping[str, str]) -> Violation | None:  # noqa: ARG001
    flags = {"hostIPC": spec.host_ipc, "hostNetwork": spec.host_network, "hostPID": spec.host_pid}
    shared = [f"{name}=true" for name, is_set in flags.items() if is_set]
    return Violation("host namespaces", ", ".join(shared)) if shared else None


def _host_paths(spec: PodSpec, annotations: Mapping[str, str]) -> Violation | None:  # noqa: ARG001
    volumes = [volume.name for volume in spec.volumes if volume.host_path is not None]
    return Violation("hostPath volumes", f"{plural(len(volumes), 'volume')} {quoted(volumes)}") if volumes else None


def _host_ports(spec: PodSpec, annotations: Mapping[str, str]) -> Violation | None:  # noqa: ARG001
    containers, ports = [], set()
    for container in containers_of(spec):
        own = {str(port.host_port) for port in container.ports if port.host_port}
        if own:
            containers.append(container.name)
            ports |= own
    if not containers:
        return None
    uses = plural(len(containers), "uses", "use")
    return Violation(
        "hostPort", f"{named(containers)} {uses} {plural(len(ports), 'hostPort')} {', '.join(sorted(ports))}"
    )


def _hosts_probed(container: AnyContainer) -> Iterator[str]:
    lifecycle = container.lifecycle
    handlers: Iterable[Probe | LifecycleHandler | None] = (
        container.liveness_probe,
        container.readiness_probe,
        container.startup_probe,
        lifecycle.post_start if lifecycle is not None else None,
        lifecycle.pre_stop if lifecycle is not None else None,
    )
    for handler in handlers:
        if handler is not None:
            for action in (handler.http_get, handler.tcp_socket):
                if action is not None and action.host:
                    yield action.host


def _host_probes(spec: PodSpec, annotations: Mapping[str, str]) -> Violation | None:  # noqa: ARG001
    probed = {container.name: set(_hosts_probed(container)) for container in containers_of(spec)}
    containers = sorted(name for name, hosts in probed.items() if hosts)
    if not containers:
        return None
    hosts = sorted(set().union(*probed.values()))
    words = plural(len(hosts), "probe or lifecycle host")
    return Violation(
        "probe or lifecycle host",
        f"{named(containers)} {plural(len(containers), 'uses', 'use')} {words} {quoted(hosts)}",
    )


def _privileged(spec: PodSpec, annotations: Mapping[str, str]) -> Violation | None:  # noqa: ARG001
    containers = [
        one.name for one in containers_of(spec) if one.security_context is not None and one.security_context.privileged
    ]
    if not containers:
        return None
    return Violation("privileged", f"{named(containers)} must not set securityContext.privileged=true")


def proc_mount(spec: PodSpec, annotations: Mapping[str, str]) -> Violation | None:  # noqa: ARG001
    """Ask for the usual masks over /proc."""
    containers, types = [], set()
    for container in containers_of(spec):
        own = container.security_context.proc_mount if container.security_context is not None else None
        if own is not None and own != "Default":
            containers.append(container.name)
            types.add(own)
    if not containers:
        return None
    return Violation(
        "procMount", f"{named(containers)} must not set securityContext.procMount to {quoted(sorted(types))}"
    )


def _proc_mount_outside_user_namespace(spec: PodSpec, annotations: Mapping[str, str]) -> Violation | None:
    return None if spec.host_users is False else proc_mount(spec, annotations)


def _selinux(allowed: frozenset[str]) -> Rule:
    def rule(spec: PodSpec, annotations: Mapping[str, str]) -> Violation | None:  # noqa: ARG001
        context = spec.security_context
        own = context.se_linux_options if context is not None else None
        bad: list[SELinuxOptions] = [own] if own is not None and _is_bad(own) else []
        by_pod, containers = bool(bad), []
        for container in containers_of(spec):
            options = container.security_context.se_linux_options if container.security_context is not None else None
            if options is not None and _is_bad(options):
                containers.append(container.name)
                bad.append(options)
        if not bad:
            return None
        types = sorted({options.type for options in bad} - allowed)
        data = [f"{plural(len(types), 'type')} {quoted(types)}"] if types else []
        data += ["user may not be set"] if any(options.user for options in bad) else []
        data += ["role may not be set"] if any(options.role for options in bad) else []
        who = setters(containers, pod=by_pod)
        return Violation("seLinuxOptions", f"{who} set forbidden securityContext.seLinuxOptions: {'; '.join(data)}")

    def _is_bad(options: SELinuxOptions) -> bool:
        return options.type not in allowed or bool(options.user) or bool(options.role)

    return rule


def _seccomp_annotations(spec: PodSpec, annotations: Mapping[str, str]) -> Violation | None:
    names = (SECCOMP_POD, *(SECCOMP_PREFIX + container.name for container in containers_of(spec)))
    bad = sorted({
        f"{name}={go_quoted(annotations[name])}"
        for name in names
        if name in annotations
        and annotations[name] not in {"runtime/default", "docker/default"}
        and not annotations[name].startswith("localhost/")
    })
    return Violation("seccompProfile", f"forbidden {plural(len(bad), 'annotation')} {', '.join(bad)}") if bad else None


def bad_seccomp(spec: PodSpec, annotations: Mapping[str, str]) -> Violation | None:  # noqa: ARG001
    """Refuse profiles that take the filter away."""
    context = spec.security_context
    pod = context.seccomp_profile if context is not None else None
    bad = {pod.type} - PROFILES if pod is not None else set()
    by_pod, containers = bool(bad), []
    for container in containers_of(spec):
        own = container.security_context.seccomp_profile if container.security_context is not None else None
        if own is not None and own.type not in PROFILES:
            containers.append(container.name)
            bad.add(own.type)
    if not bad:
        return None
    who = setters(containers, pod=by_pod)
    return Violation(
        "seccompProfile", f"{who} must not set securityContext.seccompProfile.type to {quoted(sorted(bad))}"
    )


def _sysctls(allowed: frozenset[str]) -> Rule:
    def rule(spec: PodSpec, annotations: Mapping[str, str]) -> Violation | None:  # noqa: ARG001
        context = spec.security_context
        names = [one.name for one in (context.sysctls if context is not None else ()) if one.name not in allowed]
        return Violation(plural(len(names), "forbidden sysctl"), ", ".join(names)) if names else None

    return rule


def _windows_host_process(spec: PodSpec, annotations: Mapping[str, str]) -> Violation | None:  # noqa: ARG001
    context = spec.security_context
    windows = context.windows_options if context is not None else None
    by_pod = windows is not None and bool(windows.host_process)
    containers = [
        one.name
        for one in containers_of(spec)
        if one.security_context is not None
        and one.security_context.windows_options is not None
        and one.security_context.windows_options.host_process
    ]
    if not by_pod and not containers:
        return None
    who = setters(containers, pod=by_pod)
    return Violation("hostProcess", f"{who} must not set securityContext.windowsOptions.hostProcess=true")


# In the order in which violations are told.
BASELINE = (
    Check(name="appArmorProfile", versions=((0, _app_armor),)),
    Check(name="capabilities_baseline", versions=((0, _capabilities),)),
    Check(name="hostNamespaces", versions=((0, _host_namespaces),)),
    Check(name="hostPathVolumes", versions=((0, _host_paths),)),
    Check(name="hostPorts", versions=((0, _host_ports),)),
    Check(name="hostProbesAndHostLifecycle", versions=((34, _host_probes),)),
    Check(name="privileged", versions=((0, _privileged),)),
    Check(name="procMount", versions=((0, proc_mount), (35, _proc_mount_outside_user_namespace))),
    Check(name="seLinuxOptions", versions=((0, _selinux(_SELINUX_TYPES)), (31, _selinux(_SELINUX_TYPES_31)))),
    Check(name="seccompProfile_baseline", versions=((0, _seccomp_annotations), (19, bad_seccomp))),
    Check(
        name="sysctls",
        versions=(
            (0, _sysctls(_SYSCTLS)),
            (27, _sysctls(_SYSCTLS_27)),
            (29, _sysctls(_SYSCTLS_29)),
            (32, _sysctls(_SYSCTLS_32)),
        ),
    ),
    Check(name="windowsHostProcess", versions=((0, _windows_host_process),)),
)
