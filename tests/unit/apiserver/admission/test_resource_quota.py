import asyncio

import pytest
from msgspec.structs import replace

from pinnace.api.core_v1 import (
    ConfigMap,
    Container,
    PersistentVolumeClaim,
    PersistentVolumeClaimSpec,
    Pod,
    PodSpec,
    PodStatus,
    ResourceQuota,
    ResourceQuotaSpec,
    ResourceQuotaStatus,
    ResourceRequirements,
    ScopedResourceSelectorRequirement,
    ScopeSelector,
    Service,
    ServicePort,
    ServiceSpec,
    VolumeResourceRequirements,
)
from pinnace.api.meta_v1 import ObjectMeta
from pinnace.api.quota import evaluator_of
from pinnace.apiserver.admission import CREATE, UPDATE, Attributes
from pinnace.apiserver.admission.resource_quota import QuotaAdmission
from pinnace.component.clock import VirtualClock
from pinnace.component.http import UserInfo
from pinnace.machinery import errors
from pinnace.machinery.errors import ApiError


class Objects:
    """Quotas with versions; a write at an old version is a conflict."""

    def __init__(self, *quotas):
        self.quotas = {quota.metadata.name: quota for quota in quotas}
        self.writes = 0
        self.before_write = None

    async def get(self, cls, name, namespace=""):
        return self.quotas.get(name)

    async def list(self, cls, namespace=""):
        return tuple(self.quotas.values())

    async def update(self, obj, subresource=""):
        assert subresource == "status"
        await asyncio.sleep(0)
        if self.before_write is not None:
            change, self.before_write = self.before_write, None
            change(self)
        name = obj.metadata.name
        if name not in self.quotas:
            raise errors.not_found("", "resourcequotas", name)
        if obj.metadata.resource_version != self.quotas[name].metadata.resource_version:
            raise errors.conflict("", "resourcequotas", name, "modified")
        self.writes += 1
        version = str(int(obj.metadata.resource_version) + 1)
        self.quotas[name] = replace(obj, metadata=replace(obj.metadata, resource_version=version))
        return self.quotas[name]

    def used(self, name="q"):
        return dict(self.quotas[name].status.used)


def make_quota(hard, used=None, name="q", **spec):
    used = dict.fromkeys(hard, "0") if used is None else used
    return ResourceQuota(
        metadata=ObjectMeta(name=name, namespace="ns", resource_version="1"),
        spec=ResourceQuotaSpec(hard=hard, **spec),
        status=ResourceQuotaStatus(hard=hard, used=used),
    )


def make_pod(name="p", requests=None, limits=None, **spec):
    resources = ResourceRequirements(requests=requests or {}, limits=limits or {})
    return Pod(
        metadata=ObjectMeta(name=name, namespace="ns"),
        spec=PodSpec(containers=(Container(name="c", resources=resources),), **spec),
    )


def attributes(resource="pods", operation=CREATE, group="", **fields):
    return Attributes(
        user=UserInfo("jane"), operation=operation, group=group, resource=resource, namespace="ns", **fields
    )


async def outcome(objects, obj, attrs=None, old=None, plugin=None):
    plugin = plugin or QuotaAdmission(objects, VirtualClock())
    try:
        await plugin.validate(attrs or attributes(), obj, old)
    except ApiError as error:
        return error.message
    return ""


async def test_pod_is_charged_for_what_it_asks():
    """Requests, limits and the pod itself, in the resources that the quota names."""
    hard = {"pods": "2", "requests.cpu": "1", "memory": "1Gi", "limits.cpu": "4"}
    objects = Objects(make_quota(hard, {"pods": "1", "requests.cpu": "200m", "memory": "0", "limits.cpu": "0"}))
    assert not await outcome(objects, make_pod(requests={"cpu": "300m", "memory": "64Mi"}, limits={"cpu": "2"}))
    assert objects.used() == {"pods": "2", "requests.cpu": "500m", "memory": "64Mi", "limits.cpu": "2"}


@pytest.mark.parametrize(
    ("quota", "pod", "text"),
    [
        pytest.param(
            make_quota({"pods": "1", "cpu": "1"}, {"pods": "1", "cpu": "800m"}),
            make_pod(requests={"cpu": "300m"}),
            "exceeded quota: q, requested: cpu=300m,pods=1, used: cpu=800m,pods=1, limited: cpu=1,pods=1",
            id="exceeded",
        ),
        pytest.param(
            make_quota({"requests.cpu": "1", "limits.memory": "1Gi"}),
            make_pod(requests={"memory": "1Mi"}),
            "failed quota: q: must specify limits.memory for: c; requests.cpu for: c",
            id="unsaid",
        ),
        pytest.param(
            make_quota({"pods": "1", "requests.nvidia.com/gpu": "1"}, {}),
            make_pod(),
            "status unknown for quota: q, resources: pods,requests.nvidia.com/gpu",
            id="uncounted",
        ),
        pytest.param(
            make_quota({"count/pods": "0"}),
            make_pod(),
            "exceeded quota: q, requested: count/pods=1, used: count/pods=0, limited: count/pods=0",
            id="count",
        ),
        pytest.param(
            make_quota({"requests.nvidia.com/gpu": "1"}),
            make_pod(requests={"nvidia.com/gpu": "2"}),
            "exceeded quota: q, requested: requests.nvidia.com/gpu=2, used: requests.nvidia.com/gpu=0, "
            "limited: requests.nvidia.com/gpu=1",
            id="device",
        ),
    ],
)
async def test_pod_over_a_quota_is_refused(quota, pod, text):
    """In upstream's words; nothing is charged."""
    objects = Objects(quota)
    assert await outcome(objects, pod) == f'pods "p" is forbidden: {text}'
    assert not objects.writes


@pytest.mark.parametrize(
    ("scopes", "inside", "outside"),
    [
        ({"scopes": ("BestEffort",)}, make_pod(), make_pod(requests={"cpu": "1"})),
        ({"scopes": ("NotBestEffort",)}, make_pod(limits={"memory": "1Mi"}), make_pod()),
        ({"scopes": ("Terminating",)}, make_pod(active_deadline_seconds=5), make_pod()),
        ({"scopes": ("NotTerminating",)}, make_pod(), make_pod(active_deadline_seconds=5)),
        (
            {
                "scope_selector": ScopeSelector(
                    match_expressions=(
                        ScopedResourceSelectorRequirement(scope_name="PriorityClass", operator="In", values=("high",)),
                    )
                )
            },
            make_pod(priority_class_name="high"),
            make_pod(priority_class_name="low"),
        ),
    ],
)
async def test_scope_says_which_pods_a_quota_bounds(scopes, inside, outside):
    """A pod outside of any of the scopes is not looked at."""
    objects = Objects(make_quota({"pods": "0"}, **scopes))
    assert "exceeded quota" in await outcome(objects, inside)
    assert not await outcome(objects, outside)


async def test_services_claims_and_counts_are_charged():
    """Each by its own measure; what is not named by the quota costs nothing."""
    hard = {
        "services.nodeports": "3",
        "count/configmaps": "1",
        "configmaps": "1",
        "requests.storage": "2Gi",
        "gold.storageclass.storage.k8s.io/persistentvolumeclaims": "1",
        "count/deployments.apps": "1",
    }
    objects = Objects(make_quota(hard))
    ports = (ServicePort(port=1), ServicePort(port=2))
    assert not await outcome(objects, Service(spec=ServiceSpec(type="NodePort", ports=ports)), attributes("services"))
    assert not await outcome(objects, ConfigMap(), attributes("configmaps"))
    assert not await outcome(objects, ConfigMap(), attributes("deployments", group="apps"))
    resources = VolumeResourceRequirements(requests={"storage": "1Gi"})
    claim = PersistentVolumeClaim(spec=PersistentVolumeClaimSpec(storage_class_name="gold", resources=resources))
    assert not await outcome(objects, claim, attributes("persistentvolumeclaims"))
    assert objects.used() == {
        "services.nodeports": "2",
        "count/configmaps": "1",
        "configmaps": "1",
        "requests.storage": "1Gi",
        "gold.storageclass.storage.k8s.io/persistentvolumeclaims": "1",
        "count/deployments.apps": "1",
    }


async def test_update_is_charged_for_what_it_adds():
    """A service that becomes a NodePort pays for its ports, not for itself again; one that shrinks frees nothing."""
    objects = Objects(
        make_quota({"services": "1", "services.nodeports": "1"}, {"services": "1", "services.nodeports": "0"})
    )
    meta = ObjectMeta(name="s", resource_version="3")
    old = Service(metadata=meta, spec=ServiceSpec(type="ClusterIP", ports=(ServicePort(port=1),)))
    new = replace(old, spec=replace(old.spec, type="NodePort"))
    assert not await outcome(objects, new, attributes("services", UPDATE), old)
    assert objects.used() == {"services": "1", "services.nodeports": "1"}
    assert not await outcome(objects, old, attributes("services", UPDATE), new)
    assert objects.used() == {"services": "1", "services.nodeports": "1"}


async def test_dry_run_is_checked_and_not_charged():
    """It is refused where the write would be."""
    objects = Objects(make_quota({"pods": "1"}))
    assert not await outcome(objects, make_pod(), attributes(dry_run=True))
    assert not objects.writes
    full = Objects(make_quota({"pods": "0"}))
    assert "exceeded quota" in await outcome(full, make_pod(), attributes(dry_run=True))


async def test_requests_at_once_never_spend_more_than_there_is():
    """Twenty at once for five places: five get in, in two writes at most."""
    objects = Objects(make_quota({"pods": "5"}))
    plugin = QuotaAdmission(objects, VirtualClock())
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(outcome(objects, make_pod(str(number)), plugin=plugin)) for number in range(20)]
    assert sum(not task.result() for task in tasks) == 5
    assert objects.used() == {"pods": "5"}
    assert objects.writes <= 2


async def test_charge_is_made_anew_when_the_quota_changed_under_it():
    """The controller, or another server, took the last place in between."""

    def spend(objects):
        quota = objects.quotas["q"]
        status = replace(quota.status, used={"pods": "1"})
        objects.quotas["q"] = replace(quota, status=status, metadata=replace(quota.metadata, resource_version="9"))

    objects = Objects(make_quota({"pods": "1"}))
    objects.before_write = spend
    assert "exceeded quota" in await outcome(objects, make_pod())
    assert objects.used() == {"pods": "1"}


async def test_cancelled_charge_leaves_the_others_to_be_charged():
    """Who waits behind a client that went away is charged all the same."""
    objects = Objects(make_quota({"pods": "5"}))
    plugin = QuotaAdmission(objects, VirtualClock())
    async with asyncio.TaskGroup() as group:
        first = group.create_task(plugin.validate(attributes(), make_pod("a"), None))
        second = group.create_task(plugin.validate(attributes(), make_pod("b"), None))
        await asyncio.sleep(0)
        first.cancel()
    assert first.cancelled()
    assert second.result() is None
    assert objects.used() in ({"pods": "1"}, {"pods": "2"})


def test_finished_pod_is_counted_and_costs_nothing():
    """Its object is there; what it asked for is free again."""
    pod = replace(make_pod(requests={"cpu": "1"}), status=PodStatus(phase="Succeeded"))
    usage = evaluator_of("", "pods").usage(pod, 0.0)
    assert {name: str(amount) for name, amount in usage.items()} == {"count/pods": "1"}
