"""IngressClass (upstream pkg/registry/networking/ingressclass, pkg/apis/networking/validation `ValidateIngressClass`)."""

from collections.abc import Iterator, Sequence
from typing import Any

from pinnace.api.networking_v1 import IngressClass, IngressClassParametersReference
from pinnace.apiserver.registry.defaulting import changed, filled, maybe
from pinnace.apiserver.registry.domain_names import prefixed_path_errors
from pinnace.apiserver.registry.immutable import unchanged
from pinnace.apiserver.registry.networking.references import reference_errors
from pinnace.apiserver.registry.printing import AGE, NAME, NONE, age, text
from pinnace.apiserver.registry.strategy import Strategy, spec_changed
from pinnace.machinery import names
from pinnace.machinery.field import FieldError, Path, forbidden, invalid, not_supported, required, too_long

Errors = Iterator[FieldError]

CONTROLLER_LIMIT_BYTES = 250
IS_DEFAULT = "ingressclass.kubernetes.io/is-default-class"
_CLUSTER, _NAMESPACE = "Cluster", "Namespace"
_SPEC = Path("spec")


def default(obj: IngressClass) -> IngressClass:
    """Take parameters for an object of the whole cluster."""
    parameters = maybe(obj.spec.parameters, lambda one: filled(one, scope=_CLUSTER))
    return changed(obj, spec=changed(obj.spec, parameters=parameters))


def validate(obj: IngressClass) -> Sequence[FieldError]:
    """Check the controller and its parameters."""
    return tuple(_errors(obj))


def _errors(obj: IngressClass) -> Errors:
    controller, path = obj.spec.controller, _SPEC.child("controller")
    if len(controller.encode()) > CONTROLLER_LIMIT_BYTES:
        yield too_long(path, "", CONTROLLER_LIMIT_BYTES)
    yield from prefixed_path_errors(controller, path)
    if obj.spec.parameters is not None:
        yield from _parameter_errors(obj.spec.parameters, _SPEC.child("parameters"))


def _parameter_errors(parameters: IngressClassParametersReference, path: Path) -> Errors:
    yield from reference_errors(parameters.api_group, parameters.kind, parameters.name, path)
    scope, namespace, at = parameters.scope, parameters.namespace, path.child("namespace")
    if scope is None:
        yield required(path.child("scope"))
    elif scope == _CLUSTER:
        if namespace is not None:
            yield forbidden(at, "`parameters.scope` is set to 'Cluster'")
    elif scope != _NAMESPACE:
        yield not_supported(path.child("scope"), scope, (_CLUSTER, _NAMESPACE))
    elif namespace is None:
        yield required(at, "`parameters.scope` is set to 'Namespace'")
    else:
        yield from (invalid(at, namespace, words) for words in names.dns_label(namespace))


def validate_update(new: IngressClass, old: IngressClass) -> Sequence[FieldError]:
    """Hold the controller; upstream looks at it before it checks the rest again."""
    return (*unchanged(new.spec.controller, old.spec.controller, _SPEC.child("controller")), *validate(new))


def cells(obj: IngressClass, now: float) -> Sequence[Any]:
    """Return the row."""
    name, parameters = obj.metadata.name, obj.spec.parameters
    shown = NONE
    if parameters is not None:
        group = f".{parameters.api_group}" if parameters.api_group is not None else ""
        shown = f"{parameters.kind}{group}/{parameters.name}"
    is_default = obj.metadata.annotations.get(IS_DEFAULT) == "true"
    return (f"{name} (default)" if is_default else name, obj.spec.controller, shown, age(obj, now))


STRATEGY: Strategy[IngressClass] = Strategy(
    default=default,
    validate=validate,
    validate_update=validate_update,
    validates_update_fully=True,
    generation=spec_changed,
    columns=(
        NAME,
        text("Controller", "Who serves ingresses of the class."),
        text("Parameters", "The object with the controller's settings."),
        AGE,
    ),
    cells=cells,
)
