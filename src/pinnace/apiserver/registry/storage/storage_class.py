"""StorageClass (upstream pkg/registry/storage/storageclass, pkg/apis/storage/validation `ValidateStorageClass`)."""

from collections.abc import Iterator, Sequence
from typing import Any

from pinnace.api.core_v1 import TopologySelectorTerm
from pinnace.api.storage_v1 import StorageClass
from pinnace.apiserver.registry.core.label_warnings import label_warning
from pinnace.apiserver.registry.defaulting import filled
from pinnace.apiserver.registry.immutable import unchanged
from pinnace.apiserver.registry.printing import AGE, NAME, age, text
from pinnace.apiserver.registry.storage.class_parameters import driver_errors, parameter_errors
from pinnace.apiserver.registry.strategy import Strategy
from pinnace.machinery import names
from pinnace.machinery.field import FieldError, Path, duplicate, invalid, not_supported, required

Errors = Iterator[FieldError]

DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"
_OLD_DEFAULT_CLASS = "storageclass.beta.kubernetes.io/is-default-class"
_POLICIES = ("Delete", "Retain")
_MODES = ("Immediate", "WaitForFirstConsumer")
_TOPOLOGIES = Path("allowedTopologies")


def is_default(obj: StorageClass) -> bool:
    """Tell whether claims that name no class get this one; either spelling of the annotation counts."""
    return any(obj.metadata.annotations.get(key) == "true" for key in (DEFAULT_CLASS, _OLD_DEFAULT_CLASS))


def default(obj: StorageClass) -> StorageClass:
    """Fill in what becomes of volumes, and when they are bound."""
    return filled(obj, reclaim_policy="Delete", volume_binding_mode="Immediate")


def validate(obj: StorageClass) -> Sequence[FieldError]:
    """Check provisioner, parameters, enumerations and topologies."""
    return tuple(_errors(obj))


def _errors(obj: StorageClass) -> Errors:
    yield from driver_errors(obj.provisioner, Path("provisioner"))
    yield from parameter_errors(obj.parameters, Path("parameters"), may_be_empty=True)
    if obj.reclaim_policy and obj.reclaim_policy not in _POLICIES:
        yield not_supported(Path("reclaimPolicy"), obj.reclaim_policy, _POLICIES)
    if obj.volume_binding_mode not in _MODES:
        yield not_supported(Path("volumeBindingMode"), obj.volume_binding_mode, _MODES)
    yield from _topology_errors(obj.allowed_topologies)


def _topology_errors(terms: Sequence[TopologySelectorTerm]) -> Errors:
    # Upstream compares with as many empty terms as there are terms, so an empty one is a repetition by itself.
    known: list[dict[str, set[str]]] = [{} for _ in terms]
    for index, term in enumerate(terms):
        path = _TOPOLOGIES.index(index).child("matchLabelExpressions")
        yield from _term_errors(term, path)
        selected = {one.key: set(one.values or ()) for one in term.match_label_expressions}
        yield from (duplicate(path, "") for other in known if other == selected)
        known.append(selected)


def _term_errors(term: TopologySelectorTerm, path: Path) -> Errors:
    keys: set[str] = set()
    for index, one in enumerate(term.match_label_expressions):
        at = path.index(index)
        values: set[str] = set()
        if not one.values:
            yield required(at.child("values"))
        for number, value in enumerate(one.values or ()):
            if value in values:
                yield duplicate(at.child("values").index(number), value)
            values.add(value)
        yield from (invalid(at.child("key"), one.key, words) for words in names.qualified_name(one.key))
        if one.key in keys:
            yield duplicate(at.child("key"), one.key)
        keys.add(one.key)


def validate_update(new: StorageClass, old: StorageClass) -> Sequence[FieldError]:
    """Hold what volumes were made by."""
    return (
        *unchanged(new.parameters, old.parameters, Path("parameters")),
        *unchanged(new.provisioner, old.provisioner, Path("provisioner")),
        *unchanged(new.reclaim_policy, old.reclaim_policy, Path("reclaimPolicy")),
        *unchanged(new.volume_binding_mode, old.volume_binding_mode, Path("volumeBindingMode")),
    )


def warnings(new: StorageClass, old: StorageClass | None) -> Sequence[str]:  # noqa: ARG001
    """Warn of labels that went out of use."""
    found: list[str] = []
    for index, term in enumerate(new.allowed_topologies):
        for number, one in enumerate(term.match_label_expressions):
            path = _TOPOLOGIES.index(index).child("matchLabelExpressions").index(number).child("key")
            found += label_warning(one.key, path)
    return found


def cells(obj: StorageClass, now: float) -> Sequence[Any]:
    """Return the row."""
    name = obj.metadata.name
    return (
        f"{name} (default)" if is_default(obj) else name,
        obj.provisioner,
        obj.reclaim_policy or "Delete",
        obj.volume_binding_mode or "<unset>",
        bool(obj.allow_volume_expansion),
        age(obj, now),
    )


STRATEGY: Strategy[StorageClass] = Strategy(
    default=default,
    validate=validate,
    validate_update=validate_update,
    warnings=warnings,
    delete_returns_object=True,
    columns=(
        NAME,
        text("Provisioner", "The driver that makes volumes."),
        text("ReclaimPolicy", "What becomes of a volume when its claim is gone."),
        text("VolumeBindingMode", "When claims are bound."),
        text("AllowVolumeExpansion", "Whether claims may grow."),
        AGE,
    ),
    cells=cells,
)
