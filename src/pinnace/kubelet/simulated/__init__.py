"""A node that runs nothing and behaves like one: for tests, for machines without containerd, for thousands of nodes in one process."""

from pinnace.kubelet.simulated.behaviour import ANNOTATION_PREFIX
from pinnace.kubelet.simulated.runtime import SimulatedRuntime, Simulation
from pinnace.kubelet.simulated.stages import Stage, StageError, parse

__all__ = ("ANNOTATION_PREFIX", "SimulatedRuntime", "Simulation", "Stage", "StageError", "parse")
