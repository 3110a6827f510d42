"""Priority and fairness: whose request is served next when there are more than the server can work on at once."""

from pinnace.apiserver.flowcontrol.controller import Flow, FlowControl
from pinnace.apiserver.flowcontrol.long_running import is_long_running
from pinnace.apiserver.flowcontrol.priority_level import Rejected
from pinnace.apiserver.flowcontrol.turns import Turns

__all__ = ("Flow", "FlowControl", "Rejected", "Turns", "is_long_running")
