"""Volumes that a pod claims: from its claim to the folder that the bound PersistentVolume is.

This node mounts PersistentVolumes of its own disk (`hostPath`, `local`). Upstream: kubelet
`volumemanager/populator/desired_state_of_world_populator.go`, `pkg/volume/local`.
"""

from pathlib import Path

from msgspec import Struct

from pinnace.api import core_v1
from pinnace.client import Client
from pinnace.kubelet.environment import ConfigError
from pinnace.kubelet.volumes.folders import existing, host_path
from pinnace.machinery.errors import ApiError


class ClaimNotReady(Exception):
    """A claim is not what a pod can use yet; the text is upstream's."""


class Found(Struct, frozen=True):
    """Where a claimed volume is; `shared` says that it is a place of the node, which stays whose it is."""

    path: Path
    shared: bool


class Claims:
    """The claimed volumes of all pods of one node."""

    def __init__(self, client: Client) -> None:
        self._client = client
        # What is bound stays bound, so that each claim is looked up once per pod.
        self._volumes: dict[tuple[str, str], core_v1.PersistentVolume] = {}

    def forget(self, uid: str) -> None:
        """Drop what a pod had claimed."""
        self._volumes = {key: value for key, value in self._volumes.items() if key[0] != uid}

    async def path(self, volume: core_v1.Volume, pod: core_v1.Pod) -> Found:
        """Return where a claimed volume is.

        Raises:
            ClaimNotReady: the claim is not there, not bound, or on its way out.
            ConfigError: the volume is of a kind that this node cannot mount, or not what it says.
        """
        spec = (await self.bound(volume, pod)).spec
        if spec.host_path is not None:
            return Found(host_path(spec.host_path.path, spec.host_path.type or ""), shared=True)
        if spec.local is not None:
            return Found(existing(spec.local.path), shared=False)
        raise ConfigError("no volume plugin matched")

    async def bound(self, volume: core_v1.Volume, pod: core_v1.Pod) -> core_v1.PersistentVolume:
        """Return the PersistentVolume that a pod has claimed.

        Raises:
            ClaimNotReady: as for `path`.
        """
        key = (pod.metadata.uid, volume.name)
        known = self._volumes.get(key)
        if known is None:
            known = self._volumes[key] = await self._look_up(volume, pod)
        return known

    async def _look_up(self, volume: core_v1.Volume, pod: core_v1.Pod) -> core_v1.PersistentVolume:
        namespace, claim = pod.metadata.namespace, volume.persistent_volume_claim
        # A generic ephemeral volume has a claim of its own, named after pod and volume.
        name = claim.claim_name if claim is not None else f"{pod.metadata.name}-{volume.name}"

        def not_ready(reason: str) -> ClaimNotReady:
            return ClaimNotReady(f"error processing PVC {namespace}/{name}: {reason}")

        try:
            found = await self._client.get(core_v1.PersistentVolumeClaim, name, namespace)
        except ApiError as error:
            raise not_ready(f"failed to fetch PVC from API server: {error}") from error
        owners = found.metadata.owner_references or ()
        if claim is None and not any(owner.uid == pod.metadata.uid and owner.controller for owner in owners):
            raise not_ready(
                f"PVC {namespace}/{name} was not created for pod {namespace}/{pod.metadata.name} (pod is not owner)"
            )
        if found.metadata.deletion_timestamp is not None:
            raise not_ready("PVC is being deleted")
        if found.status.phase != "Bound" or not found.spec.volume_name:
            raise not_ready("PVC is not bound")
        try:
            bound = await self._client.get(core_v1.PersistentVolume, found.spec.volume_name)
        except ApiError as error:
            raise not_ready(f"failed to fetch PV {found.spec.volume_name} from API server: {error}") from error
        ref = bound.spec.claim_ref
        if ref is None or ref.uid != found.metadata.uid:
            raise not_ready(f"PV {found.spec.volume_name} is not bound to the claim")
        return bound
