"""What stands behind a Service: EndpointSlices and Endpoints follow the pods it selects."""

from typing import Any

from msgspec.structs import replace

from integration.controllers.workloads import add_node, listed, pod, pods, replica_set, run_all, set_pod
from pinnace.api import core_v1
from pinnace.api.core_v1 import Endpoints
from pinnace.api.discovery_v1 import EndpointSlice
from pinnace.api.meta_v1 import ObjectMeta
from pinnace.testing import Cluster


def service(namespace: str, *ports: core_v1.ServicePort, **spec: Any) -> core_v1.Service:
    made = ports or (core_v1.ServicePort(name="http", port=80, target_port=8080),)
    return core_v1.Service(
        metadata=ObjectMeta(name="web", namespace=namespace, labels={"team": "a"}),
        spec=core_v1.ServiceSpec(**{"selector": {"app": "web"}, "ports": made, **spec}),
    )


async def slices(cluster: Cluster, namespace: str) -> list[EndpointSlice]:
    return await listed(cluster, EndpointSlice, namespace, "kubernetes.io/service-name=web")


async def endpoints(cluster: Cluster, namespace: str) -> Endpoints:
    await cluster.settle()
    return await cluster.client.get(Endpoints, "web", namespace)


async def add_pod(cluster: Cluster, namespace: str, name: str, ip: str, *, ready: bool = True, **spec: Any) -> None:
    made = await cluster.client.create(pod(name, namespace, {"app": "web"}, **spec))
    await cluster.settle()
    await set_pod(cluster, made, ready=ready, podIP=ip, podIPs=[{"ip": ip}])
    await cluster.settle()


async def test_service_without_pods_has_a_placeholder(cluster: Cluster, namespace: str) -> None:
    """An empty slice and empty Endpoints say that somebody has looked, with the labels of their keepers."""
    await cluster.client.create(service(namespace))
    (found,) = await slices(cluster, namespace)
    assert not found.endpoints
    assert found.metadata.name.startswith("web-")
    assert found.metadata.labels == {
        "team": "a",
        "kubernetes.io/service-name": "web",
        "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
    }
    assert found.metadata.owner_references[0].kind == "Service"
    elder = await endpoints(cluster, namespace)
    assert elder.subsets == ()
    assert elder.metadata.labels["endpoints.kubernetes.io/managed-by"] == "endpoint-controller"


async def test_pods_are_listed_with_their_state(cluster: Cluster, namespace: str) -> None:
    """A ready pod and one that is not are told apart, with node, zone and the pod they come from."""
    await add_node(cluster, "n1", labels={"topology.kubernetes.io/zone": "z1"})
    await cluster.client.create(service(namespace))
    await add_pod(cluster, namespace, "one", "10.244.0.5")
    await add_pod(cluster, namespace, "two", "10.244.0.6", ready=False)
    (found,) = await slices(cluster, namespace)
    assert [(item.port, item.name, item.protocol) for item in found.ports or ()] == [(8080, "http", "TCP")]
    one, two = sorted(found.endpoints or (), key=lambda item: item.addresses or ())
    assert (one.addresses, one.node_name, one.zone) == (("10.244.0.5",), "n1", "z1")
    assert (one.conditions.ready, one.conditions.serving, one.conditions.terminating) == (True, True, False)
    assert (two.conditions.ready, two.conditions.serving, two.conditions.terminating) == (False, False, False)
    assert one.target_ref is not None
    assert (one.target_ref.kind, one.target_ref.name) == ("Pod", "one")
    (subset,) = (await endpoints(cluster, namespace)).subsets
    assert [item.ip for item in subset.addresses] == ["10.244.0.5"]
    assert [item.ip for item in subset.not_ready_addresses] == ["10.244.0.6"]


async def test_pod_on_its_way_out_serves_but_is_not_ready(cluster: Cluster, namespace: str) -> None:
    """A pod that is being deleted stays in the slice as terminating and leaves the Endpoints."""
    await add_node(cluster, "n1")
    await cluster.client.create(service(namespace))
    await add_pod(cluster, namespace, "one", "10.244.0.5")
    await cluster.client.delete(core_v1.Pod, "one", namespace)
    (found,) = await slices(cluster, namespace)
    (one,) = found.endpoints or ()
    assert (one.conditions.ready, one.conditions.serving, one.conditions.terminating) == (False, True, True)
    assert (await endpoints(cluster, namespace)).subsets == ()
    await cluster.client.delete(core_v1.Pod, "one", namespace, grace_period_seconds=0)
    (found,) = await slices(cluster, namespace)
    assert not found.endpoints


async def test_named_ports_are_looked_up_in_each_pod(cluster: Cluster, namespace: str) -> None:
    """Pods that give one name different numbers stand in slices of their own; one that does not know it is left out."""
    await add_node(cluster, "n1")
    await cluster.client.create(service(namespace, core_v1.ServicePort(name="http", port=80, target_port="web")))
    for name, ip, number in (("one", "10.244.0.5", 8080), ("two", "10.244.0.6", 9090)):
        ports = (core_v1.ContainerPort(name="web", container_port=number),)
        container = core_v1.Container(name="main", image="example.org/app:1", ports=ports)
        await add_pod(cluster, namespace, name, ip, containers=(container,))
    found = await slices(cluster, namespace)
    assert sorted((item.ports or ())[0].port or 0 for item in found) == [8080, 9090]


async def test_slices_hold_a_hundred_and_are_filled_up(cluster: Cluster, namespace: str) -> None:
    """120 pods stand in two slices; one that goes makes room for one that comes."""
    await add_node(cluster, "n1", cpu="640")
    await cluster.client.create(service(namespace))
    await cluster.client.create(replica_set("web", namespace, 120))
    for number, item in enumerate(await pods(cluster, namespace)):
        ip = f"10.244.1.{number + 1}"
        await set_pod(cluster, item, podIP=ip, podIPs=[{"ip": ip}])
    found = await slices(cluster, namespace)
    assert sum(len(item.endpoints or ()) for item in found) == 120
    assert max(len(item.endpoints or ()) for item in found) <= 100
    assert len(found) == 2
    (subset,) = (await endpoints(cluster, namespace)).subsets
    assert len(subset.addresses) == 120


async def test_headless_service_gives_hostnames(cluster: Cluster, namespace: str) -> None:
    """Without a cluster IP slices carry the label, and pods of the Service's subdomain their names."""
    await add_node(cluster, "n1")
    await cluster.client.create(service(namespace, cluster_ip="None"))
    await add_pod(cluster, namespace, "one", "10.244.0.5", hostname="db-0", subdomain="web")
    (found,) = await slices(cluster, namespace)
    assert found.metadata.labels["service.kubernetes.io/headless"] == ""
    assert (found.endpoints or ())[0].hostname == "db-0"
    (subset,) = (await endpoints(cluster, namespace)).subsets
    assert subset.addresses[0].hostname == "db-0"


async def test_hints_follow_the_distribution(cluster: Cluster, namespace: str) -> None:
    """PreferSameNode names zone and node of ready endpoints, and taking it back takes the hints away."""
    await add_node(cluster, "n1", labels={"topology.kubernetes.io/zone": "z1"})
    await cluster.client.create(service(namespace, traffic_distribution="PreferSameNode"))
    await add_pod(cluster, namespace, "one", "10.244.0.5")
    hints = ((await slices(cluster, namespace))[0].endpoints or ())[0].hints
    assert hints is not None
    assert ([item.name for item in hints.for_zones], [item.name for item in hints.for_nodes]) == (["z1"], ["n1"])
    patch = {"spec": {"trafficDistribution": None}}
    await cluster.client.patch(core_v1.Service, "web", patch, namespace=namespace)
    assert ((await slices(cluster, namespace))[0].endpoints or ())[0].hints is None


async def test_relabelled_pod_leaves(cluster: Cluster, namespace: str) -> None:
    """A pod that the selector no longer picks is no backend."""
    await add_node(cluster, "n1")
    await cluster.client.create(service(namespace))
    await add_pod(cluster, namespace, "one", "10.244.0.5")
    patch = {"metadata": {"labels": {"app": "debug"}}}
    await cluster.client.patch(core_v1.Pod, "one", patch, namespace=namespace)
    assert not (await slices(cluster, namespace))[0].endpoints
    assert (await endpoints(cluster, namespace)).subsets == ()


async def test_backends_go_with_the_service(cluster: Cluster, namespace: str) -> None:
    """Slices are collected, Endpoints deleted."""
    await cluster.client.create(service(namespace))
    await cluster.settle()
    await cluster.client.delete(core_v1.Service, "web", namespace)
    assert await slices(cluster, namespace) == []
    assert await listed(cluster, Endpoints, namespace) == []


async def test_deleted_slice_comes_back(cluster: Cluster, namespace: str) -> None:
    """What somebody deletes is made again, and nothing twice."""
    await add_node(cluster, "n1")
    await cluster.client.create(service(namespace))
    await add_pod(cluster, namespace, "one", "10.244.0.5")
    (found,) = await slices(cluster, namespace)
    await cluster.client.delete(EndpointSlice, found.metadata.name, namespace)
    (again,) = await slices(cluster, namespace)
    assert again.metadata.uid != found.metadata.uid
    assert len(again.endpoints or ()) == 1


async def test_service_without_selector_is_left_alone(cluster: Cluster, namespace: str) -> None:
    """Backends that are kept by hand are nobody's business here."""
    await cluster.client.create(
        replace(service(namespace), spec=core_v1.ServiceSpec(ports=service(namespace).spec.ports))
    )
    assert await slices(cluster, namespace) == []
    assert await listed(cluster, Endpoints, namespace) == []
    await run_all(cluster, namespace)
