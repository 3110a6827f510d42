"""Finds a node for every pod: upstream's scheduling framework over columns of nodes."""

from pinnace.scheduler.registry import Profile, default_profile
from pinnace.scheduler.scheduler import Scheduler

__all__ = ("Profile", "Scheduler", "default_profile")
