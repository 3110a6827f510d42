"""The node agent."""

from pinnace.kubelet.config import KubeletConfig
from pinnace.kubelet.kubelet import Kubelet

__all__ = ("Kubelet", "KubeletConfig")
