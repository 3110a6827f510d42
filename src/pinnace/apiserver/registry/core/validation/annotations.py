"""Annotations that mean something to pods (upstream pkg/apis/core/validation `ValidatePodSpecificAnnotations`)."""

from collections.abc import Iterator, Mapping

from pinnace.api import core_v1 as v1
from pinnace.apiserver.registry.core.validation import paths
from pinnace.apiserver.registry.numbers import MAX_INT32
from pinnace.machinery.field import FieldError, Path, forbidden, go_quoted, invalid

Errors = Iterator[FieldError]

APPARMOR = "container.apparmor.security.beta.kubernetes.io/"
SECCOMP_POD = "seccomp.security.alpha.kubernetes.io/pod"
SECCOMP_CONTAINER = "container.seccomp.security.alpha.kubernetes.io/"
DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"
MIRROR = "kubernetes.io/config.mirror"
LOCALHOST = "localhost/"
_APPARMOR_PROFILES = frozenset({"", "runtime/default", "unconfined"})
_SECCOMP_PROFILES = frozenset({"runtime/default", "docker/default", "unconfined"})
_APPARMOR_TYPES = {"RuntimeDefault": "runtime/default", "Unconfined": "unconfined"}


def annotation_errors(annotations: Mapping[str, str], spec: v1.PodSpec, path: Path) -> Errors:
    """Check the annotations of a pod or a template."""
    if not annotations:
        return
    if MIRROR in annotations and not spec.node_name:
        yield invalid(path.key(MIRROR), annotations[MIRROR], "must set spec.nodeName if mirror pod annotation is set")
    cost = annotations.get(DELETION_COST)
    if cost is not None and not _is_int32(cost):
        yield invalid(path.key(DELETION_COST), cost, "must be a 32bit integer")
    if SECCOMP_POD in annotations:
        yield from _seccomp_errors(annotations[SECCOMP_POD], path.child(SECCOMP_POD))
    for key in sorted(annotations):
        if key.startswith(SECCOMP_CONTAINER):
            yield from _seccomp_errors(annotations[key], path.child(key))
    containers = {container.name for container in (*spec.init_containers, *spec.containers)}
    for key in sorted(annotations):
        if key.startswith(APPARMOR):
            name, profile = key.removeprefix(APPARMOR), annotations[key]
            if name not in containers:
                yield invalid(path.key(key), name, "container not found")
            if profile not in _APPARMOR_PROFILES and not profile.startswith(LOCALHOST):
                yield invalid(path.key(key), profile, f"invalid AppArmor profile name: {go_quoted(profile)}")


def apparmor_match_errors(annotations: Mapping[str, str], spec: v1.PodSpec, path: Path) -> Errors:
    """Check that annotations and fields do not name different AppArmor profiles."""
    if not any(key.startswith(APPARMOR) for key in annotations) or (spec.os is not None and spec.os.name == "windows"):
        return
    of_pod = spec.security_context.app_armor_profile if spec.security_context is not None else None
    for wire, containers in (("initContainers", spec.init_containers), ("containers", spec.containers)):
        for index, container in enumerate(containers):
            context = container.security_context
            profile = (context.app_armor_profile if context is not None else None) or of_pod
            annotation = annotations.get(APPARMOR + container.name)
            if profile is not None and annotation is not None:
                at = path.child(wire).index(index).child("securityContext", "appArmorProfile")
                yield from _profile_errors(profile, annotation, at)


def update_errors(new: Mapping[str, str], old: Mapping[str, str], path: Path) -> Errors:
    """Check that annotations that hold for a pod's whole life stay as they are."""
    for key in sorted(old):
        if new.get(key) != old[key]:
            if key.startswith(APPARMOR):
                yield forbidden(path.key(key), "may not remove or update AppArmor annotations")
            if key == MIRROR:
                yield forbidden(path.key(key), "may not remove or update mirror pod annotation")
    for key in sorted(new):
        if key not in old:
            if key.startswith(APPARMOR):
                yield forbidden(path.key(key), "may not add AppArmor annotations")
            if key == MIRROR:
                yield forbidden(path.key(key), "may not add mirror pod annotation")


def _is_int32(text: str) -> bool:
    """Tell whether a text is a 32-bit number without plus sign or leading zeros."""
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdigit()) or (text[0] == "0" and text != "0"):
        return False
    # The longest is "-2147483648"; Python refuses to read very long numbers.
    significant = digits.lstrip("0")
    return (
        len(significant) <= len(str(MAX_INT32))
        and -MAX_INT32 - 1 <= int(text[: -len(digits)] + "0" + significant) <= MAX_INT32
    )


def _seccomp_errors(profile: str, path: Path) -> Errors:
    if profile.startswith(LOCALHOST):
        yield from paths.local(profile.removeprefix(LOCALHOST), path)
    elif profile not in _SECCOMP_PROFILES:
        yield invalid(path, profile, "must be a valid seccomp profile")


def _profile_errors(profile: v1.AppArmorProfile, annotation: str, path: Path) -> Errors:
    wanted = _APPARMOR_TYPES.get(profile.type)
    if wanted is not None and annotation != wanted:
        yield forbidden(path.child("type"), "apparmor type in annotation and field must match")
    elif profile.type == "Localhost":
        if not annotation.startswith(LOCALHOST):
            yield forbidden(path.child("type"), "apparmor type in annotation and field must match")
        elif annotation.removeprefix(LOCALHOST) != profile.localhost_profile:
            text = "apparmor profile in annotation and field must match"
            yield forbidden(path.child("localhostProfile"), text)
