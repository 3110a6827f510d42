"""The containers of a pod's spec, by the list they are in. Pure."""

from collections.abc import Iterator
from enum import StrEnum

from pinnace.api import core_v1


class ContainerKind(StrEnum):
    """The list of the spec that a container is in."""

    INIT = "initContainers"
    REGULAR = "containers"
    EPHEMERAL = "ephemeralContainers"


def everyone(pod: core_v1.Pod) -> Iterator[tuple[ContainerKind, core_v1.Container]]:
    """Yield all containers: init, regular, ephemeral, each list in the order of the spec."""
    for container in pod.spec.init_containers or ():
        yield ContainerKind.INIT, container
    for container in pod.spec.containers or ():
        yield ContainerKind.REGULAR, container
    for ephemeral in pod.spec.ephemeral_containers or ():
        yield ContainerKind.EPHEMERAL, as_container(ephemeral)


def find(pod: core_v1.Pod, name: str) -> tuple[ContainerKind, core_v1.Container] | None:
    """Return a container by its name."""
    return next((found for found in everyone(pod) if found[1].name == name), None)


def as_container(ephemeral: core_v1.EphemeralContainer) -> core_v1.Container:
    """Return an ephemeral container as the container that it is."""
    return core_v1.Container(**{name: getattr(ephemeral, name) for name in core_v1.Container.__struct_fields__})


def is_sidecar(container: core_v1.Container) -> bool:
    """Tell whether an init container keeps running beside the others."""
    return container.restart_policy == "Always"


def target_of(pod: core_v1.Pod, name: str) -> str:
    """Return the container whose processes an ephemeral container is to see; empty when none."""
    return next((each.target_container_name for each in pod.spec.ephemeral_containers or () if each.name == name), "")


def may_restart(pod: core_v1.Pod, container: core_v1.Container, exit_code: int, *, initial: bool) -> bool:
    """Tell whether a container that ended with this code is to run again."""
    if pod.metadata.deletion_timestamp:
        return False
    for rule in container.restart_policy_rules:
        codes = rule.exit_codes
        if codes is not None and (exit_code in codes.values) == (codes.operator == "In"):
            return True
    policy = container.restart_policy or pod.spec.restart_policy or "Always"
    if initial and policy == "Always" and container.restart_policy is None:
        policy = "OnFailure"
    return policy == "Always" or (policy == "OnFailure" and exit_code != 0)
