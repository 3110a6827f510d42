"""The restricted checks: what hardened applications do without, on top of the baseline.

From 1.25 on, what has no meaning on Windows is not asked of pods that say they are for Windows; from 1.35 on, a pod in a user
namespace of its own may run as its root. Upstream: `staging/src/k8s.io/pod-security-admission/policy/check_*.go`.
"""

from collections.abc import Mapping

import msgspec

from pinnace.api.core_v1 import PodSpec, Volume
from pinnace.apiserver.admission.pod_security.baseline import PROFILES, bad_seccomp, proc_mount
from pinnace.apiserver.admission.pod_security.violation import (
    Check,
    Rule,
    Violation,
    containers_of,
    named,
    plural,
    quoted,
    setters,
)

_VOLUMES = frozenset({
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "persistentVolumeClaim",
    "projected",
    "secret",
})
_VOLUME_FIELDS = {field.name: field.encode_name for field in msgspec.structs.fields(Volume) if field.name != "name"}


def _privilege_escalation(spec: PodSpec, annotations: Mapping[str, str]) -> Violation | None:  # noqa: ARG001
    containers = [
        one.name
        for one in containers_of(spec)
        if one.security_context is None or one.security_context.allow_privilege_escalation is not False
    ]
    if not containers:
        return None
    return Violation(
        "allowPrivilegeEscalation != false",
        f"{named(containers)} must set securityContext.allowPrivilegeEscalation=false",
    )


def _capabilities(spec: PodSpec, annotations: Mapping[str, str]) -> Violation | None:  # noqa: ARG001
    keeping, adding, added = [], [], set()
    for container in containers_of(spec):
        capabilities = container.security_context.capabilities if container.security_context is not None else None
        if capabilities is None or "ALL" not in capabilities.drop:
            keeping.append(container.name)
        more = set(capabilities.add if capabilities is not None else ()) - {"NET_BIND_SERVICE"}
        if more:
            adding.append(container.name)
            added |= more
    details = [f'{named(keeping)} must set securityContext.capabilities.drop=["ALL"]'] if keeping else []
    if adding:
        details.append(f"{named(adding)} must not include {quoted(sorted(added))} in securityContext.capabilities.add")
    return Violation("unrestricted capabilities", "; ".join(details)) if details else None


def _volumes(spec: PodSpec, annotations: Mapping[str, str]) -> Violation | None:  # noqa: ARG001
    bad = {volume.name: kind for volume in spec.volumes if (kind := _kind(volume)) not in _VOLUMES}
    if not bad:
        return None
    kinds = sorted(set(bad.values()))
    names = f"{plural(len(bad), 'volume')} {quoted(bad)}"
    uses = f"{plural(len(bad), 'uses', 'use')} {plural(len(kinds), 'restricted volume type')}"
    return Violation("restricted volume types", f"{names} {uses} {quoted(kinds)}")


def _kind(volume: Volume) -> str:
    kinds = [wire for field, wire in _VOLUME_FIELDS.items() if getattr(volume, field) is not None]
    return next((kind for kind in kinds if kind in _VOLUMES), kinds[0] if kinds else "unknown")


def _run_as_non_root(spec: PodSpec, annotations: Mapping[str, str]) -> Violation | None:  # noqa: ARG001
    by_pod = spec.security_context.run_as_non_root if spec.security_context is not None else None
    explicit, implicit = [], []
    for container in containers_of(spec):
        own = container.security_context.run_as_non_root if container.security_context is not None else None
        if own is False:
            explicit.append(container.name)
        elif own is None and not by_pod:
            implicit.append(container.name)
    reason = "runAsNonRoot != true"
    who = setters(explicit, pod=by_pod is False)
    if who:
        return Violation(reason, f"{who} must not set securityContext.runAsNonRoot=false")
    if implicit:
        return Violation(reason, f"pod or {named(implicit)} must set securityContext.runAsNonRoot=true")
    return None


def _run_as_user(spec: PodSpec, annotations: Mapping[str, str]) -> Violation | None:  # noqa: ARG001
    by_pod = spec.security_context is not None and spec.security_context.run_as_user == 0
    containers = [
        one.name
        for one in containers_of(spec)
        if one.security_context is not None and one.security_context.run_as_user == 0
    ]
    who = setters(containers, pod=by_pod)
    return Violation("runAsUser=0", f"{who} must not set runAsUser=0") if who else None


def _seccomp(spec: PodSpec, annotations: Mapping[str, str]) -> Violation | None:
    explicit = bad_seccomp(spec, annotations)
    if explicit is not None:
        return explicit
    pod = spec.security_context.seccomp_profile if spec.security_context is not None else None
    if pod is not None and pod.type in PROFILES:
        return None
    containers = [
        one.name
        for one in containers_of(spec)
        if one.security_context is None or one.security_context.seccomp_profile is None
    ]
    if not containers:
        return None
    text = f'pod or {named(containers)} must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost"'
    return Violation("seccompProfile", text)


def _unless_windows(rule: Rule) -> Rule:
    def relaxed(spec: PodSpec, annotations: Mapping[str, str]) -> Violation | None:
        return None if spec.os is not None and spec.os.name == "windows" else rule(spec, annotations)

    return relaxed


def _unless_user_namespace(rule: Rule) -> Rule:
    def relaxed(spec: PodSpec, annotations: Mapping[str, str]) -> Violation | None:
        return None if spec.host_users is False else rule(spec, annotations)

    return relaxed


# In the order in which violations are told.
RESTRICTED = (
    Check(
        name="allowPrivilegeEscalation",
        versions=((8, _privilege_escalation), (25, _unless_windows(_privilege_escalation))),
    ),
    Check(
        name="capabilities_restricted",
        versions=((22, _capabilities), (25, _unless_windows(_capabilities))),
        overrides="capabilities_baseline",
    ),
    Check(name="procMount_restricted", versions=((35, proc_mount),), overrides="procMount"),
    Check(name="restrictedVolumes", versions=((0, _volumes),), overrides="hostPathVolumes"),
    Check(name="runAsNonRoot", versions=((0, _run_as_non_root), (35, _unless_user_namespace(_run_as_non_root)))),
    Check(name="runAsUser", versions=((23, _run_as_user), (35, _unless_user_namespace(_run_as_user)))),
    Check(
        name="seccompProfile_restricted",
        versions=((19, _seccomp), (25, _unless_windows(_seccomp))),
        overrides="seccompProfile_baseline",
    ),
)
