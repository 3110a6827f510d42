"""PodTemplate (upstream pkg/registry/core/podtemplate)."""

from collections.abc import Sequence
from typing import Any

from pinnace.api.core_v1 import PodTemplate
from pinnace.apiserver.registry import columns
from pinnace.apiserver.registry.core import pod_defaults
from pinnace.apiserver.registry.core.pod_warnings import template_warnings
from pinnace.apiserver.registry.core.validation.pod_spec import template_errors
from pinnace.apiserver.registry.defaulting import changed
from pinnace.apiserver.registry.strategy import Column, Strategy
from pinnace.machinery.field import FieldError, Path


def default(obj: PodTemplate) -> PodTemplate:
    """Fill in the template."""
    return changed(obj, template=pod_defaults.template(obj.template))


def validate(obj: PodTemplate) -> Sequence[FieldError]:
    """Check the template."""
    return tuple(template_errors(obj.template, Path("template")))


def warnings(new: PodTemplate, old: PodTemplate | None) -> Sequence[str]:
    """Warn of what is deprecated in the template."""
    before = old.template if old is not None else None
    return tuple(template_warnings(new.template, Path("template"), before))


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
    validate=validate,
    warnings=warnings,
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
