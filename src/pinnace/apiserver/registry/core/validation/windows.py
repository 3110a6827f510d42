"""What a pod for Windows may not ask for, and one for Linux neither.

Upstream: pkg/apis/core/validation `validateWindows`, `validateLinux`, `validateWindowsHostProcessPod`.
"""

from collections.abc import Iterator, Sequence

from pinnace.api import core_v1 as v1
from pinnace.machinery.field import FieldError, Path, forbidden, invalid

_TEXT = "cannot be set for a windows pod"
_POD = (
    ("se_linux_options", "seLinuxOptions"),
    ("seccomp_profile", "seccompProfile"),
    ("fs_group", "fsGroup"),
    ("fs_group_change_policy", "fsGroupChangePolicy"),
    ("sysctls", "sysctls"),
    ("run_as_user", "runAsUser"),
    ("run_as_group", "runAsGroup"),
    ("supplemental_groups", "supplementalGroups"),
)
_CONTAINER = (
    ("app_armor_profile", "appArmorProfile"),
    ("se_linux_options", "seLinuxOptions"),
    ("seccomp_profile", "seccompProfile"),
    ("capabilities", "capabilities"),
    ("read_only_root_filesystem", "readOnlyRootFilesystem"),
    ("privileged", "privileged"),
    ("allow_privilege_escalation", "allowPrivilegeEscalation"),
    ("proc_mount", "procMount"),
    ("run_as_user", "runAsUser"),
    ("run_as_group", "runAsGroup"),
)


def windows_errors(spec: v1.PodSpec, path: Path) -> Iterator[FieldError]:
    """Refuse the settings that only Linux has."""
    context = spec.security_context or v1.PodSecurityContext()
    at = path.child("securityContext")
    if context.app_armor_profile is not None:
        yield forbidden(at.child("appArmorProfile"), _TEXT)
    if context.se_linux_options is not None:
        yield forbidden(at.child("seLinuxOptions"), _TEXT)
    if spec.host_users is not None:
        yield forbidden(path.child("hostUsers"), _TEXT)
    if spec.host_pid:
        yield forbidden(path.child("hostPID"), _TEXT)
    if spec.host_ipc:
        yield forbidden(path.child("hostIPC"), _TEXT)
    for attribute, wire in _POD[1:]:
        if getattr(context, attribute) not in (None, ()):
            yield forbidden(at.child(wire), _TEXT)
    if spec.share_process_namespace is not None:
        yield forbidden(path.child("shareProcessNamespace"), _TEXT)
    for container, at_container in _containers(spec, path):
        own = container.security_context
        if own is None:
            continue
        where = at_container.child("securityContext")
        yield from (
            forbidden(where.child(name), _TEXT) for attribute, name in _CONTAINER if getattr(own, attribute) is not None
        )


def linux_errors(spec: v1.PodSpec, path: Path) -> Iterator[FieldError]:
    """Refuse the settings that only Windows has."""
    text = "windows options cannot be set for a linux pod"
    if spec.security_context is not None and spec.security_context.windows_options is not None:
        yield forbidden(path.child("securityContext", "windowsOptions"), text)
    for container, at in _containers(spec, path):
        if container.security_context is not None and container.security_context.windows_options is not None:
            yield forbidden(at.child("securityContext", "windowsOptions"), text)


def host_process_errors(spec: v1.PodSpec, path: Path) -> Iterator[FieldError]:
    """Check that a pod's containers are processes of a Windows host all or none, and share its network then."""
    of_pod = _is_host_process(spec.security_context)
    count = total = 0
    for container, at in _containers(spec, path):
        own = _is_host_process(container.security_context)
        if of_pod is not None and own is not None and of_pod is not own:
            text = f"pod hostProcess value must be identical if both are specified, was {str(of_pod).lower()}"
            yield invalid(at.child("securityContext", "windowsOptions", "hostProcess"), own, text)
        total += 1
        count += bool(own if own is not None else of_pod)
    if not count:
        return
    if count != total:
        text = "If pod contains any hostProcess containers then all containers must be HostProcess containers"
        yield invalid(path, "", text)
    if not spec.host_network:
        text = "hostNetwork must be true if pod contains any hostProcess containers"
        yield invalid(path.child("hostNetwork"), spec.host_network, text)


def _is_host_process(context: v1.PodSecurityContext | v1.SecurityContext | None) -> bool | None:
    options = context.windows_options if context is not None else None
    return options.host_process if options is not None else None


def _containers(spec: v1.PodSpec, path: Path) -> Iterator[tuple[v1.Container | v1.EphemeralContainer, Path]]:
    """Yield each container and its place, in the order in which upstream visits them."""
    for containers, wire in (
        (spec.init_containers, "initContainers"),
        (spec.containers, "containers"),
        (spec.ephemeral_containers, "ephemeralContainers"),
    ):
        all_of_them: Sequence[v1.Container | v1.EphemeralContainer] = containers
        for index, container in enumerate(all_of_them):
            yield container, path.child(wire).index(index)
