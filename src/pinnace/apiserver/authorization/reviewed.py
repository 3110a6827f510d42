"""What a SubjectAccessReview asks, checked and turned into what authorizers are asked.

Upstream: `pkg/apis/authorization/validation`, `pkg/registry/authorization/util`.
"""

from collections.abc import Iterator
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from pinnace.api.authorization_v1 import (
    FieldSelectorAttributes,
    LabelSelectorAttributes,
    NonResourceAttributes,
    ResourceAttributes,
)
from pinnace.apiserver.authorization.interface import Attributes
from pinnace.component.http import UserInfo
from pinnace.machinery.field import FieldError, Path, forbidden, invalid, required
from pinnace.machinery.names import label_value, qualified_name
from pinnace.machinery.selectors import FieldRequirement, FieldSelector, parse_fields, parse_labels

SPEC = Path("spec")
RESOURCE = SPEC.child("resourceAttributes")
NON_RESOURCE = SPEC.child("nonResourceAttributes")
_WITH_VALUES, _WITHOUT = frozenset({"In", "NotIn"}), frozenset({"Exists", "DoesNotExist"})


class Asked(Struct, frozen=True):
    """The question, and what of it could not be understood and is left out."""

    attributes: Attributes
    ignored: str = ""


def asked(user: UserInfo, resource: ResourceAttributes | None, other: NonResourceAttributes | None) -> Asked:
    """Return what a checked review asks."""
    if resource is None:
        assert other is not None, "a review that was checked has one of the two"
        return Asked(Attributes(user=user, verb=other.verb, path=other.path))
    attributes = Attributes(
        user=user,
        verb=resource.verb,
        is_resource=True,
        group=resource.group,
        version=resource.version or "*",
        resource=resource.resource,
        subresource=resource.subresource,
        namespace=resource.namespace,
        name=resource.name,
    )
    ignored: list[str] = []
    if resource.field_selector is not None:
        fields, whole = _fields(resource.field_selector)
        attributes = replace(attributes, fields=fields)
        if not whole:
            ignored.append(_ignored("fieldSelector", bool(fields.requirements)))
    if resource.label_selector is not None and not _labels_are_known(resource.label_selector):
        ignored.append(_ignored("labelSelector", bool(resource.label_selector.requirements)))
    return Asked(attributes, "; ".join(ignored))


def _ignored(name: str, partially: bool) -> str:  # noqa: FBT001
    return f"spec.resourceAttributes.{name} {'partially ' if partially else ''}ignored due to parse error"


def _fields(selector: FieldSelectorAttributes) -> tuple[FieldSelector, bool]:
    """Return what is understood of a field selector, and whether that is all of it."""
    if selector.raw_selector:
        try:
            return parse_fields(selector.raw_selector), True
        except ValueError:
            return FieldSelector(), False
    known = tuple(
        FieldRequirement(one.key, one.values[0], one.operator == "NotIn")
        for one in selector.requirements
        if one.operator in _WITH_VALUES and len(one.values) == 1
    )
    return FieldSelector(known), len(known) == len(selector.requirements)


def _labels_are_known(selector: LabelSelectorAttributes) -> bool:
    if selector.raw_selector:
        try:
            parse_labels(selector.raw_selector)
        except ValueError:
            return False
        return True
    return all(one.operator in _WITH_VALUES | _WITHOUT for one in selector.requirements)


def attribute_errors(resource: ResourceAttributes | None, other: NonResourceAttributes | None) -> Iterator[FieldError]:
    """Check that exactly one thing is asked about, and its selectors."""
    if resource is not None and other is not None:
        yield invalid(NON_RESOURCE, shown(other), "cannot be specified in combination with resourceAttributes")
    if resource is None and other is None:
        text = "exactly one of nonResourceAttributes or resourceAttributes must be specified"
        yield invalid(RESOURCE, None, text)
    if resource is None:
        return
    if resource.field_selector is not None:
        yield from _selector_errors(RESOURCE.child("fieldSelector"), resource.field_selector, _field_errors)
    if resource.label_selector is not None:
        yield from _selector_errors(RESOURCE.child("labelSelector"), resource.label_selector, _label_errors)


def _selector_errors(
    path: Path, selector: FieldSelectorAttributes | LabelSelectorAttributes, key_errors: Any
) -> Iterator[FieldError]:
    if selector.raw_selector and selector.requirements:
        text = "may not specified at the same time as requirements"
        yield invalid(path.child("rawSelector"), selector.raw_selector, text)
    if not selector.raw_selector and not selector.requirements:
        text = f"when {path} is specified, requirements or rawSelector is required"
        yield required(path.child("requirements"), text)
    for index, requirement in enumerate(selector.requirements):
        at = path.child("requirements").index(index)
        yield from key_errors(at, requirement)


def _value_errors(at: Path, requirement: Any) -> Iterator[FieldError]:
    if requirement.operator in _WITH_VALUES and not requirement.values:
        yield required(at.child("values"), "must be specified when `operator` is 'In' or 'NotIn'")
    if requirement.operator in _WITHOUT and requirement.values:
        yield forbidden(at.child("values"), "may not be specified when `operator` is 'Exists' or 'DoesNotExist'")


def _field_errors(at: Path, requirement: Any) -> Iterator[FieldError]:
    if not requirement.key:
        yield required(at.child("key"), "must be specified")
    yield from _value_errors(at, requirement)


def _label_errors(at: Path, requirement: Any) -> Iterator[FieldError]:
    yield from _value_errors(at, requirement)
    yield from (invalid(at.child("key"), requirement.key, text) for text in qualified_name(requirement.key))
    for number, value in enumerate(requirement.values):
        yield from (invalid(at.child("values").index(number), value, text) for text in label_value(value))


def shown(attributes: NonResourceAttributes) -> dict[str, str]:
    """Return the attributes as upstream prints them: by the names they have in Go."""
    return {"Path": attributes.path, "Verb": attributes.verb}
