"""The one table of strategies: what is particular to each kind, by group and plural.

A kind that is not here behaves as `DEFAULT`: stored and served whole, with the rules that hold for all.
"""

from collections.abc import Mapping
from typing import Any

from pinnace.apiserver.registry.core import pod
from pinnace.apiserver.registry.strategy import Strategy

STRATEGIES: Mapping[tuple[str, str], Strategy[Any]] = {
    ("", "pods"): pod.STRATEGY,
}
