"""What a start makes of the roles and bindings that it finds."""

import random
from contextlib import asynccontextmanager

import pytest
from msgspec.structs import replace

from pinnace.api.rbac_v1 import ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding, Subject
from pinnace.apiserver.authorization.policy.cluster_roles import cluster_role_bindings, cluster_roles
from pinnace.apiserver.authorization.policy.controller_roles import controller_role_bindings, controller_roles
from pinnace.apiserver.authorization.policy.namespace_roles import namespace_role_bindings, namespace_roles
from pinnace.apiserver.compose import api_server
from pinnace.apiserver.config import ApiServerConfig
from pinnace.apiserver.service_account_tokens import SigningKey
from pinnace.client import Client, InProcessTransport
from pinnace.component.clock import VirtualClock
from pinnace.component.http import UserInfo
from pinnace.component.identity import Identity
from pinnace.store.memory import MemoryStore

ADMIN = UserInfo("admin", groups=("system:masters",))
KEY = SigningKey()
AUTO_UPDATE = "rbac.authorization.kubernetes.io/autoupdate"
EXTRA = PolicyRule(verbs=("get",), api_groups=("example.com",), resources=("widgets",))


@asynccontextmanager
async def started(store, clock):
    """Start a server alone over a store, and give a client of it."""
    server = api_server(ApiServerConfig(), store, clock=clock, identity=Identity(random.Random(1)), signing_key=KEY)
    async with server.running():
        yield Client(InProcessTransport(server.handle, ADMIN))


@pytest.fixture
def clock():
    return VirtualClock()


@pytest.fixture
def store(clock):
    return MemoryStore(clock)


async def test_first_start_makes_the_whole_policy(store, clock):
    """Every role and binding of the policy is there, with its label and annotation, and nothing besides."""
    async with started(store, clock) as client:
        for cls, wanted in (
            (ClusterRole, (*cluster_roles(), *controller_roles())),
            (ClusterRoleBinding, (*cluster_role_bindings(), *controller_role_bindings())),
            (Role, namespace_roles()),
            (RoleBinding, namespace_role_bindings()),
        ):
            found = {(one.metadata.namespace, one.metadata.name): one for one in (await client.list(cls)).items}
            assert found.keys() == {(one.metadata.namespace, one.metadata.name) for one in wanted}
            for one in wanted:
                there = found[one.metadata.namespace, one.metadata.name]
                assert there.metadata.labels == one.metadata.labels
                assert there.metadata.annotations == {AUTO_UPDATE: "true"}
                if cls in {Role, ClusterRole}:
                    assert there.rules == one.rules
                else:
                    assert (there.subjects, there.role_ref) == (one.subjects, one.role_ref)
    assert len((*cluster_roles(), *controller_roles())) == 31 + 38


async def test_next_start_writes_nothing(store, clock):
    """A policy that is as it should be keeps its versions."""
    async with started(store, clock) as client:
        before = {one.metadata.name: one.metadata.resource_version for one in (await client.list(ClusterRole)).items}
    async with started(store, clock) as client:
        after = {one.metadata.name: one.metadata.resource_version for one in (await client.list(ClusterRole)).items}
    assert before == after


async def test_start_gives_back_what_was_lost_and_keeps_what_was_added(store, clock):
    """Rules, subjects, labels and whole objects come back; additions stay."""
    async with started(store, clock) as client:
        role = await client.get(ClusterRole, "system:kube-dns")
        await client.update(replace(role, rules=(EXTRA,), metadata=replace(role.metadata, labels={"mine": "yes"})))
        await client.delete(ClusterRole, "system:heapster")
        binding = await client.get(ClusterRoleBinding, "system:discovery")
        mine = Subject(kind="User", api_group="rbac.authorization.k8s.io", name="jane")
        await client.update(replace(binding, subjects=(mine,)))
        admin = await client.get(ClusterRole, "admin")
        await client.update(replace(admin, aggregation_rule=None, rules=(EXTRA,)))
    async with started(store, clock) as client:
        role = await client.get(ClusterRole, "system:kube-dns")
        assert (role.rules or ())[0] == EXTRA
        assert len(role.rules or ()) > 1
        assert role.metadata.labels == {"mine": "yes", "kubernetes.io/bootstrapping": "rbac-defaults"}
        assert (await client.get(ClusterRole, "system:heapster")).rules
        names = [one.name for one in (await client.get(ClusterRoleBinding, "system:discovery")).subjects]
        assert names == ["jane", "system:authenticated"]
        admin = await client.get(ClusterRole, "admin")
        assert admin.aggregation_rule is not None
        assert admin.rules == (EXTRA,)


async def test_start_leaves_alone_what_says_so(store, clock):
    """`autoupdate: false` protects what an administrator took away."""
    async with started(store, clock) as client:
        for cls, name, changes in (
            (ClusterRole, "system:kube-dns", {"rules": ()}),
            (ClusterRoleBinding, "system:public-info-viewer", {"subjects": ()}),
        ):
            one = await client.get(cls, name)
            await client.update(
                replace(one, metadata=replace(one.metadata, annotations={AUTO_UPDATE: "false"}), **changes)
            )
    async with started(store, clock) as client:
        assert not (await client.get(ClusterRole, "system:kube-dns")).rules
        assert not (await client.get(ClusterRoleBinding, "system:public-info-viewer")).subjects


async def test_start_makes_a_binding_to_another_role_anew(store, clock):
    """The role of a binding cannot be changed, so it is replaced."""
    async with started(store, clock) as client:
        binding = await client.get(ClusterRoleBinding, "system:kube-dns")
        await client.delete(ClusterRoleBinding, "system:kube-dns")
        meta = replace(binding.metadata, uid="", resource_version="")
        await client.create(replace(binding, metadata=meta, role_ref=replace(binding.role_ref, name="cluster-admin")))
    async with started(store, clock) as client:
        assert (await client.get(ClusterRoleBinding, "system:kube-dns")).role_ref.name == "system:kube-dns"
