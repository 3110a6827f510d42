"""StatefulSets: pods with names and volumes of their own, made, updated and taken away in order."""

from typing import Any

import pytest

from integration.controllers.workloads import add_node, events, listed, pod, pods, run_all, set_pod, template
from pinnace.api.apps_v1 import (
    ControllerRevision,
    RollingUpdateStatefulSetStrategy,
    StatefulSet,
    StatefulSetOrdinals,
    StatefulSetPersistentVolumeClaimRetentionPolicy,
    StatefulSetSpec,
    StatefulSetUpdateStrategy,
)
from pinnace.api.core_v1 import (
    PersistentVolumeClaim,
    PersistentVolumeClaimSpec,
    Pod,
    VolumeResourceRequirements,
)
from pinnace.api.meta_v1 import LabelSelector, ObjectMeta
from pinnace.testing import Cluster

LABELS = {"app": "db"}
REVISION = "controller-revision-hash"


def stateful_set(namespace: str, replicas: int, *, claims: bool = False, **spec: Any) -> StatefulSet:
    resources = VolumeResourceRequirements(requests={"storage": "1Gi"})
    claim = PersistentVolumeClaim(
        metadata=ObjectMeta(name="data", labels={"kind": "data"}),
        spec=PersistentVolumeClaimSpec(access_modes=("ReadWriteOnce",), resources=resources),
    )
    made = StatefulSetSpec(**{
        "replicas": replicas,
        "service_name": "db",
        "selector": LabelSelector(match_labels=LABELS),
        "template": template(LABELS, "example.org/db:1"),
        "volume_claim_templates": (claim,) if claims else (),
        **spec,
    })
    return StatefulSet(metadata=ObjectMeta(name="db", namespace=namespace), spec=made)


async def get(cluster: Cluster, namespace: str) -> StatefulSet:
    await cluster.settle()
    return await cluster.client.get(StatefulSet, "db", namespace)


async def change(cluster: Cluster, namespace: str, **spec: Any) -> None:
    await cluster.client.patch(StatefulSet, "db", {"spec": spec}, namespace=namespace)
    await cluster.settle()


async def set_image(cluster: Cluster, namespace: str, version: int) -> None:
    containers = [{"name": "main", "image": f"example.org/db:{version}"}]
    await change(cluster, namespace, template={"spec": {"containers": containers}})


async def names(cluster: Cluster, namespace: str) -> list[str]:
    return [item.metadata.name for item in await pods(cluster, namespace)]


async def versions(cluster: Cluster, namespace: str) -> dict[str, str]:
    found = await pods(cluster, namespace)
    return {item.metadata.name: item.spec.containers[0].image.rpartition(":")[2] for item in found}


async def be_ready(cluster: Cluster, namespace: str, name: str) -> None:
    await set_pod(cluster, await cluster.client.get(Pod, name, namespace))
    await cluster.settle()


async def be_gone(cluster: Cluster, namespace: str, name: str) -> None:
    await cluster.client.delete(Pod, name, namespace, grace_period_seconds=0)
    await cluster.settle()


async def test_pods_come_one_after_another(cluster: Cluster, namespace: str) -> None:
    """The next pod is made when the one before serves; each knows who it is."""
    await cluster.client.create(stateful_set(namespace, 3, ordinals=StatefulSetOrdinals(start=5)))
    assert await names(cluster, namespace) == ["db-5"]
    await be_ready(cluster, namespace, "db-5")
    assert await names(cluster, namespace) == ["db-5", "db-6"]
    await run_all(cluster, namespace)
    found = await pods(cluster, namespace)
    assert [item.metadata.name for item in found] == ["db-5", "db-6", "db-7"]
    last = found[-1]
    assert (last.spec.hostname, last.spec.subdomain) == ("db-7", "db")
    (revision,) = await listed(cluster, ControllerRevision, namespace)
    assert last.metadata.labels == {
        **LABELS,
        "statefulset.kubernetes.io/pod-name": "db-7",
        "apps.kubernetes.io/pod-index": "7",
        REVISION: revision.metadata.name,
    }
    status = (await get(cluster, namespace)).status
    assert (status.replicas, status.ready_replicas, status.available_replicas) == (3, 3, 3)
    assert (status.current_replicas, status.updated_replicas, status.collision_count) == (3, 3, 0)
    assert status.current_revision == status.update_revision == revision.metadata.name
    assert await events(cluster, namespace, "SuccessfulCreate") == [
        f"create Pod db-{ordinal} in StatefulSet db successful" for ordinal in (5, 6, 7)
    ]


async def test_pods_of_a_parallel_set_come_at_once(cluster: Cluster, namespace: str) -> None:
    """A set that needs no order makes and takes its pods together."""
    await cluster.client.create(stateful_set(namespace, 4, pod_management_policy="Parallel"))
    assert await names(cluster, namespace) == ["db-0", "db-1", "db-2", "db-3"]
    await change(cluster, namespace, replicas=1)
    await run_all(cluster, namespace)
    assert await names(cluster, namespace) == ["db-0"]


async def test_pods_go_from_the_top(cluster: Cluster, namespace: str) -> None:
    """The highest pod goes first, and the next when it is gone."""
    await add_node(cluster, "one")
    await cluster.client.create(stateful_set(namespace, 3))
    await run_all(cluster, namespace)
    await change(cluster, namespace, replicas=1)
    leaving = [item.metadata.name for item in await pods(cluster, namespace) if item.metadata.deletion_timestamp]
    assert leaving == ["db-2"]
    await be_gone(cluster, namespace, "db-2")
    leaving = [item.metadata.name for item in await pods(cluster, namespace) if item.metadata.deletion_timestamp]
    assert leaving == ["db-1"]


async def test_broken_pod_holds_up_scaling_down(cluster: Cluster, namespace: str) -> None:
    """Nothing is taken away while a pod that is to stay does not serve."""
    await add_node(cluster, "one")
    await cluster.client.create(stateful_set(namespace, 3))
    await run_all(cluster, namespace)
    await set_pod(cluster, await cluster.client.get(Pod, "db-0", namespace), ready=False)
    await change(cluster, namespace, replicas=1)
    assert await names(cluster, namespace) == ["db-0", "db-1", "db-2"]
    await be_ready(cluster, namespace, "db-0")
    await run_all(cluster, namespace)
    assert await names(cluster, namespace) == ["db-0"]


@pytest.mark.parametrize("phase", ["Failed", "Succeeded"])
async def test_ended_pod_is_made_anew(cluster: Cluster, namespace: str, phase: str) -> None:
    """The new pod has the name of the old one."""
    await cluster.client.create(stateful_set(namespace, 1))
    (first,) = await pods(cluster, namespace)
    await set_pod(cluster, first, phase=phase)
    await run_all(cluster, namespace)
    (second,) = await pods(cluster, namespace)
    assert second.metadata.name == "db-0"
    assert second.metadata.uid != first.metadata.uid


async def test_pod_keeps_its_claim(cluster: Cluster, namespace: str) -> None:
    """Each pod has a claim of its own, which outlives it and the set."""
    await cluster.client.create(stateful_set(namespace, 2, claims=True))
    await run_all(cluster, namespace)
    found = await listed(cluster, PersistentVolumeClaim, namespace)
    assert [item.metadata.name for item in found] == ["data-db-0", "data-db-1"]
    assert found[0].metadata.labels == {**LABELS, "kind": "data"}
    (made, _) = await pods(cluster, namespace)
    volume = next(item for item in made.spec.volumes if item.name == "data")
    assert volume.persistent_volume_claim.claim_name == "data-db-0"
    await change(cluster, namespace, replicas=1)
    await run_all(cluster, namespace)
    await cluster.client.delete(StatefulSet, "db", namespace, propagation_policy="Background")
    await cluster.clock.advance(seconds=5)
    await run_all(cluster, namespace)
    left = await listed(cluster, PersistentVolumeClaim, namespace)
    assert [item.metadata.uid for item in left] == [item.metadata.uid for item in found]
    assert await events(cluster, namespace, "SuccessfulCreate") == [
        "create Claim data-db-0 Pod db-0 in StatefulSet db success",
        "create Pod db-0 in StatefulSet db successful",
        "create Claim data-db-1 Pod db-1 in StatefulSet db success",
        "create Pod db-1 in StatefulSet db successful",
    ]


@pytest.mark.parametrize(
    ("deleted", "scaled", "before", "after"),
    [
        pytest.param("Retain", "Retain", [], [], id="retained"),
        pytest.param("Delete", "Retain", ["StatefulSet"], ["StatefulSet"], id="until the set goes"),
        pytest.param("Retain", "Delete", [], ["Pod"], id="until scaled away"),
        pytest.param("Delete", "Delete", ["StatefulSet"], ["Pod"], id="until either"),
    ],
)
async def test_claims_are_owned_as_the_policy_says(
    cluster: Cluster, namespace: str, deleted: str, scaled: str, before: list[str], after: list[str]
) -> None:
    """Owner references say with what a claim goes."""
    await add_node(cluster, "one")
    policy = StatefulSetPersistentVolumeClaimRetentionPolicy(when_deleted=deleted, when_scaled=scaled)
    owner = stateful_set(namespace, 2, claims=True, persistent_volume_claim_retention_policy=policy)
    await cluster.client.create(owner)
    await run_all(cluster, namespace)

    async def owners() -> list[str]:
        claim = await cluster.client.get(PersistentVolumeClaim, "data-db-1", namespace)
        return [item.kind for item in claim.metadata.owner_references]

    assert await owners() == before
    await change(cluster, namespace, replicas=1)
    assert await owners() == after


async def test_update_goes_from_the_top(cluster: Cluster, namespace: str) -> None:
    """One pod at a time is made anew, and the next one when it serves."""
    await cluster.client.create(stateful_set(namespace, 3))
    await run_all(cluster, namespace)
    before = (await get(cluster, namespace)).status.current_revision
    await set_image(cluster, namespace, 2)
    assert await versions(cluster, namespace) == {"db-0": "1", "db-1": "1", "db-2": "2"}
    status = (await get(cluster, namespace)).status
    assert (status.current_revision, status.updated_replicas, status.current_replicas) == (before, 1, 2)
    await be_ready(cluster, namespace, "db-2")
    assert await versions(cluster, namespace) == {"db-0": "1", "db-1": "2", "db-2": "2"}
    await run_all(cluster, namespace)
    assert set((await versions(cluster, namespace)).values()) == {"2"}
    status = (await get(cluster, namespace)).status
    assert status.current_revision == status.update_revision != before
    assert (status.current_replicas, status.updated_replicas) == (3, 3)


async def test_partition_holds_pods_back(cluster: Cluster, namespace: str) -> None:
    """Pods below the partition stay as they were, even when they are made anew."""
    rolling = RollingUpdateStatefulSetStrategy(partition=2)
    strategy = StatefulSetUpdateStrategy(type="RollingUpdate", rolling_update=rolling)
    await cluster.client.create(stateful_set(namespace, 3, update_strategy=strategy))
    await run_all(cluster, namespace)
    await set_image(cluster, namespace, 2)
    await run_all(cluster, namespace)
    assert await versions(cluster, namespace) == {"db-0": "1", "db-1": "1", "db-2": "2"}
    await be_gone(cluster, namespace, "db-0")
    await run_all(cluster, namespace)
    assert await versions(cluster, namespace) == {"db-0": "1", "db-1": "1", "db-2": "2"}
    await change(cluster, namespace, updateStrategy={"rollingUpdate": {"partition": 0}})
    await run_all(cluster, namespace)
    assert set((await versions(cluster, namespace)).values()) == {"2"}


async def test_update_on_delete_waits_for_deletion(cluster: Cluster, namespace: str) -> None:
    """Old pods stay until somebody deletes them."""
    await cluster.client.create(stateful_set(namespace, 2, update_strategy=StatefulSetUpdateStrategy(type="OnDelete")))
    await run_all(cluster, namespace)
    await set_image(cluster, namespace, 2)
    await run_all(cluster, namespace)
    assert await versions(cluster, namespace) == {"db-0": "1", "db-1": "1"}
    await be_gone(cluster, namespace, "db-0")
    await run_all(cluster, namespace)
    assert await versions(cluster, namespace) == {"db-0": "2", "db-1": "1"}


async def test_former_template_takes_its_revision_again(cluster: Cluster, namespace: str) -> None:
    """Going back makes no new revision; those beyond the limit are deleted."""
    await cluster.client.create(stateful_set(namespace, 1, revision_history_limit=1))
    await run_all(cluster, namespace)
    first = (await get(cluster, namespace)).status.current_revision
    await set_image(cluster, namespace, 2)
    await run_all(cluster, namespace)
    await set_image(cluster, namespace, 1)
    await run_all(cluster, namespace)
    found = {item.revision: item.metadata.name for item in await listed(cluster, ControllerRevision, namespace)}
    assert (sorted(found), found[3]) == ([2, 3], first)
    for version in (3, 4):
        await set_image(cluster, namespace, version)
        await run_all(cluster, namespace)
    assert sorted(item.revision for item in await listed(cluster, ControllerRevision, namespace)) == [4, 5]


async def test_only_pods_with_its_names_are_adopted(cluster: Cluster, namespace: str) -> None:
    """An orphan in the set's place is taken, one that merely has its labels is not."""
    await cluster.client.create(pod("db-0", namespace, LABELS))
    await cluster.client.create(pod("other", namespace, LABELS))
    await cluster.client.create(stateful_set(namespace, 1, update_strategy=StatefulSetUpdateStrategy(type="OnDelete")))
    owners = {item.metadata.name: len(item.metadata.owner_references) for item in await pods(cluster, namespace)}
    assert owners == {"db-0": 1, "other": 0}


async def test_refused_pod_is_told_of(cluster: Cluster, namespace: str) -> None:
    """What the server refuses is an event of the set, and tried again."""
    refused = template(LABELS, service_account_name="robot")
    await cluster.client.create(stateful_set(namespace, 1, template=refused))
    await cluster.settle()
    told = await events(cluster, namespace, "FailedCreate")
    assert told[0].startswith('create Pod db-0 in StatefulSet db failed error: pods "db-0" is forbidden')


async def test_min_ready_seconds_hold_up_the_next_pod(cluster: Cluster, namespace: str) -> None:
    """A pod that serves counts, and lets the next one come, after a while."""
    await cluster.client.create(stateful_set(namespace, 2, min_ready_seconds=30))
    await run_all(cluster, namespace)
    assert await names(cluster, namespace) == ["db-0"]
    status = (await get(cluster, namespace)).status
    assert (status.ready_replicas, status.available_replicas) == (1, 0)
    await cluster.clock.advance(seconds=31)
    assert await names(cluster, namespace) == ["db-0", "db-1"]
