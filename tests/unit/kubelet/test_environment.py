"""Variables of containers: expansion and announced services."""

from __future__ import annotations

import pytest

from pinnace.api import core_v1, meta_v1
from pinnace.kubelet.environment import expand, service_variables


@pytest.mark.parametrize(
    ("text", "expanded"),
    [
        pytest.param("$(A)-$(B)", "1-$(B)", id="unknown-stays"),
        pytest.param("$$(A)", "$(A)", id="escaped"),
        pytest.param("$(A", "$(A", id="unclosed"),
        pytest.param("a$b", "a$b", id="plain-dollar"),
        pytest.param("$$$(A)", "$1", id="dollar-then-value"),
    ],
)
def test_expand_follows_upstreams_rules(text: str, expanded: str) -> None:
    """Known names are replaced, everything else is kept."""
    assert expand(text, {"A": "1"}) == expanded


def test_services_are_announced_to_their_namespace() -> None:
    """The API server's is known everywhere, others in their own namespace, and not when links are off."""

    def service(namespace: str, name: str, ip: str, port: int) -> core_v1.Service:
        return core_v1.Service(
            metadata=meta_v1.ObjectMeta(name=name, namespace=namespace),
            spec=core_v1.ServiceSpec(
                cluster_ip=ip, ports=(core_v1.ServicePort(name="web", port=port, protocol="TCP"),)
            ),
        )

    services = [service("default", "kubernetes", "10.96.0.1", 443), service("n", "my-app", "10.96.0.9", 80)]
    pod = core_v1.Pod(metadata=meta_v1.ObjectMeta(name="p", namespace="n"))
    found = service_variables(services, pod)
    assert found["KUBERNETES_SERVICE_HOST"] == "10.96.0.1"
    assert found["MY_APP_SERVICE_PORT_WEB"] == "80"
    assert found["MY_APP_PORT"] == found["MY_APP_PORT_80_TCP"] == "tcp://10.96.0.9:80"
    closed = core_v1.Pod(metadata=pod.metadata, spec=core_v1.PodSpec(enable_service_links=False))
    assert "MY_APP_PORT" not in service_variables(services, closed)
    assert "KUBERNETES_PORT" in service_variables(services, closed)
