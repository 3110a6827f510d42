"""A kind in several versions: stored in one, served in each.

Whatever version a request speaks, the rules are those of the stored one. A body in another version is filled in as that version
promises, converted, and filled in as the stored version promises; what leaves is converted back, so that admission, validation and
storage know one shape. What both shapes can say survives the way there and back, and conversions add nothing of their own. Upstream: apimachinery `runtime.Scheme`, where an internal version stands in the
middle; here the stored version does.
"""

from collections.abc import Callable
from typing import Generic, TypeVar

from msgspec import Struct

from pinnace.apiserver.registry.strategy import Strategy

S = TypeVar("S", bound=Struct)
T = TypeVar("T", bound=Struct)


class Version(Struct, Generic[S, T], frozen=True, kw_only=True):
    """A version that is served but not stored. Both conversions set kind and apiVersion; `to_stored` never fails."""

    # The stored version's rules, changed where a request in this version is held to others.
    strategy: Strategy[T]
    # What this version promises for absent fields.
    default: Callable[[S], S]
    to_stored: Callable[[S], T]
    to_served: Callable[[T], S]
