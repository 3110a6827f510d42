"""The variables of a container: references resolved, services announced, `$(NAME)` expanded.

Order as upstream: envFrom, then env, then services where nothing has the name yet. Upstream: kubelet `kubelet_pods.go`,
`third_party/forked/golang/expansion`.
"""

import base64
from collections.abc import Iterable, Mapping
from typing import Protocol

from msgspec import Struct

from pinnace.api import core_v1
from pinnace.client import Client
from pinnace.machinery import quantity
from pinnace.machinery.errors import NotFound


class ConfigError(Exception):
    """A container's settings cannot be worked out; becomes CreateContainerConfigError."""


class Source(Protocol):
    """Where config maps and secrets come from."""

    async def config_map(self, namespace: str, name: str) -> core_v1.ConfigMap:
        """Return it, or raise NotFound."""

    async def secret(self, namespace: str, name: str) -> core_v1.Secret:
        """Return it, or raise NotFound."""


class ClientSource(Source):
    """Read from the API server one by one, as the node authorizer wants it."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def config_map(self, namespace: str, name: str) -> core_v1.ConfigMap:
        return await self._client.get(core_v1.ConfigMap, name, namespace)

    async def secret(self, namespace: str, name: str) -> core_v1.Secret:
        return await self._client.get(core_v1.Secret, name, namespace)


class PodFacts(Struct, frozen=True):
    """What a pod may know of where it runs."""

    pod: core_v1.Pod
    node_name: str
    host_ip: str
    pod_ips: tuple[str, ...]
    allocatable: Mapping[str, str]


def expand(text: str, known: Mapping[str, str]) -> str:
    """Replace `$(NAME)` by its value; unknown names and unclosed ones stay, `$$` is a dollar."""
    out, position = [], 0
    while position < len(text):
        char = text[position]
        following = text[position + 1 : position + 2]
        if char == "$" and following == "$":
            out.append("$")
            position += 2
            continue
        if char == "$" and following == "(" and (end := text.find(")", position)) >= 0:
            name = text[position + 2 : end]
            out.append(known.get(name, text[position : end + 1]))
            position = end + 1
            continue
        out.append(char)
        position += 1
    return "".join(out)


async def variables(
    container: core_v1.Container, facts: PodFacts, source: Source, services: Iterable[core_v1.Service]
) -> dict[str, str]:
    """Return a container's environment.

    Raises:
        ConfigError: a required reference leads nowhere.
    """
    announced = service_variables(services, facts.pod)
    found: dict[str, str] = {}
    for entry in container.env_from:
        found |= {entry.prefix + key: value for key, value in (await _all_of(entry, facts, source)).items()}
    for variable in container.env:
        if variable.value or variable.value_from is None:
            found[variable.name] = expand(variable.value, {**announced, **found})
        else:
            value = await _referenced(variable.value_from, container, facts, source)
            if value is not None:
                found[variable.name] = value
    return {**announced, **found}


async def _all_of(entry: core_v1.EnvFromSource, facts: PodFacts, source: Source) -> Mapping[str, str]:
    namespace = facts.pod.metadata.namespace
    if (ref := entry.config_map_ref) is not None:
        try:
            return (await source.config_map(namespace, ref.name)).data
        except NotFound:
            if ref.optional:
                return {}
            raise ConfigError(f'configmap "{ref.name}" not found') from None
    if (secret := entry.secret_ref) is not None:
        try:
            data = (await source.secret(namespace, secret.name)).data
        except NotFound:
            if secret.optional:
                return {}
            raise ConfigError(f'secret "{secret.name}" not found') from None
        return {key: _text(value) for key, value in data.items()}
    return {}


async def _referenced(
    ref: core_v1.EnvVarSource, container: core_v1.Container, facts: PodFacts, source: Source
) -> str | None:
    namespace = facts.pod.metadata.namespace
    if ref.field_ref is not None:
        return field_value(ref.field_ref.field_path, facts)
    if ref.resource_field_ref is not None:
        return resource_value(ref.resource_field_ref, container, facts)
    if (key := ref.config_map_key_ref) is not None:
        try:
            values = (await source.config_map(namespace, key.name)).data
        except NotFound:
            if key.optional:
                return None
            raise ConfigError(f'configmap "{key.name}" not found') from None
        return _chosen(values, key.key, f"ConfigMap {namespace}/{key.name}", optional=bool(key.optional))
    if (wanted := ref.secret_key_ref) is not None:
        try:
            secret = (await source.secret(namespace, wanted.name)).data
        except NotFound:
            if wanted.optional:
                return None
            raise ConfigError(f'secret "{wanted.name}" not found') from None
        value = _chosen(secret, wanted.key, f"Secret {namespace}/{wanted.name}", optional=bool(wanted.optional))
        return None if value is None else _text(value)
    raise ConfigError("fileKeyRef is not supported by this node")


def _chosen(values: Mapping[str, str], key: str, where: str, *, optional: bool) -> str | None:
    if key in values:
        return values[key]
    if optional:
        return None
    raise ConfigError(f"couldn't find key {key} in {where}")


def _text(encoded: str) -> str:
    return base64.b64decode(encoded).decode(errors="surrogateescape")


def field_value(path: str, facts: PodFacts) -> str:
    """Return a field of the pod as text.

    Raises:
        ConfigError: there is no such field.
    """
    pod = facts.pod
    plain = {
        "metadata.name": pod.metadata.name,
        "metadata.namespace": pod.metadata.namespace,
        "metadata.uid": pod.metadata.uid,
        "spec.nodeName": facts.node_name,
        "spec.serviceAccountName": pod.spec.service_account_name,
        "status.hostIP": facts.host_ip,
        "status.hostIPs": facts.host_ip,
        "status.podIP": facts.pod_ips[0] if facts.pod_ips else "",
        "status.podIPs": ",".join(facts.pod_ips),
        "metadata.labels": _lines(pod.metadata.labels),
        "metadata.annotations": _lines(pod.metadata.annotations),
    }
    if path in plain:
        return plain[path]
    for prefix, values in (
        ("metadata.labels['", pod.metadata.labels),
        ("metadata.annotations['", pod.metadata.annotations),
    ):
        if path.startswith(prefix) and path.endswith("']"):
            return (values or {}).get(path[len(prefix) : -2], "")
    raise ConfigError(f"unsupported fieldPath: {path}")


def _lines(values: Mapping[str, str] | None) -> str:
    return "\n".join(f'{key}="{_escaped(value)}"' for key, value in sorted((values or {}).items()))


def _escaped(value: str) -> str:
    for plain, written in (("\\", "\\\\"), ('"', '\\"'), ("\n", "\\n"), ("\t", "\\t"), ("\r", "\\r")):
        value = value.replace(plain, written)
    return value


def resource_value(ref: core_v1.ResourceFieldSelector, container: core_v1.Container, facts: PodFacts) -> str:
    """Return a container's limit or request in units of the divisor, rounded up."""
    if ref.container_name and ref.container_name != container.name:
        everyone = (*(facts.pod.spec.init_containers or ()), *(facts.pod.spec.containers or ()))
        container = next((other for other in everyone if other.name == ref.container_name), container)
    kind, _, resource = ref.resource.partition(".")
    values = container.resources.limits if kind == "limits" else container.resources.requests
    amount = values.get(resource, facts.allocatable.get(resource, "0") if kind == "limits" else "0")
    divisor = quantity.parse(ref.divisor or "1").milli() or 1000
    return str(-(-quantity.parse(amount).milli() // divisor))


def service_variables(services: Iterable[core_v1.Service], pod: core_v1.Pod) -> dict[str, str]:
    """Return the variables that announce the services of the pod's namespace, and the API server's always."""
    found: dict[str, str] = {}
    links = pod.spec.enable_service_links is not False
    for service in services:
        name, namespace = service.metadata.name, service.metadata.namespace
        ip = service.spec.cluster_ip
        wanted = (namespace, name) == ("default", "kubernetes") or (links and namespace == pod.metadata.namespace)
        ports = service.spec.ports or ()
        if not wanted or not ip or ip == "None" or not ports:
            continue
        upper = name.upper().replace("-", "_")
        host = f"[{ip}]" if ":" in ip else ip
        found[f"{upper}_SERVICE_HOST"] = ip
        found[f"{upper}_SERVICE_PORT"] = str(ports[0].port)
        found[f"{upper}_PORT"] = f"{(ports[0].protocol or 'TCP').lower()}://{host}:{ports[0].port}"
        for port in ports:
            protocol = port.protocol or "TCP"
            if port.name:
                found[f"{upper}_SERVICE_PORT_{port.name.upper().replace('-', '_')}"] = str(port.port)
            start = f"{upper}_PORT_{port.port}_{protocol}"
            found[start] = f"{protocol.lower()}://{host}:{port.port}"
            found[f"{start}_PROTO"], found[f"{start}_PORT"] = protocol.lower(), str(port.port)
            found[f"{start}_ADDR"] = ip
    return found
