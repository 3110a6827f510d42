"""Prepares the volumes of a pod under its folder and takes them away again.

    pods/<uid>/volumes/kubernetes.io~<plugin>/<name>

Kinds that need storage this node has not are refused by name, so that the pod says why it waits. Upstream: `pkg/volume`.
"""

import asyncio
import base64
import os
import shutil
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path

from pinnace.api import authentication_v1, core_v1
from pinnace.client import Client
from pinnace.component.clock import Clock
from pinnace.component.identity import Identity
from pinnace.kubelet.environment import ConfigError, PodFacts, Source, field_value, resource_value
from pinnace.kubelet.volumes import mounts
from pinnace.kubelet.volumes.atomic_writer import Content, write
from pinnace.kubelet.volumes.ownership import give_to_group
from pinnace.machinery import quantity, timestamps
from pinnace.machinery.errors import ApiError, NotFound

_DEFAULT_MODE = 0o644
_TOKEN_SECONDS = 3600
_KINDS = {
    "Directory": (stat.S_ISDIR, "directory"),
    "DirectoryOrCreate": (stat.S_ISDIR, "directory"),
    "File": (stat.S_ISREG, "file"),
    "FileOrCreate": (stat.S_ISREG, "file"),
    "Socket": (stat.S_ISSOCK, "socket file"),
    "CharDevice": (stat.S_ISCHR, "character device"),
    "BlockDevice": (stat.S_ISBLK, "block device"),
}


class VolumeError(Exception):
    """A volume cannot be set up; the text follows `MountVolume.SetUp failed for volume "<name>" : `."""

    def __init__(self, volume: str, reason: str) -> None:
        super().__init__(f'MountVolume.SetUp failed for volume "{volume}" : {reason}')


class Volumes:
    """The volumes of all pods of one node."""

    def __init__(self, root: Path, client: Client, source: Source, clock: Clock, identity: Identity) -> None:
        self._root, self._client, self._source = root, client, source
        self._clock, self._identity = clock, identity
        self._tokens: dict[tuple[str, str, str], tuple[str, float]] = {}
        # Volumes that have their group, by the pod's UID and their name.
        self._given: set[tuple[str, str]] = set()

    def pod_dir(self, uid: str) -> Path:
        """Return the folder of one pod."""
        return self._root / "pods" / uid

    async def prepare(self, facts: PodFacts) -> Mapping[str, Path]:
        """Set up all volumes, or bring their content up to date; returns where each is on the node.

        Raises:
            VolumeError: one of them cannot be.
        """
        found = {}
        for volume in facts.pod.spec.volumes or ():
            try:
                found[volume.name] = await self._prepare(volume, facts)
                self._own(volume, found[volume.name], facts.pod)
            except (ConfigError, ApiError, OSError) as error:
                raise VolumeError(volume.name, str(error)) from error
        return found

    async def remove(self, uid: str) -> None:
        """Take all volumes and files of a pod away; harmless when there are none."""
        folder = self.pod_dir(uid)
        await asyncio.to_thread(_remove, folder)
        self._tokens = {key: value for key, value in self._tokens.items() if key[0] != uid}
        self._given = {key for key in self._given if key[0] != uid}

    def _own(self, volume: core_v1.Volume, path: Path, pod: core_v1.Pod) -> None:
        """Give a volume to the pod's group; hostPath volumes stay whose they are."""
        context = pod.spec.security_context
        if context is None or context.fs_group is None or volume.host_path is not None:
            return
        lasting = volume.empty_dir is not None
        if lasting and (pod.metadata.uid, volume.name) in self._given:
            return
        mismatch = context.fs_group_change_policy == "OnRootMismatch"
        give_to_group(path, context.fs_group, unless_right=mismatch and lasting)
        self._given.add((pod.metadata.uid, volume.name))

    async def _prepare(self, volume: core_v1.Volume, facts: PodFacts) -> Path:
        base = self.pod_dir(facts.pod.metadata.uid) / "volumes"
        if (empty := volume.empty_dir) is not None:
            return await self._empty_dir(base / "kubernetes.io~empty-dir" / volume.name, empty)
        if (host := volume.host_path) is not None:
            _check_host_path(Path(host.path), host.type or "")
            return Path(host.path)
        if (config := volume.config_map) is not None:
            files = await self._config_map(
                config.name, config.items, config.default_mode, facts, optional=bool(config.optional)
            )
            return self._write(base / "kubernetes.io~configmap" / volume.name, files)
        if (secret := volume.secret) is not None:
            files = await self._secret(
                secret.secret_name, secret.items, secret.default_mode, facts, optional=bool(secret.optional)
            )
            return self._write(base / "kubernetes.io~secret" / volume.name, files)
        if (downward := volume.downward_api) is not None:
            files = _downward(downward.items, downward.default_mode, facts)
            return self._write(base / "kubernetes.io~downward-api" / volume.name, files)
        if (projected := volume.projected) is not None:
            files = {}
            for part in projected.sources or ():
                files |= await self._projection(part, projected.default_mode, facts)
            return self._write(base / "kubernetes.io~projected" / volume.name, files)
        if volume.persistent_volume_claim is not None:
            raise ConfigError("this node does not mount persistent volumes yet")
        raise ConfigError("no volume plugin matched")

    async def _empty_dir(self, folder: Path, source: core_v1.EmptyDirVolumeSource) -> Path:
        folder.mkdir(parents=True, exist_ok=True)  # noqa: ASYNC240 - one folder
        if source.medium == "Memory" and not mounts.is_mounted(folder):
            size = quantity.parse(source.size_limit).value() if source.size_limit else 0
            await _run("mount", "-t", "tmpfs", *(("-o", f"size={size}") if size else ()), "tmpfs", str(folder))
        elif source.medium not in {"", "Memory"}:
            raise ConfigError(f"emptyDir medium {source.medium} is not supported by this node")
        folder.chmod(0o777)  # noqa: ASYNC240
        return folder

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

    def _write(self, folder: Path, files: Mapping[str, Content]) -> Path:
        now = timestamps.format(self._clock.time()).translate(str.maketrans("-T:", "___")).rstrip("Z")
        write(folder, files, f"{now}.{self._identity.suffix(10)}")
        return folder


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


def _check_host_path(path: Path, kind: str) -> None:
    if not kind:
        return
    if kind == "DirectoryOrCreate" and not path.exists():
        path.mkdir(mode=0o755, parents=True)
    elif kind == "FileOrCreate" and not path.exists():
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o644))
    check, noun = _KINDS[kind]
    if not path.exists() or not check(path.stat().st_mode):
        raise ConfigError(f"hostPath type check failed: {path} is not a {noun}")


def _remove(folder: Path) -> None:
    """Delete a folder, but nothing that is mounted below it."""
    for point in mounts.below(folder):
        mounts.unmount(point)
    left = mounts.below(folder)
    if left:
        raise OSError(f"{left[0]} is still mounted")
    shutil.rmtree(folder, ignore_errors=True)


async def _run(*command: str) -> None:
    process = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.PIPE)
    _, errors = await process.communicate()
    if process.returncode:
        raise OSError(f"{command[0]} failed: {errors.decode(errors='replace').strip()}")
