"""The container runtime interface (CRI v1) over gRPC."""

from pinnace.kubelet.cri.runtime import CriRuntime

__all__ = ("CriRuntime",)
