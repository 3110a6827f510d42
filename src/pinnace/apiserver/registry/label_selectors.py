"""Label selectors as parts of objects (upstream metav1 `validation.ValidateLabelSelector`)."""

from collections.abc import Iterator, Mapping

from pinnace.api.meta_v1 import LabelSelector
from pinnace.apiserver.registry.metadata import label_errors
from pinnace.machinery import names, selectors
from pinnace.machinery.field import FieldError, Path, forbidden, invalid, required


def selector_errors(selector: LabelSelector | None, path: Path) -> Iterator[FieldError]:
    """Check a selector; none at all is good."""
    if selector is None:
        return
    yield from label_errors(selector.match_labels, path.child("matchLabels"))
    for index, one in enumerate(selector.match_expressions):
        at = path.child("matchExpressions").index(index)
        if one.operator in {"In", "NotIn"}:
            if not one.values:
                yield required(at.child("values"), "must be specified when `operator` is 'In' or 'NotIn'")
        elif one.operator in {"Exists", "DoesNotExist"}:
            if one.values:
                yield forbidden(
                    at.child("values"), "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
                )
        else:
            yield invalid(at.child("operator"), one.operator, "not a valid selector operator")
        yield from (invalid(at.child("key"), one.key, text) for text in names.label_key(one.key))
        for number, value in enumerate(one.values):
            yield from (invalid(at.child("values").index(number), value, text) for text in names.label_value(value))


def is_empty(selector: LabelSelector | None) -> bool:
    """Tell whether a selector selects everything by having no condition."""
    return selector is None or not (selector.match_labels or selector.match_expressions)


def is_usable(selector: LabelSelector | None) -> bool:
    """Tell whether a selector can be asked at all; none at all can, and selects nothing."""
    return next(selector_errors(selector, Path()), None) is None


def selects(selector: LabelSelector | None, labels: Mapping[str, str]) -> bool:
    """Tell whether a usable selector selects an object with these labels."""
    return selectors.from_label_selector(selector).matches(labels)
