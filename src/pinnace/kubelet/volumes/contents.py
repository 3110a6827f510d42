"""What is in the files of volumes that are made of objects: config maps, secrets, the pod's own fields, tokens.

Upstream: `pkg/volume/{configmap,secret,downwardapi,projected}`, kubelet `token/token_manager.go`.
"""

import base64
from collections.abc import Iterable, Mapping

from pinnace.api import authentication_v1, core_v1
from pinnace.client import Client
from pinnace.component.clock import Clock
from pinnace.kubelet.environment import ConfigError, PodFacts, Source, field_value, resource_value
from pinnace.kubelet.volumes.atomic_writer import Content
from pinnace.machinery.errors import NotFound

_DEFAULT_MODE = 0o644
_TOKEN_SECONDS = 3600


class Contents:
    """The contents of all pods' volumes of one node."""

    def __init__(self, client: Client, source: Source, clock: Clock) -> None:
        self._client, self._source, self._clock = client, source, clock
        # Tokens and when they are to be renewed, by pod, audience and path.
        self._tokens: dict[tuple[str, str, str], tuple[str, float]] = {}

    def forget(self, uid: str) -> None:
        """Drop the tokens of a pod that is gone."""
        self._tokens = {key: value for key, value in self._tokens.items() if key[0] != uid}

    async def of(self, volume: core_v1.Volume, facts: PodFacts) -> dict[str, Content] | None:
        """Return the files of a volume; None when it is not made of objects.

        Raises:
            ConfigError, ApiError: something that it is made of is not there.
        """
        if (config := volume.config_map) is not None:
            return await self._config_map(
                config.name, config.items, config.default_mode, facts, optional=bool(config.optional)
            )
        if (secret := volume.secret) is not None:
            return await self._secret(
                secret.secret_name, secret.items, secret.default_mode, facts, optional=bool(secret.optional)
            )
        if (downward := volume.downward_api) is not None:
            return _downward(downward.items, downward.default_mode, facts)
        if (projected := volume.projected) is None:
            return None
        files: dict[str, Content] = {}
        for part in projected.sources or ():
            files |= await self._projection(part, projected.default_mode, facts)
        return files

    async def _projection(
        self, part: core_v1.VolumeProjection, mode: int | None, facts: PodFacts
    ) -> dict[str, Content]:
        if (config := part.config_map) is not None:
            return await self._config_map(config.name, config.items, mode, facts, optional=bool(config.optional))
        if (secret := part.secret) is not None:
            return await self._secret(secret.name, secret.items, mode, facts, optional=bool(secret.optional))
        if part.downward_api is not None:
            return _downward(part.downward_api.items, mode, facts)
        if (token := part.service_account_token) is not None:
            text = await self._token(token, facts.pod)
            return {token.path: Content(text.encode(), _token_mode(facts.pod, mode), _token_owner(facts.pod))}
        raise ConfigError("this projected source is not supported by this node")

    async def _token(self, token: core_v1.ServiceAccountTokenProjection, pod: core_v1.Pod) -> str:
        key = (pod.metadata.uid, token.audience, token.path)
        known = self._tokens.get(key)
        if known is not None and self._clock.time() < known[1]:
            return known[0]
        seconds = token.expiration_seconds or _TOKEN_SECONDS
        bound = authentication_v1.BoundObjectReference(
            kind="Pod", api_version="v1", name=pod.metadata.name, uid=pod.metadata.uid
        )
        request = authentication_v1.TokenRequest(
            kind="TokenRequest",
            api_version="authentication.k8s.io/v1",
            spec=authentication_v1.TokenRequestSpec(
                audiences=(token.audience,) if token.audience else (),
                expiration_seconds=seconds,
                bound_object_ref=bound,
            ),
        )
        answer = await self._client.create_subresource(
            core_v1.ServiceAccount,
            pod.spec.service_account_name or "default",
            "token",
            request,
            namespace=pod.metadata.namespace,
            result=authentication_v1.TokenRequest,
        )
        if answer is None:
            raise ConfigError("the API server gave no token")
        # Renewed after 80 % of its life, or a day.
        self._tokens[key] = (answer.status.token, self._clock.time() + min(seconds * 0.8, 86400.0))
        return answer.status.token

    async def _config_map(
        self, name: str, items: Iterable[core_v1.KeyToPath], mode: int | None, facts: PodFacts, *, optional: bool
    ) -> dict[str, Content]:
        try:
            found = await self._source.config_map(facts.pod.metadata.namespace, name)
        except NotFound:
            if optional:
                return {}
            raise ConfigError(f'configmap "{name}" not found') from None
        data = {key: text.encode() for key, text in found.data.items()}
        data |= {key: base64.b64decode(text) for key, text in found.binary_data.items()}
        return _chosen(data, tuple(items), "config key", mode, optional=optional)

    async def _secret(
        self, name: str, items: Iterable[core_v1.KeyToPath], mode: int | None, facts: PodFacts, *, optional: bool
    ) -> dict[str, Content]:
        try:
            found = await self._source.secret(facts.pod.metadata.namespace, name)
        except NotFound:
            if optional:
                return {}
            raise ConfigError(f'secret "{name}" not found') from None
        data = {key: base64.b64decode(text) for key, text in found.data.items()}
        return _chosen(data, tuple(items), "secret key", mode, optional=optional)


def _token_owner(pod: core_v1.Pod) -> int | None:
    """Return the one user that all containers run as; None when there are several, or the group can read it anyway."""
    context = pod.spec.security_context
    if context is not None and context.fs_group is not None:
        return None
    whole = context.run_as_user if context is not None else None
    users = {
        own.run_as_user if (own := each.security_context) is not None and own.run_as_user is not None else whole
        for each in (*(pod.spec.init_containers or ()), *(pod.spec.containers or ()))
    }
    return users.pop() if len(users) == 1 else None


def _token_mode(pod: core_v1.Pod, mode: int | None) -> int:
    context = pod.spec.security_context
    if (context is not None and context.fs_group is not None) or _token_owner(pod) is not None:
        return 0o600
    return mode if mode is not None else _DEFAULT_MODE


def _chosen(
    data: Mapping[str, bytes], items: tuple[core_v1.KeyToPath, ...], what: str, mode: int | None, *, optional: bool
) -> dict[str, Content]:
    bits = mode if mode is not None else _DEFAULT_MODE
    if not items:
        return {key: Content(value, bits) for key, value in data.items()}
    files = {}
    for item in items:
        if item.key not in data:
            if optional:
                continue
            raise ConfigError(f"references non-existent {what}: {item.key}")
        files[item.path] = Content(data[item.key], item.mode if item.mode is not None else bits)
    return files


def _downward(items: Iterable[core_v1.DownwardAPIVolumeFile], mode: int | None, facts: PodFacts) -> dict[str, Content]:
    files = {}
    for item in items:
        if item.field_ref is not None:
            text = field_value(item.field_ref.field_path, facts)
        elif (ref := item.resource_field_ref) is not None:
            named = [entry for entry in facts.pod.spec.containers or () if entry.name == ref.container_name]
            if not named:
                raise ConfigError(f"container {ref.container_name} not found")
            text = resource_value(ref, named[0], facts)
        else:
            continue
        bits = item.mode if item.mode is not None else mode if mode is not None else _DEFAULT_MODE
        files[item.path] = Content(text.encode(), bits)
    return files
