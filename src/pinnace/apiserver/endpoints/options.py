"""The options of a request, read from its query or, for DELETE, its body, and checked before anything is done.

Upstream: apimachinery `meta/v1` options and `meta/v1/validation`, `internalversion/validation`; apiserver
`endpoints/handlers/get.go`. A body of DELETE replaces the query's options altogether.
"""

from collections.abc import Callable, Iterable, Sequence

from msgspec import Struct
from msgspec.structs import replace

from pinnace.api.meta_v1 import DeleteOptions
from pinnace.component.http import Request
from pinnace.machinery import errors, selectors
from pinnace.machinery.errors import ApiError, BadRequest
from pinnace.machinery.field import FieldError, Path, forbidden, invalid, not_supported, required, too_long
from pinnace.machinery.numbers import parse_int, parse_uint

# Bytes; upstream's bound on what is written into managedFields.
FIELD_MANAGER_LIMIT_BYTES = 128
_VALIDATIONS = ("", "Ignore", "Strict", "Warn")
_MATCHES = ("Exact", "NotOlderThan", "")
_POLICIES = ("Foreground", "Background", "Orphan", "nil")

NO_LABELS = selectors.parse_labels("")
NO_FIELDS = selectors.parse_fields("")


class WriteOptions(Struct, frozen=True):
    """What create, update and patch may say beside the object."""

    dry_run: bool = False
    field_manager: str = ""
    field_validation: str = "Warn"
    force: bool | None = None


class ListOptions(Struct, frozen=True):
    """What list, watch and deletecollection select and from which version."""

    labels: selectors.LabelSelector = NO_LABELS
    fields: selectors.FieldSelector = NO_FIELDS
    limit: int = 0
    continue_: str = ""
    resource_version: str = ""
    match: str = ""
    timeout_seconds: int | None = None
    bookmarks: bool = False
    send_initial_events: bool | None = None

    @property
    def is_selective(self) -> bool:
        """Tell whether a selector may leave objects out."""
        return bool(self.labels.requirements or self.fields.requirements)


PLAIN_WRITE = WriteOptions()
PLAIN_LIST = ListOptions()


def _raise(kind: str, found: Iterable[FieldError]) -> None:
    failures = tuple(found)
    if failures:
        raise errors.invalid("meta.k8s.io", kind, "", failures)


def _integer(text: str) -> int:
    try:
        return parse_int(text)
    except ValueError as error:
        raise BadRequest(str(error)) from error


def _dry_run_errors(values: Sequence[str]) -> Iterable[FieldError]:
    if any(value != "All" for value in values):
        yield not_supported(Path("dryRun"), values, ("All",))


def _manager_errors(manager: str) -> Iterable[FieldError]:
    if len(manager.encode()) > FIELD_MANAGER_LIMIT_BYTES:
        yield too_long(Path("fieldManager"), manager, FIELD_MANAGER_LIMIT_BYTES)
    for index, char in enumerate(manager):
        if not char.isprintable():
            yield invalid(
                Path("fieldManager"), manager, f'invalid character "\\u{ord(char):04x}" (at position {index})'
            )
            return


def write_options(request: Request, kind: str, *, apply: bool = False) -> WriteOptions:
    """Read the options of a create, update or patch; `kind` is CreateOptions, UpdateOptions or PatchOptions.

    Raises:
        Invalid: one of them has a value that it cannot have.
    """
    if not request.query:
        if not apply:
            return PLAIN_WRITE
        params: dict[str, Sequence[str]] = {}
    else:
        params = dict(request.params)
    dry_run = params.get("dryRun", [])
    manager = params.get("fieldManager", [""])[0]
    validation = params.get("fieldValidation", [""])[0]
    force = request.flag("force") if kind == "PatchOptions" else None

    def found() -> Iterable[FieldError]:
        if kind == "PatchOptions":
            if apply and not manager:
                yield required(Path("fieldManager"), "is required for apply patch")
            if not apply and force is not None:
                yield forbidden(Path("force"), "may not be specified for non-apply patch")
        yield from _manager_errors(manager)
        yield from _dry_run_errors(dry_run)
        if validation not in _VALIDATIONS:
            yield not_supported(Path("fieldValidation"), validation, _VALIDATIONS)

    _raise(kind, found())
    return WriteOptions(bool(dry_run), manager, validation or "Warn", force)


def list_options(request: Request, convert_label: Callable[[str, str], tuple[str, str]], *, watch: bool) -> ListOptions:
    """Read the options of a list, watch or deletecollection.

    `convert_label` maps a field label and value of the kind to its canonical ones, or raises BadRequest.

    Raises:
        BadRequest: a selector or number cannot be read.
        Invalid: options that exclude each other.
    """
    if not request.query:
        return PLAIN_LIST
    params = request.params

    def first(name: str) -> str:
        values = params.get(name)
        return values[0] if values else ""

    labels, fields = _selectors(first("labelSelector"), first("fieldSelector"), convert_label)
    options = ListOptions(
        labels=labels,
        fields=fields,
        limit=max(_integer(first("limit")), 0) if first("limit") else 0,
        continue_=first("continue"),
        resource_version=first("resourceVersion"),
        match=first("resourceVersionMatch"),
        timeout_seconds=_integer(first("timeoutSeconds")) if first("timeoutSeconds") else None,
        bookmarks=bool(request.flag("allowWatchBookmarks")),
        send_initial_events=request.flag("sendInitialEvents"),
    )
    _raise("ListOptions", _version_errors(options, watch=watch))
    return options


def _selectors(
    labels: str, fields: str, convert_label: Callable[[str, str], tuple[str, str]]
) -> tuple[selectors.LabelSelector, selectors.FieldSelector]:
    try:
        label_selector = selectors.parse_labels(labels) if labels else NO_LABELS
        field_selector = selectors.parse_fields(fields) if fields else NO_FIELDS
    except ValueError as error:
        raise BadRequest(str(error)) from error
    if field_selector.requirements:
        converted = []
        for requirement in field_selector.requirements:
            field, value = convert_label(requirement.field, requirement.value)
            converted.append(replace(requirement, field=field, value=value))
        field_selector = replace(field_selector, requirements=tuple(converted))
    return label_selector, field_selector


def _version_errors(options: ListOptions, *, watch: bool) -> Iterable[FieldError]:
    match, path = options.match, Path("resourceVersionMatch")
    if watch:
        yield from _watch_errors(options, path)
        return
    if match:
        if not options.resource_version:
            yield forbidden(path, "resourceVersionMatch is forbidden unless resourceVersion is provided")
        if options.continue_:
            yield forbidden(path, "resourceVersionMatch is forbidden when continue is provided")
        if match not in _MATCHES:
            yield not_supported(path, match, _MATCHES)
        if match == "Exact" and options.resource_version == "0":
            yield forbidden(path, 'resourceVersionMatch "exact" is forbidden for resourceVersion "0"')
    if options.send_initial_events is not None:
        yield forbidden(Path("sendInitialEvents"), "sendInitialEvents is forbidden for list")


def _watch_errors(options: ListOptions, path: Path) -> Iterable[FieldError]:
    match = options.match
    if options.send_initial_events is not None and match != "NotOlderThan":
        yield forbidden(path, "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan")
    if not match:
        return
    if options.send_initial_events is None:
        yield forbidden(path, "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided")
    if match != "NotOlderThan":
        yield not_supported(path, match, ("NotOlderThan",))
    if options.continue_:
        yield forbidden(path, "resourceVersionMatch is forbidden when continue is provided")


def delete_options_from_query(request: Request) -> DeleteOptions:
    """Read the options of a DELETE without a body."""
    params = request.params
    if not request.query:
        return DeleteOptions()
    grace = request.param("gracePeriodSeconds")
    return DeleteOptions(
        grace_period_seconds=_integer(grace) if grace else None,
        orphan_dependents=request.flag("orphanDependents"),
        propagation_policy=request.param("propagationPolicy") or None,
        dry_run=tuple(params.get("dryRun", ())),
    )


def check_delete_options(options: DeleteOptions) -> None:
    """Refuse delete options that make no sense.

    Raises:
        Invalid: naming each.
    """

    def found() -> Iterable[FieldError]:
        policy, path = options.propagation_policy, Path("propagationPolicy")
        if options.orphan_dependents is not None and policy is not None:
            yield invalid(path, policy, "orphanDependents and deletionPropagation cannot be both set")
        if policy is not None and policy not in _POLICIES[:3]:
            yield not_supported(path, policy, _POLICIES)
        yield from _dry_run_errors(list(options.dry_run or ()))

    _raise("DeleteOptions", found())


def parse_version(text: str) -> int:
    """Read a resourceVersion that a client sent to a read; empty means 0.

    Raises:
        ApiError: it is no number; upstream answers 500 without a reason.
    """
    try:
        return parse_uint(text) if text else 0
    except ValueError as error:
        raise ApiError(500, "", bad_version_message(text, error), None) from error


def bad_version_message(text: str, reason: ValueError) -> str:
    """Say that a resourceVersion is no number."""
    return f'invalid resource version: resourceVersion: Invalid value: "{text}": {reason}'
