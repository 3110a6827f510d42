"""CSIDriver (upstream pkg/registry/storage/csidriver, pkg/apis/storage/validation `ValidateCSIDriver`)."""

from collections.abc import Iterator, Sequence
from typing import Any

from msgspec.structs import replace

from pinnace.api.storage_v1 import CSIDriver, TokenRequest
from pinnace.apiserver.registry.defaulting import changed, filled
from pinnace.apiserver.registry.immutable import unchanged
from pinnace.apiserver.registry.printing import AGE, NAME, age, boolean, text
from pinnace.apiserver.registry.strategy import Context, Strategy
from pinnace.machinery.field import FieldError, Path, duplicate, invalid, not_supported, required

Errors = Iterator[FieldError]

_SPEC = Path("spec")
_GROUP_POLICIES = ("File", "None", "ReadWriteOnceWithFSType")
_MODES = ("Persistent", "Ephemeral")
# Seconds.
_TOKEN_LEAST, _TOKEN_MOST, _PERIOD_LEAST = 600, 2**32, 10
_LOGGED = (
    "spec.serviceAccountTokenInSecrets is unset; if supported by this CSI driver, set to true to prevent possible "
    "logging of tokens in volume attributes"
)
_COUNTED = (
    "token_requests",
    "requires_republish",
    "se_linux_mount",
    "node_allocatable_update_period_seconds",
    "service_account_token_in_secrets",
)


def default(obj: CSIDriver) -> CSIDriver:
    """Fill in what a driver is taken to be when it does not say."""
    spec = filled(
        obj.spec,
        attach_required=True,
        pod_info_on_mount=False,
        storage_capacity=False,
        fs_group_policy="ReadWriteOnceWithFSType",
        requires_republish=False,
        se_linux_mount=False,
    )
    if not spec.volume_lifecycle_modes:
        spec = replace(spec, volume_lifecycle_modes=("Persistent",))
    return changed(obj, spec=spec)


def prepare_update(ctx: Context, new: CSIDriver, old: CSIDriver) -> CSIDriver:  # noqa: ARG001
    """Count the generation, which starts at nothing, when what kubelets act on has changed."""
    if all(getattr(new.spec, name) == getattr(old.spec, name) for name in _COUNTED):
        return new
    return replace(new, metadata=replace(new.metadata, generation=old.metadata.generation + 1))


def validate(obj: CSIDriver) -> Sequence[FieldError]:
    """Check the spec."""
    return tuple(_errors(obj))


def _errors(obj: CSIDriver) -> Errors:
    spec = obj.spec
    for value, wire in (
        (spec.attach_required, "attachedRequired"),  # upstream's spelling
        (spec.pod_info_on_mount, "podInfoOnMount"),
        (spec.storage_capacity, "storageCapacity"),
    ):
        if value is None:
            yield required(_SPEC.child(wire))
    if spec.fs_group_policy is not None and spec.fs_group_policy not in _GROUP_POLICIES:
        yield not_supported(_SPEC.child("fsGroupPolicy"), spec.fs_group_policy, _GROUP_POLICIES)
    yield from _token_errors(spec.token_requests, _SPEC.child("tokenRequests"))
    for mode in spec.volume_lifecycle_modes:
        if mode not in _MODES:
            yield not_supported(_SPEC.child("volumeLifecycleModes"), mode, _MODES)
    if spec.se_linux_mount is None:
        yield required(_SPEC.child("seLinuxMount"))
    period = spec.node_allocatable_update_period_seconds
    if period is not None and period < _PERIOD_LEAST:
        at = _SPEC.child("nodeAllocatableUpdatePeriodSeconds")
        yield invalid(at, period, f"must be greater than or equal to {_PERIOD_LEAST} seconds")
    if spec.service_account_token_in_secrets is not None and not spec.token_requests:
        at = _SPEC.child("serviceAccountTokenInSecrets")
        yield invalid(at, spec.service_account_token_in_secrets, "must not be set without tokenRequests")


def _token_errors(requests: Sequence[TokenRequest], path: Path) -> Errors:
    taken: set[str] = set()
    for index, request in enumerate(requests):
        at = path.index(index)
        if request.audience in taken:
            yield duplicate(at.child("audience"), request.audience)
            continue
        taken.add(request.audience)
        seconds = request.expiration_seconds
        if seconds is not None and seconds < _TOKEN_LEAST:
            yield invalid(at.child("expirationSeconds"), seconds, "may not specify a duration less than 10 minutes")
        if seconds is not None and seconds > _TOKEN_MOST:
            words = "may not specify a duration larger than 2^32 seconds"
            yield invalid(at.child("expirationSeconds"), seconds, words)


def validate_update(new: CSIDriver, old: CSIDriver) -> Sequence[FieldError]:
    """Hold how volumes come to a node."""
    return (
        *unchanged(new.spec.attach_required, old.spec.attach_required, _SPEC.child("attachedRequired")),
        *unchanged(
            new.spec.volume_lifecycle_modes, old.spec.volume_lifecycle_modes, _SPEC.child("volumeLifecycleModes")
        ),
    )


def warnings(new: CSIDriver, old: CSIDriver | None) -> Sequence[str]:  # noqa: ARG001
    """Warn of tokens that could end up in a log."""
    if not new.spec.token_requests or new.spec.service_account_token_in_secrets is not None:
        return ()
    return (_LOGGED,)


def cells(obj: CSIDriver, now: float) -> Sequence[Any]:
    """Return the row."""
    spec = obj.spec
    return (
        obj.metadata.name,
        spec.attach_required is not False,
        bool(spec.pod_info_on_mount),
        bool(spec.storage_capacity),
        ",".join(one.audience for one in spec.token_requests) if spec.token_requests else "<unset>",
        bool(spec.requires_republish),
        ",".join(spec.volume_lifecycle_modes) or "<none>",
        age(obj, now),
    )


STRATEGY: Strategy[CSIDriver] = Strategy(
    default=default,
    prepare_update=prepare_update,
    validate=validate,
    validate_update=validate_update,
    warnings=warnings,
    allow_unconditional_update=False,
    delete_returns_object=True,
    columns=(
        NAME,
        boolean("AttachRequired", "Whether volumes are attached before they are mounted."),
        boolean("PodInfoOnMount", "Whether the driver is told of the pod."),
        boolean("StorageCapacity", "Whether the scheduler looks at free capacity."),
        text("TokenRequests", "The audiences of tokens that the driver gets."),
        boolean("RequiresRepublish", "Whether volumes are published time and again."),
        text("Modes", "The life cycles of its volumes."),
        AGE,
    ),
    cells=cells,
)
