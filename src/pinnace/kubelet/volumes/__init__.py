"""The volumes of pods on this node."""

from pinnace.kubelet.volumes.claims import ClaimNotReady, Claims
from pinnace.kubelet.volumes.volumes import VolumeError, Volumes

__all__ = ("ClaimNotReady", "Claims", "VolumeError", "Volumes")
