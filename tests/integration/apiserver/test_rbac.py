"""Roles in a running control plane: what they grant, from when on, and who may write them."""

import pytest
from msgspec.structs import replace

from pinnace.api.core_v1 import ConfigMap, Pod
from pinnace.api.meta_v1 import LabelSelector, ObjectMeta
from pinnace.api.rbac_v1 import (
    AggregationRule,
    ClusterRole,
    ClusterRoleBinding,
    PolicyRule,
    Role,
    RoleBinding,
    RoleRef,
    Subject,
)
from pinnace.component.http import UserInfo
from pinnace.machinery.errors import Forbidden, Invalid, NotFound
from pinnace.testing import running_cluster

GROUP = "rbac.authorization.k8s.io"
JANE = UserInfo("jane", groups=("devs", "system:authenticated"))
READ_MAPS = PolicyRule(verbs=("get", "list"), api_groups=("",), resources=("configmaps",))


@pytest.fixture
async def cluster():
    """A control plane."""
    async with running_cluster() as running:
        yield running


def make_role(name, *rules):
    return Role(metadata=ObjectMeta(name=name, namespace="default"), rules=rules)


def make_binding(name, role, kind="Role", who="jane"):
    return RoleBinding(
        metadata=ObjectMeta(name=name, namespace="default"),
        subjects=(Subject(kind="User", name=who),),
        role_ref=RoleRef(kind=kind, name=role),
    )


def make_cluster_binding(name, role, who="jane"):
    return ClusterRoleBinding(
        metadata=ObjectMeta(name=name),
        subjects=(Subject(kind="User", name=who),),
        role_ref=RoleRef(kind="ClusterRole", name=role),
    )


async def test_change_of_a_role_counts_from_the_next_request(cluster):
    """Grant, narrow, and take away: each write is obeyed at once."""
    jane = cluster.client_as(JANE)
    with pytest.raises(Forbidden):
        await jane.list(ConfigMap, "default")
    role = await cluster.client.create(make_role("maps", READ_MAPS))
    binding = await cluster.client.create(make_binding("maps", "maps"))
    await jane.list(ConfigMap, "default")
    with pytest.raises(Forbidden):
        await jane.list(ConfigMap, "kube-system")
    await cluster.client.update(replace(role, rules=(replace(READ_MAPS, verbs=("get",)),)))
    with pytest.raises(Forbidden):
        await jane.list(ConfigMap, "default")
    assert (await jane.get(ConfigMap, "kube-root-ca.crt", "default")).metadata.name == "kube-root-ca.crt"
    await cluster.client.delete(RoleBinding, binding.metadata.name, "default")
    with pytest.raises(Forbidden):
        await jane.get(ConfigMap, "kube-root-ca.crt", "default")


async def test_binding_to_a_missing_role_says_so_in_the_refusal(cluster):
    """The text of the refusal names the role that could not be found."""
    await cluster.client.create(make_binding("b", "gone", kind="ClusterRole"))
    with pytest.raises(Forbidden, match=r': RBAC: clusterrole\.rbac\.authorization\.k8s\.io "gone" not found$'):
        await cluster.client_as(JANE).list(Pod, "default")


async def test_aggregated_roles_hold_the_rules_of_what_they_select(cluster):
    """`view`, `edit` and `admin` are gathered, and take in a role of one's own when it carries the label."""
    for name in ("view", "edit", "admin"):
        assert (await cluster.client.get(ClusterRole, name)).rules
    rule = PolicyRule(verbs=("get",), api_groups=("example.com",), resources=("widgets",))
    labels = {f"{GROUP}/aggregate-to-view": "true"}
    await cluster.client.create(ClusterRole(metadata=ObjectMeta(name="widgets", labels=labels), rules=(rule,)))
    await cluster.settle()
    for name in ("view", "edit", "admin"):
        assert rule in ((await cluster.client.get(ClusterRole, name)).rules or ()), name
    await cluster.client.delete(ClusterRole, "widgets")
    await cluster.settle()
    assert rule not in ((await cluster.client.get(ClusterRole, "admin")).rules or ())


async def test_nobody_writes_a_role_with_more_than_they_hold(cluster):
    """The refusal lists what is missing; with the rights themselves, or `escalate`, it passes."""
    writer = PolicyRule(verbs=("create", "update"), api_groups=(GROUP,), resources=("roles",))
    await cluster.client.create(make_role("writer", writer, READ_MAPS))
    await cluster.client.create(make_binding("writer", "writer"))
    jane = cluster.client_as(JANE)
    await jane.create(make_role("same", READ_MAPS))
    more = PolicyRule(verbs=("get", "delete"), api_groups=("",), resources=("pods", "configmaps"))
    with pytest.raises(Forbidden) as caught:
        await jane.create(make_role("more", more))
    assert str(caught.value) == (
        'roles.rbac.authorization.k8s.io "more" is forbidden: user "jane" (groups=["devs" "system:authenticated"]) '
        "is attempting to grant RBAC permissions not currently held:\n"
        '{APIGroups:[""], Resources:["configmaps"], Verbs:["delete"]}\n'
        '{APIGroups:[""], Resources:["pods"], Verbs:["get" "delete"]}'
    )
    same = await cluster.client.get(Role, "same", "default")
    with pytest.raises(Forbidden):
        await jane.update(replace(same, rules=(more,)))
    # What garbage collection writes is not asked about.
    foreign = await cluster.client.create(make_role("foreign", more))
    await jane.update(replace(foreign, metadata=replace(foreign.metadata, finalizers=("example.com/x",))))
    escalate = PolicyRule(verbs=("escalate",), api_groups=(GROUP,), resources=("roles",))
    role = await cluster.client.get(Role, "writer", "default")
    await cluster.client.update(replace(role, rules=(writer, escalate)))
    await jane.create(make_role("more", more))


async def test_nobody_binds_a_role_with_more_than_they_hold(cluster):
    """A role that does not exist is 404, one with more is 403, and `bind` on its name lets it pass."""
    binder = PolicyRule(verbs=("create",), api_groups=(GROUP,), resources=("rolebindings",))
    await cluster.client.create(make_role("binder", binder))
    await cluster.client.create(make_binding("binder", "binder"))
    jane = cluster.client_as(JANE)
    with pytest.raises(NotFound, match=r'^clusterroles\.rbac\.authorization\.k8s\.io "gone" not found'):
        await jane.create(make_binding("a", "gone", kind="ClusterRole"))
    with pytest.raises(Forbidden, match=r"is attempting to grant RBAC permissions not currently held"):
        await jane.create(make_binding("b", "view", kind="ClusterRole"))
    named = PolicyRule(verbs=("bind",), api_groups=(GROUP,), resources=("clusterroles",), resource_names=("view",))
    role = await cluster.client.get(Role, "binder", "default")
    await cluster.client.update(replace(role, rules=(binder, named)))
    await jane.create(make_binding("b", "view", kind="ClusterRole"))
    with pytest.raises(Forbidden):
        await jane.create(make_binding("c", "edit", kind="ClusterRole"))


async def test_only_full_administrators_say_what_a_role_is_gathered_from(cluster):
    """An aggregationRule could gather anything, so it takes everything to set one."""
    roles = PolicyRule(verbs=("*",), api_groups=(GROUP,), resources=("clusterroles",), resource_names=("mine",))
    create = PolicyRule(verbs=("create",), api_groups=(GROUP,), resources=("clusterroles",))
    await cluster.client.create(ClusterRole(metadata=ObjectMeta(name="roles"), rules=(roles, create)))
    await cluster.client.create(make_cluster_binding("roles", "roles"))
    rule = AggregationRule(cluster_role_selectors=(LabelSelector(match_labels={"a": "b"}),))
    wanted = ClusterRole(metadata=ObjectMeta(name="mine"), aggregation_rule=rule)
    with pytest.raises(Forbidden, match="must have cluster-admin privileges to use the aggregationRule"):
        await cluster.client_as(JANE).create(wanted)
    root = replace(make_cluster_binding("root", "cluster-admin"), subjects=(Subject(kind="Group", name="devs"),))
    await cluster.client.create(root)
    await cluster.client_as(JANE).create(wanted)


async def test_binding_keeps_its_role(cluster):
    """Whoever may change the subjects of a binding must not change what they get."""
    binding = await cluster.client.create(make_binding("b", "view", kind="ClusterRole"))
    assert binding.role_ref.api_group == binding.subjects[0].api_group == GROUP
    with pytest.raises(Invalid, match="cannot change roleRef"):
        await cluster.client.update(replace(binding, role_ref=replace(binding.role_ref, name="admin")))


async def test_controllers_work_without_being_masters(cluster):
    """No component but the administrator's own client is in the group that may do everything."""
    service_account = UserInfo(
        "system:serviceaccount:kube-system:replicaset-controller",
        groups=("system:serviceaccounts", "system:serviceaccounts:kube-system", "system:authenticated"),
    )
    with pytest.raises(Forbidden):
        await cluster.client_as(service_account).list(ConfigMap)
    with pytest.raises(Forbidden):
        await cluster.client_as(UserInfo("system:kube-scheduler")).list(ConfigMap)
