"""For tests: a cluster in the test itself, and a pytest plug-in that gives one."""

from pinnace.testing.blocking import SyncClient, SyncCluster, running_sync_cluster
from pinnace.testing.cluster import Cluster, running_cluster

__all__ = ("Cluster", "SyncClient", "SyncCluster", "running_cluster", "running_sync_cluster")
