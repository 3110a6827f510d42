"""Objects as a table or as their metadata alone, for clients that asked for one of these.

Rows and partial objects are made per request from the typed object; the columns are the kind's. Upstream: apiserver
`endpoints/handlers/response.go`, apimachinery `meta/table`, pkg/printers.
"""

from collections.abc import Sequence
from typing import Any, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from pinnace.apiserver.registry.store import Registry
from pinnace.apiserver.registry.strategy import DEFAULT, Column, Strategy
from pinnace.machinery.errors import BadRequest

T = TypeVar("T", bound=Struct)

META = "meta.k8s.io/"
DEFAULT_COLUMNS = (
    Column(
        "Name",
        format="name",
        description="Name must be unique within a namespace. It is required when creating resources.",
    ),
    Column("Created At", type="date", description="When the server made the object."),
)
INCLUDES = frozenset({"", "None", "Metadata", "Object"})


def check_include(include: str) -> None:
    """Refuse an `includeObject` that means nothing.

    Raises:
        BadRequest: naming the choices.
    """
    if include not in INCLUDES:
        raise BadRequest(
            f'Unable to convert to Table as requested: includeObject: Invalid value: "{include}": '
            "must be 'Metadata', 'Object', 'None', or empty"
        )


def column_definitions(strategy: Strategy[Any]) -> list[dict[str, Any]]:
    """Return the head of a kind's table."""
    return [
        {
            "name": column.name,
            "type": column.type,
            "format": column.format,
            "description": column.description,
            "priority": column.priority,
        }
        for column in strategy.columns or DEFAULT_COLUMNS
    ]


def partial(obj: Struct, version: str = "v1", strategy: Strategy[Any] = DEFAULT) -> dict[str, Any]:
    """Return an object's metadata as an object of its own, to be encoded; annotations that stand for fields are no part of it."""
    meta = obj.metadata  # type: ignore[attr-defined]
    if strategy.field_annotations and strategy.field_annotations & meta.annotations.keys():
        shown = {key: value for key, value in meta.annotations.items() if key not in strategy.field_annotations}
        meta = replace(meta, annotations=shown)
    return {"kind": "PartialObjectMetadata", "apiVersion": META + version, "metadata": meta}


def _cells(strategy: Strategy[T], obj: T, now: float) -> Sequence[Any]:
    if strategy.cells is not None:
        return strategy.cells(obj, now)
    meta = obj.metadata  # type: ignore[attr-defined]
    return (meta.name, meta.creation_timestamp)


def row(registry: Registry[T], obj: T, now: float, include: str, version: str) -> dict[str, Any]:
    """Return one row; `include` says how much of the object stands beside its cells."""
    strategy = registry.strategy
    if include == "None":
        shown: Any = None
    elif include == "Object":
        shown = registry.served(obj)
    else:
        shown = partial(obj, version, strategy)
    answer: dict[str, Any] = {"cells": list(_cells(strategy, obj, now))}
    conditions = strategy.row_conditions(obj) if strategy.row_conditions is not None else ()
    if conditions:
        answer["conditions"] = list(conditions)
    answer["object"] = shown
    return answer


def table(
    registry: Registry[T],
    objects: Sequence[T],
    list_meta: dict[str, Any],
    *,
    now: float,
    include: str,
    version: str,
    with_columns: bool = True,
) -> dict[str, Any]:
    """Return a whole table; `list_meta` becomes its metadata."""
    strategy = registry.strategy
    rows = [row(registry, obj, now, include, version) for obj in objects]
    return {
        "kind": "Table",
        "apiVersion": META + version,
        "metadata": list_meta,
        "columnDefinitions": column_definitions(strategy) if with_columns else None,
        # Upstream's generic printer has no rows at all where a kind's own printer has an empty list.
        "rows": rows if rows or strategy.cells is not None else None,
    }
