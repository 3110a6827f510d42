"""The built-in plug-ins in upstream's order, with upstream's weights (apis/config/v1/default_plugins.go).

A profile is a value: extensions are added by making another one.
"""

from msgspec import Struct, field

from pinnace.client import Client
from pinnace.scheduler.framework import (
    BindPlugin,
    FilterPlugin,
    PreEnqueuePlugin,
    PreFilterPlugin,
    PreScorePlugin,
    ScorePlugin,
)
from pinnace.scheduler.plugins.default_binder import DefaultBinder
from pinnace.scheduler.plugins.node_affinity import NodeAffinity
from pinnace.scheduler.plugins.node_name import NodeName
from pinnace.scheduler.plugins.node_ports import NodePorts
from pinnace.scheduler.plugins.node_resources_balanced_allocation import NodeResourcesBalancedAllocation
from pinnace.scheduler.plugins.node_resources_fit import NodeResourcesFit
from pinnace.scheduler.plugins.node_unschedulable import NodeUnschedulable
from pinnace.scheduler.plugins.scheduling_gates import SchedulingGates
from pinnace.scheduler.plugins.taint_toleration import TaintToleration

DEFAULT_SCHEDULER = "default-scheduler"


class Profile(Struct, frozen=True):
    """The plug-ins that schedule the pods of one schedulerName, each list in the order of asking."""

    bind: BindPlugin
    scheduler_name: str = DEFAULT_SCHEDULER
    pre_enqueue: tuple[PreEnqueuePlugin, ...] = ()
    pre_filter: tuple[PreFilterPlugin, ...] = ()
    filter: tuple[FilterPlugin, ...] = ()
    pre_score: tuple[PreScorePlugin, ...] = ()
    # With each plug-in's weight.
    score: tuple[tuple[ScorePlugin, int], ...] = field(default=())


def default_profile(client: Client) -> Profile:
    """Return the profile of pods that name no scheduler."""
    unschedulable, name, taints = NodeUnschedulable(), NodeName(), TaintToleration()
    affinity, ports, fit = NodeAffinity(), NodePorts(), NodeResourcesFit()
    balanced = NodeResourcesBalancedAllocation()
    return Profile(
        bind=DefaultBinder(client),
        pre_enqueue=(SchedulingGates(),),
        pre_filter=(affinity, ports, fit),
        filter=(unschedulable, name, taints, affinity, ports, fit),
        pre_score=(affinity, balanced),
        score=((taints, 3), (affinity, 2), (fit, 1), (balanced, 1)),
    )
