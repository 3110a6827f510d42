"""The scheduling framework: extension points, what a plug-in may answer, and what travels through one cycle.

Upstream's framework (KEP-624, staging/src/k8s.io/kube-scheduler/framework/interface.go) asks a plug-in once per pod and node. Here
a plug-in is asked once per pod and answers for every node at a time, as vectors over the rows of the `NodeTable`: a filter on
5,000 nodes is then a few array operations. A plug-in that would rather look at one node at a time derives from `PerNodeFilter`
or `PerNodeScore`.

A cycle: PreFilter → Filter → (PreScore, Score, normalise) → Reserve → Bind. Nothing in it waits before Bind.
"""

from abc import abstractmethod
from collections.abc import Iterable
from enum import Enum, StrEnum
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt
from msgspec import Struct, field

from pinnace.api import core_v1
from pinnace.scheduler.nodes import NodeTable

Mask: TypeAlias = npt.NDArray[np.bool_]
Scores: TypeAlias = npt.NDArray[np.float64]
MAX_NODE_SCORE = 100.0


class Code(StrEnum):
    """How a plug-in's answer is to be understood."""

    SUCCESS = "Success"
    # Removing pods from the node may help.
    UNSCHEDULABLE = "Unschedulable"
    # Only a change of the node or of the pod helps.
    UNSCHEDULABLE_AND_UNRESOLVABLE = "UnschedulableAndUnresolvable"
    # PreFilter only: the plug-in has nothing to say of this pod, and is not asked again in the cycle.
    SKIP = "Skip"


class Status(Struct, frozen=True):
    """One answer about the pod as a whole."""

    code: Code = Code.SUCCESS
    reasons: tuple[str, ...] = ()

    @property
    def is_success(self) -> bool:
        return self.code in {Code.SUCCESS, Code.SKIP}


SUCCESS = Status()
SKIP = Status(Code.SKIP)


class Rejection(Struct, frozen=True):
    """Nodes that a filter refuses for one reason; a node may stand in several rejections of one plug-in."""

    nodes: Mask
    reason: str
    code: Code = Code.UNSCHEDULABLE


class ClusterEvent(Enum):
    """What can happen in the cluster that may let a rejected pod fit."""

    NODE_ADDED = "node added"
    NODE_ALLOCATABLE_CHANGED = "node allocatable changed"
    NODE_LABELS_CHANGED = "node labels changed"
    NODE_TAINTS_CHANGED = "node taints changed"
    NODE_DELETED = "node deleted"
    POD_ADDED = "assigned pod added"
    POD_LABELS_CHANGED = "assigned pod's labels changed, or it is leaving"
    POD_DELETED = "assigned pod deleted"
    POD_CHANGED = "the pod itself changed"


class CycleState(Struct):
    """What plug-ins leave for their later calls within one cycle, each under its own name."""

    data: dict[Any, Any] = field(default_factory=dict)


class Plugin(Protocol):
    """What every plug-in has: the name that configuration and messages use, and what wakes the pods it rejected."""

    name: str
    events: frozenset[ClusterEvent]


class PreEnqueuePlugin(Plugin, Protocol):
    """Keeps a pod out of the active queue."""

    @abstractmethod
    def pre_enqueue(self, pod: core_v1.Pod) -> Status:
        """Answer before the pod is queued; anything but success keeps it gated until it changes."""


class PreFilterPlugin(Plugin, Protocol):
    """Computes once per pod what its filter needs, or ends the cycle early."""

    @abstractmethod
    def pre_filter(self, state: CycleState, pod: core_v1.Pod, nodes: NodeTable) -> Status:
        """Answer once per cycle, before any filter.

        SKIP leaves the plug-in's filter out. A rejection lets the other PreFilter plug-ins run when it is UNSCHEDULABLE,
        and ends the cycle at once when it is UNSCHEDULABLE_AND_UNRESOLVABLE; its reasons stand in the message as they are.
        """


class FilterPlugin(Plugin, Protocol):
    """Says where the pod cannot run."""

    @abstractmethod
    def filter(self, state: CycleState, pod: core_v1.Pod, nodes: NodeTable) -> Iterable[Rejection]:
        """Return the refused rows by reason; rows of absent nodes may hold anything.

        Plug-ins are asked in order, and a node refused by one is not held against it by the next.
        """


class PreScorePlugin(Plugin, Protocol):
    """Computes once per pod what its score needs."""

    @abstractmethod
    def pre_score(self, state: CycleState, pod: core_v1.Pod, nodes: NodeTable, feasible: Mask) -> Status:
        """Answer when more than one node is feasible; SKIP leaves the plug-in's score out."""


class ScorePlugin(Plugin, Protocol):
    """Ranks feasible nodes."""

    @abstractmethod
    def score(self, state: CycleState, pod: core_v1.Pod, nodes: NodeTable, feasible: Mask) -> Scores:
        """Return 0 to 100 for each row, whole numbers, already normalised over the feasible ones; others are ignored."""


class BindPlugin(Plugin, Protocol):
    """Tells the API server where the pod goes."""

    @abstractmethod
    async def bind(self, pod: core_v1.Pod, node_name: str) -> None:
        """Bind; the scheduler forgets its assumption and tries again later when this raises."""


class PerNodeFilter(FilterPlugin, Protocol):
    """A filter written one node at a time, for extensions where clarity matters more than speed."""

    @abstractmethod
    def filter_node(self, state: CycleState, pod: core_v1.Pod, node: core_v1.Node) -> Status:
        """Answer for one node."""

    def filter(self, state: CycleState, pod: core_v1.Pod, nodes: NodeTable) -> Iterable[Rejection]:
        for row, node in nodes.present():
            status = self.filter_node(state, pod, node)
            if not status.is_success:
                mask = np.zeros(nodes.size, dtype=np.bool_)
                mask[row] = True
                for reason in status.reasons:
                    yield Rejection(mask, reason, status.code)


class PerNodeScore(ScorePlugin, Protocol):
    """A score written one node at a time."""

    @abstractmethod
    def score_node(self, state: CycleState, pod: core_v1.Pod, node: core_v1.Node) -> float:
        """Return 0 to 100 for one node."""

    def score(self, state: CycleState, pod: core_v1.Pod, nodes: NodeTable, feasible: Mask) -> Scores:
        scores = np.zeros(nodes.size)
        for row, node in nodes.present():
            if feasible[row]:
                scores[row] = self.score_node(state, pod, node)
        return scores


def normalise(raw: Scores, feasible: Mask, *, reverse: bool = False) -> Scores:
    """Scale raw scores to 0..100 of the feasible maximum, whole numbers; `reverse` makes the largest the worst."""
    top = float(raw[feasible].max(initial=0.0))
    if top == 0.0:
        return np.full(raw.shape, MAX_NODE_SCORE if reverse else 0.0)
    scaled = np.floor(raw * MAX_NODE_SCORE / top)
    return MAX_NODE_SCORE - scaled if reverse else scaled
