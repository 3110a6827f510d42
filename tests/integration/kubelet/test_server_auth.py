"""Who may ask the node's port for what: the API server decides."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from pinnace.api import authentication_v1, core_v1, meta_v1, rbac_v1
from pinnace.component.http import UserInfo

if TYPE_CHECKING:
    from .conftest import World


async def token_of(world: World, name: str) -> str:
    await world.cluster.client.create(
        core_v1.ServiceAccount(metadata=meta_v1.ObjectMeta(name=name, namespace="default"))
    )
    answer = await world.cluster.client.create_subresource(
        core_v1.ServiceAccount,
        name,
        "token",
        authentication_v1.TokenRequest(kind="TokenRequest", api_version="authentication.k8s.io/v1"),
        namespace="default",
        result=authentication_v1.TokenRequest,
    )
    assert answer is not None
    return answer.status.token


async def allow(world: World, account: str, *resources: str) -> None:
    """Let a service account read parts of nodes."""
    meta = meta_v1.ObjectMeta(name=f"ask-{account}")
    rule = rbac_v1.PolicyRule(api_groups=("",), resources=resources, verbs=("get",))
    await world.cluster.client.create(rbac_v1.ClusterRole(metadata=meta, rules=(rule,)))
    await world.cluster.client.create(
        rbac_v1.ClusterRoleBinding(
            metadata=meta,
            subjects=(rbac_v1.Subject(kind="ServiceAccount", name=account, namespace="default"),),
            role_ref=rbac_v1.RoleRef(api_group="rbac.authorization.k8s.io", kind="ClusterRole", name=meta.name),
        )
    )
    await world.cluster.settle()


async def test_nobody_is_let_in_without_a_name(world: World) -> None:
    """Neither without a credential nor with one that is nobody's."""
    assert await world.ask("/pods", user=None) == (401, b"Unauthorized")
    assert await world.ask("/healthz", user=None, token="made-up") == (401, b"Unauthorized")


async def test_token_opens_what_its_account_may_see(world: World) -> None:
    """A service account sees what its role names, and nothing else."""
    token = await token_of(world, "reader")
    await allow(world, "reader", "nodes/stats", "nodes/metrics")
    status, body = await world.ask("/stats/summary", user=None, token=token)
    assert status == 200
    assert json.loads(body)["node"]["nodeName"] == "n1"
    status, body = await world.ask("/pods", user=None, token=token)
    text = b"Forbidden (user=system:serviceaccount:default:reader, verb=get, resource=nodes, subresource(s)=[pods proxy])\n"
    assert (status, body) == (403, text)


async def test_refusal_is_remembered_for_half_a_minute(world: World) -> None:
    """A right that is given later counts once the refusal is forgotten."""
    token = await token_of(world, "late")
    assert (await world.ask("/pods", user=None, token=token))[0] == 403
    await allow(world, "late", "nodes/proxy")
    assert (await world.ask("/pods", user=None, token=token))[0] == 403
    await world.cluster.clock.advance(seconds=31)
    assert (await world.ask("/pods", user=None, token=token))[0] == 200


@pytest.mark.parametrize(
    ("resource", "path", "status"),
    [
        ("nodes/healthz", "/healthz", 200),
        ("nodes/pods", "/pods", 200),
        ("nodes/pods", "/healthz", 403),
        ("nodes/pods", "/containerLogs/default/x/y", 403),
        ("nodes/proxy", "/healthz", 200),
        ("nodes/metrics", "/metrics/resource", 200),
        ("nodes/metrics", "/stats/summary", 403),
        # Running a command is no reading, though a WebSocket begins with GET, and however the path is written.
        ("nodes/proxy", "/exec/default/x/main?command=id&output=1", 403),
        ("nodes/proxy", "/%65xec/default/x/main?command=id&output=1", 403),
        ("nodes/proxy", "/portForward/default/x", 403),
        ("nodes/metrics", "/metrics%2Fresource", 403),
    ],
)
async def test_paths_are_parts_of_the_node(world: World, resource: str, path: str, status: int) -> None:
    """Each path is one subresource; those with a name of their own are also open to who may use the whole proxy."""
    await allow_user(world, resource)
    asked = UserInfo("someone", groups=("system:authenticated",))
    assert (await world.ask(path, user=asked))[0] == status


async def allow_user(world: World, resource: str) -> None:
    meta = meta_v1.ObjectMeta(name="someone")
    rule = rbac_v1.PolicyRule(api_groups=("",), resources=(resource,), verbs=("get",))
    await world.cluster.client.create(rbac_v1.ClusterRole(metadata=meta, rules=(rule,)))
    await world.cluster.client.create(
        rbac_v1.ClusterRoleBinding(
            metadata=meta,
            subjects=(rbac_v1.Subject(kind="User", name="someone", api_group="rbac.authorization.k8s.io"),),
            role_ref=rbac_v1.RoleRef(api_group="rbac.authorization.k8s.io", kind="ClusterRole", name="someone"),
        )
    )
    await world.cluster.settle()


async def test_usage_of_pods_is_told(world: World) -> None:
    """Summary and metrics carry what containers use, and a rate after the second look."""
    await world.pod("busy", annotations={"cpu-usage": "500m", "memory-usage": "20Mi"})
    await world.after("busy", 1)
    await world.ask("/stats/summary")
    await world.cluster.clock.advance(seconds=10)
    (pod,) = json.loads((await world.ask("/stats/summary"))[1])["pods"]
    assert pod["podRef"]["name"] == "busy"
    assert pod["cpu"]["usageNanoCores"] == 500_000_000
    assert pod["containers"][0]["memory"]["workingSetBytes"] == 20 << 20
    text = (await world.ask("/metrics/resource"))[1].decode()
    assert 'container_memory_working_set_bytes{container="main",namespace="default",pod="busy"} 20971520\n' in text
    assert "# TYPE pod_cpu_usage_seconds_total counter\n" in text
    assert text.endswith("resource_scrape_error 0\n")
