"""Defaults of pods and pod templates (upstream pkg/apis/core/v1 `defaults.go`).

A template gets what holds for every pod spec; what only a pod gets (requests from limits, host ports, service links) is added when
the pod is made, so that templates stay as their authors wrote them.
"""

from collections.abc import Mapping
from typing import TypeVar

from msgspec.structs import replace

from pinnace.api.core_v1 import (
    Container,
    ContainerPort,
    EnvVar,
    EphemeralContainer,
    GRPCAction,
    HTTPGetAction,
    Lifecycle,
    LifecycleHandler,
    Pod,
    PodSecurityContext,
    PodSpec,
    PodTemplateSpec,
    Probe,
    ResourceRequirements,
)
from pinnace.apiserver.registry.core import pod_resources, volume_defaults
from pinnace.apiserver.registry.core.image_reference import default_pull_policy
from pinnace.apiserver.registry.defaulting import changed, each, filled, maybe
from pinnace.machinery.memo import Memo

C = TypeVar("C", Container, EphemeralContainer)

GRACE_SECONDS = 30


def pod(obj: Pod) -> Pod:
    """Return a pod with defaults."""
    spec = _DEFAULTED(obj.spec)
    return obj if spec is obj.spec else replace(obj, spec=spec)


def _spec_of_pod(spec: PodSpec) -> PodSpec:
    spec = pod_spec(spec)
    containers = each(spec.containers, _requests_from_limits)
    inits = each(spec.init_containers, _requests_from_limits)
    if spec.host_network:
        containers, inits = each(containers, _host_ports), each(inits, _host_ports)
    spec = changed(
        spec,
        containers=containers,
        init_containers=inits,
        enable_service_links=True if spec.enable_service_links is None else spec.enable_service_links,
    )
    return _pod_level(spec)


_DEFAULTED: Memo[PodSpec, PodSpec] = Memo(_spec_of_pod)


def template(obj: PodTemplateSpec) -> PodTemplateSpec:
    """Return a pod template with defaults."""
    return changed(obj, spec=pod_spec(obj.spec))


def pod_spec(spec: PodSpec) -> PodSpec:
    """Return a pod spec with the defaults that templates get, too."""
    spec = changed(
        spec,
        volumes=each(spec.volumes, volume_defaults.volume),
        init_containers=each(spec.init_containers, container),
        containers=each(spec.containers, container),
        ephemeral_containers=each(spec.ephemeral_containers, container),
        # The two names of one field.
        service_account_name=spec.service_account_name or spec.service_account,
    )
    if spec.service_account_name and spec.service_account != spec.service_account_name:
        spec = replace(spec, service_account=spec.service_account_name)
    if spec.termination_grace_period_seconds is None:
        spec = replace(spec, termination_grace_period_seconds=GRACE_SECONDS)
    if spec.security_context is None:
        spec = replace(spec, security_context=PodSecurityContext())
    return filled(spec, restart_policy="Always", dns_policy="ClusterFirst", scheduler_name="default-scheduler")


def container(item: C) -> C:
    """Return a container with defaults."""
    item = changed(
        item,
        ports=each(item.ports, _port),
        env=each(item.env, _env),
        liveness_probe=maybe(item.liveness_probe, _probe),
        readiness_probe=maybe(item.readiness_probe, _probe),
        startup_probe=maybe(item.startup_probe, _probe),
        lifecycle=maybe(item.lifecycle, _lifecycle),
    )
    return filled(
        item,
        image_pull_policy=default_pull_policy(item.image),
        termination_message_path="/dev/termination-log",
        termination_message_policy="File",
    )


def _port(port: ContainerPort) -> ContainerPort:
    return filled(port, protocol="TCP")


def _env(variable: EnvVar) -> EnvVar:
    source = variable.value_from
    if source is None or source.field_ref is None:
        return variable
    field_ref = filled(source.field_ref, api_version="v1")
    return changed(variable, value_from=changed(source, field_ref=field_ref))


def _probe(probe: Probe) -> Probe:
    probe = changed(probe, http_get=maybe(probe.http_get, _http_get), grpc=maybe(probe.grpc, _grpc))
    return filled(probe, timeout_seconds=1, period_seconds=10, success_threshold=1, failure_threshold=3)


def _http_get(action: HTTPGetAction) -> HTTPGetAction:
    return filled(action, path="/", scheme="HTTP")


def _grpc(action: GRPCAction) -> GRPCAction:
    return action if action.service is not None else replace(action, service="")


def _lifecycle(lifecycle: Lifecycle) -> Lifecycle:
    def handler(one: LifecycleHandler) -> LifecycleHandler:
        return changed(one, http_get=maybe(one.http_get, _http_get))

    return changed(
        lifecycle, post_start=maybe(lifecycle.post_start, handler), pre_stop=maybe(lifecycle.pre_stop, handler)
    )


def _requests_from_limits(item: Container) -> Container:
    resources = item.resources
    missing = {name: limit for name, limit in resources.limits.items() if name not in resources.requests}
    if not missing:
        return item
    return replace(item, resources=replace(resources, requests={**resources.requests, **missing}))


def _host_ports(item: Container) -> Container:
    ports = each(item.ports, lambda port: port if port.host_port else replace(port, host_port=port.container_port))
    return changed(item, ports=ports)


def _pod_level(spec: PodSpec) -> PodSpec:
    """Complete pod-level requests: by what the containers ask together, else by the limit."""
    resources = spec.resources
    if resources is None or not resources.limits:
        return spec
    requests: dict[str, str] = dict(resources.requests)
    together: Mapping[str, str] = pod_resources.total_requests(spec)
    for name, amount in together.items():
        if name in pod_resources.POD_LEVEL:
            requests.setdefault(name, amount)
    for name, limit in resources.limits.items():
        if name in pod_resources.POD_LEVEL or name.startswith(pod_resources.HUGE_PAGES):
            requests.setdefault(name, limit)
    if len(requests) == len(resources.requests):
        return spec
    return replace(spec, resources=ResourceRequirements(limits=resources.limits, requests=requests))
