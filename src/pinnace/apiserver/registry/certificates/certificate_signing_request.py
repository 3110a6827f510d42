"""CertificateSigningRequest (upstream pkg/registry/certificates/certificates, pkg/apis/certificates/validation).

Who asks is what authentication found, not what the client says; approval and issue have paths of their own, and neither can be
taken back. What a stored request already breaks (duplicate usages, odd certificates) is tolerated in updates.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from msgspec.structs import replace

from pinnace.api.certificates_v1 import (
    CertificateSigningRequest,
    CertificateSigningRequestCondition,
    CertificateSigningRequestStatus,
)
from pinnace.apiserver.registry.certificates.pem import certificate_error, request_error
from pinnace.apiserver.registry.certificates.signer_names import signer_name_errors
from pinnace.apiserver.registry.go_struct import go_difference
from pinnace.apiserver.registry.printing import AGE, NAME, NONE, age, text
from pinnace.apiserver.registry.strategy import Context, Part, Selectable, Strategy, unknown_field_own_table
from pinnace.machinery import human, timestamps
from pinnace.machinery.field import FieldError, Path, duplicate, forbidden, invalid, not_supported, required
from pinnace.machinery.names import path_segment

Errors = Iterator[FieldError]
Request = CertificateSigningRequest
Condition = CertificateSigningRequestCondition

APPROVED, DENIED, FAILED = "Approved", "Denied", "Failed"
LEGACY_SIGNER = "kubernetes.io/legacy-unknown"
EXPIRATION_LEAST_SECONDS = 600
USAGES = (
    "any",
    "cert sign",
    "client auth",
    "code signing",
    "content commitment",
    "crl sign",
    "data encipherment",
    "decipher only",
    "digital signature",
    "email protection",
    "encipher only",
    "ipsec end system",
    "ipsec tunnel",
    "ipsec user",
    "key agreement",
    "key encipherment",
    "microsoft sgc",
    "netscape sgc",
    "ocsp signing",
    "s/mime",
    "server auth",
    "signing",
    "timestamping",
)
_SPEC = Path("spec")
_CONDITIONS = Path("status", "conditions")
_CERTIFICATE = Path("status", "certificate")
_ANY_STATUS = ("False", "True", "Unknown")


def prepare_create(ctx: Context, obj: Request) -> Request:
    """Say who asks."""
    user = ctx.user
    spec = replace(
        obj.spec,
        username=user.name,
        uid=user.uid,
        groups=tuple(user.groups),
        extra={key: tuple(values) for key, values in user.extra.items()},
    )
    return replace(obj, spec=spec, status=CertificateSigningRequestStatus())


def prepare_update(ctx: Context, new: Request, old: Request) -> Request:  # noqa: ARG001
    """Leave all but metadata as it was."""
    return replace(new, spec=old.spec, status=old.status)


def prepare_status(ctx: Context, new: Request, old: Request) -> Request:
    """Take the status."""
    return replace(new, spec=old.spec, status=_timed(ctx, new.status, old.status))


def prepare_approval(ctx: Context, new: Request, old: Request) -> Request:
    """Take the conditions."""
    status = replace(old.status, conditions=new.status.conditions)
    return replace(new, spec=old.spec, status=_timed(ctx, status, old.status))


def _timed(
    ctx: Context, new: CertificateSigningRequestStatus, old: CertificateSigningRequestStatus
) -> CertificateSigningRequestStatus:
    """Fill in the times of conditions that lack them."""
    now = timestamps.format(ctx.now)

    def timed(condition: Condition) -> Condition:
        before = [one for one in old.conditions if (one.type, one.status) == (condition.type, condition.status)]
        since = before[-1].last_transition_time if before else now
        return replace(
            condition,
            last_update_time=condition.last_update_time or now,
            last_transition_time=condition.last_transition_time or since,
        )

    return replace(new, conditions=tuple(map(timed, new.conditions)))


def validate(obj: Request) -> Sequence[FieldError]:
    """Check a new request."""
    return tuple(_errors(obj, None))


def _errors(obj: Request, old: Request | None) -> Errors:
    spec = obj.spec
    wrong = request_error(spec.request)
    if wrong:
        yield invalid(_SPEC.child("request"), spec.request, wrong)
    yield from _usage_errors(obj, old)
    if spec.signer_name == LEGACY_SIGNER and (old is None or old.spec.signer_name != LEGACY_SIGNER):
        text = "the legacy signerName is not allowed via this API version"
        yield invalid(_SPEC.child("signerName"), spec.signer_name, text)
    else:
        yield from signer_name_errors(spec.signer_name, _SPEC.child("signerName"))
    if spec.expiration_seconds is not None and spec.expiration_seconds < EXPIRATION_LEAST_SECONDS:
        text = "may not specify a duration less than 600 seconds (10 minutes)"
        yield invalid(_SPEC.child("expirationSeconds"), spec.expiration_seconds, text)
    yield from _condition_errors(obj.status.conditions, old.status.conditions if old is not None else ())
    if old is None or (
        obj.status.certificate != old.status.certificate and not certificate_error(old.status.certificate)
    ):
        wrong = certificate_error(obj.status.certificate)
        if wrong:
            yield invalid(_CERTIFICATE, "<certificate data>", wrong)


def _usage_errors(obj: Request, old: Request | None) -> Errors:
    path, usages = _SPEC.child("usages"), obj.spec.usages
    before = old.spec.usages if old is not None else ()
    if not usages:
        yield required(path)
    if set(before) <= set(USAGES):
        for index, usage in enumerate(usages):
            if usage not in USAGES:
                yield not_supported(path.index(index), usage, USAGES)
    if len(set(before)) == len(before):
        for index, usage in enumerate(usages):
            if usage in usages[:index]:
                yield duplicate(path.index(index), usage)


def _condition_errors(conditions: Sequence[Condition], before: Sequence[Condition]) -> Errors:
    known = [one.type for one in before]
    for index, condition in enumerate(conditions):
        path, kind = _CONDITIONS.index(index), condition.type
        if not kind and "" not in known:
            yield required(path.child("type"))
        allowed = ("True",) if kind in {APPROVED, DENIED, FAILED} else _ANY_STATUS
        if not condition.status:
            yield required(path.child("status"))
        elif condition.status not in allowed:
            yield not_supported(path.child("status"), condition.status, allowed)
        earlier = [one.type for one in conditions[:index]]
        other = {APPROVED: DENIED, DENIED: APPROVED}.get(kind)
        if other in earlier and not {APPROVED, DENIED} <= set(known):
            yield invalid(_CONDITIONS, kind, "Approved and Denied conditions are mutually exclusive")
        if kind in earlier and len(set(known)) == len(known):
            yield duplicate(path.child("type"), kind)


def validate_update(new: Request, old: Request) -> Sequence[FieldError]:
    """Hold conditions and certificate on the main path."""
    return tuple(_update_errors(new, old, may_approve=False, may_issue=False))


def validate_status(new: Request, old: Request) -> Sequence[FieldError]:
    """Let the certificate be set once."""
    return tuple(_update_errors(new, old, may_approve=False, may_issue=True))


def validate_approval(new: Request, old: Request) -> Sequence[FieldError]:
    """Let a request be approved or denied once."""
    return tuple(_update_errors(new, old, may_approve=True, may_issue=False))


def _update_errors(new: Request, old: Request, *, may_approve: bool, may_issue: bool) -> Errors:
    yield from _errors(new, old)
    for kind in (APPROVED, DENIED, FAILED):
        if len(_of_type(new, kind)) < len(_of_type(old, kind)):
            yield forbidden(_CONDITIONS, f'updates may not remove a condition of type "{kind}"')
    if not may_approve:
        for kind in (APPROVED, DENIED):
            after, before = _of_type(new, kind), _of_type(old, kind)
            if len(after) > len(before):
                yield forbidden(_CONDITIONS, f'updates may not add a condition of type "{kind}"')
            elif len(after) == len(before) and after != before:
                difference = go_difference(
                    replace(old.status, conditions=before), replace(new.status, conditions=after)
                )
                yield forbidden(_CONDITIONS, f'updates may not modify a condition of type "{kind}"\n{difference}')
    if new.status.certificate != old.status.certificate:
        if not may_issue:
            yield forbidden(_CERTIFICATE, "updates may not set certificate content")
        elif old.status.certificate:
            yield forbidden(_CERTIFICATE, "updates may not modify existing certificate content")


def _of_type(obj: Request, kind: str) -> tuple[Condition, ...]:
    return tuple(one for one in obj.status.conditions if one.type == kind)


def state(obj: Request) -> str:
    """Return how far a request has come."""
    text = DENIED if _of_type(obj, DENIED) else APPROVED if _of_type(obj, APPROVED) else "Pending"
    if _of_type(obj, FAILED):
        text += ",Failed"
    return text + ",Issued" if obj.status.certificate else text


def cells(obj: Request, now: float) -> Sequence[Any]:
    """Return the row."""
    seconds = obj.spec.expiration_seconds
    return (
        obj.metadata.name,
        age(obj, now),
        obj.spec.signer_name or NONE,
        obj.spec.username,
        NONE if seconds is None else human.duration(seconds),
        state(obj),
    )


STRATEGY: Strategy[Request] = Strategy(
    prepare_create=prepare_create,
    prepare_update=prepare_update,
    validate=validate,
    validate_update=validate_update,
    validates_update_fully=True,
    name_errors=path_segment,
    selectable=Selectable(
        fields={"spec.signerName": lambda obj: obj.spec.signer_name}, unknown=unknown_field_own_table
    ),
    columns=(
        NAME,
        AGE,
        text("SignerName", "Who is asked to sign."),
        text("Requestor", "Who asks."),
        text("RequestedDuration", "How long the certificate is to be valid."),
        text("Condition", "How far the request has come."),
    ),
    cells=cells,
    parts={
        "approval": Part(prepare_update=prepare_approval, validate_update=validate_approval),
        "status": Part(prepare_update=prepare_status, validate_update=validate_status),
    },
)
