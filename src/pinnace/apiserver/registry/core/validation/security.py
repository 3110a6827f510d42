"""Security contexts of pods and containers.

Upstream: pkg/apis/core/validation `ValidateSecurityContext`, `ValidatePodSecurityContext`. Values that upstream prints as whole
structs carry the names of its Go fields.
"""

import re
from collections.abc import Iterator

from pinnace.api import core_v1 as v1
from pinnace.apiserver.registry.go_struct import go_struct
from pinnace.apiserver.registry.numbers import MAX_INT32, within
from pinnace.machinery import names
from pinnace.machinery.field import FieldError, Path, duplicate, forbidden, invalid, not_supported, required

Errors = Iterator[FieldError]

_SECCOMP = ("Localhost", "RuntimeDefault", "Unconfined")
_PROFILES = _SECCOMP
_SYSCTL = r"([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?"


def container_errors(context: v1.SecurityContext | None, path: Path, *, host_users: bool) -> Errors:
    """Check the security context of a container, whose users may be the host's."""
    if context is None:
        return
    yield from within(context.run_as_user, 0, MAX_INT32, path.child("runAsUser"))
    yield from within(context.run_as_group, 0, MAX_INT32, path.child("runAsGroup"))
    mounts = ("Default", "Unmasked")
    if context.proc_mount is not None and context.proc_mount not in mounts:
        yield not_supported(path.child("procMount"), context.proc_mount, mounts)
    if context.proc_mount == "Unmasked" and host_users:
        yield invalid(path.child("procMount"), context.proc_mount, "`hostUsers` must be false to use `Unmasked`")
    if context.allow_privilege_escalation is False:
        if context.privileged:
            text = "cannot set `allowPrivilegeEscalation` to false and `privileged` to true"
            yield invalid(path, go_struct(context), text)
        if context.capabilities is not None and "CAP_SYS_ADMIN" in context.capabilities.add:
            text = "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN"
            yield invalid(path, go_struct(context), text)
    yield from _seccomp_errors(context.seccomp_profile, path.child("seccompProfile"))
    yield from _windows_errors(context.windows_options, path.child("windowsOptions"))
    yield from _apparmor_errors(context.app_armor_profile, path.child("appArmorProfile"))


def pod_errors(spec: v1.PodSpec, spec_path: Path, path: Path) -> Errors:
    """Check the security context of a pod, and what of the host it shares."""
    if spec.host_network:
        for containers, wire in ((spec.containers, "containers"), (spec.init_containers, "initContainers")):
            yield from _host_port_errors(containers, spec_path.child(wire))
    if spec.share_process_namespace and spec.host_pid:
        text = "ShareProcessNamespace and HostPID cannot both be enabled"
        share = path.child("shareProcessNamespace")
    else:
        text, share = "", path
    context = spec.security_context
    if context is None:
        if text:
            yield invalid(share, True, text)
        return
    yield from within(context.fs_group, 0, MAX_INT32, path.child("fsGroup"))
    yield from within(context.run_as_user, 0, MAX_INT32, path.child("runAsUser"))
    yield from within(context.run_as_group, 0, MAX_INT32, path.child("runAsGroup"))
    for index, group in enumerate(context.supplemental_groups):
        yield from within(group, 0, MAX_INT32, path.child("supplementalGroups").index(index))
    if text:
        yield invalid(share, True, text)
    yield from _sysctl_errors(context.sysctls, path.child("sysctls"))
    policies = ("Always", "OnRootMismatch")
    if context.fs_group_change_policy is not None and context.fs_group_change_policy not in policies:
        yield not_supported(path.child("fsGroupChangePolicy"), context.fs_group_change_policy, policies)
    yield from _seccomp_errors(context.seccomp_profile, path.child("seccompProfile"))
    yield from _windows_errors(context.windows_options, path.child("windowsOptions"))
    yield from _apparmor_errors(context.app_armor_profile, path.child("appArmorProfile"))
    merging = ("Merge", "Strict")
    if context.supplemental_groups_policy is not None and context.supplemental_groups_policy not in merging:
        yield not_supported(path.child("supplementalGroupsPolicy"), context.supplemental_groups_policy, merging)


def host_users_errors(spec: v1.PodSpec, path: Path) -> Errors:
    """Check that a pod with users of its own shares nothing else of the host; two of the paths are upstream's slips."""
    if spec.host_users is not False:
        return
    for shared, wire in ((spec.host_network, "hostNetwork"), (spec.host_pid, "HostPID"), (spec.host_ipc, "HostIPC")):
        if shared:
            yield forbidden(path.child(wire), "when `hostUsers` is false")


def _host_port_errors(containers: tuple[v1.Container, ...], path: Path) -> Errors:
    for index, container in enumerate(containers):
        for at, port in enumerate(container.ports):
            if port.host_port != port.container_port:
                where = path.index(index).child("ports").index(at).child("hostPort")
                yield invalid(where, port.host_port, "must match `containerPort` when `hostNetwork` is true")


def _sysctl_errors(sysctls: tuple[v1.Sysctl, ...], path: Path) -> Errors:
    taken: set[str] = set()
    for index, sysctl in enumerate(sysctls):
        at = path.index(index).child("name")
        if not sysctl.name:
            yield required(at)
        elif len(sysctl.name) > 253 or not re.fullmatch(_SYSCTL, sysctl.name):
            yield invalid(at, sysctl.name, f"must have at most 253 characters and match regex ^{_SYSCTL}$")
        elif sysctl.name in taken:
            yield duplicate(at, sysctl.name)
        taken.add(sysctl.name)


def _seccomp_errors(profile: v1.SeccompProfile | None, path: Path) -> Errors:
    if profile is None:
        return
    if profile.type == "Localhost":
        if not profile.localhost_profile:
            yield required(path.child("localhostProfile"), "must be set when seccomp type is Localhost")
        return
    if profile.localhost_profile is not None:
        text = "can only be set when seccomp type is Localhost"
        yield invalid(path.child("localhostProfile"), go_struct(profile), text)
    if not profile.type:
        yield required(path.child("type"), "type is required when seccompProfile is set")
    elif profile.type not in _SECCOMP:
        yield not_supported(path.child("type"), profile.type, _SECCOMP)


def _apparmor_errors(profile: v1.AppArmorProfile | None, path: Path) -> Errors:
    if profile is None:
        return
    if profile.type == "Localhost":
        if profile.localhost_profile is None or not profile.localhost_profile.strip():
            yield required(path.child("localhostProfile"), "must be set when AppArmor type is Localhost")
        return
    if profile.localhost_profile is not None:
        text = "can only be set when AppArmor type is Localhost"
        yield invalid(path.child("localhostProfile"), profile.localhost_profile, text)
    if not profile.type:
        yield required(path.child("type"), "type is required when appArmorProfile is set")
    elif profile.type not in _PROFILES:
        yield not_supported(path.child("type"), profile.type, _PROFILES)


def _windows_errors(options: v1.WindowsSecurityContextOptions | None, path: Path) -> Errors:
    if options is None:
        return
    name = options.gmsa_credential_spec_name
    if name is not None:
        yield from (invalid(path.child("gmsaCredentialSpecName"), name, text) for text in names.dns_subdomain(name))
    if options.gmsa_credential_spec is not None and not options.gmsa_credential_spec:
        yield invalid(
            path.child("gmsaCredentialSpec"),
            options.gmsa_credential_spec,
            "gmsaCredentialSpec cannot be an empty string",
        )
    if options.run_as_user_name is not None and not options.run_as_user_name:
        yield invalid(path.child("runAsUserName"), options.run_as_user_name, "runAsUserName cannot be an empty string")
