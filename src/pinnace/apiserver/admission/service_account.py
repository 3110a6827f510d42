"""ServiceAccount: every pod runs as one, has its token mounted unless someone says no, and pulls with its secrets.

Where an account says so, its pods use no secrets but those it lists, in any kind of container. The name of the token's volume ends
in a suffix that is drawn once for a server, so that the pods of one template stay equal. Upstream:
`plugin/pkg/admission/serviceaccount`.
"""

from typing import Any

from msgspec.structs import replace

from pinnace.api.core_v1 import (
    ConfigMapProjection,
    Container,
    DownwardAPIProjection,
    DownwardAPIVolumeFile,
    KeyToPath,
    LocalObjectReference,
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
from pinnace.apiserver.admission import mountable_secrets
from pinnace.apiserver.admission.interface import CREATE, UPDATE, Attributes, Objects, Plugin, Target
from pinnace.component.identity import Identity
from pinnace.machinery.memo import Memo

DEFAULT_ACCOUNT = "default"
MOUNT_PATH = "/var/run/secrets/kubernetes.io/serviceaccount"
VOLUME_PREFIX = "kube-api-access-"
MIRROR_ANNOTATION = "kubernetes.io/config.mirror"
# Seconds; the odd seven tell this default apart from a lifetime that someone chose.
TOKEN_EXPIRATION_SECONDS = 3607


class ServiceAccountAdmission(Plugin):
    """Gives pods their service account."""

    name = "ServiceAccount"

    def __init__(self, objects: Objects, identity: Identity) -> None:
        self._objects = objects
        self._identity = identity
        self._volume_name = VOLUME_PREFIX + identity.suffix()
        self._completed: Memo[PodSpec, PodSpec] = Memo(self._complete)

    def handles(self, target: Target) -> bool:
        if target.is_on("", "pods"):
            return target.operation == CREATE
        return target.is_on("", "pods", "ephemeralcontainers") and target.operation == UPDATE

    async def mutate(self, attributes: Attributes, obj: Any, old: Any) -> Any:  # noqa: ARG002
        if attributes.operation != CREATE:
            return obj
        pod: Pod = obj
        # A mirror pod stands for one that runs already, and that never saw the API.
        if MIRROR_ANNOTATION in pod.metadata.annotations:
            _check_mirror(attributes, pod)
            return pod
        name = pod.spec.service_account_name or pod.spec.service_account or DEFAULT_ACCOUNT
        account = await self._account(attributes, pod, name)
        spec = self._completed(pod.spec, name, _wants_token(account, pod.spec), account.image_pull_secrets)
        return pod if spec is pod.spec else replace(pod, spec=spec)

    async def validate(self, attributes: Attributes, obj: Any, old: Any) -> None:  # noqa: ARG002
        pod: Pod = obj
        if MIRROR_ANNOTATION in pod.metadata.annotations:
            if attributes.operation == CREATE:
                _check_mirror(attributes, pod)
            return
        account = await self._account(attributes, pod, pod.spec.service_account_name)
        if not mountable_secrets.is_enforced(account):
            return
        only_ephemeral = attributes.subresource == "ephemeralcontainers"
        text = mountable_secrets.violation(account, pod.spec, only_ephemeral=only_ephemeral)
        if text:
            raise attributes.refuse(text, pod)

    async def _account(self, attributes: Attributes, pod: Pod, name: str) -> ServiceAccount:
        account = await self._objects.get(ServiceAccount, name, attributes.namespace)
        if account is None:
            raise attributes.refuse(
                f'error looking up service account {attributes.namespace}/{name}: serviceaccount "{name}" not found',
                pod,
            )
        return account

    def _complete(
        self,
        spec: PodSpec,
        name: str,
        wants_token: bool,  # noqa: FBT001 - a memo takes positions only
        pull_secrets: tuple[LocalObjectReference, ...],
    ) -> PodSpec:
        if (spec.service_account_name, spec.service_account) != (name, name):
            spec = replace(spec, service_account_name=name, service_account=name)
        if wants_token:
            spec = self._with_token(spec)
        if pull_secrets and not spec.image_pull_secrets:
            spec = replace(spec, image_pull_secrets=pull_secrets)
        return spec

    def _with_token(self, spec: PodSpec) -> PodSpec:
        """Mount the token where a container mounts nothing at its place, in a volume of the pod when it has one already."""
        existing = next((volume.name for volume in spec.volumes if volume.name.startswith(VOLUME_PREFIX)), "")
        name = existing or self._volume_name
        mount = VolumeMount(name=name, read_only=True, mount_path=MOUNT_PATH)
        init_containers = tuple(_mounted(container, mount) for container in spec.init_containers)
        containers = tuple(_mounted(container, mount) for container in spec.containers)
        if containers == spec.containers and init_containers == spec.init_containers:
            return spec
        volumes = spec.volumes if existing else (*spec.volumes, _token_volume(name))
        return replace(spec, volumes=volumes, init_containers=init_containers, containers=containers)


def _check_mirror(attributes: Attributes, pod: Pod) -> None:
    if pod.spec.service_account_name:
        raise attributes.refuse("a mirror pod may not reference service accounts", pod)
    if mountable_secrets.secret_names(pod.spec):
        raise attributes.refuse("a mirror pod may not reference secrets", pod)
    for volume in pod.spec.volumes:
        sources = volume.projected.sources if volume.projected is not None else ()
        if any(source.service_account_token is not None for source in sources or ()):
            raise attributes.refuse("a mirror pod may not use ServiceAccount volume projections", pod)


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
