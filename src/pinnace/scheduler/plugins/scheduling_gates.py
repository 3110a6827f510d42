"""SchedulingGates: a gated pod is not queued until its last gate has gone (KEP-3521, plugins/schedulinggates)."""

from pinnace.api import core_v1
from pinnace.scheduler.framework import SUCCESS, ClusterEvent, Code, PreEnqueuePlugin, Status


class SchedulingGates(PreEnqueuePlugin):
    """Keeps pods with spec.schedulingGates out of the queue."""

    name = "SchedulingGates"
    events = frozenset({ClusterEvent.POD_CHANGED})

    def pre_enqueue(self, pod: core_v1.Pod) -> Status:
        gates = pod.spec.scheduling_gates
        if not gates:
            return SUCCESS
        names = " ".join(gate.name for gate in gates)
        return Status(Code.UNSCHEDULABLE_AND_UNRESOLVABLE, (f"waiting for scheduling gates: [{names}]",))
