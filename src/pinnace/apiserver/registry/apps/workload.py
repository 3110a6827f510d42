"""What the validation of workloads shares: replicas, selector, template (upstream pkg/apis/apps/validation)."""

from collections.abc import Iterator, Sequence

from pinnace.api.core_v1 import PodTemplateSpec
from pinnace.api.meta_v1 import LabelSelector
from pinnace.apiserver.registry.core.validation.pod_spec import template_errors
from pinnace.machinery import selectors
from pinnace.machinery.field import FieldError, Path, invalid, not_supported, required

NOT_NEGATIVE = "must be greater than or equal to 0"
IMMUTABLE = "field is immutable"


def validate(
    replicas: int | None, min_ready_seconds: int, selector: LabelSelector | None, template: PodTemplateSpec
) -> Sequence[FieldError]:
    """Return what is wrong with the parts that every workload has."""
    return tuple(_errors(replicas, min_ready_seconds, selector, template))


def _errors(
    replicas: int | None, min_ready_seconds: int, selector: LabelSelector | None, template: PodTemplateSpec
) -> Iterator[FieldError]:
    spec = Path("spec")
    if replicas is not None and replicas < 0:
        yield invalid(spec.child("replicas"), replicas, NOT_NEGATIVE)
    if min_ready_seconds < 0:
        yield invalid(spec.child("minReadySeconds"), min_ready_seconds, NOT_NEGATIVE)
    if selector is None:
        yield required(spec.child("selector"))
    elif not selector.match_labels and not selector.match_expressions:
        yield invalid(spec.child("selector"), selector, "empty selector is invalid for deployment")
    labels = template.metadata.labels
    labels_path = spec.child("template", "metadata", "labels")
    try:
        matches = selectors.from_label_selector(selector).matches(labels)
    except ValueError as error:
        yield invalid(spec.child("selector"), selector, str(error))
    else:
        if not matches:
            yield invalid(labels_path, dict(labels) or None, "`selector` does not match template `labels`")
    yield from template_errors(template, spec.child("template"))
    policy = template.spec.restart_policy
    if policy in {"Never", "OnFailure"}:
        yield not_supported(spec.child("template", "spec", "restartPolicy"), policy, ("Always",))


def selector_unchanged(new: LabelSelector | None, old: LabelSelector | None) -> Sequence[FieldError]:
    """Hold a selector to what it was."""
    return () if new == old else (invalid(Path("spec", "selector"), new, IMMUTABLE),)


def selector_text(selector: LabelSelector | None) -> str:
    """Return a selector as Scale gives it: empty for none."""
    text = selectors.format_label_selector(selector)
    return "" if text == "<none>" else text
