"""The conditions of a status: one of each type, each saying why (upstream metav1 `validation.ValidateConditions`)."""

import re
from collections.abc import Iterator, Sequence

from pinnace.api.meta_v1 import Condition
from pinnace.machinery import names
from pinnace.machinery.field import FieldError, Path, duplicate, invalid, not_supported, required, too_long

Errors = Iterator[FieldError]

STATUSES = ("False", "True", "Unknown")
REASON_LIMIT_BYTES, MESSAGE_LIMIT_BYTES = 1024, 32 * 1024
_REASON = "[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?"
_REASON_RULE = names.regex_rule(
    "a condition reason must start with alphabetic character, optionally followed by a string of alphanumeric characters or "
    "'_,:', and must end with an alphanumeric character or '_'",
    _REASON,
    "my_name",
    "MY_NAME",
    "MyName",
    "ReasonA,ReasonB",
    "ReasonA:ReasonB",
)


def condition_list_errors(conditions: Sequence[Condition], path: Path) -> Errors:
    """Check all conditions of a status."""
    taken: set[str] = set()
    for index, condition in enumerate(conditions):
        at = path.index(index)
        if condition.type in taken:
            yield duplicate(at.child("type"), condition.type)
        taken.add(condition.type)
        yield from _condition_errors(condition, at)


def _condition_errors(condition: Condition, path: Path) -> Errors:
    at = path.child("type")
    yield from (invalid(at, condition.type, words) for words in names.qualified_name(condition.type))
    if condition.status not in STATUSES:
        yield not_supported(path.child("status"), condition.status, STATUSES)
    if condition.observed_generation < 0:
        words = "must be greater than or equal to zero"
        yield invalid(path.child("observedGeneration"), condition.observed_generation, words)
    if not condition.last_transition_time:
        yield required(path.child("lastTransitionTime"), "must be set")
    if not condition.reason:
        yield required(path.child("reason"), "must be set")
    else:
        if re.fullmatch(_REASON, condition.reason) is None:
            yield invalid(path.child("reason"), condition.reason, _REASON_RULE)
        if len(condition.reason.encode()) > REASON_LIMIT_BYTES:
            yield too_long(path.child("reason"), "", REASON_LIMIT_BYTES)
    if len(condition.message.encode()) > MESSAGE_LIMIT_BYTES:
        yield too_long(path.child("message"), "", MESSAGE_LIMIT_BYTES)
