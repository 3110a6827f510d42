"""ReplicationController: the ReplicaSet's rules for its elder (pkg/controller/replication)."""

from typing import Any, ClassVar

from pinnace.api import core_v1
from pinnace.controllers.replicaset import ReplicaSetController
from pinnace.machinery import selectors
from pinnace.machinery.selectors import LabelSelector


class ReplicationManager(ReplicaSetController):
    """Reconciles ReplicationControllers."""

    name = "replication-controller"
    component = "replication-controller"
    kept: ClassVar[type[Any]] = core_v1.ReplicationController
    condition: ClassVar[type[Any]] = core_v1.ReplicationControllerCondition

    def selector_of(self, owner: Any) -> LabelSelector:
        return selectors.from_map(owner.spec.selector)
