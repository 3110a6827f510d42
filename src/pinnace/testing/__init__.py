"""For tests: a control plane in the test itself, and a pytest plug-in that gives one."""

from pinnace.testing.cluster import Cluster, running_cluster

__all__ = ("Cluster", "running_cluster")
