"""PATCH of a configuration: server-side apply.

The configuration is laid over the stored object, or over an empty one, and the result goes the way of an update or a create; when
another write comes first, it is laid over the newer object. Upstream: apiserver `endpoints/handlers/patch.go` (applyPatcher).
"""

from typing import Any

import msgspec
from msgspec.structs import replace

from pinnace.api import codec
from pinnace.api.meta_v1 import ObjectMeta
from pinnace.apiserver.endpoints import configuration, last_applied, scalars
from pinnace.apiserver.endpoints.apply_conflicts import apply_conflict
from pinnace.apiserver.endpoints.managed_entries import Entries, encode, with_entries
from pinnace.apiserver.endpoints.options import WriteOptions
from pinnace.apiserver.endpoints.present import present
from pinnace.apiserver.endpoints.scope import Scope
from pinnace.apiserver.endpoints.write import check_name, check_namespace
from pinnace.apiserver.storage import Entry
from pinnace.component.http import Response
from pinnace.machinery.codec.parsed import Parsed
from pinnace.machinery.errors import ApiError
from pinnace.machinery.managedfields import Applied, Conflicts


async def apply(scope: Scope, options: WriteOptions, data: bytes) -> Response:
    """Answer a PATCH that carries a configuration of an object, or of a subresource that is a part of it."""
    call = scope.call("UPDATE", dry_run=options.dry_run, options=options)
    apply_to = _Apply(scope, options, data, call.context.now)

    async def build(entry: Entry[Any]) -> Any:
        return apply_to(entry)

    async def create_instead() -> Any:
        obj = apply_to(None)
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


class _Apply:
    """A configuration, read when it is first needed and applied as often as the object changes under it."""

    def __init__(self, scope: Scope, options: WriteOptions, data: bytes, now: float) -> None:
        self._scope = scope
        self._options = options
        self._data = data
        self._manager = scope.field_manager(options, now)
        self._parsed: Parsed | None = None

    def __call__(self, entry: Entry[Any] | None) -> Any:
        """Return the object that the configuration makes of the stored one.

        Raises:
            ApiError: it cannot be read, does not fit, or conflicts with other managers.
        """
        scope, options = self._scope, self._options
        config = self._read().tree
        old = entry.object if entry is not None else None
        stored: Entries | None = old.metadata.managed_fields if old is not None else None
        applied = self._apply(stored, _live_tree(entry, scope.resource.type), config)
        obj = old if applied.tree is None and old is not None else self._typed(applied.tree, config)
        obj = with_entries(obj, encode(applied.managers, stored))
        if options.field_manager == last_applied.KUBECTL:
            obj = last_applied.refreshed(obj, config)
        warnings = configuration.complain(self._read(), options.field_validation)
        scope.warnings += (text for text in warnings if text not in scope.warnings)
        if old is None:
            obj = self._new(obj)
        obj = check_namespace(scope, obj)
        check_name(scope, obj)
        return obj

    def _read(self) -> Parsed:
        if self._parsed is None:
            parsed = configuration.parse(self._data)
            configuration.check(parsed.tree, self._scope.resource, self._manager.root)
            self._parsed = parsed
        return self._parsed

    def _apply(self, stored: Entries | None, live: Any, config: Any) -> Applied:
        manager, force = self._manager, bool(self._options.force)
        try:
            return manager.apply(stored, live, config, force=force)
        except Conflicts as error:
            conflicts = error.conflicts
        if self._options.field_manager == last_applied.KUBECTL:
            conflicts = last_applied.not_allowed(conflicts, live, manager.root, self._scope.resource.api_version)
            if not conflicts:
                return manager.apply(stored, live, config, force=True)
        raise apply_conflict(conflicts)

    def _typed(self, tree: Any, config: Any) -> Any:
        scope = self._scope
        try:
            obj = scalars.canonical(codec.convert(scope.resource.type, tree))
        except (msgspec.DecodeError, ValueError) as error:
            text = f"failed to convert new typed object ({configuration.shown(config)}) to object: {error}"
            raise ApiError(500, "", text, None) from error
        return scope.registry.strategy.default(obj)

    def _new(self, obj: Any) -> Any:
        """Return an object that is to be created, without what only a stored one has."""
        meta: ObjectMeta = obj.metadata
        if meta.uid:
            text = f"uid mismatch: the provided object specified uid {meta.uid}, and no existing object was found"
            raise self._scope.registry.conflict(self._scope.info.name, text)
        return replace(obj, metadata=replace(meta, resource_version=""))


def _live_tree(entry: Entry[Any] | None, cls: Any) -> Any:
    """Return what a configuration is laid over."""
    if entry is None:
        return codec.to_tree(cls())
    tree = msgspec.json.decode(entry.body)
    tree["metadata"].pop("managedFields", None)
    return tree
