"""DeviceClass (upstream pkg/registry/resource/deviceclass, pkg/apis/resource/validation `ValidateDeviceClass`)."""

from collections.abc import Iterator, Sequence
from typing import Any

from pinnace.api.resource_v1 import DeviceClass, DeviceClassConfiguration
from pinnace.apiserver.registry.core.validation.resources import is_native
from pinnace.apiserver.registry.printing import AGE, NAME, age
from pinnace.apiserver.registry.resource.device_claims import (
    EXPRESSIONS_WEIGHT,
    LIST_LIMIT,
    opaque_errors,
    selector_errors,
)
from pinnace.apiserver.registry.resource.lists import list_errors
from pinnace.apiserver.registry.strategy import Strategy, spec_changed, spec_untouched
from pinnace.machinery import names
from pinnace.machinery.field import FieldError, Path, invalid

_SPEC = Path("spec")


def validate(obj: DeviceClass) -> Sequence[FieldError]:
    """Check selectors, configuration and the name under which pods may ask for it."""
    spec = obj.spec
    found = [
        *list_errors(spec.selectors, LIST_LIMIT, selector_errors, _SPEC.child("selectors")),
        *list_errors(spec.config, LIST_LIMIT, _config_errors, _SPEC.child("config")),
    ]
    name, at = spec.extended_resource_name, _SPEC.child("extendedResourceName")
    if name is not None:
        wrong = names.qualified_name(name)
        found += (invalid(at, name, words) for words in wrong)
        if not wrong and (is_native(name) or name.startswith("requests.")):
            found.append(invalid(at, name, "must be a valid extended resource name"))
    return found


def _config_errors(config: DeviceClassConfiguration, path: Path) -> Iterator[FieldError]:
    return opaque_errors(config.opaque, path.child("opaque"))


def cells(obj: DeviceClass, now: float) -> Sequence[Any]:
    """Return the row."""
    return (obj.metadata.name, age(obj, now))


STRATEGY: Strategy[DeviceClass] = Strategy(
    validate=validate,
    is_untouched=spec_untouched,
    weight=EXPRESSIONS_WEIGHT,
    generation=spec_changed,
    delete_returns_object=True,
    columns=(NAME, AGE),
    cells=cells,
)
