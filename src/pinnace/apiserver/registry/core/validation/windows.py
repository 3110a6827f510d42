"""What a pod for Windows may not ask for (upstream pkg/apis/core/validation `validateWindows`)."""

from collections.abc import Iterator, Sequence

from pinnace.api import core_v1 as v1
from pinnace.machinery.field import FieldError, Path, forbidden

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
    for containers, wire in (
        (spec.containers, "containers"),
        (spec.init_containers, "initContainers"),
        (spec.ephemeral_containers, "ephemeralContainers"),
    ):
        all_of_them: Sequence[v1.Container | v1.EphemeralContainer] = containers
        for index, container in enumerate(all_of_them):
            own = container.security_context
            if own is None:
                continue
            where = path.child(wire).index(index).child("securityContext")
            yield from (
                forbidden(where.child(name), _TEXT)
                for attribute, name in _CONTAINER
                if getattr(own, attribute) is not None
            )
