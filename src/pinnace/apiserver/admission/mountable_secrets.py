"""Which secrets a pod uses, and whether its service account lets it.

An account with the annotation `kubernetes.io/enforce-mountable-secrets` lists the secrets that its pods may use: in volumes, in
variables of containers of every kind, one by one or all of a secret's, and to pull images. Upstream:
`plugin/pkg/admission/serviceaccount` (limitSecretReferences), `pkg/api/pod/util.go` (VisitPodSecretNames).
"""

from collections.abc import Iterator

from pinnace.api.core_v1 import Container, EphemeralContainer, PodSpec, ServiceAccount

ENFORCE_ANNOTATION = "kubernetes.io/enforce-mountable-secrets"
# What Go's ParseBool takes for true.
_TRUE = frozenset({"1", "t", "T", "TRUE", "true", "True"})


def is_enforced(account: ServiceAccount) -> bool:
    """Tell whether the account's list of secrets binds its pods."""
    return account.metadata.annotations.get(ENFORCE_ANNOTATION, "") in _TRUE


def violation(account: ServiceAccount, spec: PodSpec, *, only_ephemeral: bool) -> str:
    """Return what a pod uses beyond its account's secrets, empty when nothing; `only_ephemeral` looks at no other container."""
    mountable = {reference.name for reference in account.secrets}
    who = f"service account {account.metadata.name}"
    for use, secret in _uses(spec, only_ephemeral=only_ephemeral):
        if secret not in mountable:
            return f'{use}secret.secretName="{secret}" is not allowed because {who} does not reference that secret'
    if only_ephemeral:
        return ""
    pullable = {reference.name for reference in account.image_pull_secrets}
    for index, reference in enumerate(spec.image_pull_secrets):
        if reference.name not in pullable:
            return (
                f'imagePullSecrets[{index}].name="{reference.name}" is not allowed because {who} does not reference that '
                "imagePullSecret"
            )
    return ""


def _uses(spec: PodSpec, *, only_ephemeral: bool) -> Iterator[tuple[str, str]]:
    """Yield how messages begin, and the secret that is used so."""
    if not only_ephemeral:
        for volume in spec.volumes:
            if volume.secret is not None:
                yield "volume with ", volume.secret.secret_name
        for container in spec.init_containers:
            yield from _container_uses("init container", container)
        for container in spec.containers:
            yield from _container_uses("container", container)
    for ephemeral in spec.ephemeral_containers:
        yield from _container_uses("ephemeral container", ephemeral)


def _container_uses(what: str, container: Container | EphemeralContainer) -> Iterator[tuple[str, str]]:
    for variable in container.env:
        source = variable.value_from
        if source is not None and source.secret_key_ref is not None:
            yield f"{what} {container.name} with envVar {variable.name} referencing ", source.secret_key_ref.name
    for origin in container.env_from:
        if origin.secret_ref is not None:
            yield f"{what} {container.name} with envFrom referencing ", origin.secret_ref.name


def secret_names(spec: PodSpec) -> frozenset[str]:
    """Return every secret that a pod names, wherever it may."""
    return frozenset(
        name
        for name in (
            *(secret for _, secret in _uses(spec, only_ephemeral=False)),
            *(reference.name for reference in spec.image_pull_secrets),
            *_volume_secrets(spec),
        )
        if name
    )


def _volume_secrets(spec: PodSpec) -> Iterator[str]:
    for volume in spec.volumes:
        if volume.azure_file is not None:
            yield volume.azure_file.secret_name
        sources = (volume.cephfs, volume.flex_volume, volume.rbd, volume.scale_io, volume.iscsi, volume.storageos)
        for source in sources:
            if source is not None and source.secret_ref is not None:
                yield source.secret_ref.name
        if volume.csi is not None and volume.csi.node_publish_secret_ref is not None:
            yield volume.csi.node_publish_secret_ref.name
        if volume.projected is not None:
            for projected in volume.projected.sources or ():
                if projected.secret is not None:
                    yield projected.secret.name


def config_map_names(spec: PodSpec) -> frozenset[str]:
    """Return every config map that a pod names."""
    return frozenset(_config_maps(spec))


def _config_maps(spec: PodSpec) -> Iterator[str]:
    for volume in spec.volumes:
        if volume.config_map is not None:
            yield volume.config_map.name
        if volume.projected is not None:
            for projected in volume.projected.sources or ():
                if projected.config_map is not None:
                    yield projected.config_map.name
    containers: tuple[Container | EphemeralContainer, ...] = (*spec.init_containers, *spec.containers)
    for container in (*containers, *spec.ephemeral_containers):
        for origin in container.env_from:
            if origin.config_map_ref is not None:
                yield origin.config_map_ref.name
        for variable in container.env:
            if variable.value_from is not None and variable.value_from.config_map_key_ref is not None:
                yield variable.value_from.config_map_key_ref.name
