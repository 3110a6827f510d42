"""LimitRange (upstream pkg/apis/core/v1 `SetDefaults_LimitRangeItem`, pkg/apis/core/validation `ValidateLimitRange`)."""

from collections.abc import Iterator, Sequence

from msgspec.structs import replace

from pinnace.api.core_v1 import LimitRange, LimitRangeItem
from pinnace.apiserver.registry.strategy import Strategy
from pinnace.machinery import names, quantity
from pinnace.machinery.field import FieldError, Path, duplicate, forbidden, invalid, required

Errors = Iterator[FieldError]

_TYPES = frozenset({"Pod", "Container", "PersistentVolumeClaim"})


def default(obj: LimitRange) -> LimitRange:
    """Fill in default limits from the maximum, and default requests from those, else from the minimum."""
    # Upstream's store keeps no empty list.
    limits = tuple(map(_item, obj.spec.limits)) if obj.spec.limits else None
    return replace(obj, spec=replace(obj.spec, limits=limits))


def _item(item: LimitRangeItem) -> LimitRangeItem:
    if item.type != "Container":
        return item
    limits = {**item.max, **item.default}
    requests = {**item.min, **limits, **item.default_request}
    return replace(item, default=limits, default_request=requests)


def validate(obj: LimitRange) -> Sequence[FieldError]:
    """Check that the bounds of each type agree."""
    return tuple(_errors(obj))


def _errors(obj: LimitRange) -> Errors:
    taken: set[str] = set()
    for index, item in enumerate(obj.spec.limits or ()):
        path = Path("spec", "limits").index(index)
        found = list(_type_errors(item.type, path.child("type")))
        yield from found
        if item.type in taken:
            yield duplicate(path.child("type"), item.type)
        taken.add(item.type)
        if item.type == "Pod":
            for value, wire in ((item.default, "default"), (item.default_request, "defaultRequest")):
                if value:
                    yield forbidden(path.child(wire), "may not be specified when `type` is 'Pod'")
        if item.type == "PersistentVolumeClaim" and "storage" not in item.min and "storage" not in item.max:
            text = "either minimum or maximum storage value is required, but neither was provided"
            yield required(path.child("limits"), text)
        yield from _bound_errors(item, path)


def _type_errors(kind: str, path: Path) -> Errors:
    found = names.qualified_name(kind)
    yield from (invalid(path, kind, text) for text in found)
    if not found and "/" not in kind and kind not in _TYPES:
        yield invalid(path, kind, "must be a standard limit type or fully qualified")


def _bound_errors(item: LimitRangeItem, path: Path) -> Errors:
    known = {*item.min, *item.max, *item.default, *item.default_request, *item.max_limit_request_ratio}
    for name in sorted(known):
        least, most = item.min.get(name), item.max.get(name)
        request, limit = item.default_request.get(name), item.default.get(name)
        at = path.child("min").key(name)
        yield from _above(least, most, at, least, "min value {} is greater than max value {}")
        at = path.child("defaultRequest").key(name)
        yield from _above(least, request, at, request, "min value {} is greater than default request value {}")
        yield from _above(request, most, at, request, "default request value {} is greater than max value {}")
        yield from _above(
            request, limit, at, request, "default request value {} is greater than default limit value {}"
        )
        at = path.child("default").key(name)
        yield from _above(least, limit, at, least, "min value {} is greater than default value {}")
        yield from _above(limit, most, at, most, "default value {} is greater than max value {}")
        ratio = item.max_limit_request_ratio.get(name)
        if ratio is not None and quantity.parse(ratio) < quantity.of_value(1):
            yield invalid(path.child("maxLimitRequestRatio").key(name), ratio, f"ratio {ratio} is less than 1")


def _above(low: str | None, high: str | None, path: Path, shown: str | None, words: str) -> Errors:
    if low is not None and high is not None and quantity.parse(high) < quantity.parse(low):
        yield invalid(path, shown, words.format(low, high))


STRATEGY: Strategy[LimitRange] = Strategy(default=default, validate=validate, allow_create_on_update=True)
