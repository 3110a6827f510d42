"""The service proxy: makes the addresses of Services lead to their endpoints, on every node."""

from pinnace.network.proxy.proxier import NodeFacts, Proxier

__all__ = ["NodeFacts", "Proxier"]
