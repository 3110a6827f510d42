"""Who owns which field of an object: sets of fields, how objects differ and merge by their schema, and the rules of ownership."""

from pinnace.machinery.managedfields.managers import (
    APPLY,
    UPDATE,
    Applied,
    Conflict,
    Conflicts,
    Write,
    after_update,
    apply,
)
from pinnace.machinery.managedfields.node import ABSENT, SAME, Change, Node, Problem
from pinnace.machinery.managedfields.owners import Manager, Managers, Owned
from pinnace.machinery.managedfields.sets import NOTHING, Tree
from pinnace.machinery.managedfields.versions import Inconvertible, Versions

__all__ = (
    "ABSENT",
    "APPLY",
    "NOTHING",
    "SAME",
    "UPDATE",
    "Applied",
    "Change",
    "Conflict",
    "Conflicts",
    "Inconvertible",
    "Manager",
    "Managers",
    "Node",
    "Owned",
    "Problem",
    "Tree",
    "Versions",
    "Write",
    "after_update",
    "apply",
)
