"""PodTemplate (upstream pkg/registry/core/podtemplate)."""

from collections.abc import Sequence
from typing import Any

from pinnace.api.core_v1 import PodTemplate
from pinnace.apiserver.registry import columns
from pinnace.apiserver.registry.core import pod_defaults
from pinnace.apiserver.registry.defaulting import changed
from pinnace.apiserver.registry.strategy import Column, Strategy


def default(obj: PodTemplate) -> PodTemplate:
    """Fill in the template."""
    return changed(obj, template=pod_defaults.template(obj.template))


def generation(new: PodTemplate, old: PodTemplate) -> bool:
    """Count on when the template changes."""
    return new.template != old.template


def cells(obj: PodTemplate, now: float) -> Sequence[Any]:  # noqa: ARG001
    """Return the row."""
    labels = obj.template.metadata.labels
    shown = columns.joined(f"{key}={labels[key]}" for key in sorted(labels))
    return (obj.metadata.name, *columns.containers_of(obj.template.spec), shown)


STRATEGY: Strategy[PodTemplate] = Strategy(
    default=default,
    generation=generation,
    delete_returns_object=True,
    columns=(
        columns.NAME,
        Column("Containers", description="Names of the template's containers."),
        Column("Images", description="Images of the template's containers."),
        Column("Pod Labels", description="The template's labels."),
    ),
    cells=cells,
)
