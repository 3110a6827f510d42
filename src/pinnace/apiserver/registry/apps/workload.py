"""What the rules of workloads share: selector, template, rolling updates, status counts, names (upstream pkg/apis/apps/validation).

Each kind has its own order of these rules, and says its own name in some of them.
"""

from collections.abc import Iterator, Sequence

from pinnace.api.core_v1 import PodTemplateSpec
from pinnace.api.meta_v1 import LabelSelector, ObjectMeta
from pinnace.apiserver.registry.core.pod_warnings import template_warnings
from pinnace.apiserver.registry.core.validation.pod_spec import template_errors
from pinnace.apiserver.registry.immutable import unchanged
from pinnace.apiserver.registry.label_selectors import is_empty, is_usable, selector_errors, selects
from pinnace.apiserver.registry.numbers import not_negative
from pinnace.machinery import names, selectors
from pinnace.machinery.field import FieldError, Path, forbidden, invalid, not_supported, required
from pinnace.machinery.intstr import is_percent

Errors = Iterator[FieldError]

SPEC, STATUS = Path("spec"), Path("status")
SELECTOR, TEMPLATE = SPEC.child("selector"), SPEC.child("template")
MISMATCH = "`selector` does not match template `labels`"
OVER_REPLICAS = "cannot be greater than status.replicas"


def needed_selector_errors(selector: LabelSelector | None, owner: str) -> Errors:
    """Check a selector that must be there and must not select everything; `owner` is what such a selector is no good for."""
    if selector is None:
        yield required(SELECTOR)
        return
    yield from selector_errors(selector, SELECTOR)
    if is_empty(selector):
        yield invalid(SELECTOR, selector, f"empty selector is invalid for {owner}")


def selection_errors(selector: LabelSelector | None, template: PodTemplateSpec) -> Errors:
    """Check that a usable selector finds the template's pods; one that selects everything does."""
    labels = template.metadata.labels
    if not selects(selector, labels):
        yield invalid(TEMPLATE.child("metadata", "labels"), dict(sorted(labels.items())) or None, MISMATCH)


def replicated_errors(selector: LabelSelector | None, template: PodTemplateSpec) -> Errors:
    """Check selector and template of ReplicaSets and of what makes them."""
    yield from needed_selector_errors(selector, "deployment")
    if not is_usable(selector):
        yield invalid(SELECTOR, selector, "invalid label selector")
        return
    yield from selection_errors(selector, template)
    yield from template_errors(template, TEMPLATE)
    yield from endless_errors(template, "ReplicaSet")


def endless_errors(template: PodTemplateSpec, kind: str) -> Errors:
    """Check that the pods run until they are deleted."""
    at = TEMPLATE.child("spec")
    if template.spec.restart_policy != "Always":
        yield not_supported(at.child("restartPolicy"), template.spec.restart_policy, ("Always",))
    if template.spec.active_deadline_seconds is not None:
        text = f"activeDeadlineSeconds in {kind} is not Supported"
        yield forbidden(at.child("activeDeadlineSeconds"), text)


def amount(value: int | str | None) -> int:
    """Return the number in a number or a percentage, 0 when it is neither: enough to see whether it is 0."""
    if isinstance(value, str):
        digits = value[:-1] if is_percent(value) else value
        return int(digits) if digits.isdecimal() else 0
    return value or 0


def selector_unchanged(new: LabelSelector | None, old: LabelSelector | None) -> Sequence[FieldError]:
    """Hold a selector to what it was."""
    return tuple(unchanged(new, old, SELECTOR))


def collision_errors(new: int | None, old: int | None) -> Errors:
    """Check that the count of hash collisions does not fall back."""
    if old is not None and (new is None or new < old):
        yield invalid(STATUS.child("collisionCount"), new or 0, "cannot be decremented")


def count_errors(counts: Sequence[tuple[str, int | None]], limit: int) -> Errors:
    """Check the counts of a status that none may exceed the number of replicas; those not given count as none."""
    for name, count in counts:
        if (count or 0) > limit:
            yield invalid(STATUS.child(name), count, OVER_REPLICAS)


def negative_errors(counts: Sequence[tuple[str, int | None]]) -> Errors:
    """Check that no count of a status is below zero."""
    for name, count in counts:
        yield from not_negative(count, STATUS.child(name))


def selector_text(selector: LabelSelector | None) -> str:
    """Return a selector as Scale gives it: empty for none."""
    text = selectors.format_label_selector(selector)
    return "" if text == "<none>" else text


def name_warnings(meta: ObjectMeta) -> Iterator[str]:
    """Warn of a name that the host names of pods cannot take over."""
    if found := names.dns_label(meta.name):
        yield (
            "metadata.name: this is used in Pod names and hostnames, which can result in surprising behavior; "
            f"a DNS label is recommended: [{' '.join(found)}]"
        )


def warnings(
    meta: ObjectMeta, template: PodTemplateSpec, old: PodTemplateSpec | None, *, checks_name: bool = True
) -> Sequence[str]:
    """Return the warnings about a workload; the stored template is None on create, the only time for its name."""
    found = name_warnings(meta) if checks_name and old is None else ()
    return (*found, *template_warnings(template, TEMPLATE, old))
