"""Bodies into objects: JSON or YAML, unknown and duplicate fields as `fieldValidation` wants, errors in clients' words.

The fast path decodes a clean JSON body straight into the kind's type. Only when that trips, or a cheap test cannot rule out
duplicate keys, is the body read as a plain tree and looked at closely. Upstream: apiserver `endpoints/handlers/create.go`,
apimachinery `runtime/serializer`.
"""

from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from pinnace.api import codec, protobuf, resources
from pinnace.api.meta_v1 import DeleteOptions
from pinnace.apiserver.endpoints import scalars, strict
from pinnace.apiserver.endpoints.negotiation import JSON, PROTOBUF, YAML, input_type
from pinnace.apiserver.endpoints.scope import Scope
from pinnace.component.http import BodyTooLarge, Request
from pinnace.machinery.codec import bounds
from pinnace.machinery.codec import json as json_codec
from pinnace.machinery.codec import yaml as yaml_codec
from pinnace.machinery.errors import BadRequest, RequestEntityTooLarge

T = TypeVar("T", bound=Struct)

# Bytes of a request's body: upstream's limit.
BODY_LIMIT_BYTES = 3 * 1024 * 1024
# How much longer YAML takes than JSON.
_YAML_COST = 16
# Bytes of a body that an error message shows.
_SHOWN_BYTES = 30
_SCHEME = '"pkg/api/legacyscheme/scheme.go:30"'


async def read(request: Request) -> bytes:
    """Return the whole body.

    Raises:
        RequestEntityTooLarge: it is over the limit.
    """
    try:
        return await request.read(BODY_LIMIT_BYTES)
    except BodyTooLarge as error:
        raise RequestEntityTooLarge(f"Request entity too large: limit is {BODY_LIMIT_BYTES}") from error


async def read_object(scope: Scope, cls: type[T], api_version: str, *, validation: str) -> T:
    """Read the object that a request carries; kind and apiVersion may be absent and are filled in.

    Raises:
        ApiError: 400 for what cannot be read, 415 for a media type that is not spoken, 413.
    """
    media = input_type(scope.request)
    data = await read(scope.request)
    scope.cost_bytes = cost_of(data, media)
    return await scope.compute(
        lambda: decode(data, cls, api_version, media=media, validation=validation, warnings=scope.warnings)
    )


def cost_of(data: bytes, media: str) -> int:
    """Return what a body costs to read, in bytes of JSON."""
    return len(data) * (_YAML_COST if media == YAML else 1)


def decode(data: bytes, cls: type[T], api_version: str, *, media: str, validation: str, warnings: list[str]) -> T:
    """Decode a body; findings become an error under Strict, warnings under Warn."""
    kind = cls.__name__
    if media == PROTOBUF:
        data, media = _json_of(data, cls, api_version), JSON
    if media == JSON and (clean := _clean(data, cls, api_version, validation)) is not None:
        return clean
    tree, duplicates = _parse(data, kind, media)
    _check_kind(tree, kind, api_version)
    found = []
    if validation != "Ignore":
        found = [*duplicates, *codec.strict_findings(cls, tree)]
    obj = convert(codec.keep_raw(cls, tree, data) if media == JSON else tree, cls, api_version)
    if found and validation == "Strict":
        raise _unhandled(kind, api_version, "strict decoding error: " + ", ".join(found))
    warnings += found
    return _identified(obj, kind, api_version)


def _clean(data: bytes, cls: type[T], api_version: str, validation: str) -> T | None:
    """Decode a body about which there is nothing to say; None when that cannot be told cheaply."""
    if not bounds.is_within(data):
        return None
    try:
        sent = codec.decode(cls, data)
        if not _is_of(sent, cls.__name__, api_version) or not _is_faultless(data, sent, validation):
            return None
        return _identified(scalars.canonical(sent), cls.__name__, api_version)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return None


def _is_faultless(data: bytes, sent: Struct, validation: str) -> bool:
    """Tell whether an object was all that there is in its bytes; False also means that it cannot be told cheaply."""
    # Written again, it is what was sent: every field is known, and none came twice.
    if codec.encode(sent) == data:
        return True
    # Duplicate keys matter even when nobody is to be told: of two maps under one key, Go keeps the keys of both.
    return clean_tree(data) is not None and (validation == "Ignore" or strict.has_only_known_fields(type(sent), data))


def read_canonical(data: bytes, cls: type[T]) -> T | None:
    """Decode JSON without looking for unknown or duplicate fields; None when a value does not fit."""
    try:
        return scalars.canonical(codec.decode(cls, data))
    except (msgspec.DecodeError, ValueError, RecursionError):
        return None


def clean_tree(data: bytes) -> Any | None:
    """Read JSON in which no key comes twice: written again, its tree is as long as it is without blanks.

    None means that it cannot be told this way, not that there is a duplicate, or that it is null.
    """
    if not bounds.is_within(data):
        return None
    try:
        tree = msgspec.json.decode(data)
        length = len(msgspec.json.encode(tree))
    except (ValueError, RecursionError):  # of a key that the type does not know nobody has looked at the bytes yet
        return None
    return tree if length == len(data) or length == len(msgspec.json.format(data, indent=-1)) else None


def _json_of(data: bytes, cls: type[Struct], api_version: str) -> bytes:
    """Return a protobuf body as JSON.

    Raises:
        BadRequest: it cannot be read.
    """
    try:
        return msgspec.json.encode(protobuf.parse(data, cls))
    except protobuf.ProtobufError as error:
        raise _unhandled(cls.__name__, api_version, str(error)) from error


def decode_options(data: bytes, media: str) -> DeleteOptions:
    """Decode the options in a DELETE's body; they may be of any group's version, or of none.

    Raises:
        BadRequest: they cannot be read, or are something else.
    """
    if media == PROTOBUF:
        data, media = _json_of(data, DeleteOptions, "v1"), JSON
    tree, _ = _parse(data, "DeleteOptions", media)
    kind, version = tree.get("kind") or "DeleteOptions", tree.get("apiVersion") or "v1"
    if kind != "DeleteOptions":
        raise BadRequest(f'no kind "{kind}" is registered for version "{version}" in scheme {_SCHEME}')
    return convert(tree, DeleteOptions, "v1")


def convert(tree: Any, cls: type[T], api_version: str) -> T:
    """Turn a plain tree into the type; unknown fields are dropped.

    Raises:
        BadRequest: a value does not fit.
    """
    try:
        strict.check_types(cls, tree)
        return scalars.canonical(codec.convert(cls, tree))
    except (strict.WrongType, msgspec.DecodeError, ValueError) as error:
        raise _unhandled(cls.__name__, api_version, str(error)) from error


def _is_of(obj: Struct, kind: str, api_version: str) -> bool:
    sent_kind: str = obj.kind  # type: ignore[attr-defined]
    sent_version: str = obj.api_version  # type: ignore[attr-defined]
    return sent_kind in {kind, ""} and sent_version in {api_version, ""}


def _identified(obj: T, kind: str, api_version: str) -> T:
    if obj.kind and obj.api_version:  # type: ignore[attr-defined]
        return obj
    return msgspec.structs.replace(obj, kind=kind, api_version=api_version)


def _parse(data: bytes, kind: str, media: str) -> tuple[Any, list[str]]:
    prefix = f"the object provided is unrecognized (must be of type {kind}): "
    try:
        if media == JSON:
            parsed = json_codec.parse(data)
            if not isinstance(parsed.tree, dict):
                raise BadRequest(f"{prefix}{no_type(parsed.tree)} ({_shown(data)})")
        else:
            parsed = yaml_codec.parse(data)
            if not isinstance(parsed.tree, dict):
                raise BadRequest(f"{prefix}{_NOT_A_MAP} ({_shown(data)})")
    except ValueError as error:
        reason = f"couldn't get version/kind; json parse error: {error}" if media == JSON else str(error)
        raise BadRequest(f"{prefix}{reason} ({_shown(data)})") from error
    # Those of a JSON body are found together with its unknown fields, in the order of the document.
    return parsed.tree, [] if media == JSON else list(parsed.duplicates)


_NOT_A_MAP = "couldn't get version/kind; json parse error: a mapping is needed"


def no_type(tree: Any) -> str:
    """Say in upstream's words that a tree which is no map has no kind."""
    return (
        f"couldn't get version/kind; json parse error: json: cannot unmarshal {_word(tree)} into Go value of type struct {{ "
        'APIVersion string "json:\\"apiVersion,omitempty\\""; Kind string "json:\\"kind,omitempty\\"" }'
    )


def _word(value: Any) -> str:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, list):
        return "array"
    return "number" if isinstance(value, int | float) else "string"


def _shown(data: bytes) -> str:
    """Show the beginning of a body as upstream does: JSON objects as text, anything else in hexadecimal."""
    if not data:
        return "<empty>"
    more = " ..." if len(data) > _SHOWN_BYTES else ""
    head = data[:_SHOWN_BYTES]
    if data.lstrip()[:1] == b"{":
        return head.decode("utf-8", "replace") + more
    return head.hex() + more


def _check_kind(tree: dict[str, Any], kind: str, api_version: str) -> None:
    sent_kind = tree.get("kind") or kind
    sent_version = tree.get("apiVersion") or api_version
    if not isinstance(sent_kind, str) or not isinstance(sent_version, str):
        return  # the type check names them
    if sent_kind == kind and sent_version == api_version:
        return
    short = sent_version.rpartition("/")[2]
    if resources.by_kind(sent_version, sent_kind) is None:
        detail = f'no kind "{sent_kind}" is registered for version "{sent_version}" in scheme {_SCHEME}'
        raise BadRequest(f'{sent_kind} in version "{short}" cannot be handled as a {kind}: {detail}')
    internal = _internal_package(api_version)
    detail = f"converting ({short}.{sent_kind}) to ({internal}.{kind}): unknown conversion"
    raise BadRequest(f'{sent_kind} in version "{short}" cannot be handled as a {kind}: {detail}')


def _internal_package(api_version: str) -> str:
    group, slash, _ = api_version.partition("/")
    return group.partition(".")[0] if slash else "core"


def _unhandled(kind: str, api_version: str, detail: str) -> BadRequest:
    version = api_version.rpartition("/")[2]
    return BadRequest(f'{kind} in version "{version}" cannot be handled as a {kind}: {detail}')
