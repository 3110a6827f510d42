"""ResourceQuota (upstream pkg/registry/core/resourcequota, pkg/apis/core/validation `ValidateResourceQuota`)."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from msgspec import to_builtins

from pinnace.api.core_v1 import ResourceQuota, ResourceQuotaSpec, ScopedResourceSelectorRequirement
from pinnace.apiserver.registry.core.pod_resources import HUGE_PAGES
from pinnace.apiserver.registry.immutable import IMMUTABLE
from pinnace.apiserver.registry.printing import AGE, NAME, age, text
from pinnace.apiserver.registry.strategy import Part, Strategy, take_only_status
from pinnace.machinery import names, quantity
from pinnace.machinery.field import FieldError, Path, invalid, required

Errors = Iterator[FieldError]

_COUNTS = frozenset({
    "pods", "resourcequotas", "services", "replicationcontrollers", "secrets", "configmaps", "persistentvolumeclaims",
    "services.nodeports", "services.loadbalancers",
})  # fmt: skip
_COMPUTE = frozenset({"cpu", "memory", "limits.cpu", "limits.memory", "requests.cpu", "requests.memory"})
_STORAGE = frozenset({
    "ephemeral-storage",
    "requests.storage",
    "requests.ephemeral-storage",
    "limits.ephemeral-storage",
})
_STANDARD = _COUNTS | _COMPUTE | _STORAGE
_POD_SCOPES = frozenset({
    "Terminating", "NotTerminating", "NotBestEffort", "PriorityClass", "CrossNamespacePodAffinity",
})  # fmt: skip
_SCOPES = _POD_SCOPES | {"BestEffort", "VolumeAttributesClass"}
_EXISTS_ONLY = frozenset({"BestEffort", "NotBestEffort", "Terminating", "NotTerminating", "CrossNamespacePodAffinity"})
_CONFLICTS = (frozenset({"BestEffort", "NotBestEffort"}), frozenset({"Terminating", "NotTerminating"}))
_EXISTS = (
    "must be 'Exists' when scope is any of ResourceQuotaScopeTerminating, ResourceQuotaScopeNotTerminating, "
    "ResourceQuotaScopeBestEffort, ResourceQuotaScopeNotBestEffort or ResourceQuotaScopeCrossNamespacePodAffinity"
)
_SPEC, _STATUS = Path("spec"), Path("status")


def _is_standard(name: str) -> bool:
    return name in _STANDARD or name.startswith((HUGE_PAGES, f"requests.{HUGE_PAGES}"))


def _is_limited(scope: str, name: str) -> bool:
    """Tell whether a quota of a scope can limit a resource."""
    if scope in _POD_SCOPES:
        return name == "pods" or name in _COMPUTE
    if scope == "BestEffort":
        return name == "pods"
    if scope == "VolumeAttributesClass":
        return name in {"persistentvolumeclaims", "requests.storage"}
    return True


def validate(obj: ResourceQuota) -> Sequence[FieldError]:
    """Check limits and scopes."""
    spec = obj.spec
    return (*_list_errors(spec.hard, _SPEC.child("hard")), *_scope_errors(spec), *_selector_errors(spec))


def _list_errors(amounts: Mapping[str, str], path: Path) -> Errors:
    for name in sorted(amounts):
        at = path.key(name)
        wrong = names.qualified_name(name)
        yield from (invalid(at, name, words) for words in wrong)
        if not wrong and "/" not in name and not _is_standard(name):
            if name != "storage":
                yield invalid(at, name, "must be a standard resource type or fully qualified")
            yield invalid(at, name, "must be a standard resource for quota")
        amount = quantity.parse(amounts[name])
        if amount.nanos < 0:
            yield invalid(at, str(amount), "must be greater than or equal to 0")
        is_whole = name in _COUNTS or ("/" in name and "kubernetes.io/" not in name and not name.startswith("count/"))
        if is_whole and amount.milli() % 1000:
            yield invalid(at, str(amount), "must be an integer")


def _scope_errors(spec: ResourceQuotaSpec) -> Errors:
    path, scopes = _SPEC.child("scopes"), spec.scopes
    for scope in scopes:
        if scope not in _SCOPES:
            yield invalid(path, list(scopes), "unsupported scope")
        for name in sorted(spec.hard):
            if _is_standard(name) and not _is_limited(scope, name):
                yield invalid(path, list(scopes), "unsupported scope applied to resource")
    yield from (invalid(path, list(scopes), "conflicting scopes") for pair in _CONFLICTS if pair <= set(scopes))


def _selector_errors(spec: ResourceQuotaSpec) -> Errors:
    if spec.scope_selector is None:
        return
    path, asked = _SPEC.child("scopeSelector", "matchExpressions"), spec.scope_selector.match_expressions
    for one in asked:
        if one.scope_name not in _SCOPES:
            yield invalid(path.child("scopeName"), one.scope_name, "unsupported scope")
        for name in sorted(spec.hard):
            if _is_standard(name) and not _is_limited(one.scope_name, name):
                yield invalid(path, to_builtins(spec.scope_selector), "unsupported scope applied to resource")
        yield from _operator_errors(one, path)
    given = {one.scope_name for one in asked}
    yield from (invalid(path, list(spec.scopes), "conflicting scopes") for pair in _CONFLICTS if pair <= given)


def _operator_errors(one: ScopedResourceSelectorRequirement, path: Path) -> Errors:
    if one.scope_name in _EXISTS_ONLY and one.operator != "Exists":
        yield invalid(path.child("operator"), one.operator, _EXISTS)
    if one.operator in {"In", "NotIn"}:
        if not one.values:
            words = "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector"
            yield required(path.child("values"), words)
    elif one.operator in {"Exists", "DoesNotExist"}:
        if one.values:
            words = "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector"
            yield invalid(path.child("values"), list(one.values), words)
    else:
        yield invalid(path.child("operator"), one.operator, "not a valid selector operator")


def validate_update(new: ResourceQuota, old: ResourceQuota) -> Sequence[FieldError]:
    """Hold the scopes."""
    if set(new.spec.scopes) == set(old.spec.scopes):
        return ()
    return (invalid(_SPEC.child("scopes"), list(new.spec.scopes), IMMUTABLE),)


def validate_status(new: ResourceQuota, old: ResourceQuota) -> Sequence[FieldError]:  # noqa: ARG001
    """Check limits and use."""
    found = [] if new.metadata.resource_version else [required(Path("resourceVersion"))]
    found += _list_errors(new.status.hard, _STATUS.child("hard"))
    return (*found, *_list_errors(new.status.used, _STATUS.child("used")))


def cells(obj: ResourceQuota, now: float) -> Sequence[Any]:
    """Return the row: what is used of what there is, limits apart from the rest."""
    requests: list[str] = []
    limits: list[str] = []
    for name in sorted(obj.status.hard):
        used = obj.status.used.get(name, "0")
        shown = limits if name.startswith("limits.") else requests
        shown.append(f"{name}: {used}/{obj.status.hard[name]}")
    return (obj.metadata.name, ", ".join(requests), ", ".join(limits), age(obj, now))


STRATEGY: Strategy[ResourceQuota] = Strategy(
    validate=validate,
    validate_update=validate_update,
    delete_returns_object=True,
    columns=(
        NAME,
        text("Request", "Requests and counts, used of allowed."),
        text("Limit", "Limits, used of allowed."),
        AGE,
    ),
    cells=cells,
    parts={"status": Part(prepare_update=take_only_status, validate_update=validate_status)},
)
