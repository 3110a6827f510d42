"""PATCH of a configuration: server-side apply.

The configuration is laid over the stored object, or over an empty one, and the result goes the way of an update or a create; when
another write comes first, it is laid over the newer object. Upstream: apiserver `endpoints/handlers/patch.go` (applyPatcher).
"""

from functools import partial
from typing import Any

import msgspec
from msgspec.structs import replace

from pinnace.api import codec
from pinnace.api.meta_v1 import ObjectMeta
from pinnace.apiserver.endpoints import configurations, last_applied, scalars
from pinnace.apiserver.endpoints.apply_conflicts import apply_conflict
from pinnace.apiserver.endpoints.body import read_canonical
from pinnace.apiserver.endpoints.field_manager import FieldManager
from pinnace.apiserver.endpoints.managed_entries import Entries, encode, with_entries
from pinnace.apiserver.endpoints.options import WriteOptions
from pinnace.apiserver.endpoints.present import present
from pinnace.apiserver.endpoints.scope import Scope
from pinnace.apiserver.endpoints.unstructured import check_convertible
from pinnace.apiserver.endpoints.write import check_name, check_namespace
from pinnace.apiserver.storage import Entry
from pinnace.component.http import Response
from pinnace.machinery.codec import raw
from pinnace.machinery.codec.parsed import Parsed
from pinnace.machinery.errors import ApiError, BadRequest
from pinnace.machinery.managedfields import Applied, Conflicts


async def apply(scope: Scope, options: WriteOptions, data: bytes) -> Response:
    """Answer a PATCH that carries a configuration of an object, or of a subresource that is a part of it."""
    call = scope.call("UPDATE", dry_run=options.dry_run, options=options)
    manager = scope.field_manager(options, call.context.now)
    configuration = AppliedConfiguration(manager, options, data)

    def checked(obj: Any) -> Any:
        scope.warnings += (text for text in configuration.warnings if text not in scope.warnings)
        obj = check_namespace(scope, obj)
        check_name(scope, obj)
        return scope.registry.sent(obj)

    async def build(entry: Entry[Any]) -> Any:
        shown = scope.registry.shown(entry)
        live = msgspec.json.decode(shown.body)
        live["metadata"].pop("managedFields", None)
        scope.cost_bytes = max(scope.cost_bytes, len(shown.body))
        return checked(await scope.compute(partial(configuration.apply_to, shown.object, live)))

    async def create_instead() -> Any:
        empty = codec.to_tree(scope.resource.type())
        obj = checked(_new(scope, await scope.compute(partial(configuration.apply_to, None, empty))))
        await scope.services.require(scope, "create")
        call.admit = scope.services.admit(scope, "CREATE", dry_run=options.dry_run, options=options)
        return obj

    subresource = scope.info.subresource
    written = await scope.registry.update(
        call,
        scope.info.name,
        scope.info.namespace,
        build,
        subresource=subresource,
        create=None if subresource else create_instead,
    )
    return present(scope, written, status=201 if written.created else 200)


def _new(scope: Scope, obj: Any) -> Any:
    """Return an object that is to be created, without what only a stored one has."""
    meta: ObjectMeta = obj.metadata
    if meta.uid:
        text = f"uid mismatch: the provided object specified uid {meta.uid}, and no existing object was found"
        raise scope.registry.conflict(scope.info.name, text)
    return replace(obj, metadata=replace(meta, resource_version=""))


class AppliedConfiguration:
    """A configuration, read when it is first needed and applied as often as the object changes under it."""

    def __init__(self, manager: FieldManager, options: WriteOptions, data: bytes) -> None:
        self.warnings: list[str] = []
        self._manager = manager
        self._options = options
        self._data = data
        self._parsed: Parsed | None = None

    def apply_to(self, old: Any | None, live: Any) -> Any:
        """Return the object that the configuration makes of a stored one, or of none; `live` is its tree without owners.

        Raises:
            ApiError: it cannot be read, does not fit, or conflicts with other managers.
        """
        try:
            return self._applied(old, live)
        except RecursionError as error:
            raise BadRequest("error decoding YAML: exceeded max depth") from error

    def _applied(self, old: Any | None, live: Any) -> Any:
        options, parsed = self._options, self._read()
        stored: Entries | None = old.metadata.managed_fields if old is not None else None
        applied = self._apply(stored, live, parsed.tree)
        obj = old if applied.tree is None and old is not None else self._typed(applied.tree, parsed.tree)
        obj = with_entries(obj, encode(applied.managers, stored))
        if options.field_manager == last_applied.KUBECTL:
            obj = last_applied.refreshed(obj, parsed.tree)
        self.warnings = configurations.complain(parsed, options.field_validation)
        return obj

    def _read(self) -> Parsed:
        if self._parsed is None:
            parsed = configurations.parse(self._data)
            configurations.check(parsed.tree, self._manager.place, self._manager.root)
            self._parsed = parsed
        return self._parsed

    def _apply(self, stored: Entries | None, live: Any, config: Any) -> Applied:
        manager, force = self._manager, bool(self._options.force)
        try:
            return manager.apply(stored, live, config, force=force)
        except Conflicts as error:
            conflicts = error.conflicts
        if self._options.field_manager == last_applied.KUBECTL:
            conflicts = last_applied.not_allowed(conflicts, live, manager.root, manager.place.api_version)
            if not conflicts:
                return manager.apply(stored, live, config, force=True)
        raise apply_conflict(conflicts)

    def _typed(self, tree: Any, config: Any) -> Any:
        cls = self._manager.place.type
        obj = read_canonical(raw.canonical(tree) if codec.has_raw(cls) else msgspec.json.encode(tree), cls)
        return obj if obj is not None else _converted(cls, tree, config)


def _converted(cls: type[Any], tree: Any, config: Any) -> Any:
    """Return the object that a tree describes which is not as it would be stored, or not of its type at all."""
    try:
        check_convertible(cls, tree)
        return scalars.canonical(codec.convert(cls, tree))
    except (msgspec.DecodeError, ValueError) as error:
        text = f"failed to convert new typed object ({configurations.shown(config)}) to object: {error}"
        raise ApiError(500, "", text, None) from error
