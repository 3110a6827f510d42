"""From client-side to server-side apply: what the annotation of the one means to the other.

Only the manager `kubectl` takes part, so naming another one is the way out. What a client-side apply owned by its annotation may be
taken by a server-side apply without force, as long as nobody changed it since; and while the annotation is there it is kept true,
so that either way of applying goes on working. Upstream: apimachinery
`util/managedfields/internal/{lastappliedmanager,lastappliedupdater}.go`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from pinnace.api import codec
from pinnace.api.meta_v1 import ObjectMeta
from pinnace.apiserver.endpoints.responses import escape_html
from pinnace.apiserver.registry.metadata import ANNOTATIONS_LIMIT_BYTES
from pinnace.machinery.managedfields import NOTHING, Conflict, Node, Tree, sets

KUBECTL = "kubectl"
ANNOTATION = "kubectl.kubernetes.io/last-applied-configuration"


def not_allowed(conflicts: Sequence[Conflict], live: Mapping[str, Any], root: Node, api_version: str) -> list[Conflict]:
    """Return the conflicts over fields that the last client-side apply did not own, or that were changed since."""
    allowed = _still_applied(live, root, api_version)
    return [conflict for conflict in conflicts if not sets.has_path(allowed, conflict.path)]


def _still_applied(live: Mapping[str, Any], root: Node, api_version: str) -> Tree:
    text = (live.get("metadata", {}).get("annotations") or {}).get(ANNOTATION)
    if not text:
        return NOTHING
    try:
        last = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return NOTHING
    if not isinstance(last, dict) or last.get("apiVersion") != api_version or not root.fits(last):
        return NOTHING
    fields = root.fields_of(last) or NOTHING
    if last == live:
        return fields
    change = root.differences(last, live)
    return sets.difference(sets.difference(fields, change.changed or NOTHING), change.removed or NOTHING)


def refreshed(obj: Any, config: Mapping[str, Any]) -> Any:
    """Return an object whose annotation, where it has one, says what has just been applied."""
    meta: ObjectMeta = obj.metadata
    if not meta.annotations or not meta.annotations.get(ANNOTATION):
        return obj
    annotations = {**meta.annotations, ANNOTATION: _text_of(config)}
    if sum(len(key.encode()) + len(value.encode()) for key, value in annotations.items()) > ANNOTATIONS_LIMIT_BYTES:
        del annotations[ANNOTATION]
    return replace(obj, metadata=replace(meta, annotations=annotations))


def _text_of(config: Mapping[str, Any]) -> str:
    metadata = dict(config["metadata"])
    annotations = metadata.pop("annotations", None)
    if annotations:
        metadata["annotations"] = {key: value for key, value in annotations.items() if key != ANNOTATION}
    return escape_html(codec.encode({**config, "metadata": metadata})).decode() + "\n"
