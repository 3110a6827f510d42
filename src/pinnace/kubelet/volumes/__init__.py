"""The volumes of pods on this node."""

from pinnace.kubelet.volumes.volumes import VolumeError, Volumes

__all__ = ("VolumeError", "Volumes")
