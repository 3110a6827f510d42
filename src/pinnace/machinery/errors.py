"""API errors: what a request failed with, as the `metav1.Status` that clients are sent and match on.

    ApiError
    ├── BadRequest 400 ── Unauthorized 401 ── Forbidden 403 ── NotFound 404 ── MethodNotAllowed 405 ── NotAcceptable 406
    ├── AlreadyExists 409 ── Conflict 409 ── Expired 410 ── RequestEntityTooLarge 413 ── UnsupportedMediaType 415
    ├── Invalid 422 ── TooManyRequests 429
    └── InternalError 500 ── ServerTimeout 500 ── ServiceUnavailable 503 ── Timeout 504

Each class has one code and reason; the functions below word the messages that all kinds share. Upstream:
apimachinery `pkg/api/errors`.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from msgspec import Struct, field

from pinnace.machinery.field import FieldError


class Cause(Struct, frozen=True):
    """One of the reasons for a failure, tied to a field where there is one."""

    reason: str = ""
    message: str = ""
    field: str = ""


class Details(Struct, frozen=True):
    """What an error is about; empty members are left out of the Status."""

    name: str = ""
    group: str = ""
    kind: str = ""
    uid: str = ""
    causes: tuple[Cause, ...] = ()
    retry_after_seconds: int = 0

    def tree(self) -> dict[str, Any]:
        """Return the details as they stand in a Status."""
        causes = [
            {key: text for key in ("reason", "message", "field") if (text := getattr(item, key))}
            for item in self.causes
        ]
        members = {
            "name": self.name,
            "group": self.group,
            "kind": self.kind,
            "uid": self.uid,
            "causes": causes,
            "retryAfterSeconds": self.retry_after_seconds,
        }
        return {key: value for key, value in members.items() if value}


NO_DETAILS = Details()


class ApiError(Exception):
    """A request's failure; the base serves failures without a reason, which clients see with an empty one.

    `details` is None where the Status has none at all, which differs from `{}` on the wire.
    """

    default_code: ClassVar[int] = 500
    default_reason: ClassVar[str] = ""

    def __init__(self, code: int, reason: str, message: str, details: Details | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.details = details

    def __str__(self) -> str:
        return self.message

    @property
    def causes(self) -> tuple[Cause, ...]:
        return self.details.causes if self.details else ()

    @property
    def retry_after_seconds(self) -> int:
        return self.details.retry_after_seconds if self.details else 0

    def status(self) -> dict[str, Any]:
        """Return the metav1.Status, members in wire order."""
        tree: dict[str, Any] = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure"}
        tree["message"] = self.message
        if self.reason:
            tree["reason"] = self.reason
        if self.details is not None:
            tree["details"] = self.details.tree()
        tree["code"] = self.code
        return tree


class _Reasoned(ApiError):
    """A failure whose class says code and reason."""

    def __init__(self, message: str, details: Details | None = None) -> None:
        super().__init__(self.default_code, self.default_reason, message, details)


class BadRequest(_Reasoned):
    """The request makes no sense."""

    default_code, default_reason = 400, "BadRequest"


class Unauthorized(_Reasoned):
    """The credentials are not good."""

    default_code, default_reason = 401, "Unauthorized"

    def __init__(self, message: str = "Unauthorized", details: Details | None = None) -> None:
        super().__init__(message, details)


class Forbidden(_Reasoned):
    """The user, or a policy, may not do this."""

    default_code, default_reason = 403, "Forbidden"


class NotFound(_Reasoned):
    """There is no such object or route."""

    default_code, default_reason = 404, "NotFound"


class MethodNotAllowed(_Reasoned):
    """The resource does not take this verb."""

    default_code, default_reason = 405, "MethodNotAllowed"


class NotAcceptable(_Reasoned):
    """None of the media types asked for can be written."""

    default_code, default_reason = 406, "NotAcceptable"


class AlreadyExists(_Reasoned):
    """The name is taken."""

    default_code, default_reason = 409, "AlreadyExists"


class Conflict(_Reasoned):
    """The stored object is not what the request assumed."""

    default_code, default_reason = 409, "Conflict"


class Expired(_Reasoned):
    """The revision asked for is no longer there."""

    default_code, default_reason = 410, "Expired"


class RequestEntityTooLarge(_Reasoned):
    """The body exceeds a limit."""

    default_code, default_reason = 413, "RequestEntityTooLarge"


class UnsupportedMediaType(_Reasoned):
    """The body's media type cannot be read."""

    default_code, default_reason = 415, "UnsupportedMediaType"


class Invalid(_Reasoned):
    """The object breaks rules; the causes say which, field by field."""

    default_code, default_reason = 422, "Invalid"


class TooManyRequests(_Reasoned):
    """The server is busy, or a budget is spent; worth another try later."""

    default_code, default_reason = 429, "TooManyRequests"


class InternalError(_Reasoned):
    """Something failed that is not the client's fault."""

    default_code, default_reason = 500, "InternalError"


class ServerTimeout(_Reasoned):
    """The server could not finish in time; worth another try."""

    default_code, default_reason = 500, "ServerTimeout"


class ServiceUnavailable(_Reasoned):
    """The server is not ready, or no longer there."""

    default_code, default_reason = 503, "ServiceUnavailable"


class Timeout(_Reasoned):
    """The request's time ran out."""

    default_code, default_reason = 504, "Timeout"


_CLASSES: Mapping[str, type[_Reasoned]] = {
    cls.default_reason: cls
    for cls in (
        BadRequest,
        Unauthorized,
        Forbidden,
        NotFound,
        MethodNotAllowed,
        NotAcceptable,
        AlreadyExists,
        Conflict,
        Expired,
        RequestEntityTooLarge,
        UnsupportedMediaType,
        Invalid,
        TooManyRequests,
        InternalError,
        ServerTimeout,
        ServiceUnavailable,
        Timeout,
    )
}
# Which class a bare HTTP code stands for, where a proxy on the way sent no Status.
_BY_CODE = {cls.default_code: cls for cls in reversed(list(_CLASSES.values()))}


def qualified(group: str, plural: str) -> str:
    """Return a resource or kind as messages name it: "deployments.apps"."""
    return f"{plural}.{group}" if group else plural


def not_found(group: str, plural: str, name: str) -> NotFound:
    """Say that there is no such object."""
    return NotFound(f'{qualified(group, plural)} "{name}" not found', Details(name=name, group=group, kind=plural))


def route_not_found() -> NotFound:
    """Say that nothing is served at this path."""
    return NotFound("the server could not find the requested resource", NO_DETAILS)


def method_not_allowed() -> MethodNotAllowed:
    """Say that what is served at this path does not take this method."""
    return MethodNotAllowed("the server does not allow this method on the requested resource", NO_DETAILS)


def already_exists(group: str, plural: str, name: str) -> AlreadyExists:
    """Say that the name is taken."""
    return AlreadyExists(
        f'{qualified(group, plural)} "{name}" already exists', Details(name=name, group=group, kind=plural)
    )


def generated_name_conflict(group: str, plural: str, name: str) -> AlreadyExists:
    """Say that no free name could be generated; the client may try again."""
    text = "the server was not able to generate a unique name for the object"
    details = Details(name=name, group=group, kind=plural, retry_after_seconds=1)
    return AlreadyExists(f'{qualified(group, plural)} "{name}" already exists, {text}', details)


def conflict(group: str, kind: str, name: str, message: str) -> Conflict:
    """Refuse a write because of what is stored."""
    text = f'Operation cannot be fulfilled on {qualified(group, kind)} "{name}": {message}'
    return Conflict(text, Details(name=name, group=group, kind=kind))


def forbidden(group: str, plural: str, name: str, message: str, *, causes: Sequence[Cause] = ()) -> Forbidden:
    """Refuse by policy; `name` may be empty."""
    about = f'{qualified(group, plural)} "{name}"' if name else qualified(group, plural)
    return Forbidden(
        f"{about} is forbidden: {message}", Details(name=name, group=group, kind=plural, causes=tuple(causes))
    )


def invalid(group: str, kind: str, name: str, errors: Sequence[FieldError]) -> Invalid:
    """Refuse an object for what is wrong with its fields.

    The message names each distinct complaint once; the causes keep them all, in the order found.
    """
    causes = tuple(Cause(error.reason, error.body(), error.field) for error in errors)
    texts = list(dict.fromkeys(str(error) for error in errors))
    joined = texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"
    return Invalid(
        f'{qualified(group, kind)} "{name}" is invalid: {joined}',
        Details(name=name, group=group, kind=kind, causes=causes),
    )


def too_large(message: str) -> RequestEntityTooLarge:
    """Refuse a body for its size; the text follows a fixed beginning."""
    return RequestEntityTooLarge(f"Request entity too large: {message}")


def internal(message: str) -> InternalError:
    """Report an unexpected failure."""
    return InternalError(f"Internal error occurred: {message}", Details(causes=(Cause(message=message),)))


def timeout(message: str, *, retry_after_seconds: int = 0, causes: Sequence[Cause] = ()) -> Timeout:
    """Report that time ran out; the text follows a fixed beginning."""
    return Timeout(f"Timeout: {message}", Details(causes=tuple(causes), retry_after_seconds=retry_after_seconds))


class _Read(Struct, frozen=True):
    """A Status as far as clients use it."""

    message: str = ""
    reason: str = ""
    details: Details | None = field(default=None)


def from_status(code: int, status: Mapping[str, Any]) -> ApiError:
    """Return the error that a server's answer stands for; anything that is no Status gives an error by its code alone."""
    read = _Read(str(status.get("message") or ""), str(status.get("reason") or ""), _details(status.get("details")))
    cls = _CLASSES.get(read.reason) or (_BY_CODE.get(code) if not read.reason else None)
    if cls is None:
        return ApiError(code, read.reason, read.message, read.details)
    error = cls(read.message or f"the server answered {code}", read.details)
    error.code = code
    return error


def _details(tree: object) -> Details | None:
    if not isinstance(tree, Mapping):
        return None
    causes = tuple(
        Cause(*(str(item.get(key) or "") for key in ("reason", "message", "field")))
        for item in tree.get("causes") or ()
    )
    name, group, kind, uid = (str(tree.get(key) or "") for key in ("name", "group", "kind", "uid"))
    return Details(name, group, kind, uid, causes, int(tree.get("retryAfterSeconds") or 0))
