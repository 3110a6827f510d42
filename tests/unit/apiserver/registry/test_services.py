"""Services: defaults, validation, and that no address or node port is given out twice."""

import random
from contextlib import asynccontextmanager

import pytest
from msgspec.structs import replace

from pinnace.api.core_v1 import Namespace, Service, ServicePort, ServiceSpec
from pinnace.api.meta_v1 import ObjectMeta
from pinnace.api.networking_v1 import IPAddress, ServiceCIDR, ServiceCIDRSpec
from pinnace.apiserver.registries import Registries
from pinnace.apiserver.registry.core.service import STRATEGY
from pinnace.component.clock import VirtualClock
from pinnace.component.identity import Identity
from pinnace.machinery.errors import Invalid
from pinnace.store.memory import open_memory


@asynccontextmanager
async def a_server(cidr="10.0.0.0/24"):
    """The objects of a server with a range of Service addresses."""
    clock = VirtualClock()
    async with open_memory(clock) as store:
        registries = Registries(store, clock, Identity(random.Random(1)))
        async with registries.running():
            objects = registries.objects
            await objects.create(Namespace(metadata=ObjectMeta(name="ns")))
            await objects.create(
                ServiceCIDR(metadata=ObjectMeta(name="kubernetes"), spec=ServiceCIDRSpec(cidrs=(cidr,)))
            )
            yield objects


def make_service(name="a", **spec):
    spec.setdefault("ports", (ServicePort(port=80),))
    return Service(metadata=ObjectMeta(name=name, namespace="ns"), spec=ServiceSpec(**spec))


async def test_service_gets_an_address_that_one_object_holds():
    """The address and its object come and go with the Service."""
    async with a_server() as objects:
        made = await objects.create(make_service())
        address = made.spec.cluster_ip
        assert made.spec.cluster_ips == (address,)
        assert address.startswith("10.0.0.")
        holder = await objects.get(IPAddress, address)
        assert holder is not None
        assert holder.spec.parent_ref.name == "a"
        await objects.delete(Service, "a", "ns")
        assert await objects.get(IPAddress, address) is None


async def test_addresses_are_given_out_once_until_there_are_none():
    """A range of 14 addresses serves 14 Services, each with its own."""
    async with a_server("10.0.0.0/28") as objects:
        made = [await objects.create(make_service(f"s{number}")) for number in range(14)]
        assert len({service.spec.cluster_ip for service in made}) == 14
        with pytest.raises(Invalid, match="range is full"):
            await objects.create(make_service("last"))


async def test_asked_for_address_is_refused_when_taken_or_foreign():
    """Who names an address gets that one or a reason."""
    async with a_server() as objects:
        await objects.create(make_service(cluster_ip="10.0.0.9"))
        with pytest.raises(Invalid, match="provided IP is already allocated"):
            await objects.create(make_service("b", cluster_ip="10.0.0.9"))
        with pytest.raises(Invalid, match="is not in the valid range"):
            await objects.create(make_service("b", cluster_ip="192.0.2.1"))


async def test_node_ports_are_given_out_once_and_kept():
    """A node port is one Service's alone, survives an update that leaves it out, and goes with the type."""
    async with a_server() as objects:
        made = await objects.create(make_service(type="NodePort"))
        port = made.spec.ports[0].node_port
        assert 30000 <= port <= 32767
        with pytest.raises(Invalid, match="provided port is already allocated"):
            await objects.create(make_service("b", type="NodePort", ports=(ServicePort(port=80, node_port=port),)))
        bare = replace(made, spec=replace(made.spec, ports=(replace(made.spec.ports[0], node_port=0),)))
        assert (await objects.update(bare)).spec.ports[0].node_port == port
        inside = replace(made.spec, type="ClusterIP", external_traffic_policy="")
        stored = await objects.update(replace(made, metadata=replace(made.metadata, resource_version=""), spec=inside))
        assert stored.spec.ports[0].node_port == 0


async def test_headless_service_takes_no_address():
    """None stays None."""
    async with a_server() as objects:
        made = await objects.create(make_service(cluster_ip="None", selector={"a": "b"}))
        assert made.spec.cluster_ips == ("None",)
        assert await objects.list(IPAddress) == ()


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        pytest.param(ServiceSpec(), "spec.ports: Required value", id="no ports"),
        pytest.param(
            ServiceSpec(type="Weird", ports=(ServicePort(port=80),)),
            'spec.type: Unsupported value: "Weird": supported values: '
            '"ClusterIP", "ExternalName", "LoadBalancer", "NodePort"',
            id="type",
        ),
        pytest.param(ServiceSpec(type="ExternalName"), "spec.externalName: Required value", id="external name"),
        pytest.param(
            ServiceSpec(ports=(ServicePort(port=80, node_port=30001),)),
            "spec.ports[0].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'",
            id="node port",
        ),
    ],
)
def test_service_is_refused_in_upstreams_words(spec, expected):
    """Each mistake is named with its field."""
    service = STRATEGY.default(Service(metadata=ObjectMeta(name="a"), spec=spec))
    assert expected in [str(error) for error in STRATEGY.validate(service)]
