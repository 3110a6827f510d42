"""Starts one container: image, settings, creation, start, hook; says in the pod's waiting reasons why it does not start.

Upstream: kuberuntime `kuberuntime_container.go` startContainer.
"""

from collections.abc import Mapping
from pathlib import Path

from pinnace.api import core_v1
from pinnace.kubelet import container_config as making
from pinnace.kubelet.environment import ConfigError, expand, variables
from pinnace.kubelet.handlers import HookFailed
from pinnace.kubelet.images import ImageUnavailable
from pinnace.kubelet.pod_actions import Start
from pinnace.kubelet.pod_containers import ContainerKind, target_of
from pinnace.kubelet.pod_context import PodContext
from pinnace.kubelet.runtime import ContainerConfig, Image, RuntimeFailure, Sandbox
from pinnace.kubelet.termination import kill_container
from pinnace.machinery import quantity

RETRY_SECONDS = 10.0


async def start_container(pod: PodContext, start: Start, sandbox: Sandbox, volumes: Mapping[str, Path]) -> float:
    """Start a container; returns the seconds until it is to be tried again, zero when it runs."""
    container = start.container

    def event(kind: str, reason: str, message: str) -> None:
        pod.event(kind, reason, message, container.name)

    runs = pod.record.of(container.name)
    attempt = runs[0].restart_count + 1 if runs else _former_restarts(pod.pod, container.name)
    try:
        image = await pod.node.images.ensure(pod.pod, container, event)
        config = await _config(pod, start, image, attempt, volumes)
    except ImageUnavailable as error:
        pod.waiting[container.name] = (error.reason, str(error))
        return max(error.retry_seconds, 0.1)
    except (ConfigError, OSError) as error:
        pod.waiting[container.name] = ("CreateContainerConfigError", str(error))
        event("Warning", "Failed", f"Error: {error}")
        return RETRY_SECONDS
    made = await _create_and_start(pod, config, sandbox)
    if made is None:
        return RETRY_SECONDS
    pod.waiting.pop(container.name, None)
    pod.node.files.started(pod.pod, container.name, made, attempt)
    for old in runs[1:]:
        await pod.node.runtime.remove_container(old.id)
    await pod.refresh()
    await _after_start(pod, container)
    return 0.0


async def _create_and_start(pod: PodContext, config: ContainerConfig, sandbox: Sandbox) -> str | None:
    runtime, name = pod.node.runtime, config.name
    reason = "CreateContainerError"
    try:
        made = await runtime.create_container(
            sandbox.id, config, making.sandbox(pod.node.config, pod.pod, sandbox.attempt)
        )
        pod.event("Normal", "Created", "Container created", name)
        reason = "RunContainerError"
        await runtime.start_container(made)
    except RuntimeFailure as error:
        pod.waiting[name] = (reason, str(error))
        pod.event("Warning", "Failed", f"Error: {error}", name)
        await pod.refresh()
        return None
    pod.event("Normal", "Started", "Container started", name)
    return made


async def _after_start(pod: PodContext, container: core_v1.Container) -> None:
    hook = container.lifecycle.post_start if container.lifecycle is not None else None
    run = pod.latest(container.name)
    if hook is None or run is None:
        return
    try:
        await pod.node.handlers.run(hook, container, run.id, pod.ips())
    except HookFailed:
        pod.event("Warning", "FailedPostStartHook", "PostStartHook failed", container.name)
        await kill_container(pod, run, pod.grace_seconds(), "FailedPostStartHook")
        await pod.refresh()
        pod.waiting[container.name] = ("PostStartHookError", "PostStartHook failed")


async def _config(
    pod: PodContext, start: Start, image: Image, attempt: int, volumes: Mapping[str, Path]
) -> ContainerConfig:
    node, container, facts = pod.node, start.container, pod.facts()
    security = making.security(pod.pod, container, image)
    env = await variables(container, facts, node.source, node.services())
    target = ""
    if start.kind is ContainerKind.EPHEMERAL and (wanted := target_of(pod.pod, container.name)):
        run = pod.latest(wanted)
        if run is None:
            raise ConfigError(f"unable to find target container {wanted}")
        target = run.id
    return ContainerConfig(
        name=container.name,
        attempt=attempt,
        image=container.image,
        command=tuple(expand(word, env) for word in container.command),
        args=tuple(expand(word, env) for word in container.args),
        working_dir=container.working_dir,
        env=tuple(env.items()),
        mounts=node.files.mounts(facts, container, attempt, volumes, env),
        labels=making.labels(pod.pod, container),
        annotations=making.annotations(container, attempt),
        log_path=f"{container.name}/{attempt}.log",
        stdin=container.stdin,
        stdin_once=container.stdin_once,
        tty=container.tty,
        limits=making.limits(pod.pod, container, quantity.parse(node.allocatable["memory"]).value()),
        security=security,
        process_target=target,
    )


def _former_restarts(pod: core_v1.Pod, name: str) -> int:
    """Return the number of the next run of a container of which the runtime knows nothing any more."""
    statuses = (*pod.status.init_container_statuses, *pod.status.container_statuses)
    known = next((status for status in statuses if status.name == name and status.container_id), None)
    return known.restart_count + 1 if known is not None else 0
