"""PATCH: JSON patch, merge patch and strategic merge patch on the object as clients see it; applies go to `apply.py`.

The patch is applied to the stored object's JSON, and the result goes the way of an update; when another write comes first, the
same patch is applied to the newer object. Upstream: apiserver `endpoints/handlers/patch.go`.
"""

from collections.abc import Mapping
from enum import StrEnum
from functools import partial
from typing import Any

import msgspec
from msgspec import Struct

from pinnace.api import codec
from pinnace.api.patch_schema import list_keys
from pinnace.api.resources import Resource
from pinnace.apiserver.endpoints import body as bodies
from pinnace.apiserver.endpoints import scalars, strict
from pinnace.apiserver.endpoints.apply import apply
from pinnace.apiserver.endpoints.negotiation import JSON, YAML
from pinnace.apiserver.endpoints.options import write_options
from pinnace.apiserver.endpoints.present import present
from pinnace.apiserver.endpoints.responses import escape_html
from pinnace.apiserver.endpoints.scope import Scope
from pinnace.apiserver.endpoints.unstructured import check_convertible
from pinnace.apiserver.endpoints.write import check_name, check_namespace
from pinnace.apiserver.storage import Entry
from pinnace.component.http import Request, Response
from pinnace.machinery import errors
from pinnace.machinery.codec import bounds, raw
from pinnace.machinery.codec import json as json_codec
from pinnace.machinery.errors import NO_DETAILS, ApiError, BadRequest, Invalid, UnsupportedMediaType
from pinnace.machinery.field import Path, invalid
from pinnace.machinery.patch import json_patch, merge, strategic

# Operations of one JSON patch.
OPERATIONS_LIMIT = 10_000
_REJECTED = "the server rejected our request due to an error in our request"


class PatchType(StrEnum):
    """The media types of patches."""

    JSON = "application/json-patch+json"
    MERGE = "application/merge-patch+json"
    STRATEGIC = "application/strategic-merge-patch+json"
    APPLY = "application/apply-patch+yaml"

    @property
    def is_apply(self) -> bool:
        return self is PatchType.APPLY


def patch_type(request: Request) -> PatchType:
    """Return the kind of patch a request carries.

    Raises:
        UnsupportedMediaType: it is none.
    """
    try:
        return PatchType(request.headers.get("Content-Type").partition(";")[0].strip())
    except ValueError:
        raise UnsupportedMediaType("415: Unsupported Media Type", NO_DETAILS) from None


async def patch(scope: Scope) -> Response:
    """Answer a PATCH of an object or of a subresource that is a part of it."""
    kind = patch_type(scope.request)
    options = write_options(scope.request, "PatchOptions", apply=kind.is_apply)
    data = await bodies.read(scope.request)
    scope.cost_bytes = bodies.cost_of(data, YAML if kind.is_apply else JSON)
    if kind.is_apply:
        return await apply(scope, options, data)
    call = scope.call("UPDATE", dry_run=options.dry_run, options=options)
    scope.manage(call, options)
    changes = await scope.compute(partial(Changes, kind, data, scope.resource, options.field_validation))

    def changed(entry: Entry[Any]) -> Any:
        tree, patched = changes.apply_to(scope.registry.shown(entry).body)
        obj = changes.clean_object(patched)
        if obj is None:
            changes.complain(tree)
            scope.warnings += (text for text in changes.warnings if text not in scope.warnings)
            _check_identity(scope, tree)
            obj = changes.object_of(tree)
        check_name(scope, obj)
        return scope.registry.sent(check_namespace(scope, obj))

    async def build(entry: Entry[Any]) -> Any:
        scope.cost_bytes = len(data) + len(entry.body)
        return await scope.compute(partial(changed, entry))

    written = await scope.registry.update(
        call, scope.info.name, scope.info.namespace, build, subresource=scope.info.subresource
    )
    return present(scope, written)


class Changes:
    """A patch, read once and applied as often as the object changes under it."""

    def __init__(self, kind: PatchType, data: bytes, resource: Resource, validation: str) -> None:
        self.kind = kind
        self.warnings: list[str] = []
        self._cls: type[Any] = resource.type
        self._identity = (resource.kind, resource.api_version)
        self._validation = validation
        self._tree, duplicates = _read(kind, data)
        self._raw = _raw(data, self._tree) if codec.has_raw(resource.type) else None
        self._duplicates = [f"json patch {text}" if kind is PatchType.JSON else text for text in duplicates]
        self._shown = data.decode("utf-8", "replace")
        # What is stored has no other fields, so there are none where the patch brings none.
        self._brings_only_known_fields = kind is not PatchType.JSON and strict.has_only_known_fields(self._cls, data)

    def apply_to(self, body: bytes) -> tuple[Any, bytes]:
        """Return the patched tree, and its JSON.

        Raises:
            ApiError: the patch does not fit the object, or makes more of it than an object may be.
        """
        if self._raw is not None:
            return self._apply_to_raw(body)
        tree = _apply(self.kind, msgspec.json.decode(body), self._tree, self._cls)
        try:
            if self.kind is PatchType.JSON:
                # Copies may have made far more of it than was sent: it is measured before it is written out.
                bounds.check(tree)
            data = msgspec.json.encode(tree)
            if self.kind is not PatchType.JSON and not bounds.is_within(data):
                bounds.check(tree)
        except bounds.OutOfBounds as error:
            raise BadRequest(str(error)) from error
        return tree, data

    def _apply_to_raw(self, body: bytes) -> tuple[Any, bytes]:
        """Patch an object that carries JSON of others: what the patch does not touch of it stays as it is written."""
        if self.kind is PatchType.STRATEGIC:
            data = raw.canonical(_apply(self.kind, msgspec.json.decode(body), self._tree, self._cls))
        else:
            # As clients see it, characters of HTML escaped.
            patched = _apply(self.kind, msgspec.Raw(escape_html(body)), self._raw, self._cls)
            data = msgspec.json.encode(patched, order="deterministic")
        try:
            tree = msgspec.json.decode(data)
            bounds.check(tree)
        except (bounds.OutOfBounds, RecursionError) as error:
            raise BadRequest(bounds.TOO_DEEP if isinstance(error, RecursionError) else str(error)) from error
        return codec.keep_raw(self._cls, tree, data), data

    def clean_object(self, data: bytes) -> Any | None:
        """Return the object that a patched tree describes; None when there is something to say about patch or tree."""
        if self._duplicates:
            return None
        obj = bodies.read_canonical(data, self._cls)
        if obj is None or (obj.kind, obj.api_version) != self._identity:
            return None
        if self._validation == "Ignore" or self._brings_only_known_fields:
            return obj
        return obj if strict.has_only_known_fields(self._cls, data) else None

    def complain(self, result: Any) -> None:
        """Collect warnings about duplicate and unknown fields.

        Raises:
            ApiError: there are some, under Strict.
        """
        if self._validation == "Ignore":
            return
        found = [*self._duplicates, *(f'unknown field "{path}"' for path in codec.unknown_fields(self._cls, result))]
        if found and self._validation == "Strict":
            shown = go_map(self._tree) if self.kind is PatchType.STRATEGIC else self._shown
            raise _invalid_patch(shown, "strict decoding error: " + ", ".join(found))
        self.warnings = found

    def object_of(self, result: Any) -> Any:
        """Return the object that a patched tree describes.

        Raises:
            ApiError: a value does not fit its field.
        """
        try:
            if self.kind is PatchType.STRATEGIC:
                check_convertible(self._cls, result)
            else:
                strict.check_types(self._cls, result)
            return scalars.canonical(codec.convert(self._cls, result))
        except (strict.WrongType, msgspec.DecodeError, ValueError) as error:
            # A strategic patch is shown itself, of the others what they made of the object.
            is_strategic = self.kind is PatchType.STRATEGIC
            shown = go_map(self._tree) if is_strategic else raw.compact(msgspec.json.encode(result)).decode()
            raise _invalid_patch(shown, str(error)) from error


def _read(kind: PatchType, data: bytes) -> tuple[Any, list[str]]:
    """Parse a patch.

    Raises:
        BadRequest: it is no JSON, or not of the shape that its type has.
    """
    prefix = "" if kind is PatchType.STRATEGIC else "error decoding patch: "
    duplicates: tuple[str, ...] = ()
    tree = bodies.clean_tree(data)
    if tree is None:
        try:
            parsed = json_codec.parse(data)
        except ValueError as error:
            raise BadRequest(f"{prefix}{error}") from error
        tree, duplicates = parsed.tree, parsed.duplicates
    if kind is PatchType.JSON:
        if not isinstance(tree, list):
            raise BadRequest(f"{prefix}json: cannot unmarshal {_word(tree)} into Go value of type jsonpatch.Patch")
        if len(tree) > OPERATIONS_LIMIT:
            raise errors.too_large(
                f"The allowed maximum operations in a JSON patch is {OPERATIONS_LIMIT}, got {len(tree)}"
            )
    elif not isinstance(tree, dict):
        raise BadRequest(
            f"{prefix}json: cannot unmarshal {_word(tree)} into Go value of type map[string]interface {{}}"
        )
    return tree, list(duplicates)


def _raw(data: bytes, tree: Any) -> Any:
    """Return a patch as it was written, its tree where only a lenient parser can read it."""
    try:
        msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return tree
    return raw.opened(msgspec.Raw(data))


def _word(tree: Any) -> str:
    if isinstance(tree, bool):
        return "bool"
    if isinstance(tree, str):
        return "string"
    return "number" if isinstance(tree, int | float) else "object" if isinstance(tree, dict) else "array"


def _apply(kind: PatchType, tree: Any, change: Any, cls: type[Struct]) -> Any:
    if kind is PatchType.JSON:
        try:
            return json_patch.apply(tree, change)
        except json_patch.JsonPatchError as error:
            raise Invalid(_REJECTED, NO_DETAILS) from error
    if kind is PatchType.MERGE:
        return merge.apply(tree, change)
    try:
        return strategic.apply(tree, change, list_keys(cls))
    except strategic.BadDirective as error:
        raise ApiError(500, "", str(error), None) from error
    except strategic.BadPatch as error:
        raise BadRequest(str(error)) from error


def apply_patch(kind: PatchType, tree: Any, data: bytes, cls: type[Struct]) -> Any:
    """Return a tree that is not stored (a Scale) with a patch applied.

    Raises:
        ApiError: the patch cannot be read or does not fit.
    """
    change, _ = _read(kind, data)
    return _apply(kind, tree, change, cls)


def _check_identity(scope: Scope, tree: Any) -> None:
    """Refuse a patch that turns the object into one of another kind, or into none."""
    if not isinstance(tree, dict):
        shown = msgspec.json.encode(tree).decode()
        raise _invalid_patch(shown, "Object 'Kind' is missing in 'null'" if tree is None else bodies.no_type(tree))
    kind, version = tree.get("kind"), tree.get("apiVersion")
    if kind != scope.kind or version != scope.resource.api_version:
        detail = f'no kind "{kind}" is registered for version "{version}"'
        if isinstance(kind, str) and isinstance(version, str):
            raise _invalid_patch(msgspec.json.encode(tree).decode(), detail)


def _invalid_patch(shown: str, detail: str) -> ApiError:
    return errors.invalid("", "", "", [invalid(Path("patch"), shown, detail)])


def go_map(tree: Any) -> str:
    """Return a tree as Go prints a map, keys sorted."""
    if isinstance(tree, Mapping):
        return "map[" + " ".join(f"{key}:{go_map(tree[key])}" for key in sorted(tree)) + "]"
    if isinstance(tree, list):
        return "[" + " ".join(map(go_map, tree)) + "]"
    if isinstance(tree, bool):
        return "true" if tree else "false"
    return "<nil>" if tree is None else str(tree)
