"""Bringing the bootstrap policy into the cluster, at every start.

What is missing is made. What is there and has lost rules or subjects gets them back, and keeps what it has besides, unless its annotation
says `false`. A binding to another role is made anew, since its roleRef cannot be changed. On a first start everything is written at
once, so that the store commits it as one group. Upstream: `pkg/registry/rbac/rest/storage_rbac.go`,
`component-helpers/auth/rbac/reconciliation`.
"""

import asyncio
from collections.abc import Mapping
from typing import TypeVar

from msgspec.structs import replace

from pinnace.api.meta_v1 import LabelSelector, ObjectMeta
from pinnace.api.rbac_v1 import AggregationRule, ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding, Subject
from pinnace.apiserver.authorization.policy.cluster_roles import cluster_role_bindings, cluster_roles
from pinnace.apiserver.authorization.policy.controller_roles import controller_role_bindings, controller_roles
from pinnace.apiserver.authorization.policy.namespace_roles import namespace_role_bindings, namespace_roles
from pinnace.apiserver.authorization.policy.notation import AUTO_UPDATE
from pinnace.apiserver.authorization.rules import uncovered
from pinnace.apiserver.registry.strategy import Objects
from pinnace.machinery.errors import AlreadyExists

R = TypeVar("R", Role, ClusterRole)
B = TypeVar("B", RoleBinding, ClusterRoleBinding)


async def reconcile(objects: Objects) -> None:
    """Make the cluster's roles and bindings what they should be at least."""
    async with asyncio.TaskGroup() as group:
        for role in (*cluster_roles(), *controller_roles()):
            group.create_task(_role(objects, role), name=f"reconcile {role.metadata.name}")
        for local in namespace_roles():
            group.create_task(_role(objects, local), name=f"reconcile {local.metadata.name}")
        for binding in (*cluster_role_bindings(), *controller_role_bindings()):
            group.create_task(_binding(objects, binding), name=f"reconcile {binding.metadata.name}")
        for bound in namespace_role_bindings():
            group.create_task(_binding(objects, bound), name=f"reconcile {bound.metadata.name}")


async def _role(objects: Objects, wanted: R) -> None:
    there = await objects.get(type(wanted), wanted.metadata.name, wanted.metadata.namespace)
    if there is None:
        await _create(objects, wanted)
    elif not _is_protected(there.metadata):
        mended = reconciled_role(there, wanted)
        if mended != there:
            await objects.update(mended)


async def _binding(objects: Objects, wanted: B) -> None:
    there = await objects.get(type(wanted), wanted.metadata.name, wanted.metadata.namespace)
    if there is None:
        await _create(objects, wanted)
        return
    if _is_protected(there.metadata):
        return
    if there.role_ref != wanted.role_ref:
        await objects.delete(type(wanted), there.metadata.name, there.metadata.namespace, uid=there.metadata.uid)
        await _create(objects, wanted)
        return
    mended = reconciled_binding(there, wanted)
    if mended != there:
        await objects.update(mended)


async def _create(objects: Objects, obj: Role | ClusterRole | RoleBinding | ClusterRoleBinding) -> None:
    try:
        await objects.create(obj)
    except AlreadyExists:
        return  # another server of the cluster starts at the same time


def reconciled_role(there: R, wanted: R) -> R:
    """Return a stored role with the rules, selectors, labels and annotations that it lacks."""
    there = replace(there, metadata=_merged(there.metadata, wanted.metadata))
    selectors = _selectors(wanted)
    if selectors:
        # The rules are the aggregation controller's to write.
        missing: tuple[LabelSelector, ...] = tuple(one for one in selectors if one not in _selectors(there))
        rule = AggregationRule(cluster_role_selectors=(*_selectors(there), *missing))
        return replace(there, aggregation_rule=rule) if missing else there
    rules: tuple[PolicyRule, ...] = uncovered(there.rules or (), wanted.rules or ())
    return replace(there, rules=(*(there.rules or ()), *rules)) if rules else there


def _selectors(role: Role | ClusterRole) -> tuple[LabelSelector, ...]:
    rule = role.aggregation_rule if isinstance(role, ClusterRole) else None
    return rule.cluster_role_selectors if rule is not None else ()


def reconciled_binding(there: B, wanted: B) -> B:
    """Return a stored binding with the subjects, labels and annotations that it lacks."""
    lacking: tuple[Subject, ...] = tuple(one for one in wanted.subjects if one not in there.subjects)
    return replace(there, metadata=_merged(there.metadata, wanted.metadata), subjects=(*there.subjects, *lacking))


def _is_protected(meta: ObjectMeta) -> bool:
    return meta.annotations.get(AUTO_UPDATE) == "false"


def _merged(there: ObjectMeta, wanted: ObjectMeta) -> ObjectMeta:
    """Return metadata with what is lacking; what is there has its own way."""
    return replace(
        there,
        labels=_with(there.labels, wanted.labels),
        annotations=_with(there.annotations, wanted.annotations),
    )


def _with(there: Mapping[str, str], wanted: Mapping[str, str]) -> Mapping[str, str]:
    return there if wanted.keys() <= there.keys() else {**wanted, **there}
