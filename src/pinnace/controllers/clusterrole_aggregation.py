"""Gathers the rules of cluster roles that say which others they are made of.

A role with an aggregationRule holds the rules of every role that one of its selectors picks, once each, in the order of the roles'
names; what else it held is replaced. Upstream: pkg/controller/clusterroleaggregation.
"""

from msgspec.structs import replace

from pinnace.api.rbac_v1 import ClusterRole, PolicyRule
from pinnace.client import Client, InformerFactory
from pinnace.component.clock import Clock
from pinnace.controllers.controller import Controller
from pinnace.machinery.selectors import from_label_selector


class ClusterRoleAggregationController(Controller):
    """Reconciles cluster roles; any role's change may be every aggregated role's business."""

    name = "clusterrole-aggregation-controller"
    component = "clusterrole-aggregation-controller"

    def __init__(self, client: Client, informers: InformerFactory, clock: Clock) -> None:
        super().__init__(client, informers, clock)
        self._roles = informers.informer(ClusterRole)
        self._roles.add_handler(self._enqueue_all, lambda _, new: self._enqueue_all(new), self._enqueue_all)

    def _enqueue_all(self, _changed: ClusterRole) -> None:
        for role in self._roles.cache.list():
            if role.aggregation_rule is not None:
                self.enqueue(role)

    async def reconcile(self, key: str) -> float | None:
        role = self._roles.cache.get(key)
        if role is None or role.aggregation_rule is None:
            return None
        rules = self._gathered(role)
        if rules != (role.rules or ()):
            await self.client.update(replace(role, rules=rules))
        return None

    def _gathered(self, role: ClusterRole) -> tuple[PolicyRule, ...]:
        assert role.aggregation_rule is not None, "only aggregated roles are gathered"
        everything = sorted(self._roles.cache.list(), key=lambda one: one.metadata.name)
        rules: dict[PolicyRule, None] = {}
        for wanted in role.aggregation_rule.cluster_role_selectors:
            selector = from_label_selector(wanted)
            for one in everything:
                if one.metadata.name != role.metadata.name and selector.matches(one.metadata.labels):
                    rules |= dict.fromkeys(one.rules or ())
        return tuple(rules)
