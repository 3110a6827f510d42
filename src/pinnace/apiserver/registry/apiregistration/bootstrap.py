"""The APIServices of the groups that this server serves itself, made and kept when it starts.

Upstream: pkg/controlplane/apiserver/aggregator.go (priorities), kube-aggregator `autoregister`.
"""

import asyncio
from collections.abc import Mapping

from msgspec.structs import replace

from pinnace.api.apiregistration_v1 import APIService, APIServiceSpec
from pinnace.api.meta_v1 import ObjectMeta
from pinnace.apiserver.registry.strategy import Objects
from pinnace.machinery.errors import AlreadyExists, Conflict, NotFound

AUTO_MANAGED = "kube-aggregator.kubernetes.io/automanaged"
# Group → priority of the group; the order of `/apis`.
_GROUPS: Mapping[str, int] = {
    "": 18000,
    "apps": 17800,
    "events.k8s.io": 17750,
    "authentication.k8s.io": 17700,
    "authorization.k8s.io": 17600,
    "autoscaling": 17500,
    "batch": 17400,
    "certificates.k8s.io": 17300,
    "networking.k8s.io": 17200,
    "policy": 17100,
    "rbac.authorization.k8s.io": 17000,
    "storage.k8s.io": 16800,
    "apiextensions.k8s.io": 16700,
    "admissionregistration.k8s.io": 16700,
    "scheduling.k8s.io": 16600,
    "coordination.k8s.io": 16500,
    "node.k8s.io": 16300,
    "discovery.k8s.io": 16200,
    "flowcontrol.apiserver.k8s.io": 16100,
    "metrics.k8s.io": 100,
}
# Groups that came after that list was closed.
_LATER_GROUP = 15900
# What differs from the usual priority of a version.
_VERSIONS: Mapping[tuple[str, str], int] = {
    ("", "v1"): 1,
    ("autoscaling", "v2"): 30,
    ("flowcontrol.apiserver.k8s.io", "v1"): 21,
    ("metrics.k8s.io", "v1beta1"): 100,
}
_USUAL_VERSION = 15


async def ensure(objects: Objects, groups: Mapping[str, tuple[str, ...]]) -> None:
    """Make what is missing for these groups and their versions, and put right what differs."""
    async with asyncio.TaskGroup() as group:
        for name, versions in groups.items():
            # A group of its own server's is not served here.
            if name == "apiregistration.k8s.io":
                continue
            for version in versions:
                group.create_task(_ensure(objects, name, version), name=f"APIService {version}.{name}")


async def _ensure(objects: Objects, group: str, version: str) -> None:
    spec = APIServiceSpec(
        group=group,
        version=version,
        group_priority_minimum=_GROUPS.get(group, _LATER_GROUP),
        version_priority=_VERSIONS.get((group, version), _USUAL_VERSION),
    )
    meta = ObjectMeta(name=f"{version}.{group}", labels={AUTO_MANAGED: "onstart"})
    try:
        there = await objects.get(APIService, meta.name)
        if there is None:
            await objects.create(APIService(metadata=meta, spec=spec))
        elif there.spec != spec or there.metadata.labels.get(AUTO_MANAGED) != "onstart":
            labels = {**there.metadata.labels, AUTO_MANAGED: "onstart"}
            await objects.update(replace(there, metadata=replace(there.metadata, labels=labels), spec=spec))
    except (AlreadyExists, Conflict, NotFound):
        return  # another server of the cluster was faster
