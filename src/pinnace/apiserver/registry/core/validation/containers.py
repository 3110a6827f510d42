"""Containers of a pod, of all three sorts.

Upstream: pkg/apis/core/validation `validateContainers`, `validateInitContainers`, `validateEphemeralContainers`.
"""

from collections.abc import Iterator, Mapping, Sequence

from msgspec import Struct

from pinnace.api import core_v1 as v1
from pinnace.apiserver.registry.core.validation import handlers, security
from pinnace.apiserver.registry.core.validation.env import env_errors, env_from_errors
from pinnace.apiserver.registry.core.validation.paths import local
from pinnace.apiserver.registry.core.validation.resources import requirement_errors
from pinnace.machinery import names
from pinnace.machinery.field import (
    FieldError,
    Path,
    duplicate,
    forbidden,
    invalid,
    not_found,
    not_supported,
    required,
)

Errors = Iterator[FieldError]
AnyContainer = v1.Container | v1.EphemeralContainer

_POLICIES = ("Always", "IfNotPresent", "Never")
_MESSAGES = ("FallbackToLogsOnError", "File")
_PROTOCOLS = ("SCTP", "TCP", "UDP")
_PROPAGATION = ("Bidirectional", "HostToContainer", "None")
# What a container for debugging may not have.
_NOT_EPHEMERAL = (
    ("ports", "ports"),
    ("liveness_probe", "livenessProbe"),
    ("readiness_probe", "readinessProbe"),
    ("startup_probe", "startupProbe"),
    ("lifecycle", "lifecycle"),
    ("restart_policy", "restartPolicy"),
)


class Surroundings(Struct, frozen=True):
    """What of the pod its containers refer to."""

    volumes: Mapping[str, v1.Volume]
    claims: tuple[str, ...]
    grace_seconds: int | None
    restart_policy: str
    host_users: bool


def container_errors(spec: v1.PodSpec, around: Surroundings, path: Path) -> Errors:
    """Check the containers of every sort in a pod spec."""
    taken: set[str] = set()
    yield from _regular(spec.containers, around, path.child("containers"), taken)
    yield from _init(spec.init_containers, around, path.child("initContainers"), taken)
    yield from ephemeral_errors(spec, around, path.child("ephemeralContainers"), taken)


def _regular(containers: Sequence[v1.Container], around: Surroundings, path: Path, taken: set[str]) -> Errors:
    if not containers:
        yield required(path)
        return
    for index, container in enumerate(containers):
        at = path.index(index)
        yield from _shared(container, around, at)
        if container.name in taken:
            yield duplicate(at.child("name"), container.name)
        elif container.name:
            taken.add(container.name)
        yield from handlers.lifecycle_errors(container.lifecycle, at.child("lifecycle"), around.grace_seconds)
        yield from handlers.probe_errors(container, at, around.grace_seconds)
        policies = ("Always", "Never", "OnFailure")
        if container.restart_policy is not None and container.restart_policy not in policies:
            yield not_supported(at.child("restartPolicy"), container.restart_policy, policies)
    yield from _host_port_clashes(containers, path)


def _init(containers: Sequence[v1.Container], around: Surroundings, path: Path, taken: set[str]) -> Errors:
    for index, container in enumerate(containers):
        at = path.index(index)
        yield from _shared(container, around, at)
        if container.name in taken:
            yield duplicate(at.child("name"), container.name)
        elif container.name:
            taken.add(container.name)
        yield from _host_port_clashes([container], path, first=index)
        if container.restart_policy == "Always":
            yield from handlers.lifecycle_errors(container.lifecycle, at.child("lifecycle"), around.grace_seconds)
            yield from handlers.probe_errors(container, at, around.grace_seconds)
            continue
        text = "may not be set for init containers without restartPolicy=Always"
        for value, wire in (
            (container.lifecycle, "lifecycle"),
            (container.liveness_probe, "livenessProbe"),
            (container.readiness_probe, "readinessProbe"),
            (container.startup_probe, "startupProbe"),
        ):
            if value is not None:
                yield forbidden(at.child(wire), text)


def ephemeral_errors(spec: v1.PodSpec, around: Surroundings, path: Path, taken: set[str]) -> Errors:
    """Check the containers for debugging."""
    names_of_others = {one.name for one in (*spec.containers, *spec.init_containers)}
    for index, container in enumerate(spec.ephemeral_containers):
        at = path.index(index)
        yield from _shared(container, around, at)
        if container.name in taken:
            yield duplicate(at.child("name"), container.name)
        elif container.name:
            taken.add(container.name)
        target = container.target_container_name
        if target and target not in names_of_others:
            yield not_found(at.child("targetContainerName"), target)
        for attribute, wire in _NOT_EPHEMERAL:
            if getattr(container, attribute):
                yield forbidden(
                    at.child(wire),
                    "field not allowed in ephemeralContainers"
                    if attribute == "restart_policy"
                    else "cannot be set for an Ephemeral Container",
                )
        if container.resources != v1.ResourceRequirements():
            yield forbidden(at.child("resources"), "cannot be set for an Ephemeral Container")
        for number, mount in enumerate(container.volume_mounts):
            if mount.sub_path:
                yield forbidden(
                    at.child("volumeMounts").index(number).child("subPath"), "cannot be set for an Ephemeral Container"
                )


def whitespace_errors(spec: v1.PodSpec, path: Path) -> Errors:
    """Check images of pods (not of templates) for space around them."""
    for containers, wire in (
        (spec.containers, "containers"),
        (spec.init_containers, "initContainers"),
        (spec.ephemeral_containers, "ephemeralContainers"),
    ):
        all_of_them: Sequence[AnyContainer] = containers
        for index, container in enumerate(all_of_them):
            if container.image != container.image.strip():
                text = "must not have leading or trailing whitespace"
                yield invalid(path.child(wire).index(index).child("image"), container.image, text)


def _shared(container: AnyContainer, around: Surroundings, path: Path) -> Errors:
    if not container.name:
        yield required(path.child("name"))
    else:
        yield from (invalid(path.child("name"), container.name, text) for text in names.dns_label(container.name))
    if not container.image:
        yield required(path.child("image"))
    if container.termination_message_policy not in _MESSAGES:
        yield not_supported(path.child("terminationMessagePolicy"), container.termination_message_policy, _MESSAGES)
    yield from _port_errors(container.ports, path.child("ports"))
    yield from env_errors(container.env, path.child("env"))
    yield from env_from_errors(container.env_from, path.child("envFrom"))
    yield from _mount_errors(container, around, path.child("volumeMounts"))
    yield from _device_errors(container, around, path.child("volumeDevices"))
    if container.image_pull_policy not in _POLICIES:
        yield not_supported(path.child("imagePullPolicy"), container.image_pull_policy, _POLICIES)
    yield from requirement_errors(container.resources, path.child("resources"), around.claims)
    yield from _resize_errors(container.resize_policy, path.child("resizePolicy"))
    context_path = path.child("securityContext")
    yield from security.container_errors(container.security_context, context_path, host_users=around.host_users)


def _port_errors(ports: Sequence[v1.ContainerPort], path: Path) -> Errors:
    taken: set[str] = set()
    for index, port in enumerate(ports):
        at = path.index(index)
        if port.name:
            found = names.port_name(port.name)
            yield from (invalid(at.child("name"), port.name, text) for text in found)
            if not found and port.name in taken:
                yield duplicate(at.child("name"), port.name)
            taken.add(port.name)
        if port.container_port == 0:
            yield required(at.child("containerPort"))
        else:
            found = names.port_number(port.container_port)
            yield from (invalid(at.child("containerPort"), port.container_port, text) for text in found)
        if port.host_port:
            yield from (
                invalid(at.child("hostPort"), port.host_port, text) for text in names.port_number(port.host_port)
            )
        if not port.protocol:
            yield required(at.child("protocol"))
        elif port.protocol not in _PROTOCOLS:
            yield not_supported(at.child("protocol"), port.protocol, _PROTOCOLS)


def _host_port_clashes(containers: Sequence[v1.Container], path: Path, *, first: int = 0) -> Errors:
    taken: set[str] = set()
    for index, container in enumerate(containers, first):
        for number, port in enumerate(container.ports):
            if not port.host_port:
                continue
            key = f"{port.protocol}/{port.host_ip}/{port.host_port}"
            if key in taken:
                yield duplicate(path.index(index).child("ports").index(number).child("hostPort"), key)
            taken.add(key)


def _mount_errors(container: AnyContainer, around: Surroundings, path: Path) -> Errors:
    taken: set[str] = set()
    devices = {device.device_path: device for device in container.volume_devices}
    for index, mount in enumerate(container.volume_mounts):
        at = path.index(index)
        if not mount.name:
            yield required(at.child("name"))
        if mount.name not in around.volumes:
            yield not_found(at.child("name"), mount.name)
        if not mount.mount_path:
            yield required(at.child("mountPath"))
        if mount.mount_path in taken:
            yield invalid(at.child("mountPath"), mount.mount_path, "must be unique")
        taken.add(mount.mount_path)
        if mount.name in {device.name for device in container.volume_devices}:
            yield invalid(at.child("name"), mount.name, "must not already exist in volumeDevices")
        if mount.mount_path in devices:
            yield invalid(at.child("mountPath"), mount.mount_path, "must not already exist as a path in volumeDevices")
        if mount.sub_path:
            yield from local(mount.sub_path, at.child("subPath"))
        if mount.sub_path_expr:
            if mount.sub_path:
                yield invalid(
                    at.child("subPathExpr"), mount.sub_path_expr, "subPathExpr and subPath are mutually exclusive"
                )
            yield from local(mount.sub_path_expr, at.child("subPathExpr"))
        yield from _propagation_errors(mount, container, at)


def _propagation_errors(mount: v1.VolumeMount, container: AnyContainer, path: Path) -> Errors:
    mode = mount.mount_propagation
    at = path.child("mountPropagation")
    if mode is not None and mode not in _PROPAGATION:
        yield not_supported(at, mode, _PROPAGATION)
    privileged = container.security_context is not None and container.security_context.privileged
    if mode == "Bidirectional" and not privileged:
        yield forbidden(at, "Bidirectional mount propagation is available only to privileged containers")
    recursive = mount.recursive_read_only
    if recursive is None or recursive == "Disabled":
        return
    at = path.child("recursiveReadOnly")
    if recursive not in {"Enabled", "IfPossible"}:
        yield not_supported(at, recursive, ("Disabled", "Enabled", "IfPossible"))
        return
    if not mount.read_only:
        yield forbidden(at, f'may only be specified when readOnly is true (recursiveReadOnly: "{recursive}")')
    if mode not in {None, "None"}:
        yield forbidden(at, "may only be specified when mountPropagation is None or not specified")


def _device_errors(container: AnyContainer, around: Surroundings, path: Path) -> Errors:
    paths: set[str] = set()
    taken: set[str] = set()
    for index, device in enumerate(container.volume_devices):
        at = path.index(index)
        if not device.name:
            yield required(at.child("name"))
        volume = around.volumes.get(device.name)
        if volume is None:
            yield not_found(at.child("name"), device.name)
        elif volume.persistent_volume_claim is None and volume.ephemeral is None:
            text = "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode"
            yield invalid(at.child("name"), device.name, text)
        if device.name in taken:
            yield invalid(at.child("name"), device.name, "must be unique")
        taken.add(device.name)
        if not device.device_path:
            yield required(at.child("devicePath"))
        if device.device_path in paths:
            yield invalid(at.child("devicePath"), device.device_path, "must be unique")
        paths.add(device.device_path)


def _resize_errors(policies: Sequence[v1.ContainerResizePolicy], path: Path) -> Errors:
    taken: set[str] = set()
    for index, policy in enumerate(policies):
        if policy.resource_name in taken:
            yield duplicate(path.index(index), policy.resource_name)
        taken.add(policy.resource_name)
        if policy.resource_name not in {"cpu", "memory"}:
            yield not_supported(path, policy.resource_name, ("cpu", "memory"))
        if policy.restart_policy not in {"NotRequired", "RestartContainer"}:
            yield not_supported(path, policy.restart_policy, ("NotRequired", "RestartContainer"))
