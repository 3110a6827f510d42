"""ServiceAccount (upstream pkg/registry/core/serviceaccount)."""

from collections.abc import Sequence
from typing import Any

from pinnace.api.core_v1 import ServiceAccount
from pinnace.apiserver.registry import columns
from pinnace.apiserver.registry.strategy import Strategy


def cells(obj: ServiceAccount, now: float) -> Sequence[Any]:
    """Return the row."""
    return (obj.metadata.name, columns.object_age(obj, now))


STRATEGY: Strategy[ServiceAccount] = Strategy(
    delete_returns_object=True, columns=(columns.NAME, columns.AGE), cells=cells
)
