"""PriorityLevelConfiguration (upstream pkg/registry/flowcontrol/prioritylevelconfiguration, pkg/apis/flowcontrol/validation)."""

from collections.abc import Iterator, Sequence
from typing import Any

from msgspec.structs import replace

from pinnace.api.flowcontrol_v1 import (
    ExemptPriorityLevelConfiguration,
    LimitedPriorityLevelConfiguration,
    LimitResponse,
    PriorityLevelConfiguration,
    PriorityLevelConfigurationSpec,
    QueuingConfiguration,
)
from pinnace.apiserver.registry.defaulting import changed, filled
from pinnace.apiserver.registry.flowcontrol.flow_schema import condition_errors
from pinnace.apiserver.registry.flowcontrol.mandatory import PRIORITY_LEVELS
from pinnace.apiserver.registry.go_struct import go_struct
from pinnace.apiserver.registry.numbers import within
from pinnace.apiserver.registry.printing import AGE, NAME, age, text
from pinnace.apiserver.registry.strategy import Context, Part, Strategy, spec_changed
from pinnace.machinery.field import FieldError, Path, forbidden, invalid, not_supported, required
from pinnace.machinery.names import path_segment

Errors = Iterator[FieldError]
Level = PriorityLevelConfiguration

DEFAULT_SHARES = 30
DEFAULT_QUEUING = QueuingConfiguration(queues=64, hand_size=8, queue_length_limit=50)
MOST_QUEUES = 10_000_000
# Shuffle sharding draws a hand from this many bits of randomness.
ENTROPY_BITS = 60
_SPEC = Path("spec")


def default(obj: Level) -> Level:
    """Fill in shares, lending and queues."""
    spec = obj.spec
    if spec.type == "Exempt" or obj.metadata.name == "exempt":
        exempt = spec.exempt
        if exempt is None and spec.type == "Exempt":
            exempt = ExemptPriorityLevelConfiguration()
        if exempt is not None:
            exempt = _shares(exempt, 0)
        spec = changed(spec, exempt=exempt)
    if spec.limited is not None:
        spec = changed(spec, limited=_limited(spec.limited))
    return changed(obj, spec=spec)


def _shares(exempt: ExemptPriorityLevelConfiguration, shares: int) -> ExemptPriorityLevelConfiguration:
    missing = {
        name: value
        for name, value in (("nominal_concurrency_shares", shares), ("lendable_percent", 0))
        if getattr(exempt, name) is None
    }
    return replace(exempt, **missing) if missing else exempt


def _limited(limited: LimitedPriorityLevelConfiguration) -> LimitedPriorityLevelConfiguration:
    if limited.nominal_concurrency_shares is None:
        limited = replace(limited, nominal_concurrency_shares=DEFAULT_SHARES)
    if limited.lendable_percent is None:
        limited = replace(limited, lendable_percent=0)
    queuing = limited.limit_response.queuing
    if queuing is not None:
        queuing = filled(
            queuing,
            queues=DEFAULT_QUEUING.queues,
            hand_size=DEFAULT_QUEUING.hand_size,
            queue_length_limit=DEFAULT_QUEUING.queue_length_limit,
        )
    return changed(limited, limit_response=changed(limited.limit_response, queuing=queuing))


def prepare_status(ctx: Context, new: Level, old: Level) -> Level:  # noqa: ARG001
    """Take the status alone."""
    meta = replace(
        old.metadata,
        managed_fields=new.metadata.managed_fields,
        resource_version=new.metadata.resource_version,
    )
    return replace(new, metadata=meta, spec=old.spec)


def validate(obj: Level) -> Sequence[FieldError]:
    """Check the spec; that of the catch-all level is fixed, of the exempt one in part."""
    name = obj.metadata.name
    found = [*_spec_errors(name, obj.spec)]
    fixed = PRIORITY_LEVELS.get(name)
    if fixed is not None and _fixed_part(name, obj.spec) != _fixed_part(name, fixed):
        text = f"spec of '{name}' must equal the fixed value"
        if name == "exempt":
            text = f"spec of '{name}' except the `spec.exempt` field must equal the fixed value"
        found.append(invalid(_SPEC, go_struct(obj.spec), text))
    return (*found, *condition_errors(one.type for one in obj.status.conditions))


def _fixed_part(name: str, spec: PriorityLevelConfigurationSpec) -> PriorityLevelConfigurationSpec:
    return replace(spec, exempt=None) if name == "exempt" else spec


def _spec_errors(name: str, spec: PriorityLevelConfigurationSpec) -> Errors:
    if (name == "exempt") != (spec.type == "Exempt"):
        text = "type must be 'Exempt' if and only if `name` is 'exempt'"
        yield invalid(_SPEC.child("type"), spec.type, text)
    if spec.type == "Exempt":
        if spec.limited is not None:
            yield forbidden(_SPEC.child("limited"), "must be nil if the type is not Limited")
        if spec.exempt is not None:
            yield from _share_errors(spec.exempt.nominal_concurrency_shares, _SPEC.child("exempt"), least=0)
            yield from within(spec.exempt.lendable_percent, 0, 100, _SPEC.child("exempt", "lendablePercent"))
    elif spec.type == "Limited":
        if spec.exempt is not None:
            yield forbidden(_SPEC.child("exempt"), "must be nil if the type is Limited")
        if spec.limited is None:
            yield required(_SPEC.child("limited"), "must not be empty when type is Limited")
        else:
            yield from _limited_errors(spec.limited, _SPEC.child("limited"))
    else:
        yield not_supported(_SPEC.child("type"), spec.type, ("Exempt", "Limited"))


def _share_errors(shares: int | None, path: Path, *, least: int) -> Errors:
    at = path.child("nominalConcurrencyShares")
    if shares is not None and shares < least:
        yield invalid(at, shares, "must be a non-negative integer")


def _limited_errors(limited: LimitedPriorityLevelConfiguration, path: Path) -> Errors:
    yield from _share_errors(limited.nominal_concurrency_shares, path, least=0)
    yield from _response_errors(limited.limit_response, path.child("limitResponse"))
    lend, borrow = limited.lendable_percent, limited.borrowing_limit_percent
    if lend is not None and not 0 <= lend <= 100:
        yield invalid(path.child("lendablePercent"), lend, "must be between 0 and 100, inclusive")
    if borrow is not None and borrow < 0:
        text = "if specified, must be a non-negative integer"
        yield invalid(path.child("borrowingLimitPercent"), borrow, text)


def _response_errors(response: LimitResponse, path: Path) -> Errors:
    if response.type == "Reject":
        if response.queuing is not None:
            yield forbidden(path.child("queuing"), "must be nil if limited.limitResponse.type is not Limited")
    elif response.type == "Queue":
        if response.queuing is None:
            yield required(path.child("queuing"), "must not be empty if limited.limitResponse.type is Limited")
        else:
            yield from _queuing_errors(response.queuing, path.child("queuing"))
    else:
        yield not_supported(path.child("type"), response.type, ("Queue", "Reject"))


def _queuing_errors(queuing: QueuingConfiguration, path: Path) -> Errors:
    if queuing.queue_length_limit <= 0:
        yield invalid(path.child("queueLengthLimit"), queuing.queue_length_limit, "must be positive")
    if queuing.queues <= 0:
        yield invalid(path.child("queues"), queuing.queues, "must be positive")
    elif queuing.queues > MOST_QUEUES:
        text = f"must not be greater than {MOST_QUEUES}"
        yield invalid(path.child("queues"), queuing.queues, text)
    if queuing.hand_size <= 0:
        yield invalid(path.child("handSize"), queuing.hand_size, "must be positive")
    elif queuing.hand_size > queuing.queues:
        text = f"should not be greater than queues ({queuing.queues})"
        yield invalid(path.child("handSize"), queuing.hand_size, text)
    else:
        bits = _entropy_bits(queuing.queues, queuing.hand_size)
        if bits > ENTROPY_BITS:
            text = f"required entropy bits of deckSize {queuing.queues} and handSize {queuing.hand_size} should not be greater than 60"
            yield invalid(path.child("handSize"), queuing.hand_size, text)


def _entropy_bits(queues: int, hand: int) -> int:
    """Return how many bits the draws of a hand, one after the other, take."""
    draws = 1
    for drawn in range(min(hand, ENTROPY_BITS + 1)):
        draws *= queues - drawn
        if draws.bit_length() > ENTROPY_BITS + 1:
            break
    return (draws - 1).bit_length()


def cells(obj: Level, now: float) -> Sequence[Any]:
    """Return the row."""
    shares: Any = "<none>"
    queues: Any = "<none>"
    hand: Any = "<none>"
    length: Any = "<none>"
    limited, exempt = obj.spec.limited, obj.spec.exempt
    if limited is not None:
        shares = limited.nominal_concurrency_shares
        queuing = limited.limit_response.queuing
        if queuing is not None:
            queues, hand, length = queuing.queues, queuing.hand_size, queuing.queue_length_limit
    elif exempt is not None:
        shares = exempt.nominal_concurrency_shares
    return (obj.metadata.name, obj.spec.type, shares, queues, hand, length, age(obj, now))


STRATEGY: Strategy[Level] = Strategy(
    default=default,
    validate=validate,
    name_errors=path_segment,
    generation=spec_changed,
    columns=(
        NAME,
        text("Type", "Whether its requests are limited."),
        text("NominalConcurrencyShares", "Its share of what the server does at a time."),
        text("Queues", "How many queues it has."),
        text("HandSize", "How many queues a flow may use."),
        text("QueueLengthLimit", "How many requests wait in a queue."),
        AGE,
    ),
    cells=cells,
    parts={"status": Part(prepare_update=prepare_status, validate_update=lambda new, old: validate(new))},  # noqa: ARG005
)
