"""ServiceAccount: every pod runs as one, has its token mounted unless someone says no, and pulls with its secrets.

Upstream: `plugin/pkg/admission/serviceaccount`.
"""

from typing import Any

from msgspec.structs import replace

from pinnace.api.core_v1 import (
    ConfigMapProjection,
    Container,
    DownwardAPIProjection,
    DownwardAPIVolumeFile,
    KeyToPath,
    ObjectFieldSelector,
    Pod,
    PodSpec,
    ProjectedVolumeSource,
    ServiceAccount,
    ServiceAccountTokenProjection,
    Volume,
    VolumeMount,
    VolumeProjection,
)
from pinnace.apiserver.admission.interface import CREATE, Attributes, Objects, Plugin
from pinnace.component.identity import Identity

DEFAULT_ACCOUNT = "default"
MOUNT_PATH = "/var/run/secrets/kubernetes.io/serviceaccount"
VOLUME_PREFIX = "kube-api-access-"
MIRROR_ANNOTATION = "kubernetes.io/config.mirror"
ENFORCE_MOUNTABLE = "kubernetes.io/enforce-mountable-secrets"
# Seconds; the odd seven tell this default apart from a lifetime that someone chose.
TOKEN_EXPIRATION_SECONDS = 3607


class ServiceAccountAdmission(Plugin):
    """Gives pods their service account."""

    def __init__(self, objects: Objects, identity: Identity) -> None:
        self._objects = objects
        self._identity = identity

    async def mutate(self, attributes: Attributes, obj: Any, old: Any) -> Any:  # noqa: ARG002
        if not _is_pod_create(attributes):
            return obj
        pod: Pod = obj
        # A mirror pod stands for one that runs already, and that never saw the API.
        if MIRROR_ANNOTATION in pod.metadata.annotations:
            if pod.spec.service_account_name:
                raise attributes.refuse("a mirror pod may not reference service accounts", name=pod.metadata.name)
            return pod
        name = pod.spec.service_account_name or pod.spec.service_account or DEFAULT_ACCOUNT
        spec = replace(pod.spec, service_account_name=name, service_account=name)
        account = await self._account(attributes, pod, name)
        if _wants_token(account, spec):
            spec = self._with_token(spec)
        if not spec.image_pull_secrets:
            spec = replace(spec, image_pull_secrets=account.image_pull_secrets)
        return replace(pod, spec=spec)

    async def validate(self, attributes: Attributes, obj: Any, old: Any) -> None:  # noqa: ARG002
        if not _is_pod_create(attributes) or MIRROR_ANNOTATION in obj.metadata.annotations:
            return
        pod: Pod = obj
        account = await self._account(attributes, pod, pod.spec.service_account_name)
        if account.metadata.annotations.get(ENFORCE_MOUNTABLE, "").lower() != "true":
            return
        mountable = {reference.name for reference in account.secrets}
        for volume in pod.spec.volumes:
            if volume.secret is not None and volume.secret.secret_name not in mountable:
                raise attributes.refuse(
                    f'volume with secret.secretName="{volume.secret.secret_name}" is not allowed because service '
                    f"account {account.metadata.name} does not reference that secret",
                    name=pod.metadata.name,
                )

    async def _account(self, attributes: Attributes, pod: Pod, name: str) -> ServiceAccount:
        account = await self._objects.get(ServiceAccount, name, attributes.namespace)
        if account is None:
            raise attributes.refuse(
                f'error looking up service account {attributes.namespace}/{name}: serviceaccount "{name}" not found',
                name=pod.metadata.name,
            )
        return account

    def _with_token(self, spec: PodSpec) -> PodSpec:
        """Mount the token where a container mounts nothing at its place, in a volume of the pod when it has one already."""
        existing = next((volume.name for volume in spec.volumes if volume.name.startswith(VOLUME_PREFIX)), "")
        taken = {volume.name for volume in spec.volumes}
        name = existing
        while not name or (not existing and name in taken):
            name = VOLUME_PREFIX + self._identity.suffix()
        mount = VolumeMount(name=name, read_only=True, mount_path=MOUNT_PATH)
        init_containers = tuple(_mounted(container, mount) for container in spec.init_containers)
        containers = tuple(_mounted(container, mount) for container in spec.containers)
        needed = containers != spec.containers or init_containers != spec.init_containers
        volumes = spec.volumes
        if needed and not existing:
            volumes = (*volumes, _token_volume(name))
        return replace(spec, volumes=volumes, init_containers=init_containers, containers=containers)


def _is_pod_create(attributes: Attributes) -> bool:
    return (
        attributes.operation == CREATE
        and attributes.resource == "pods"
        and not attributes.group
        and not attributes.subresource
    )


def _wants_token(account: ServiceAccount, spec: PodSpec) -> bool:
    """Tell whether the token is mounted: the pod's word counts before the account's."""
    if spec.automount_service_account_token is not None:
        return spec.automount_service_account_token
    return account.automount_service_account_token is not False


def _mounted(container: Container, mount: VolumeMount) -> Container:
    if any(one.mount_path == MOUNT_PATH for one in container.volume_mounts):
        return container
    return replace(container, volume_mounts=(*container.volume_mounts, mount))


def _token_volume(name: str) -> Volume:
    token = ServiceAccountTokenProjection(expiration_seconds=TOKEN_EXPIRATION_SECONDS, path="token")
    authority = ConfigMapProjection(name="kube-root-ca.crt", items=(KeyToPath(key="ca.crt", path="ca.crt"),))
    namespace = DownwardAPIVolumeFile(
        path="namespace", field_ref=ObjectFieldSelector(api_version="v1", field_path="metadata.namespace")
    )
    sources = (
        VolumeProjection(service_account_token=token),
        VolumeProjection(config_map=authority),
        VolumeProjection(downward_api=DownwardAPIProjection(items=(namespace,))),
    )
    return Volume(name=name, projected=ProjectedVolumeSource(sources=sources, default_mode=0o644))
