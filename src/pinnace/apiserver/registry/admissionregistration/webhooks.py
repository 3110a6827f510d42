"""ValidatingWebhookConfiguration and MutatingWebhookConfiguration.

Upstream: pkg/registry/admissionregistration/{validating,mutating}webhookconfiguration, pkg/apis/admissionregistration/validation.
"""

from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

from msgspec.structs import replace

from pinnace.api.admissionregistration_v1 import (
    MutatingWebhook,
    MutatingWebhookConfiguration,
    ValidatingWebhook,
    ValidatingWebhookConfiguration,
    WebhookClientConfig,
)
from pinnace.api.meta_v1 import LabelSelector
from pinnace.apiserver.cel.environments import admission
from pinnace.apiserver.registry.admissionregistration.client_config import SERVICE_PORT, service_errors, url_errors
from pinnace.apiserver.registry.admissionregistration.expressions import WEIGHT
from pinnace.apiserver.registry.admissionregistration.match_rules import (
    FAILURE_POLICIES,
    MATCH_POLICIES,
    REINVOCATION_POLICIES,
    condition_errors,
    default_rule,
    rule_errors,
)
from pinnace.apiserver.registry.defaulting import changed, each, filled, maybe
from pinnace.apiserver.registry.label_selectors import selector_errors
from pinnace.apiserver.registry.printing import AGE, NAME, age, integer
from pinnace.apiserver.registry.strategy import Strategy
from pinnace.machinery import names
from pinnace.machinery.field import FieldError, Path, duplicate, invalid, not_supported, required

Errors = Iterator[FieldError]
C = TypeVar("C", ValidatingWebhookConfiguration, MutatingWebhookConfiguration)
Hook = ValidatingWebhook | MutatingWebhook

DEFAULT_TIMEOUT_SECONDS = 10
MOST_TIMEOUT_SECONDS = 30
REVIEW_VERSIONS = ("v1", "v1beta1")
_HOOKS = Path("webhooks")
_SIDE_EFFECTS = ("None", "NoneOnDryRun")


def default(obj: C) -> C:
    """Fill in what each webhook leaves out."""
    return changed(obj, webhooks=each(obj.webhooks, _default_hook))


def _default_hook(hook: Any) -> Any:
    hook = filled(hook, failure_policy="Fail", match_policy="Equivalent", timeout_seconds=DEFAULT_TIMEOUT_SECONDS)
    if isinstance(hook, MutatingWebhook):
        hook = filled(hook, reinvocation_policy="Never")
    if hook.namespace_selector is None:
        hook = replace(hook, namespace_selector=LabelSelector())
    if hook.object_selector is None:
        hook = replace(hook, object_selector=LabelSelector())
    service = maybe(hook.client_config.service, lambda one: filled(one, port=SERVICE_PORT))
    return changed(
        hook,
        rules=each(hook.rules, default_rule),
        client_config=changed(hook.client_config, service=service),
    )


def validate(obj: ValidatingWebhookConfiguration | MutatingWebhookConfiguration) -> Sequence[FieldError]:
    """Check each webhook, and that names stand once."""
    found: list[FieldError] = []
    taken: set[str] = set()
    hooks: Sequence[Hook] = obj.webhooks
    for index, hook in enumerate(hooks):
        path = _HOOKS.index(index)
        found += _hook_errors(hook, path)
        found += _version_errors(hook.admission_review_versions or (), path.child("admissionReviewVersions"))
        if hook.name and hook.name in taken:
            found.append(duplicate(path.child("name"), hook.name))
        taken.add(hook.name)
    return found


def _hook_errors(hook: Hook, path: Path) -> Errors:
    yield from _name_errors(hook.name, path.child("name"))
    for index, rule in enumerate(hook.rules):
        yield from rule_errors(rule, path.child("rules").index(index))
    if hook.failure_policy is not None and hook.failure_policy not in FAILURE_POLICIES:
        yield not_supported(path.child("failurePolicy"), hook.failure_policy, FAILURE_POLICIES)
    if hook.match_policy is not None and hook.match_policy not in MATCH_POLICIES:
        yield not_supported(path.child("matchPolicy"), hook.match_policy, MATCH_POLICIES)
    if hook.side_effects is None:
        yield required(path.child("sideEffects"), f"must specify one of {', '.join(_SIDE_EFFECTS)}")
    elif hook.side_effects not in _SIDE_EFFECTS:
        yield not_supported(path.child("sideEffects"), hook.side_effects, _SIDE_EFFECTS)
    seconds = hook.timeout_seconds
    if seconds is not None and not 1 <= seconds <= MOST_TIMEOUT_SECONDS:
        text = f"the timeout value must be between 1 and {MOST_TIMEOUT_SECONDS} seconds"
        yield invalid(path.child("timeoutSeconds"), seconds, text)
    yield from selector_errors(hook.namespace_selector, path.child("namespaceSelector"))
    yield from selector_errors(hook.object_selector, path.child("objectSelector"))
    if isinstance(hook, MutatingWebhook):
        policy = hook.reinvocation_policy
        if policy is not None and policy not in REINVOCATION_POLICIES:
            yield not_supported(path.child("reinvocationPolicy"), policy, REINVOCATION_POLICIES)
    yield from _client_errors(hook.client_config, path.child("clientConfig"))
    environment = admission(params=False, authorizer=True)
    yield from condition_errors(hook.match_conditions, path.child("matchConditions"), environment)


def _name_errors(name: str, path: Path) -> Errors:
    if not name:
        yield required(path)
        return
    wrong = names.dns_subdomain(name)
    if wrong:
        yield invalid(path, name, ",".join(wrong))
    elif len(name.split(".")) < 3:
        yield invalid(path, name, "should be a domain with at least three segments separated by dots")


def _client_errors(client: WebhookClientConfig, path: Path) -> Errors:
    if (client.url is None) == (client.service is None):
        yield required(path, "exactly one of url or service is required")
    elif client.url is not None:
        yield from url_errors(client.url, path.child("url"))
    elif client.service is not None:
        service = client.service
        yield from service_errors(
            service.namespace, service.name, service.path, service.port or 0, path.child("service")
        )


def _version_errors(versions: Sequence[str], path: Path) -> Errors:
    known = ", ".join(REVIEW_VERSIONS)
    if not versions:
        yield required(path, f"must specify one of {known}")
        return
    for index, version in enumerate(versions):
        if version in versions[:index]:
            yield invalid(path.index(index), version, "duplicate version")
            continue
        yield from (invalid(path.index(index), version, words) for words in names.dns_label_1035(version))
    if not set(versions) & set(REVIEW_VERSIONS):
        yield invalid(path, list(versions), f"must include at least one of {known}")


def _hooks_changed(new: C, old: C) -> bool:
    return new.webhooks != old.webhooks


def cells(obj: ValidatingWebhookConfiguration | MutatingWebhookConfiguration, now: float) -> Sequence[Any]:
    """Return the row."""
    return (obj.metadata.name, len(obj.webhooks), age(obj, now))


_COLUMNS = (NAME, integer("Webhooks", "How many webhooks it names."), AGE)

VALIDATING: Strategy[ValidatingWebhookConfiguration] = Strategy(
    default=default,
    validate=validate,
    is_untouched=lambda new, old: not _hooks_changed(new, old),
    weight=WEIGHT,
    generation=_hooks_changed,
    allow_unconditional_update=False,
    columns=_COLUMNS,
    cells=cells,
)
MUTATING: Strategy[MutatingWebhookConfiguration] = Strategy(
    default=default,
    validate=validate,
    is_untouched=lambda new, old: not _hooks_changed(new, old),
    weight=WEIGHT,
    generation=_hooks_changed,
    allow_unconditional_update=False,
    columns=_COLUMNS,
    cells=cells,
)
