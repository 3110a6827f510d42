"""Deployments: rollouts, pauses, scaling in proportion, deadlines, history, adoption, rollback."""

import pytest
from msgspec.structs import replace

from integration.controllers.workloads import (
    condition,
    deployment,
    events,
    listed,
    pods,
    replica_set,
    run_all,
    set_pod,
    template,
)
from pinnace.api import apps_v1, core_v1
from pinnace.api.meta_v1 import ObjectMeta, OwnerReference
from pinnace.machinery.errors import NotFound
from pinnace.testing import Cluster


async def get(cluster: Cluster, namespace: str, name: str = "web") -> apps_v1.Deployment:
    await cluster.settle()
    return await cluster.client.get(apps_v1.Deployment, name, namespace)


async def change(cluster: Cluster, namespace: str, spec: dict[str, object]) -> None:
    await cluster.client.patch(apps_v1.Deployment, "web", {"spec": spec}, namespace=namespace)


async def set_image(cluster: Cluster, namespace: str, image: str) -> None:
    container = {"name": "main", "image": image}
    await change(cluster, namespace, {"template": {"spec": {"containers": [container]}}})


async def sizes(cluster: Cluster, namespace: str) -> list[int]:
    sets = await listed(cluster, apps_v1.ReplicaSet, namespace)
    return [item.spec.replicas or 0 for item in sorted(sets, key=revision)]


def revision(item: apps_v1.ReplicaSet) -> int:
    return int(item.metadata.annotations["deployment.kubernetes.io/revision"])


async def test_deployment_becomes_available(cluster: Cluster, namespace: str) -> None:
    """A new Deployment makes one set of revision 1 and is available and progressed when its pods are ready."""
    await cluster.client.create(deployment("web", namespace, 3))
    await run_all(cluster, namespace)
    found = await get(cluster, namespace)
    assert found.metadata.annotations["deployment.kubernetes.io/revision"] == "1"
    assert (found.status.replicas, found.status.updated_replicas, found.status.available_replicas) == (3, 3, 3)
    assert condition(found, "Available") == ("True", "MinimumReplicasAvailable", "Deployment has minimum availability.")
    (made,) = await listed(cluster, apps_v1.ReplicaSet, namespace)
    text = f'ReplicaSet "{made.metadata.name}" has successfully progressed.'
    assert condition(found, "Progressing") == ("True", "NewReplicaSetAvailable", text)
    assert await events(cluster, namespace, "ScalingReplicaSet") == [
        f"Scaled up replica set {made.metadata.name} from 0 to 3"
    ]


async def test_rolling_update_keeps_to_its_bounds(cluster: Cluster, namespace: str) -> None:
    """During an update of 4 there are at most 5 pods and at least 3 available, and the old set ends at 0."""
    await cluster.client.create(deployment("web", namespace, 4))
    await run_all(cluster, namespace)
    await set_image(cluster, namespace, "example.org/app:2")
    for _ in range(20):
        found = [item for item in await pods(cluster, namespace) if item.metadata.deletion_timestamp is None]
        ready = [item for item in found if condition(item, "Ready")[0] == "True"]
        assert len(found) <= 5
        assert len(ready) >= 3
        for item in found:
            if item.status.phase == "Pending":
                await set_pod(cluster, item)
                break
        else:
            break
    assert await sizes(cluster, namespace) == [0, 4]
    assert {item.spec.containers[0].image for item in found} == {"example.org/app:2"}


async def test_recreate_waits_for_old_pods(cluster: Cluster, namespace: str) -> None:
    """With Recreate no new pod comes while an old one is still there, even one on its way out."""
    strategy = apps_v1.DeploymentStrategy(type="Recreate")
    await cluster.client.create(deployment("web", namespace, 2, strategy=strategy))
    await run_all(cluster, namespace)
    for item in await pods(cluster, namespace):
        # On a node, so that its end takes its grace period.
        binding = core_v1.Binding(
            metadata=ObjectMeta(name=item.metadata.name, namespace=namespace),
            target=core_v1.ObjectReference(kind="Node", name="n1"),
        )
        await cluster.client.create_subresource(
            core_v1.Pod, item.metadata.name, "binding", binding, namespace=namespace
        )
    await set_image(cluster, namespace, "example.org/app:2")
    found = await pods(cluster, namespace)
    assert {item.spec.containers[0].image for item in found} == {"example.org/app:1"}
    assert all(item.metadata.deletion_timestamp for item in found)
    for item in found:
        await cluster.client.delete(core_v1.Pod, item.metadata.name, namespace, grace_period_seconds=0)
    found = await pods(cluster, namespace)
    assert [item.spec.containers[0].image for item in found] == ["example.org/app:2"] * 2


async def test_paused_deployment_says_so_and_goes_on(cluster: Cluster, namespace: str) -> None:
    """A pause is a Progressing condition, holds back a new template, still scales, and ends with DeploymentResumed."""
    await cluster.client.create(deployment("web", namespace, 2))
    await run_all(cluster, namespace)
    await change(cluster, namespace, {"paused": True})
    found = await get(cluster, namespace)
    assert condition(found, "Progressing") == ("Unknown", "DeploymentPaused", "Deployment is paused")
    await set_image(cluster, namespace, "example.org/app:2")
    await change(cluster, namespace, {"replicas": 3})
    assert await sizes(cluster, namespace) == [3]
    await change(cluster, namespace, {"paused": False})
    await run_all(cluster, namespace)
    assert await sizes(cluster, namespace) == [0, 3]
    assert condition(await get(cluster, namespace), "Progressing")[1] == "NewReplicaSetAvailable"


async def test_resume_without_change_is_told(cluster: Cluster, namespace: str) -> None:
    """A pause taken back leaves DeploymentResumed until the rollout is found complete."""
    await cluster.client.create(deployment("web", namespace, 1))
    await cluster.settle()
    await change(cluster, namespace, {"paused": True})
    await cluster.settle()
    await change(cluster, namespace, {"paused": False})
    found = await get(cluster, namespace)
    assert condition(found, "Progressing") == ("Unknown", "DeploymentResumed", "Deployment is resumed")


async def test_deadline_passes(cluster: Cluster, namespace: str) -> None:
    """A rollout without progress is said to hang after its deadline, and recovers when pods become ready."""
    await cluster.client.create(deployment("web", namespace, 2, progress_deadline_seconds=60))
    await cluster.settle()
    await cluster.clock.advance(seconds=55)
    assert condition(await get(cluster, namespace), "Progressing")[0] == "True"
    await cluster.clock.advance(seconds=10)
    (made,) = await listed(cluster, apps_v1.ReplicaSet, namespace)
    found = await get(cluster, namespace)
    text = f'ReplicaSet "{made.metadata.name}" has timed out progressing.'
    assert condition(found, "Progressing") == ("False", "ProgressDeadlineExceeded", text)
    await run_all(cluster, namespace)
    assert condition(await get(cluster, namespace), "Progressing")[1] == "NewReplicaSetAvailable"


async def test_progress_puts_the_deadline_off(cluster: Cluster, namespace: str) -> None:
    """Each pod that becomes ready starts the deadline anew."""
    await cluster.client.create(deployment("web", namespace, 3, progress_deadline_seconds=60))
    for item in await pods(cluster, namespace):
        await cluster.clock.advance(seconds=45)
        assert condition(await get(cluster, namespace), "Progressing")[0] == "True"
        await set_pod(cluster, item)
        await cluster.settle()
    assert condition(await get(cluster, namespace), "Progressing")[1] == "NewReplicaSetAvailable"


async def test_scaling_in_a_rollout_is_proportional(cluster: Cluster, namespace: str) -> None:
    """Two sets of a hanging rollout are scaled in their proportion, within the surge."""
    rolling = apps_v1.RollingUpdateDeployment(max_surge=3, max_unavailable=2)
    strategy = apps_v1.DeploymentStrategy(type="RollingUpdate", rolling_update=rolling)
    await cluster.client.create(deployment("web", namespace, 10, strategy=strategy))
    await run_all(cluster, namespace)
    await set_image(cluster, namespace, "example.org/app:broken")
    assert await sizes(cluster, namespace) == [8, 5]
    await change(cluster, namespace, {"replicas": 15})
    assert await sizes(cluster, namespace) == [11, 7]


async def test_failure_of_a_set_is_the_deployments(cluster: Cluster, namespace: str) -> None:
    """Pods that the server refuses show as ReplicaFailure, which goes when they can be made."""
    made = deployment("web", namespace, 1)
    spec = replace(made.spec, template=template({"app": "web"}, service_account_name="robot"))
    await cluster.client.create(replace(made, spec=spec))
    status, reason, message = condition(await get(cluster, namespace), "ReplicaFailure")
    assert (status, reason) == ("True", "FailedCreate")
    assert 'serviceaccount "robot" not found' in message
    robot = core_v1.ServiceAccount(metadata=ObjectMeta(name="robot", namespace=namespace))
    await cluster.client.create(robot)
    await cluster.clock.advance(minutes=30)
    assert condition(await get(cluster, namespace), "ReplicaFailure") == ("", "", "")


async def test_history_is_limited(cluster: Cluster, namespace: str) -> None:
    """Only as many old sets stay as the limit says, the latest ones."""
    await cluster.client.create(deployment("web", namespace, 1, revision_history_limit=2))
    for number in range(2, 7):
        await run_all(cluster, namespace)
        await set_image(cluster, namespace, f"example.org/app:{number}")
    await run_all(cluster, namespace)
    sets = await listed(cluster, apps_v1.ReplicaSet, namespace)
    assert sorted(map(revision, sets)) == [4, 5, 6]


async def test_going_back_renews_the_old_set(cluster: Cluster, namespace: str) -> None:
    """A former template takes its own set again, under a new revision, and remembers the former one."""
    await cluster.client.create(deployment("web", namespace, 1))
    await run_all(cluster, namespace)
    await set_image(cluster, namespace, "example.org/app:2")
    await run_all(cluster, namespace)
    await set_image(cluster, namespace, "example.org/app:1")
    await run_all(cluster, namespace)
    sets = sorted(await listed(cluster, apps_v1.ReplicaSet, namespace), key=revision)
    assert [revision(item) for item in sets] == [2, 3]
    assert sets[1].spec.template.spec.containers[0].image == "example.org/app:1"
    assert sets[1].metadata.annotations["deployment.kubernetes.io/revision-history"] == "1"
    assert (await get(cluster, namespace)).metadata.annotations["deployment.kubernetes.io/revision"] == "3"


@pytest.mark.parametrize(
    ("asked", "reason", "image"),
    [
        pytest.param("1", "DeploymentRollback", "example.org/app:1", id="to a revision"),
        pytest.param("0", "DeploymentRollback", "example.org/app:1", id="to the last one"),
        pytest.param("2", "DeploymentRollbackTemplateUnchanged", "example.org/app:2", id="to the present one"),
        pytest.param("7", "DeploymentRollbackRevisionNotFound", "example.org/app:2", id="to none"),
    ],
)
async def test_rollback_by_annotation(cluster: Cluster, namespace: str, asked: str, reason: str, image: str) -> None:
    """The old rollback request is carried out, or refused with an event, and taken away."""
    await cluster.client.create(deployment("web", namespace, 1))
    await run_all(cluster, namespace)
    await set_image(cluster, namespace, "example.org/app:2")
    await run_all(cluster, namespace)
    annotation = {"deprecated.deployment.rollback.to": asked}
    patch = {"metadata": {"annotations": annotation}}
    await cluster.client.patch(apps_v1.Deployment, "web", patch, namespace=namespace)
    found = await get(cluster, namespace)
    assert found.spec.template.spec.containers[0].image == image
    assert "deprecated.deployment.rollback.to" not in found.metadata.annotations
    assert len(await events(cluster, namespace, reason)) == 1


async def test_orphaned_set_is_adopted_again(cluster: Cluster, namespace: str) -> None:
    """A Deployment deleted with orphans and made again takes its set back instead of making a second one."""
    await cluster.client.create(deployment("web", namespace, 2))
    await run_all(cluster, namespace)
    await cluster.client.delete(apps_v1.Deployment, "web", namespace, propagation_policy="Orphan")
    (orphan,) = await listed(cluster, apps_v1.ReplicaSet, namespace)
    assert orphan.metadata.owner_references == ()
    await cluster.client.create(deployment("web", namespace, 2))
    (adopted,) = await listed(cluster, apps_v1.ReplicaSet, namespace)
    assert adopted.metadata.uid == orphan.metadata.uid
    owner = (await get(cluster, namespace)).metadata.uid
    assert [item.uid for item in adopted.metadata.owner_references] == [owner]
    assert len(await pods(cluster, namespace)) == 2


async def test_set_that_no_longer_matches_is_released(cluster: Cluster, namespace: str) -> None:
    """A set whose labels leave the selector loses its owner, and another one is made."""
    await cluster.client.create(deployment("web", namespace, 1))
    (first,) = await listed(cluster, apps_v1.ReplicaSet, namespace)
    patch = {"metadata": {"labels": {"app": "other"}}}
    await cluster.client.patch(apps_v1.ReplicaSet, first.metadata.name, patch, namespace=namespace)
    released = await cluster.client.get(apps_v1.ReplicaSet, first.metadata.name, namespace)
    await cluster.settle()
    released = await cluster.client.get(apps_v1.ReplicaSet, first.metadata.name, namespace)
    assert released.metadata.owner_references == ()


async def test_taken_name_makes_another_one(cluster: Cluster, namespace: str) -> None:
    """When somebody else's set has the name that the hash gives, the collision is counted and another name taken."""
    await cluster.client.create(deployment("web", namespace, 1))
    (first,) = await listed(cluster, apps_v1.ReplicaSet, namespace)
    await cluster.client.delete(apps_v1.Deployment, "web", namespace)
    await run_all(cluster, namespace)
    with pytest.raises(NotFound):
        await cluster.client.get(apps_v1.ReplicaSet, first.metadata.name, namespace)
    other = replica_set("other", namespace, 0)
    stranger = OwnerReference(api_version="v1", kind="ConfigMap", name="kube-root-ca.crt", uid="", controller=True)
    config = await cluster.client.get(core_v1.ConfigMap, "kube-root-ca.crt", namespace)
    metadata = replace(
        other.metadata, name=first.metadata.name, owner_references=(replace(stranger, uid=config.metadata.uid),)
    )
    await cluster.client.create(replace(other, metadata=metadata))
    await cluster.client.create(deployment("web", namespace, 1))
    found = await get(cluster, namespace)
    assert found.status.collision_count == 1
    assert len(await listed(cluster, apps_v1.ReplicaSet, namespace, "app=web")) == 1


async def test_restart_replaces_every_pod(cluster: Cluster, namespace: str) -> None:
    """`kubectl rollout restart` changes an annotation of the template, which makes a new set."""
    await cluster.client.create(deployment("web", namespace, 2))
    await run_all(cluster, namespace)
    before = {item.metadata.uid for item in await pods(cluster, namespace)}
    annotations = {"kubectl.kubernetes.io/restartedAt": "2026-01-01T00:00:00Z"}
    await change(cluster, namespace, {"template": {"metadata": {"annotations": annotations}}})
    await run_all(cluster, namespace)
    after = {item.metadata.uid for item in await pods(cluster, namespace)}
    assert len(after) == 2
    assert not before & after
