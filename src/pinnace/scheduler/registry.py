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
from pinnace.scheduler.plugins.image_locality import ImageLocality
from pinnace.scheduler.plugins.inter_pod_affinity import InterPodAffinity
from pinnace.scheduler.plugins.node_affinity import NodeAffinity
from pinnace.scheduler.plugins.node_name import NodeName
from pinnace.scheduler.plugins.node_ports import NodePorts
from pinnace.scheduler.plugins.node_resources_balanced_allocation import NodeResourcesBalancedAllocation
from pinnace.scheduler.plugins.node_resources_fit import NodeResourcesFit
from pinnace.scheduler.plugins.node_unschedulable import NodeUnschedulable
from pinnace.scheduler.plugins.pod_topology_spread import PodTopologySpread
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
    balanced, images = NodeResourcesBalancedAllocation(), ImageLocality()
    spread, others = PodTopologySpread(), InterPodAffinity()
    return Profile(
        bind=DefaultBinder(client),
        pre_enqueue=(SchedulingGates(),),
        pre_filter=(affinity, ports, fit, spread, others),
        filter=(unschedulable, name, taints, affinity, ports, fit, spread, others),
        pre_score=(affinity, spread, others, balanced),
        score=((taints, 3), (affinity, 2), (fit, 1), (spread, 2), (others, 2), (balanced, 1), (images, 1)),
    )
